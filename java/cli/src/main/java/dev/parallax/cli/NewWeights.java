package dev.parallax.cli;

import dev.parallax.ElementType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The file of weights of a model that is being made. Numbers are made when the file is written, so that laying it out
 * costs nothing.
 *
 * <p>Lifetime: one model's making. Threads: one lays out; the pieces may be written by several at once.
 * Example: {@code weights.add("w", ElementType.INT8, dims, out -> out.put(bytes))}.
 */
class NewWeights {
    private static final int ALIGNMENT = 4096; // of every tensor, as in the zoo's other files: a page

    private final String location;
    private final List<ModelFiles.Piece> pieces = new ArrayList<>();
    private long end;

    NewWeights(String location) {
        this.location = location;
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
        return Onnx.tensor(name, type, dims).with(Onnx.TENSOR_LOCATION, Onnx.LOCATION_EXTERNAL)
                .with(Onnx.TENSOR_EXTERNAL, List.of(entry("location", location),
                        entry("offset", String.valueOf(offset)), entry("length", String.valueOf(bytes))));
    }

    private static Message entry(String key, String value) {
        return Message.EMPTY.with(Onnx.ENTRY_KEY, key).with(Onnx.ENTRY_VALUE, value);
    }

    static long elements(List<Long> dims) {
        return dims.stream().reduce(1L, Math::multiplyExact);
    }

    List<ModelFiles.Piece> pieces() {
        return pieces;
    }
}
