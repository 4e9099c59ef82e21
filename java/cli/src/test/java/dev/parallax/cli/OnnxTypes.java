package dev.parallax.cli;

import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** TypeProtos: made, and read from a model's inputs; and models that give values which nothing else gives. */
final class OnnxTypes {
    private static final int VALUE_TYPE = 2;
    private static final int SEQUENCE = 4;
    private static final int MAP = 5;
    private static final int OPTIONAL = 9;
    private static final int ELEMENT = 1;
    private static final int TENSOR = 1;
    private static final int ATTRIBUTE_TYPE_PROTO = 14;
    private static final int TYPE_PROTO = 13;
    private static final int OPSET = 15;  // the first that has Optional

    private OnnxTypes() {}

    static Message tensor(ElementType type) {
        return Message.EMPTY.with(TENSOR, Message.EMPTY.with(ELEMENT, type.code()));
    }

    static Message sequenceOf(Message element) {
        return Message.EMPTY.with(SEQUENCE, Message.EMPTY.with(ELEMENT, element));
    }

    static Message optionalOf(Message content) {
        return Message.EMPTY.with(OPTIONAL, Message.EMPTY.with(ELEMENT, content));
    }

    static Message mapOf(ElementType key, Message value) {
        return Message.EMPTY.with(MAP, Message.EMPTY.with(1, key.code()).with(2, value));
    }

    static Map<String, Message> inputs(byte[] model) {
        Map<String, Message> types = new LinkedHashMap<>();
        Message.parse(ByteString.copyFrom(model)).message(Onnx.MODEL_GRAPH).messages(Onnx.GRAPH_INPUT)
                .forEach(input -> types.put(input.text(Onnx.VALUE_NAME), input.message(VALUE_TYPE)));
        return types;
    }

    /** What an optional holds; any other type is itself. */
    static Message content(Message type) {
        return type.has(OPTIONAL) ? type.message(OPTIONAL).message(ELEMENT) : type;
    }

    /** The type of a sequence's elements. */
    static Message element(Message sequence) {
        return sequence.message(SEQUENCE).message(ELEMENT);
    }

    /** A node that gives an optional without content. */
    static Message absent(Message content, String output) {
        return Onnx.node("Optional", List.of(), List.of(output)).with(Onnx.NODE_ATTRIBUTE,
                Message.EMPTY.with(Onnx.ATTRIBUTE_NAME, "type").with(ATTRIBUTE_TYPE_PROTO, content)
                        .with(Onnx.ATTRIBUTE_TYPE, TYPE_PROTO));
    }

    /** A model that gives a sequence of this type without elements. */
    static byte[] emptySequence(Message type) {
        return model(Onnx.node("SequenceEmpty", List.of(), List.of("value")).with(Onnx.NODE_ATTRIBUTE,
                Message.EMPTY.with(Onnx.ATTRIBUTE_NAME, "dtype")
                        .with(Onnx.ATTRIBUTE_NUMBER, element(type).message(TENSOR).number(ELEMENT))
                        .with(Onnx.ATTRIBUTE_TYPE, Onnx.ATTRIBUTE_TYPE_NUMBER)), type);
    }

    private static byte[] model(Message node, Message type) {
        return new OnnxFile().opset(OPSET).node(node).output("value", type).build();
    }
}
