package dev.parallax.bench;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The time of each run of the detector by its parts, as the names of nodes tell them. Nodes that ONNX Runtime's passes
 * made and named, reorders around convolutions for example, count as backbone, which is the side that should be small.
 *
 * @param runs per run, microseconds of each part by {@link Part#ordinal()}
 * @param nodes how many nodes of each part one run has
 */
record DetectorParts(List<long[]> runs, int[] nodes) {
    /** Of the time of all nodes. */
    static final double LEAST_OF_HEADS = 0.5;

    /** Where a node belongs. */
    enum Part {
        BACKBONE("backbone"), PREDICT("heads: predict boxes and scores"), SELECT("heads: select");

        final String title;

        Part(String title) {
            this.title = title;
        }

        static Part of(String node) {
            return node.contains("select/") ? SELECT : node.contains("predict/") ? PREDICT : BACKBONE;
        }
    }

    /**
     * Reads a profile: an array of events with start and duration in whole microseconds, rounded down, which makes
     * light of the many short nodes of the heads.
     */
    static DetectorParts of(String profile, int warmUps) {
        List<JsonObject> whole = new ArrayList<>();
        List<JsonObject> kernels = new ArrayList<>();
        for (JsonElement element : JsonParser.parseString(profile).getAsJsonArray()) {
            JsonObject event = element.getAsJsonObject();
            String name = event.get("name").getAsString();
            if (name.equals("model_run")) {
                whole.add(event);
            } else if (name.endsWith("_kernel_time") && !operator(event).equals("If")) {
                kernels.add(event); // an If's time is that of the nodes inside it
            }
        }
        List<long[]> runs = new ArrayList<>();
        int[] nodes = new int[Part.values().length];
        for (JsonObject run : whole.subList(Math.min(warmUps, whole.size()), whole.size())) {
            long[] micros = new long[Part.values().length];
            nodes = new int[micros.length];
            long start = run.get("ts").getAsLong();
            long end = start + run.get("dur").getAsLong();
            for (JsonObject kernel : kernels) {
                long at = kernel.get("ts").getAsLong();
                if (at >= start && at < end) {
                    int part = Part.of(kernel.get("name").getAsString()).ordinal();
                    micros[part] += kernel.get("dur").getAsLong();
                    nodes[part]++;
                }
            }
            runs.add(micros);
        }
        return new DetectorParts(runs, nodes);
    }

    private static String operator(JsonObject event) {
        JsonObject args = event.getAsJsonObject("args");
        return args != null && args.has("op_name") ? args.get("op_name").getAsString() : "";
    }

    private double median(Part part) {
        return Statistics.median(runs.stream().mapToDouble(run -> run[part.ordinal()]).toArray());
    }

    /** Of the time of a run's nodes, that of all parts but the backbone: the median of the runs. */
    double heads() {
        return Statistics.median(runs.stream().mapToDouble(run -> {
            double all = 0;
            for (long micros : run) {
                all += micros;
            }
            return 1 - run[Part.BACKBONE.ordinal()] / all;
        }).toArray());
    }

    /** One line per target missed. */
    List<String> misses() {
        return heads() >= LEAST_OF_HEADS ? List.of() : List.of(String.format(Locale.ROOT,
                "MISSED: heads take %.2f of the time of all nodes; at least %.2f", heads(), LEAST_OF_HEADS));
    }

    String table() {
        MarkdownTable table = new MarkdownTable("part", "nodes", "ms");
        for (Part part : Part.values()) {
            table.row(part.title, nodes[part.ordinal()], String.format(Locale.ROOT, "%.2f", median(part) / 1e3));
        }
        return table + String.format(Locale.ROOT, "%nheads: %.2f of the time of all nodes%n", heads());
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        for (Part part : Part.values()) {
            Map<String, Object> content = new LinkedHashMap<>();
            content.put("nodes", nodes[part.ordinal()]);
            content.put("run_us", runs.stream().map(run -> run[part.ordinal()]).toList());
            map.put(part.name().toLowerCase(Locale.ROOT), content);
        }
        map.put("heads", heads());
        map.put("limit", LEAST_OF_HEADS);
        return map;
    }
}
