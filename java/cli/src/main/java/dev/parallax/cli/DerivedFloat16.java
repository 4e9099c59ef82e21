package dev.parallax.cli;

import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A float32 model in float16: weights, constants, activations, and casts to float32 with them.
 *
 * <p>The graph's own inputs and outputs stay float32, with a Cast at each. Exporters offer both; this way one input
 * fits the model and its source, and their outputs can be compared.
 *
 * <p>A number that float16 cannot hold must not change its meaning: finite ones stay finite (a mask of -3.4e38 becomes
 * -65504) and those that are not zero stay so (1e-12 in max(norm, 1e-12) becomes 2^-24), for else 0/0 and inf - inf
 * come out. Infinities stay infinities.
 *
 * <p>ONNX Runtime puts Casts around operators that have no float16 kernel. Where its version 1.29 should and does
 * not, they are in the graph: around matrix products, whose new float16 kernels took 64 s instead of 1 s for a run of
 * swinv2-tiny on an x86 without float16 arithmetic (its issue 32255); and around Erf, since on ARM a float16 one
 * becomes part of a BiasGelu that has no kernel, and the model does not load (its issue 32186).
 */
final class DerivedFloat16 {
    private static final Set<String> IN_FLOAT32 = Set.of("MatMul", "Gemm", "Erf");
    private static final float LARGEST = 65504;
    private static final float SMALLEST = 0x1p-24f;

    private final DerivedWeights weights;
    private final Map<String, String> inner = new HashMap<>(); // what a border's float16 side is called
    private final Set<String> widened = new HashSet<>(); // tensors that have a Cast to float32
    private final List<Message> nodes = new ArrayList<>();

    private DerivedFloat16(DerivedWeights weights) {
        this.weights = weights;
    }

    static Message derive(Message graph, DerivedWeights weights) {
        return new DerivedFloat16(weights).derive(graph);
    }

    private Message derive(Message graph) {
        for (String input : border(graph, Onnx.GRAPH_INPUT)) {
            nodes.add(Onnx.cast(input, inner.get(input), ElementType.FLOAT16));
        }
        List<String> outputs = border(graph, Onnx.GRAPH_OUTPUT);
        Onnx.nodes(graph).forEach(this::convert);
        for (String output : outputs) {
            nodes.add(Onnx.cast(inner.get(output), output, ElementType.FLOAT32));
        }
        List<Message> initializers = graph.messages(Onnx.GRAPH_INITIALIZER).stream().map(this::tensor).toList();
        return graph.with(Onnx.GRAPH_NODE, nodes).with(Onnx.GRAPH_INITIALIZER, initializers)
                .without(Onnx.GRAPH_VALUE_INFO); // their types are wrong now, and loaders infer them anew
    }

    /** The float32 inputs or outputs of a graph, each of which gets a float16 side. */
    private List<String> border(Message graph, int field) {
        List<String> names = graph.messages(field).stream().filter(v -> Onnx.valueIs(v, ElementType.FLOAT32))
                .map(v -> v.text(Onnx.VALUE_NAME)).toList();
        names.forEach(name -> inner.put(name, name + "_float16"));
        return names;
    }

    private void convert(Message node) {
        boolean cast = node.text(Onnx.NODE_OPERATOR).equals("Cast");
        List<Message> attributes = new ArrayList<>();
        for (Message attribute : node.messages(Onnx.NODE_ATTRIBUTE)) {
            if (attribute.has(Onnx.ATTRIBUTE_TENSOR)) {
                attribute = attribute.with(Onnx.ATTRIBUTE_TENSOR, tensor(attribute.message(Onnx.ATTRIBUTE_TENSOR)));
            } else if (cast && attribute.number(Onnx.ATTRIBUTE_NUMBER) == ElementType.FLOAT32.code()
                    && attribute.text(Onnx.ATTRIBUTE_NAME).equals("to")) {
                attribute = attribute.with(Onnx.ATTRIBUTE_NUMBER, ElementType.FLOAT16.code());
            }
            attributes.add(attribute);
        }
        List<String> inputs = node.texts(Onnx.NODE_INPUT).stream().map(this::rename).toList();
        List<String> outputs = node.texts(Onnx.NODE_OUTPUT).stream().map(this::rename).toList();
        Message converted = node.with(Onnx.NODE_ATTRIBUTE, attributes);
        if (IN_FLOAT32.contains(node.text(Onnx.NODE_OPERATOR))) {
            inputs.stream().filter(widened::add).forEach(
                    name -> nodes.add(Onnx.cast(name, wide(name), ElementType.FLOAT32)));
            nodes.add(converted.with(Onnx.NODE_INPUT, inputs.stream().map(DerivedFloat16::wide).toList())
                    .with(Onnx.NODE_OUTPUT, outputs.stream().map(DerivedFloat16::wide).toList()));
            outputs.forEach(name -> nodes.add(Onnx.cast(wide(name), name, ElementType.FLOAT16)));
        } else {
            nodes.add(converted.with(Onnx.NODE_INPUT, inputs).with(Onnx.NODE_OUTPUT, outputs));
        }
    }

    private String rename(String name) {
        return inner.getOrDefault(name, name);
    }

    private static String wide(String name) {
        return name + "_float32";
    }

    private Message tensor(Message tensor) {
        if (!Onnx.is(tensor, ElementType.FLOAT32)) {
            return tensor;
        }
        if (tensor.number(Onnx.TENSOR_LOCATION) == Onnx.LOCATION_EXTERNAL) {
            return weights.add(tensor.text(Onnx.TENSOR_NAME), ElementType.FLOAT16, tensor.numbers(Onnx.TENSOR_DIMS),
                    bytes -> put(weights.read(tensor), bytes));
        }
        float[] values = weights.read(tensor);
        ByteBuffer bytes = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        put(values, bytes);
        return tensor.with(Onnx.TENSOR_TYPE, ElementType.FLOAT16.code())
                .with(Onnx.TENSOR_RAW, ByteString.copyFrom(bytes.flip()));
    }

    private static void put(float[] values, ByteBuffer bytes) {
        for (float value : values) {
            bytes.putShort(round(value));
        }
    }

    /** The nearest float16 that means the same. */
    static short round(float value) {
        short nearest = Float.floatToFloat16(value);
        float rounded = Float.float16ToFloat(nearest);
        if (rounded == 0 && value != 0) {
            return Float.floatToFloat16(Math.copySign(SMALLEST, value));
        }
        if (Float.isInfinite(rounded) && Float.isFinite(value)) {
            return Float.floatToFloat16(Math.copySign(LARGEST, value));
        }
        return nearest;
    }
}
