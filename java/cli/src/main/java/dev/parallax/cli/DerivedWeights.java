package dev.parallax.cli;

import dev.parallax.ElementType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The weights of a model that is being derived: reads those of its source and lays out the new file. Numbers are made
 * when the file is written, so that laying it out costs nothing and needs no file of the source.
 *
 * <p>Lifetime: one derivation. Threads: one lays out; the pieces may be written by several at once.
 * Example: {@code weights.add("w", ElementType.INT8, dims, out -> out.put(bytes))}.
 */
final class DerivedWeights {
    private static final int ALIGNMENT = 4096; // of every tensor, as in the zoo's other files: a page

    private final SeededModel source;
    private final String location;
    private final List<ModelFiles.Piece> pieces = new ArrayList<>();
    private long end;

    DerivedWeights(SeededModel source, String location) {
        this.source = source;
        this.location = location;
    }

    /** The numbers of one of the source's float32 tensors, wherever it keeps them. */
    float[] read(Message tensor) {
        if (tensor.number(Onnx.TENSOR_LOCATION) == Onnx.LOCATION_EXTERNAL) {
            return source.values(tensor.text(Onnx.TENSOR_NAME));
        }
        float[] values = new float[Math.toIntExact(elements(tensor.numbers(Onnx.TENSOR_DIMS)))];
        byte[] raw = tensor.bytes(Onnx.TENSOR_RAW).stream().findFirst().map(b -> b.toByteArray()).orElse(new byte[0]);
        if (raw.length != 4 * values.length) {
            throw new BadInputException("tensor " + tensor.text(Onnx.TENSOR_NAME) + " has " + raw.length
                    + " raw bytes for " + values.length + " elements");
        }
        ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
        return values;
    }

    /**
     * Gives a new tensor its place in the file.
     *
     * @param content puts all elements, little-endian
     */
    Message add(String name, ElementType type, List<Long> dims, Consumer<ByteBuffer> content) {
        int bytes = Math.toIntExact(type.byteSize(elements(dims)));
        long offset = Math.ceilDiv(end, ALIGNMENT) * ALIGNMENT;
        end = offset + bytes;
        pieces.add(new ModelFiles.Piece(offset, bytes, content));
        return Message.EMPTY.with(Onnx.TENSOR_DIMS, dims).with(Onnx.TENSOR_TYPE, type.code())
                .with(Onnx.TENSOR_NAME, name).with(Onnx.TENSOR_LOCATION, Onnx.LOCATION_EXTERNAL)
                .with(Onnx.TENSOR_EXTERNAL, List.of(entry("location", location),
                        entry("offset", String.valueOf(offset)), entry("length", String.valueOf(bytes))));
    }

    private static Message entry(String key, String value) {
        return Message.EMPTY.with(Onnx.ENTRY_KEY, key).with(Onnx.ENTRY_VALUE, value);
    }

    private static long elements(List<Long> dims) {
        return dims.stream().reduce(1L, Math::multiplyExact);
    }

    List<ModelFiles.Piece> pieces() {
        return pieces;
    }
}
