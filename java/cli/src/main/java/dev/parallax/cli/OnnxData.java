package dev.parallax.cli;

import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import dev.parallax.ParallaxException;
import dev.parallax.Tensor;
import dev.parallax.Value;
import dev.parallax.ValueKind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.stream.IntStream;

/**
 * Reads values as ONNX stores them for its tests, in .pb files: TensorProto, SequenceProto, MapProto and OptionalProto.
 * Stateless. Example: {@code OnnxData.read(Path.of("input_0.pb"), ValueKind.TENSOR)}.
 */
final class OnnxData {
    private static final int TENSOR_FLOATS = 4;
    private static final int TENSOR_INT32S = 5;
    private static final int TENSOR_STRINGS = 6;
    private static final int TENSOR_INT64S = 7;
    private static final int TENSOR_DOUBLES = 10;
    private static final int TENSOR_UINT64S = 11;

    /** What a SequenceProto holds and an OptionalProto has, as a number and as the field it lies in. */
    private static final List<ValueKind> KINDS = List.of(ValueKind.UNKNOWN, ValueKind.TENSOR, ValueKind.SPARSE_TENSOR,
            ValueKind.SEQUENCE, ValueKind.MAP, ValueKind.OPTIONAL);
    private static final int ELEMENT_KIND = 2;
    private static final int FIRST_FIELD = 3;

    private static final int MAP_KEY_TYPE = 2;
    private static final int MAP_KEYS = 3;
    private static final int MAP_STRING_KEYS = 4;
    private static final int MAP_VALUES = 5;

    private OnnxData() {}

    /**
     * Reads a file.
     *
     * @param kind what it holds: a type of value has no mark of its own
     */
    static Value read(Path file, ValueKind kind) {
        try {
            return value(Message.parse(ByteString.copyFrom(Files.readAllBytes(file))), kind);
        } catch (IOException e) {
            throw new BadInputException("cannot read " + file + ": " + Text.reason(e), e);
        } catch (UncheckedIOException | ParallaxException | IndexOutOfBoundsException | NoSuchElementException
                | ClassCastException e) {
            throw new BadInputException(file + " does not hold a " + kind.name().toLowerCase(Locale.ROOT)
                    + " as ONNX stores it (" + e.getMessage() + ")", e);
        }
    }

    private static Value value(Message message, ValueKind kind) {
        return switch (kind) {
            case TENSOR, UNKNOWN -> tensor(message);
            case SEQUENCE -> Value.sequence(parts(message));
            case OPTIONAL -> {
                List<Value> content = parts(message);
                yield content.isEmpty() ? Value.none() : content.getFirst();
            }
            case MAP -> map(message);
            case SPARSE_TENSOR -> throw new ClassCastException("sparse tensors are not read");
        };
    }

    private static List<Value> parts(Message message) {
        int kind = (int) message.number(ELEMENT_KIND);
        return kind == 0 ? List.of() : message.messages(FIRST_FIELD + kind - 1).stream()
                .map(part -> value(part, KINDS.get(kind))).toList();
    }

    private static Value map(Message message) {
        List<Value> values = parts(message.message(MAP_VALUES));
        int size = values.size();
        Tensor keys = message.number(MAP_KEY_TYPE) == ElementType.STRING.code()
                ? Tensor.ofStrings(message.texts(MAP_STRING_KEYS), size)
                : Tensor.of(message.numbers(MAP_KEYS).stream().mapToLong(Long::longValue).toArray(), size);
        List<Tensor> tensors = values.stream().map(Tensor.class::cast).toList();
        ElementType type = tensors.getFirst().elementType();
        if (type == ElementType.STRING) {
            return Value.mapping(keys, Tensor.ofStrings(tensors.stream().flatMap(t -> t.strings().stream()).toList(),
                    size));
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        tensors.forEach(t -> bytes.writeBytes(t.toByteArray()));
        return Value.mapping(keys, Tensor.ofBytes(type, bytes.toByteArray(), size));
    }

    private static Tensor tensor(Message message) {
        long[] shape = message.numbers(Onnx.TENSOR_DIMS).stream().mapToLong(Long::longValue).toArray();
        ElementType type = ElementType.ofCode((int) message.number(Onnx.TENSOR_TYPE));
        if (type == ElementType.STRING) {
            return Tensor.ofStrings(message.texts(TENSOR_STRINGS), shape);
        }
        if (message.has(Onnx.TENSOR_RAW)) {
            return Tensor.ofBytes(type, message.bytes(Onnx.TENSOR_RAW).getLast().toByteArray(), shape);
        }
        return Tensor.ofBytes(type, switch (type) {
            case FLOAT32, COMPLEX64 -> fixed(message, TENSOR_FLOATS, Float.BYTES);
            case FLOAT64, COMPLEX128 -> fixed(message, TENSOR_DOUBLES, Double.BYTES);
            case INT64 -> numbers(message, TENSOR_INT64S, Long.BYTES);
            case UINT64, UINT32 -> numbers(message, TENSOR_UINT64S, type.bits() / 8);
            // The others as a number each, 16-bit floats as their bits and two of 4 bits as their byte.
            default -> numbers(message, TENSOR_INT32S, Math.max(1, type.bits() / 8));
        }, shape);
    }

    /** Numbers of fixed size: packed, which is how they lie in memory, or one by one. */
    private static byte[] fixed(Message message, int field, int width) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        message.bytes(field).forEach(run -> bytes.writeBytes(run.toByteArray()));
        List<Long> single = new ArrayList<>(message.fields().getField(field).getFixed64List());
        message.fields().getField(field).getFixed32List().forEach(bits -> single.add((long) bits));
        bytes.writeBytes(littleEndian(single, width));
        return bytes.toByteArray();
    }

    private static byte[] numbers(Message message, int field, int width) {
        return littleEndian(message.numbers(field), width);
    }

    private static byte[] littleEndian(List<Long> numbers, int width) {
        ByteBuffer buffer = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        byte[] bytes = new byte[numbers.size() * width];
        IntStream.range(0, numbers.size()).forEach(i -> System.arraycopy(buffer.putLong(0, numbers.get(i)).array(), 0,
                bytes, i * width, width));
        return bytes;
    }
}
