package dev.parallax.cli;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Writes small ONNX files for tests: just the fields of onnx.proto that they need. */
final class OnnxFile {
    private final ByteArrayOutputStream graph = new ByteArrayOutputStream();
    private int opset = 17;

    OnnxFile opset(int version) {
        opset = version;
        return this;
    }

    OnnxFile node(String operator, List<String> inputs, List<String> outputs) {
        ByteArrayOutputStream node = new ByteArrayOutputStream();
        inputs.forEach(i -> text(node, 1, i));
        outputs.forEach(o -> text(node, 2, o));
        text(node, 3, operator + "_" + outputs.getFirst());
        text(node, 4, operator);
        message(graph, 1, node);
        return this;
    }

    OnnxFile initializer(String name, Tensor tensor) {
        ByteArrayOutputStream proto = new ByteArrayOutputStream();
        for (long dim : tensor.shape()) {
            number(proto, 1, dim);
        }
        number(proto, 2, tensor.elementType().code());
        text(proto, 8, name);
        bytes(proto, 9, tensor.segment().toArray(ValueLayout.JAVA_BYTE));
        message(graph, 5, proto);
        return this;
    }

    /** Dims are numbers or symbols. */
    OnnxFile input(String name, ElementType type, Object... dims) {
        return value(11, name, type, dims);
    }

    OnnxFile output(String name, ElementType type, Object... dims) {
        return value(12, name, type, dims);
    }

    private OnnxFile value(int field, String name, ElementType type, Object... dims) {
        ByteArrayOutputStream shape = new ByteArrayOutputStream();
        for (Object dim : dims) {
            ByteArrayOutputStream d = new ByteArrayOutputStream();
            if (dim instanceof Number n) {
                number(d, 1, n.longValue());
            } else {
                text(d, 2, dim.toString());
            }
            message(shape, 1, d);
        }
        ByteArrayOutputStream tensor = new ByteArrayOutputStream();
        number(tensor, 1, type.code());
        message(tensor, 2, shape);
        ByteArrayOutputStream typeProto = new ByteArrayOutputStream();
        message(typeProto, 1, tensor);
        ByteArrayOutputStream info = new ByteArrayOutputStream();
        text(info, 1, name);
        message(info, 2, typeProto);
        message(graph, field, info);
        return this;
    }

    byte[] build() {
        ByteArrayOutputStream whole = new ByteArrayOutputStream(graph.size());
        whole.writeBytes(graph.toByteArray());
        text(whole, 2, "tiny");
        ByteArrayOutputStream opsetId = new ByteArrayOutputStream();
        text(opsetId, 1, "");
        number(opsetId, 2, opset);
        ByteArrayOutputStream model = new ByteArrayOutputStream();
        number(model, 1, 8);
        message(model, 7, whole);
        message(model, 8, opsetId);
        return model.toByteArray();
    }

    private static void text(ByteArrayOutputStream out, int field, String text) {
        bytes(out, field, text.getBytes(StandardCharsets.UTF_8));
    }

    private static void message(ByteArrayOutputStream out, int field, ByteArrayOutputStream content) {
        bytes(out, field, content.toByteArray());
    }

    private static void bytes(ByteArrayOutputStream out, int field, byte[] bytes) {
        varint(out, field << 3 | 2);
        varint(out, bytes.length);
        out.writeBytes(bytes);
    }

    private static void number(ByteArrayOutputStream out, int field, long value) {
        varint(out, field << 3);
        varint(out, value);
    }

    private static void varint(ByteArrayOutputStream out, long value) {
        for (; (value & ~0x7fL) != 0; value >>>= 7) {
            out.write((int) (value & 0x7f | 0x80));
        }
        out.write((int) value);
    }
}
