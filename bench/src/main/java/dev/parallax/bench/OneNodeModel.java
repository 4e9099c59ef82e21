package dev.parallax.bench;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * The smallest model worth running, as bytes: {@code y = Relu(x)} on four floats. The kernel takes some nanoseconds, so
 * what a run costs is what the engine around it costs. Field numbers are those of onnx.proto.
 */
final class OneNodeModel {
    static final String INPUT = "x";
    static final String OUTPUT = "y";
    static final int SIZE = 4;
    private static final float[] VALUES = {-1.5f, 2.5f, -0.0f, 3.5f};
    private static final float[] ANSWERS = {0f, 2.5f, 0f, 3.5f};

    private OneNodeModel() {}

    static byte[] bytes() {
        byte[] node = new Message().text(1, INPUT).text(2, OUTPUT).text(3, "relu").text(4, "Relu").bytes();
        byte[] graph = new Message().message(1, node).text(2, "one-node").message(11, value(INPUT))
                .message(12, value(OUTPUT)).bytes();
        byte[] opset = new Message().text(1, "").number(2, 17).bytes();
        return new Message().number(1, 8).message(7, graph).message(8, opset).bytes(); // IR version 8
    }

    /** What to feed; negative ones among them. */
    static float[] values() {
        return VALUES.clone();
    }

    /** A benchmark of a wrong answer is worth nothing. */
    static void check(float[] output) {
        for (int i = 0; i < SIZE; i++) {
            if (output[i] != ANSWERS[i]) {
                throw new IllegalStateException("Relu(" + VALUES[i] + ") came out as " + output[i]);
            }
        }
    }

    /** A ValueInfoProto of float32[4]. */
    private static byte[] value(String name) {
        byte[] dim = new Message().number(1, SIZE).bytes();
        byte[] shape = new Message().message(1, dim).bytes();
        byte[] tensor = new Message().number(1, 1).message(2, shape).bytes();
        return new Message().text(1, name).message(2, new Message().message(1, tensor).bytes()).bytes();
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
            return message(field, value.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int field, byte[] value) {
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
