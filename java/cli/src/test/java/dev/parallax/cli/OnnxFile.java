package dev.parallax.cli;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Writes small ONNX files for tests: just the fields of onnx.proto that they need. */
final class OnnxFile {
    private final List<Message> nodes = new ArrayList<>();
    private final List<Message> initializers = new ArrayList<>();
    private final List<Message> inputs = new ArrayList<>();
    private final List<Message> outputs = new ArrayList<>();
    private int opset = 17;

    OnnxFile opset(int version) {
        opset = version;
        return this;
    }

    OnnxFile node(String operator, List<String> inputs, List<String> outputs) {
        nodes.add(Onnx.node(operator, inputs, outputs));
        return this;
    }

    OnnxFile node(Message node) {
        nodes.add(node);
        return this;
    }

    /** A Constant node. */
    OnnxFile constant(String name, Tensor tensor) {
        nodes.add(Onnx.constant(name, proto("", tensor)));
        return this;
    }

    OnnxFile initializer(String name, Tensor tensor) {
        initializers.add(proto(name, tensor));
        return this;
    }

    /** A float32 initializer in a file of weights. */
    OnnxFile external(String name, String file, long offset, long... dims) {
        initializers.add(Onnx.tensor(name, ElementType.FLOAT32, list(dims))
                .with(Onnx.TENSOR_LOCATION, Onnx.LOCATION_EXTERNAL)
                .with(Onnx.TENSOR_EXTERNAL, List.of(entry("location", file), entry("offset", "" + offset))));
        return this;
    }

    private static Message entry(String key, String value) {
        return Message.EMPTY.with(Onnx.ENTRY_KEY, key).with(Onnx.ENTRY_VALUE, value);
    }

    private static Message proto(String name, Tensor tensor) {
        return Onnx.tensor(name, tensor.elementType(), list(tensor.shape()),
                tensor.segment().toArray(ValueLayout.JAVA_BYTE));
    }

    private static List<Long> list(long... dims) {
        return Arrays.stream(dims).boxed().toList();
    }

    /** Dims are numbers or symbols. */
    OnnxFile input(String name, ElementType type, Object... dims) {
        inputs.add(Onnx.value(name, type, dims));
        return this;
    }

    OnnxFile output(String name, ElementType type, Object... dims) {
        outputs.add(Onnx.value(name, type, dims));
        return this;
    }

    /** Of any type, as a TypeProto. */
    OnnxFile input(String name, Message type) {
        inputs.add(Message.EMPTY.with(Onnx.VALUE_NAME, name).with(Onnx.VALUE_TYPE, type));
        return this;
    }

    OnnxFile output(String name, Message type) {
        outputs.add(Message.EMPTY.with(Onnx.VALUE_NAME, name).with(Onnx.VALUE_TYPE, type));
        return this;
    }

    byte[] build() {
        return Onnx.model(Onnx.graph("tiny", nodes, initializers, inputs, outputs), opset).with(Onnx.MODEL_OPERATORS,
                List.of(Onnx.operators("", opset), Onnx.operators("ai.onnx.ml", 3))).toByteArray();
    }
}
