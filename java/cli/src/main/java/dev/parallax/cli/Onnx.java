package dev.parallax.cli;

import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import java.util.Arrays;
import java.util.List;

/** What the zoo needs of the ONNX format: numbers of fields, and short ways to read and make what models consist of. */
final class Onnx {
    private static final int MODEL_IR_VERSION = 1;
    static final int MODEL_GRAPH = 7;
    static final int MODEL_OPERATORS = 8;
    private static final int OPERATORS_DOMAIN = 1;
    private static final int OPERATORS_VERSION = 2;

    static final int GRAPH_NODE = 1;
    private static final int GRAPH_NAME = 2;
    static final int GRAPH_INITIALIZER = 5;
    static final int GRAPH_INPUT = 11;
    static final int GRAPH_OUTPUT = 12;
    static final int GRAPH_VALUE_INFO = 13;

    static final int NODE_INPUT = 1;
    static final int NODE_OUTPUT = 2;
    static final int NODE_NAME = 3;
    static final int NODE_OPERATOR = 4;
    static final int NODE_ATTRIBUTE = 5;

    static final int ATTRIBUTE_NAME = 1;
    static final int ATTRIBUTE_NUMBER = 3;
    private static final int ATTRIBUTE_TEXT = 4;
    static final int ATTRIBUTE_TENSOR = 5;
    private static final int ATTRIBUTE_GRAPH = 6;
    private static final int ATTRIBUTE_NUMBERS = 8;
    static final int ATTRIBUTE_TYPE = 20;
    static final int ATTRIBUTE_TYPE_NUMBER = 2;
    private static final int ATTRIBUTE_TYPE_TEXT = 3;
    static final int ATTRIBUTE_TYPE_TENSOR = 4;
    private static final int ATTRIBUTE_TYPE_GRAPH = 5;
    private static final int ATTRIBUTE_TYPE_NUMBERS = 7;

    static final int TENSOR_DIMS = 1;
    static final int TENSOR_TYPE = 2;
    static final int TENSOR_NAME = 8;
    static final int TENSOR_RAW = 9;
    static final int TENSOR_EXTERNAL = 13;
    static final int TENSOR_LOCATION = 14;
    static final int LOCATION_EXTERNAL = 1;

    static final int ENTRY_KEY = 1;
    static final int ENTRY_VALUE = 2;

    static final int VALUE_NAME = 1;
    static final int VALUE_TYPE = 2;
    private static final int TYPE_TENSOR = 1;
    private static final int TENSOR_TYPE_ELEMENT = 1;
    private static final int TENSOR_TYPE_SHAPE = 2;
    private static final int SHAPE_DIM = 1;
    private static final int DIM_SIZE = 1;
    private static final int DIM_SYMBOL = 2;

    private static final int IR_VERSION = 8; // of ONNX 1.10 to 1.12, which brought operator sets 15 to 17

    private Onnx() {}

    /** The nodes of a graph that has no graphs inside, which derivations do not look into. */
    static List<Message> nodes(Message graph) {
        List<Message> nodes = graph.messages(GRAPH_NODE);
        for (Message node : nodes) {
            if (node.messages(NODE_ATTRIBUTE).stream().anyMatch(a -> a.has(ATTRIBUTE_GRAPH))) {
                throw new BadInputException("node " + node.text(NODE_NAME) + " has a subgraph; only plain graphs can be"
                        + " brought into another precision");
            }
        }
        return nodes;
    }

    /** A node, named after its first output. */
    static Message node(String operator, List<String> inputs, List<String> outputs) {
        return Message.EMPTY.with(NODE_INPUT, inputs).with(NODE_OUTPUT, outputs)
                .with(NODE_NAME, operator + "_" + outputs.getFirst()).with(NODE_OPERATOR, operator);
    }

    static Message cast(String input, String output, ElementType to) {
        return node("Cast", List.of(input), List.of(output)).with(NODE_ATTRIBUTE, attribute("to", to.code()));
    }

    /** An attribute: a whole number, a list of whole numbers, a text, or a graph. */
    static Message attribute(String name, Object value) {
        Message named = Message.EMPTY.with(ATTRIBUTE_NAME, name);
        return switch (value) {
            case Number number -> named.with(ATTRIBUTE_NUMBER, number).with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_NUMBER);
            case List<?> numbers -> named.with(ATTRIBUTE_NUMBERS, numbers).with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_NUMBERS);
            case String text -> named.with(ATTRIBUTE_TEXT, text).with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_TEXT);
            case Message graph -> named.with(ATTRIBUTE_GRAPH, graph).with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_GRAPH);
            default -> throw new IllegalArgumentException("no value for an attribute: " + value);
        };
    }

    /** A Constant node. */
    static Message constant(String output, Message tensor) {
        return node("Constant", List.of(), List.of(output)).with(NODE_ATTRIBUTE,
                Message.EMPTY.with(ATTRIBUTE_NAME, "value").with(ATTRIBUTE_TENSOR, tensor)
                        .with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_TENSOR));
    }

    /** A tensor without its elements. */
    static Message tensor(String name, ElementType type, List<Long> dims) {
        return Message.EMPTY.with(TENSOR_DIMS, dims).with(TENSOR_TYPE, type.code()).with(TENSOR_NAME, name);
    }

    /** A tensor with its elements, little-endian. */
    static Message tensor(String name, ElementType type, List<Long> dims, byte[] raw) {
        return tensor(name, type, dims).with(TENSOR_RAW, ByteString.copyFrom(raw));
    }

    /** A graph's input or output; dims are sizes or symbols. */
    static Message value(String name, ElementType type, Object... dims) {
        List<Message> shape = Arrays.stream(dims)
                .map(dim -> Message.EMPTY.with(dim instanceof Number ? DIM_SIZE : DIM_SYMBOL, dim)).toList();
        Message tensor = Message.EMPTY.with(TENSOR_TYPE_ELEMENT, type.code())
                .with(TENSOR_TYPE_SHAPE, Message.EMPTY.with(SHAPE_DIM, shape));
        return Message.EMPTY.with(VALUE_NAME, name).with(VALUE_TYPE, Message.EMPTY.with(TYPE_TENSOR, tensor));
    }

    static Message graph(String name, List<Message> nodes, List<Message> initializers, List<Message> inputs,
            List<Message> outputs) {
        return Message.EMPTY.with(GRAPH_NODE, nodes).with(GRAPH_NAME, name).with(GRAPH_INITIALIZER, initializers)
                .with(GRAPH_INPUT, inputs).with(GRAPH_OUTPUT, outputs);
    }

    /** A model of ONNX's own operators in the given version. */
    static Message model(Message graph, int operators) {
        return Message.EMPTY.with(MODEL_IR_VERSION, IR_VERSION).with(MODEL_GRAPH, graph).with(MODEL_OPERATORS,
                operators("", operators));
    }

    /** The version of one domain's operators; ONNX's own have the domain "". */
    static Message operators(String domain, int version) {
        return Message.EMPTY.with(OPERATORS_DOMAIN, domain).with(OPERATORS_VERSION, version);
    }

    /** Whether a tensor holds elements of this type. */
    static boolean is(Message tensor, ElementType type) {
        return tensor.number(TENSOR_TYPE) == type.code();
    }

    /** Whether a graph's input or output is a tensor of this type. */
    static boolean valueIs(Message value, ElementType type) {
        return value.message(VALUE_TYPE).message(TYPE_TENSOR).number(TENSOR_TYPE_ELEMENT) == type.code();
    }
}
