package dev.parallax.cli;

import dev.parallax.ElementType;
import java.util.List;

/** What the zoo's derivations need of the ONNX format: numbers of fields, and short ways to read and make nodes. */
final class Onnx {
    static final int MODEL_GRAPH = 7;

    static final int GRAPH_NODE = 1;
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
    static final int ATTRIBUTE_TENSOR = 5;
    private static final int ATTRIBUTE_GRAPH = 6;
    static final int ATTRIBUTE_TYPE = 20;
    static final int ATTRIBUTE_TYPE_NUMBER = 2;
    static final int ATTRIBUTE_TYPE_TENSOR = 4;

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
    private static final int VALUE_TYPE = 2;
    private static final int TYPE_TENSOR = 1;
    private static final int TENSOR_TYPE_ELEMENT = 1;

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
        Message attribute = Message.EMPTY.with(ATTRIBUTE_NAME, "to").with(ATTRIBUTE_NUMBER, to.code())
                .with(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_NUMBER);
        return node("Cast", List.of(input), List.of(output)).with(NODE_ATTRIBUTE, attribute);
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
