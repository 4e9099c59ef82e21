package dev.parallax.cli;

import dev.parallax.Tensor;
import dev.parallax.Value;
import java.util.LinkedHashMap;
import java.util.Map;

/** Values of any kind, for those who look at tensors. Stateless. */
final class Values {
    private static final int SHOWN = 60;

    private Values() {}

    /** "sequence", "map", "none", or the type of a tensor's elements. */
    static String kind(Value value) {
        return switch (value) {
            case Tensor tensor -> tensor.elementType().toString();
            case Value.Sequence _ -> "sequence";
            case Value.Mapping _ -> "map";
            case Value.None _ -> "none";
        };
    }

    /** What a value is, shortened where it goes on for long: "sequence[float32[2], float32[3]]". */
    static String brief(String text) {
        return text.length() <= SHOWN ? text : text.substring(0, SHOWN - 3) + "...";
    }

    /** All tensors of a value, by names made from its own: y itself; y.0 and y.1; y.keys and y.values. */
    static Map<String, Tensor> tensors(String name, Value value) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        collect(name, value, tensors);
        return tensors;
    }

    private static void collect(String name, Value value, Map<String, Tensor> tensors) {
        switch (value) {
            case Tensor tensor -> tensors.put(name, tensor);
            case Value.Sequence sequence -> {
                for (int i = 0; i < sequence.elements().size(); i++) {
                    collect(name + "." + i, sequence.elements().get(i), tensors);
                }
            }
            case Value.Mapping map -> {
                tensors.put(name + ".keys", map.keys());
                tensors.put(name + ".values", map.values());
            }
            case Value.None _ -> { }
        }
    }
}
