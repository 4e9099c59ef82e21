package dev.parallax.cli;

import dev.parallax.ElementType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A float32 model with int8 weights, quantised dynamically: each MatMul with a matrix of weights becomes
 *
 * <pre>{@code
 * x8, sx, zx = DynamicQuantizeLinear(x)               // uint8; once, however many multiply x
 * y = Cast(MatMulInteger(x8, w8, zx)) * (sx * sw)     // w8 int8, one scale in sw per column
 * }</pre>
 *
 * <p>Weights are symmetric: w8 = round(w / sw), no zero point. Additions of biases stay as they were, and so do
 * products of two activations, and convolutions, which the usual dynamic quantisation of a transformer leaves in
 * float32. Gemm is not looked at: the encoder has none.
 */
final class DerivedInt8 {
    /**
     * Not 127: x86 without VNNI adds two products of a uint8 and an int8 in 16 bits that saturate, so that large ones
     * come out wrong (here 4.2 % typical difference from the source instead of 3.4 %). 2 * 255 * 64 just fits, and the
     * sums are the same on every CPU.
     */
    private static final int LARGEST = 64;

    private final DerivedWeights weights;
    private final Map<String, Message> tensors = new LinkedHashMap<>(); // of the source, by name
    private final Set<String> activations = new HashSet<>(); // those that are quantised
    private final Set<String> matrices = new HashSet<>(); // names of weights that are
    private final List<Message> nodes = new ArrayList<>();

    private DerivedInt8(DerivedWeights weights) {
        this.weights = weights;
    }

    static Message derive(Message graph, DerivedWeights weights) {
        return new DerivedInt8(weights).derive(graph);
    }

    private Message derive(Message graph) {
        graph.messages(Onnx.GRAPH_INITIALIZER).forEach(t -> tensors.put(t.text(Onnx.TENSOR_NAME), t));
        Set<String> used = new HashSet<>(); // in float32
        for (Message node : Onnx.nodes(graph)) {
            List<String> inputs = node.texts(Onnx.NODE_INPUT);
            if (node.text(Onnx.NODE_OPERATOR).equals("MatMul") && isMatrix(inputs.get(1))) {
                multiply(inputs.get(0), inputs.get(1), node.texts(Onnx.NODE_OUTPUT).getFirst());
            } else {
                nodes.add(node);
                used.addAll(inputs);
            }
        }
        List<Message> initializers = new ArrayList<>();
        tensors.forEach((name, tensor) -> {
            if (matrices.contains(name)) {
                initializers.addAll(quantise(name, tensor));
            }
            if (!matrices.contains(name) || used.contains(name)) {
                initializers.add(keep(name, tensor));
            }
        });
        return graph.with(Onnx.GRAPH_NODE, nodes).with(Onnx.GRAPH_INITIALIZER, initializers);
    }

    private boolean isMatrix(String name) {
        Message tensor = tensors.get(name);
        return tensor != null && Onnx.is(tensor, ElementType.FLOAT32) && tensor.numbers(Onnx.TENSOR_DIMS).size() == 2;
    }

    private void multiply(String x, String w, String y) {
        if (activations.add(x)) {
            nodes.add(Onnx.node("DynamicQuantizeLinear", List.of(x), List.of(x + "_uint8", x + "_scale", x + "_zero")));
        }
        matrices.add(w);
        nodes.add(Onnx.node("MatMulInteger", List.of(x + "_uint8", w + "_int8", x + "_zero"), List.of(y + "_int32")));
        nodes.add(Onnx.cast(y + "_int32", y + "_float32", ElementType.FLOAT32));
        nodes.add(Onnx.node("Mul", List.of(x + "_scale", w + "_scale"), List.of(y + "_scales")));
        nodes.add(Onnx.node("Mul", List.of(y + "_float32", y + "_scales"), List.of(y)));
    }

    private List<Message> quantise(String name, Message tensor) {
        List<Long> dims = tensor.numbers(Onnx.TENSOR_DIMS);
        int columns = Math.toIntExact(dims.getLast());
        return List.of(
                weights.add(name + "_int8", ElementType.INT8, dims, bytes -> {
                    float[] values = weights.read(tensor);
                    float[] scales = scales(values, columns);
                    for (int i = 0; i < values.length; i++) {
                        bytes.put((byte) Math.rint(values[i] / scales[i % columns]));
                    }
                }),
                weights.add(name + "_scale", ElementType.FLOAT32, List.of(dims.getLast()),
                        bytes -> put(scales(weights.read(tensor), columns), bytes)));
    }

    /** The largest magnitude of each column is to become the largest int8; a column of zeros may have any scale. */
    private static float[] scales(float[] values, int columns) {
        float[] scales = new float[columns];
        for (int i = 0; i < values.length; i++) {
            scales[i % columns] = Math.max(scales[i % columns], Math.abs(values[i]));
        }
        for (int i = 0; i < columns; i++) {
            scales[i] = scales[i] == 0 ? 1 : scales[i] / LARGEST;
        }
        return scales;
    }

    private Message keep(String name, Message tensor) {
        return tensor.number(Onnx.TENSOR_LOCATION) != Onnx.LOCATION_EXTERNAL ? tensor
                : weights.add(name, ElementType.FLOAT32, tensor.numbers(Onnx.TENSOR_DIMS),
                        bytes -> put(weights.read(tensor), bytes));
    }

    private static void put(float[] values, ByteBuffer bytes) {
        for (float value : values) {
            bytes.putFloat(value);
        }
    }
}
