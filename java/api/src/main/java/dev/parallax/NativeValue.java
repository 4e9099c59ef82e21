package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import dev.parallax.internal.bindings.plx_tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Values to the core and back. What crosses is copied. */
final class NativeValue {
    private NativeValue() {}

    /** Strings as the core takes them: their UTF-8 one after the other, and where each begins. */
    record Text(MemorySegment bytes, long size, MemorySegment offsets) {
        static Text of(Arena arena, List<String> strings) {
            List<byte[]> encoded = strings.stream().map(s -> s.getBytes(StandardCharsets.UTF_8)).toList();
            long total = encoded.stream().mapToLong(e -> e.length).sum();
            MemorySegment offsets = arena.allocate(ValueLayout.JAVA_LONG, encoded.size() + 1L);
            MemorySegment bytes = arena.allocate(Math.max(1, total));
            long offset = 0;
            for (int i = 0; i < encoded.size(); i++) {
                byte[] string = encoded.get(i);
                offsets.setAtIndex(ValueLayout.JAVA_LONG, i, offset);
                MemorySegment.copy(string, 0, bytes, ValueLayout.JAVA_BYTE, offset, string.length);
                offset += string.length;
            }
            offsets.setAtIndex(ValueLayout.JAVA_LONG, encoded.size(), offset);
            return new Text(bytes, total, offsets);
        }
    }

    /** The core's form of a value, released when the arena closes. */
    static MemorySegment toNative(Arena arena, Value value) {
        return make(arena, out -> switch (value) {
            case Value.None _ -> Plx.plx_value_make_none(out);
            case Value.Mapping m -> Plx.plx_value_make_map(toNative(arena, m.keys()), toNative(arena, m.values()), out);
            case Value.Sequence s -> {
                MemorySegment elements = arena.allocate(ValueLayout.ADDRESS, s.elements().size());
                for (int i = 0; i < s.elements().size(); i++) {
                    elements.setAtIndex(ValueLayout.ADDRESS, i, toNative(arena, s.elements().get(i)));
                }
                yield Plx.plx_value_make_sequence(elements, s.elements().size(), out);
            }
            case Tensor t -> {
                MemorySegment dims = arena.allocateFrom(ValueLayout.JAVA_LONG, t.sizes());
                if (t.elementType() == ElementType.STRING) {
                    Text text = Text.of(arena, t.strings());
                    yield Plx.plx_value_make_strings(dims, t.sizes().length, text.bytes(), text.size(), text.offsets(),
                            out);
                }
                MemorySegment tensor = plx_tensor.allocate(arena);
                plx_tensor.data(tensor, t.segment());
                plx_tensor.size_bytes(tensor, t.byteSize());
                plx_tensor.dims(tensor, dims);
                plx_tensor.rank(tensor, t.sizes().length);
                plx_tensor.element_type(tensor, t.elementType().code());
                yield Plx.plx_value_make_tensor(tensor, out);
            }
        });
    }

    /** Calls something that gives a plx_value, which the arena owns from then on. */
    @SuppressWarnings("restricted")  // a pointer of the core's with its way to be released
    static MemorySegment make(Arena arena, Function<MemorySegment, MemorySegment> call) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Native.check(call.apply(out));
        return out.get(ValueLayout.ADDRESS, 0).reinterpret(arena, Plx::plx_value_release);
    }

    /** A value of the core's as one of ours. */
    static Value fromNative(Arena arena, MemorySegment value) {
        int kind = Plx.plx_value_kind(value);
        if (kind == Plx.PLX_KIND_NONE()) {
            return Value.none();
        }
        if (kind == Plx.PLX_KIND_TENSOR()) {
            return tensor(arena, value);
        }
        List<Value> parts = new ArrayList<>();
        long count = Plx.plx_value_count(value);
        for (long i = 0; i < count; i++) {
            long index = i;
            parts.add(fromNative(arena, make(arena, out -> Plx.plx_value_part(value, index, out))));
        }
        return kind == Plx.PLX_KIND_MAP() ? Value.mapping((Tensor) parts.get(0), (Tensor) parts.get(1))
                : Value.sequence(parts);
    }

    @SuppressWarnings("restricted")  // a view of the core's memory, of the size the core states
    private static Tensor tensor(Arena arena, MemorySegment value) {
        MemorySegment tensor = plx_tensor.allocate(arena);
        Native.check(Plx.plx_value_tensor(value, tensor));
        ElementType type = ElementType.ofCode(plx_tensor.element_type(tensor));
        long[] shape = shape(tensor);
        if (type == ElementType.STRING) {
            return Tensor.ofStrings(Parsing.strings(Native.text(arena, text -> Plx.plx_value_strings(value, text))),
                    shape);
        }
        Tensor copy = Tensor.allocate(type, shape);
        copy.segment().copyFrom(plx_tensor.data(tensor).reinterpret(plx_tensor.size_bytes(tensor)));
        return copy;
    }

    /** The sizes that a described tensor has. */
    static long[] shape(MemorySegment tensor) {
        return plx_tensor.dims(tensor).asSlice(0, plx_tensor.rank(tensor) * Long.BYTES)
                .toArray(ValueLayout.JAVA_LONG);
    }
}
