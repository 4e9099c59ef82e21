package dev.parallax;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a model file says about itself.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * System.out.println(model.info().nodes() + " nodes, opset " + model.info().opsets().get(""));
 * }</pre>
 *
 * @param name the graph's name, perhaps empty
 * @param irVersion version of the ONNX format
 * @param opsets operator set versions by domain; {@code ""} is ONNX's own
 * @param producer the tool that wrote it, perhaps empty
 * @param nodes how many nodes the graph has
 * @param initializerBytes bytes of weights
 * @param inputs what must be bound, in the file's order
 * @param outputs what a run gives, in the file's order
 */
public record ModelInfo(String name, long irVersion, Map<String, Long> opsets, String producer, long nodes,
        long initializerBytes, List<ValueInfo> inputs, List<ValueInfo> outputs) {
    /** Copies the collections. */
    public ModelInfo {
        opsets = Collections.unmodifiableMap(new TreeMap<>(opsets));
        inputs = List.copyOf(inputs);
        outputs = List.copyOf(outputs);
    }
}
