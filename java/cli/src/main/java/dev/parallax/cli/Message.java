package dev.parallax.cli;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A protobuf message read without its schema: fields have numbers and no names. What nobody asks for stays as it was,
 * so a model can be changed in a few places by code that knows a few fields ({@link Onnx}).
 *
 * <p>Lifetime: a value; {@link #with} gives a changed copy. Threads: any.
 * Example: {@code Message.parse(bytes).message(Onnx.MODEL_GRAPH).messages(Onnx.GRAPH_NODE).size()}.
 */
record Message(UnknownFieldSet fields) {
    static final Message EMPTY = new Message(UnknownFieldSet.getDefaultInstance());

    /** Throws {@link UncheckedIOException} if the bytes are no message. */
    static Message parse(ByteString bytes) {
        try {
            return new Message(UnknownFieldSet.parseFrom(bytes));
        } catch (InvalidProtocolBufferException e) {
            throw new UncheckedIOException(e);
        }
    }

    List<ByteString> bytes(int field) {
        return fields.getField(field).getLengthDelimitedList();
    }

    List<Message> messages(int field) {
        return bytes(field).stream().map(Message::parse).toList();
    }

    /** The message there; empty if there is none. */
    Message message(int field) {
        return has(field) ? parse(bytes(field).getLast()) : EMPTY;
    }

    List<String> texts(int field) {
        return bytes(field).stream().map(ByteString::toStringUtf8).toList();
    }

    /** The text there; "" if there is none. */
    String text(int field) {
        return has(field) ? bytes(field).getLast().toStringUtf8() : "";
    }

    /** All whole numbers of a field; writers may put them one by one or, as "packed", into one run of bytes. */
    List<Long> numbers(int field) {
        List<Long> numbers = new ArrayList<>(fields.getField(field).getVarintList());
        try {
            for (ByteString packed : bytes(field)) {
                CodedInputStream stream = packed.newCodedInput();
                while (!stream.isAtEnd()) {
                    numbers.add(stream.readInt64());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return numbers;
    }

    /** The whole number there; 0 if there is none. */
    long number(int field) {
        List<Long> numbers = fields.getField(field).getVarintList();
        return numbers.isEmpty() ? 0 : numbers.getLast();
    }

    boolean has(int field) {
        return fields.hasField(field);
    }

    /** A copy in which the field has these values and no others: texts, whole numbers, bytes or messages. */
    Message with(int field, List<?> values) {
        UnknownFieldSet.Field.Builder builder = UnknownFieldSet.Field.newBuilder();
        for (Object value : values) {
            switch (value) {
                case String text -> builder.addLengthDelimited(ByteString.copyFromUtf8(text));
                case Number number -> builder.addVarint(number.longValue());
                case ByteString bytes -> builder.addLengthDelimited(bytes);
                case Message message -> builder.addLengthDelimited(message.fields.toByteString());
                default -> throw new IllegalArgumentException("no value for a field: " + value);
            }
        }
        UnknownFieldSet.Builder copy = fields.toBuilder().clearField(field);
        return new Message((values.isEmpty() ? copy : copy.addField(field, builder.build())).build());
    }

    Message with(int field, Object value) {
        return with(field, List.of(value));
    }

    Message without(int field) {
        return with(field, List.of());
    }

    byte[] toByteArray() {
        return fields.toByteArray();
    }
}
