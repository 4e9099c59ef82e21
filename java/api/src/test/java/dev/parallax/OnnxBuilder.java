package dev.parallax;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Writes small ONNX models: just enough of the protobuf format, no checks, so that broken models can be written too.
 * Field numbers are those of onnx.proto.
 */
final class OnnxBuilder {
    /** A protobuf message under construction. */
    private static final class Message {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();

        void varint(long value) {
            for (; (value & ~0x7fL) != 0; value >>>= 7) {
                out.write((int) (value & 0x7f | 0x80));
            }
            out.write((int) value);
        }

        Message number(int field, long value) {
            varint((long) field << 3);
            varint(value);
            return this;
        }

        Message bytes(int field, byte[] value) {
            varint((long) field << 3 | 2);
            varint(value.length);
            out.writeBytes(value);
            return this;
        }

        Message text(int field, String value) {
            return bytes(field, value.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int field, Consumer<Message> body) {
            Message inner = new Message();
            body.accept(inner);
            return bytes(field, inner.out.toByteArray());
        }
    }

    private final Message graph = new Message();
    private final Message opsets = new Message();
    private long version = 17;

    OnnxBuilder(String name) {
        graph.text(2, name);
    }

    /** Sets the version of ONNX's own operators, 17 otherwise. */
    OnnxBuilder opset(long value) {
        version = value;
        return this;
    }

    OnnxBuilder opset(String domain, long value) {
        opsets.message(8, m -> m.text(1, domain).number(2, value));
        return this;
    }

    /** An input; dims are numbers, symbols, or "?" for nothing known; a null array for an unknown rank. */
    OnnxBuilder input(String name, ElementType type, Object... dims) {
        graph.message(11, m -> value(m, name, type, dims));
        return this;
    }

    OnnxBuilder output(String name, ElementType type, Object... dims) {
        graph.message(12, m -> value(m, name, type, dims));
        return this;
    }

    OnnxBuilder sequenceOutput(String name, ElementType type) {
        graph.message(12, m -> m.text(1, name)
                .message(2, t -> t.message(4, s -> s.message(1, e -> e.message(1, x -> x.number(1, type.code()))))));
        return this;
    }

    OnnxBuilder input(String name, byte[] type) {
        graph.message(11, m -> m.text(1, name).bytes(2, type));
        return this;
    }

    OnnxBuilder output(String name, byte[] type) {
        graph.message(12, m -> m.text(1, name).bytes(2, type));
        return this;
    }

    /** A type, as the other methods for types take it: a tensor of unknown rank. */
    static byte[] tensor(ElementType type) {
        return new Message().message(1, t -> t.number(1, type.code())).out.toByteArray();
    }

    static byte[] sequenceOf(byte[] element) {
        return new Message().message(4, s -> s.bytes(1, element)).out.toByteArray();
    }

    static byte[] mapOf(ElementType key, byte[] value) {
        return new Message().message(5, m -> m.number(1, key.code()).bytes(2, value)).out.toByteArray();
    }

    static byte[] optionalOf(byte[] content) {
        return new Message().message(9, o -> o.bytes(1, content)).out.toByteArray();
    }

    private static void value(Message message, String name, ElementType type, Object... dims) {
        message.text(1, name).message(2, t -> t.message(1, tensor -> {
            tensor.number(1, type.code());
            if (dims != null) {
                tensor.message(2, shape -> {
                    for (Object dim : dims) {
                        shape.message(1, d -> {
                            if (dim instanceof Number size) {
                                d.number(1, size.longValue());
                            } else if (!dim.equals("?")) {
                                d.text(2, (String) dim);
                            }
                        });
                    }
                });
            }
        }));
    }

    OnnxBuilder node(String operator, List<String> inputs, List<String> outputs) {
        return node("", operator, inputs, outputs, Map.of());
    }

    /** A node; attributes are Long, String, long[], or the graph of another builder, a body. */
    OnnxBuilder node(String domain, String operator, List<String> inputs, List<String> outputs,
            Map<String, Object> attributes) {
        graph.message(1, node -> {
            inputs.forEach(name -> node.text(1, name));
            outputs.forEach(name -> node.text(2, name));
            node.text(3, operator + "_" + outputs.getFirst()).text(4, operator).text(7, domain);
            attributes.forEach((name, value) -> node.message(5, a -> attribute(a.text(1, name), value)));
        });
        return this;
    }

    private static void attribute(Message message, Object value) {
        switch (value) {
            case Long number -> message.number(3, number).number(20, 2);
            case String text -> message.text(4, text).number(20, 3);
            case OnnxBuilder body -> message.bytes(6, body.graph.out.toByteArray()).number(20, 5);
            case long[] numbers -> {
                for (long number : numbers) {
                    message.number(8, number);
                }
                message.number(20, 7);
            }
            default -> throw new IllegalArgumentException("attribute of " + value.getClass());
        }
    }

    OnnxBuilder initializer(String name, Tensor value) {
        graph.message(5, tensor -> {
            for (long size : value.shape()) {
                tensor.number(1, size);
            }
            tensor.number(2, value.elementType().code()).text(8, name).bytes(9, value.toByteArray());
        });
        return this;
    }

    /** An initializer whose bytes lie in another file. */
    OnnxBuilder external(String name, ElementType type, String location, long... shape) {
        graph.message(5, tensor -> {
            for (long size : shape) {
                tensor.number(1, size);
            }
            tensor.number(2, type.code()).text(8, name)
                    .message(13, entry -> entry.text(1, "location").text(2, location)).number(14, 1);
        });
        return this;
    }

    byte[] build() {
        Message model = new Message();
        model.number(1, version < 21 ? 8 : 10).text(2, "OnnxBuilder").bytes(7, graph.out.toByteArray());
        model.message(8, m -> m.text(1, "").number(2, version));
        model.out.writeBytes(opsets.out.toByteArray());
        return model.out.toByteArray();
    }
}
