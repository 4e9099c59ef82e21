package dev.parallax.cli;

import com.google.protobuf.ByteString;
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
        Message value = Message.EMPTY.with(Onnx.ATTRIBUTE_NAME, "value").with(Onnx.ATTRIBUTE_TENSOR, proto("", tensor))
                .with(Onnx.ATTRIBUTE_TYPE, Onnx.ATTRIBUTE_TYPE_TENSOR);
        nodes.add(Onnx.node("Constant", List.of(), List.of(name)).with(Onnx.NODE_ATTRIBUTE, value));
        return this;
    }

    OnnxFile initializer(String name, Tensor tensor) {
        initializers.add(proto(name, tensor));
        return this;
    }

    /** A float32 initializer in a file of weights. */
    OnnxFile external(String name, String file, long offset, long... dims) {
        initializers.add(proto(name, ElementType.FLOAT32, dims).with(Onnx.TENSOR_LOCATION, Onnx.LOCATION_EXTERNAL)
                .with(Onnx.TENSOR_EXTERNAL, List.of(entry("location", file), entry("offset", "" + offset))));
        return this;
    }

    private static Message entry(String key, String value) {
        return Message.EMPTY.with(Onnx.ENTRY_KEY, key).with(Onnx.ENTRY_VALUE, value);
    }

    private static Message proto(String name, Tensor tensor) {
        return proto(name, tensor.elementType(), tensor.shape()).with(Onnx.TENSOR_RAW,
                ByteString.copyFrom(tensor.segment().toArray(ValueLayout.JAVA_BYTE)));
    }

    private static Message proto(String name, ElementType type, long... dims) {
        return Message.EMPTY.with(Onnx.TENSOR_DIMS, Arrays.stream(dims).boxed().toList())
                .with(Onnx.TENSOR_TYPE, type.code()).with(Onnx.TENSOR_NAME, name);
    }

    /** Dims are numbers or symbols. */
    OnnxFile input(String name, ElementType type, Object... dims) {
        inputs.add(value(name, type, dims));
        return this;
    }

    OnnxFile output(String name, ElementType type, Object... dims) {
        outputs.add(value(name, type, dims));
        return this;
    }

    /** Of any type, as a TypeProto. */
    OnnxFile input(String name, Message type) {
        inputs.add(Message.EMPTY.with(Onnx.VALUE_NAME, name).with(2, type));
        return this;
    }

    OnnxFile output(String name, Message type) {
        outputs.add(Message.EMPTY.with(Onnx.VALUE_NAME, name).with(2, type));
        return this;
    }

    private static Message value(String name, ElementType type, Object... dims) {
        List<Message> shape = Arrays.stream(dims)
                .map(dim -> Message.EMPTY.with(dim instanceof Number ? 1 : 2, dim)).toList();
        Message tensor = Message.EMPTY.with(1, type.code()).with(2, Message.EMPTY.with(1, shape));
        return Message.EMPTY.with(Onnx.VALUE_NAME, name).with(2, Message.EMPTY.with(1, tensor));
    }

    byte[] build() {
        Message graph = Message.EMPTY.with(Onnx.GRAPH_NODE, nodes).with(2, "tiny")
                .with(Onnx.GRAPH_INITIALIZER, initializers).with(Onnx.GRAPH_INPUT, inputs)
                .with(Onnx.GRAPH_OUTPUT, outputs);
        List<Message> opsets = List.of(Message.EMPTY.with(1, "").with(2, opset),
                Message.EMPTY.with(1, "ai.onnx.ml").with(2, 3));
        return Message.EMPTY.with(1, 8).with(Onnx.MODEL_GRAPH, graph).with(8, opsets).toByteArray();
    }
}
