package dev.parallax.cli;

import com.google.gson.Gson;
import dev.parallax.Plan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A graph's nodes in streams, for ONNX Runtime's {@code session.node_partition_config_file}: in its parallel mode the
 * nodes of different streams run side by side. It is the one way to have ONNX Runtime 1.29 do so on the CPU.
 *
 * <p>The file is JSON: {@code {"type":"DeviceBasedPartitioner","streams":[["a","b"],["c"]],"devices":["0","0"]}}, with
 * one device, 0 being the CPU, for each stream. Every node of the optimised graph has to be in it; ONNX Runtime orders
 * the nodes of a stream itself and waits wherever one stream needs another's tensor. A stream without nodes ends the
 * process, so there is none here.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code NodePartition.of(plan.nodes(), plan.branches(), plan.layers())}.
 *
 * @param streams node names by stream
 */
record NodePartition(List<List<String>> streams) {
    /**
     * The branches of each layer, the largest first, each to the stream that has least of that layer.
     *
     * @throws BadInputException with the reason if there is nothing to divide, or names do not tell nodes apart
     */
    static NodePartition of(List<Plan.Node> nodes, List<Plan.Branch> branches, List<Plan.Layer> layers) {
        // ONNX Runtime makes up names for nodes without one, by a rule of its own.
        if (nodes.stream().anyMatch(n -> n.name().isEmpty())) {
            throw new BadInputException("the file goes by the names of nodes, and some have none");
        }
        if (new HashSet<>(nodes.stream().map(Plan.Node::name).toList()).size() < nodes.size()) {
            throw new BadInputException("the file goes by the names of nodes, and some share one");
        }
        List<List<String>> streams = new ArrayList<>();
        for (int i = 0; i < OrtSetting.STREAMS; i++) {
            streams.add(new ArrayList<>());
        }
        for (Plan.Layer layer : layers) {
            double[] load = new double[OrtSetting.STREAMS];
            List<Plan.Branch> largestFirst = layer.branches().stream().map(branches::get)
                    .sorted(Comparator.comparingDouble(NodePartition::size).reversed()).toList();
            for (Plan.Branch branch : largestFirst) {
                int least = 0;
                for (int i = 1; i < load.length; i++) {
                    least = load[i] < load[least] ? i : least;
                }
                load[least] += size(branch);
                for (int node : branch.nodes()) {
                    streams.get(least).add(nodes.get(node).name());
                }
            }
        }
        if (streams.stream().anyMatch(List::isEmpty)) {
            throw new BadInputException("no layer of the graph has more than one branch");
        }
        return new NodePartition(streams);
    }

    /** FLOPs, or where those are not known the number of nodes. */
    private static double size(Plan.Branch branch) {
        return Math.max(branch.flops(), branch.nodes().size());
    }

    /** Writes the file to where temporary files are; whoever asked for it deletes it. */
    Path write() {
        try {
            Path file = Files.createTempFile("plx-streams-", ".json");
            Files.writeString(file, toJson());
            return file;
        } catch (IOException e) {
            throw new BadInputException("the file cannot be written: " + Text.reason(e), e);
        }
    }

    /** The file's content. */
    String toJson() {
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("type", "DeviceBasedPartitioner");
        content.put("streams", streams);
        content.put("devices", Collections.nCopies(streams.size(), "0"));
        return new Gson().toJson(content);
    }
}
