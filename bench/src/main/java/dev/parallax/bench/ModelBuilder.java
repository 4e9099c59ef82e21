package dev.parallax.bench;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Writes the models that are measured here, as an ONNX file's bytes: float32 throughout, every node with one output.
 * The few fields that takes need no library; their numbers are those of onnx.proto.
 *
 * <p>Lifetime: until {@link #bytes()}. Threads: one.
 */
final class ModelBuilder {
    private static final int FLOAT = 1;
    private static final int INTS = 7;

    private final Message graph = new Message();

    ModelBuilder(String name) {
        graph.text(2, name);
    }

    /** Negative sizes are open. */
    ModelBuilder input(String name, long... shape) {
        graph.message(11, value(name, shape));
        return this;
    }

    ModelBuilder output(String name, long... shape) {
        graph.message(12, value(name, shape));
        return this;
    }

    ModelBuilder node(String operator, List<String> inputs, String output) {
        graph.message(1, nodeOf(operator, inputs, output));
        return this;
    }

    /** A node with one attribute, which is a list of whole numbers. */
    ModelBuilder node(String operator, List<String> inputs, String output, String attribute, long... values) {
        Message content = new Message().text(1, attribute);
        for (long value : values) {
            content.number(8, value);
        }
        graph.message(1, nodeOf(operator, inputs, output).message(5, content.number(20, INTS)));
        return this;
    }

    ModelBuilder weights(String name, float[] values, long... shape) {
        Message tensor = new Message();
        for (long size : shape) {
            tensor.number(1, size);
        }
        ByteBuffer raw = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        raw.asFloatBuffer().put(values);
        graph.message(5, tensor.number(2, FLOAT).text(8, name).bytes(9, raw.array()));
        return this;
    }

    byte[] bytes() {
        Message operators = new Message().text(1, "").number(2, 17); // ONNX's own, version 17
        return new Message().number(1, 8).message(7, graph).message(8, operators).bytes(); // IR version 8
    }

    private static Message nodeOf(String operator, List<String> inputs, String output) {
        Message node = new Message();
        inputs.forEach(input -> node.text(1, input));
        return node.text(2, output).text(3, output).text(4, operator); // named after its output
    }

    private static Message value(String name, long... shape) {
        Message sizes = new Message();
        for (long size : shape) {
            sizes.message(1, size < 0 ? new Message() : new Message().number(1, size)); // open or fixed
        }
        Message tensor = new Message().number(1, FLOAT).message(2, sizes);
        return new Message().text(1, name).message(2, new Message().message(1, tensor));
    }

    /** A protobuf message under construction. */
    private static final class Message {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Message number(int field, long value) {
            varint((long) field << 3);
            varint(value);
            return this;
        }

        Message text(int field, String value) {
            return bytes(field, value.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int field, Message value) {
            return bytes(field, value.bytes());
        }

        Message bytes(int field, byte[] value) {
            varint((long) field << 3 | 2);
            varint(value.length);
            out.writeBytes(value);
            return this;
        }

        byte[] bytes() {
            return out.toByteArray();
        }

        private void varint(long value) {
            long rest = value;
            for (; (rest & ~0x7fL) != 0; rest >>>= 7) {
                out.write((int) (rest & 0x7f | 0x80));
            }
            out.write((int) rest);
        }
    }
}
