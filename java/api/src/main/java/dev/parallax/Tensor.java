package dev.parallax;

import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * A typed, shaped view of off-heap memory: dense, row-major, little-endian. Strings are the exception: they live on the
 * Java heap and are copied at the border.
 *
 * <p><b>Lifetime</b>: that of its {@link #segment()}. A tensor made by {@link #allocate(ElementType, long...)} or one
 * of the {@code of} methods lives as long as anybody refers to it; one made over an arena or by wrapping, as long as
 * that arena; one handed out by a {@link Session} as long as the session says. Access to memory that is gone is an
 * {@link IllegalStateException}, never a crash.
 *
 * <p><b>Threads</b>: free to share as far as the segment is; nobody orders reads and writes of the content. Type and
 * shape never change.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Tensor ids = Tensor.of(new long[] {101, 7592, 102}, 1, 3);
 * Tensor image = Tensor.allocate(ElementType.FLOAT32, 1, 3, 224, 224);
 * image.segment().setAtIndex(ValueLayout.JAVA_FLOAT, 0, 0.5f);
 * }</pre>
 */
public final class Tensor implements Value {
    /** Alignment of memory made here: a cache line, and enough for any vector unit. */
    static final long ALIGNMENT = 64;

    private final ElementType type;
    private final long[] shape;
    private final long elements;
    private final MemorySegment segment;  // null for strings
    private final String[] strings;  // null for all but strings

    private Tensor(ElementType type, long[] shape, MemorySegment segment, String[] strings) {
        this.type = type;
        this.shape = shape;
        this.elements = elementCount(shape);
        this.segment = segment;
        this.strings = strings;
    }

    // ---- making ---------------------------------------------------------------------------------------------------

    /**
     * A tensor of zeros whose memory lives as long as anybody refers to it, aligned to 64 bytes.
     *
     * @param type any type but STRING and UNDEFINED
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor allocate(ElementType type, long... shape) {
        return allocate(Arena.ofAuto(), type, shape);
    }

    /**
     * A tensor of zeros whose memory lives as long as the arena, aligned to 64 bytes.
     *
     * @param arena owns the memory
     * @param type any type but STRING and UNDEFINED
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor allocate(Arena arena, ElementType type, long... shape) {
        long bytes = type.byteSize(elementCount(shape));
        return new Tensor(type, shape.clone(), arena.allocate(bytes, ALIGNMENT), null);
    }

    /**
     * A view of memory that exists already; nothing is copied.
     *
     * @param segment off-heap memory of exactly the tensor's size, aligned to the size of an element (best to 64 bytes)
     * @param type any type but STRING and UNDEFINED
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor over {@code segment}
     * @throws ParallaxException INVALID_ARGUMENT if the memory is on the Java heap, of another size, or ill aligned
     */
    public static Tensor wrap(MemorySegment segment, ElementType type, long... shape) {
        long bytes = type.byteSize(elementCount(shape));
        if (!segment.isNative()) {
            throw invalid("the segment lies on the Java heap, where native code cannot read it; copy it with Tensor.of,"
                    + " or allocate it from an Arena");
        }
        if (segment.byteSize() != bytes) {
            throw invalid("the segment has " + segment.byteSize() + " bytes, but " + type + shapeText(shape) + " takes "
                    + bytes + "; pass asSlice(0, " + bytes + ") of a larger one");
        }
        if (segment.address() % type.alignment() != 0) {
            throw invalid("the segment begins at an address that is no multiple of " + type.alignment()
                    + ", the alignment of " + type);
        }
        return new Tensor(type, shape.clone(), segment, null);
    }

    /**
     * A FLOAT32 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(float[] values, long... shape) {
        return of(ElementType.FLOAT32, values, shape);
    }

    /**
     * A tensor of any of FLOAT32, FLOAT16, BFLOAT16 and FLOAT64 with the values, rounded to nearest even where the type
     * is narrower.
     *
     * @param type one of the four
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(ElementType type, float[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(type, shape);
        tensor.copyFrom(values);
        return tensor;
    }

    /**
     * A FLOAT64 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(double[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(ElementType.FLOAT64, shape);
        MemorySegment.copy(values, 0, tensor.segment, JAVA_DOUBLE, 0, values.length);
        return tensor;
    }

    /**
     * An INT64 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(long[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(ElementType.INT64, shape);
        tensor.copyFrom(values);
        return tensor;
    }

    /**
     * An INT32 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(int[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(ElementType.INT32, shape);
        tensor.copyFrom(values);
        return tensor;
    }

    /**
     * An INT16 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(short[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(ElementType.INT16, shape);
        MemorySegment.copy(values, 0, tensor.segment, JAVA_SHORT, 0, values.length);
        return tensor;
    }

    /**
     * An INT8 tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(byte[] values, long... shape) {
        return ofBytes(ElementType.INT8, values, shape);
    }

    /**
     * A BOOL tensor with a copy of the values.
     *
     * @param values row-major
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor of(boolean[] values, long... shape) {
        checkCount(values.length, shape);
        Tensor tensor = allocate(ElementType.BOOL, shape);
        for (int i = 0; i < values.length; i++) {
            tensor.segment.set(JAVA_BOOLEAN, i, values[i]);
        }
        return tensor;
    }

    /**
     * A tensor of any type from its bytes as they lie in memory, little-endian, 4-bit elements two to the byte.
     *
     * @param type any type but STRING and UNDEFINED
     * @param bytes exactly as many as type and shape take
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor ofBytes(ElementType type, byte[] bytes, long... shape) {
        Tensor tensor = allocate(type, shape);
        if (bytes.length != tensor.byteSize()) {
            throw invalid(bytes.length + " bytes given, but " + tensor + " takes " + tensor.byteSize());
        }
        tensor.copyFrom(bytes);
        return tensor;
    }

    /**
     * A STRING tensor.
     *
     * @param values row-major, none null
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor ofStrings(String[] values, long... shape) {
        checkCount(values.length, shape);
        String[] copy = values.clone();
        for (int i = 0; i < copy.length; i++) {
            Objects.requireNonNull(copy[i], "a string of a tensor is null");
        }
        return new Tensor(ElementType.STRING, shape.clone(), null, copy);
    }

    /**
     * A STRING tensor.
     *
     * @param values row-major, none null
     * @param shape the sizes, outermost first; none for a scalar
     * @return a new tensor
     */
    public static Tensor ofStrings(List<String> values, long... shape) {
        return ofStrings(values.toArray(String[]::new), shape);
    }

    // ---- what it is -----------------------------------------------------------------------------------------------

    /**
     * The type of the elements.
     *
     * @return the type
     */
    public ElementType elementType() {
        return type;
    }

    /**
     * The sizes, outermost first.
     *
     * @return a new array; empty for a scalar
     */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * How many elements there are.
     *
     * @return the product of the sizes; 1 for a scalar
     */
    public long elementCount() {
        return elements;
    }

    /**
     * How many bytes the elements take.
     *
     * @return bytes; 4-bit elements are packed and rounded up
     * @throws ParallaxException INVALID_ARGUMENT for strings
     */
    public long byteSize() {
        return type.byteSize(elements);
    }

    /**
     * The memory itself: what is written here is what a run reads.
     *
     * @return off-heap memory of {@link #byteSize()} bytes; the same segment every time
     * @throws ParallaxException INVALID_ARGUMENT for strings
     */
    public MemorySegment segment() {
        if (segment == null) {
            throw invalid("a string tensor has no segment; read it with strings()");
        }
        return segment;
    }

    /** {@code float32[1,3,224,224]}. */
    @Override
    public String toString() {
        return type + shapeText(shape);
    }

    // ---- writing --------------------------------------------------------------------------------------------------

    /**
     * Overwrites the content of a FLOAT32, FLOAT16, BFLOAT16 or FLOAT64 tensor, rounding to nearest even where the type
     * is narrower.
     *
     * @param values exactly as many as there are elements
     * @return this
     */
    public Tensor copyFrom(float[] values) {
        checkCount(values.length, shape);
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(values, 0, segment, JAVA_FLOAT, 0, values.length);
            case FLOAT16 -> {
                for (int i = 0; i < values.length; i++) {
                    segment.setAtIndex(JAVA_SHORT, i, Float.floatToFloat16(values[i]));
                }
            }
            case BFLOAT16 -> {
                for (int i = 0; i < values.length; i++) {
                    segment.setAtIndex(JAVA_SHORT, i, toBfloat16(values[i]));
                }
            }
            case FLOAT64 -> {
                for (int i = 0; i < values.length; i++) {
                    segment.setAtIndex(JAVA_DOUBLE, i, values[i]);
                }
            }
            default -> throw invalid("floats cannot be written to " + this);
        }
        return this;
    }

    /**
     * Overwrites the content of an INT64 or UINT64 tensor.
     *
     * @param values exactly as many as there are elements
     * @return this
     */
    public Tensor copyFrom(long[] values) {
        checkCount(values.length, shape);
        if (type != ElementType.INT64 && type != ElementType.UINT64) {
            throw invalid("longs cannot be written to " + this);
        }
        MemorySegment.copy(values, 0, segment, JAVA_LONG, 0, values.length);
        return this;
    }

    /**
     * Overwrites the content of an INT32 or UINT32 tensor.
     *
     * @param values exactly as many as there are elements
     * @return this
     */
    public Tensor copyFrom(int[] values) {
        checkCount(values.length, shape);
        if (type != ElementType.INT32 && type != ElementType.UINT32) {
            throw invalid("ints cannot be written to " + this);
        }
        MemorySegment.copy(values, 0, segment, JAVA_INT, 0, values.length);
        return this;
    }

    /**
     * Overwrites the content with bytes as they lie in memory, whatever the type.
     *
     * @param bytes exactly {@link #byteSize()} of them
     * @return this
     */
    public Tensor copyFrom(byte[] bytes) {
        if (bytes.length != byteSize()) {
            throw invalid(bytes.length + " bytes given, but " + this + " takes " + byteSize());
        }
        MemorySegment.copy(bytes, 0, segment, JAVA_BYTE, 0, bytes.length);
        return this;
    }

    /**
     * Overwrites the content with that of a tensor of the same type and shape.
     *
     * @param source the other tensor
     * @return this
     */
    public Tensor copyFrom(Tensor source) {
        if (type != source.type || !Arrays.equals(shape, source.shape)) {
            throw invalid(source + " cannot be copied to " + this + "; types and shapes must be equal");
        }
        if (strings != null) {
            System.arraycopy(source.strings, 0, strings, 0, strings.length);
        } else {
            segment.copyFrom(source.segment);
        }
        return this;
    }

    /**
     * The same content in memory of its own, which lives as long as anybody refers to it.
     *
     * @return a new tensor
     */
    @Override
    public Tensor copy() {
        return strings != null ? ofStrings(strings, shape) : allocate(type, shape).copyFrom(this);
    }

    // ---- reading --------------------------------------------------------------------------------------------------

    /**
     * The elements as floats, exactly: FLOAT32, and the narrower FLOAT16, BFLOAT16 and the four FLOAT8 types. COMPLEX64
     * gives two floats an element, real and imaginary.
     *
     * @return a new array, row-major
     * @throws ParallaxException INVALID_ARGUMENT for any other type
     */
    public float[] toFloatArray() {
        switch (type) {
            case FLOAT32, COMPLEX64 -> {
                return segment.toArray(JAVA_FLOAT);
            }
            case FLOAT16, BFLOAT16, FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ -> {
                float[] values = new float[arrayLength()];
                for (int i = 0; i < values.length; i++) {
                    values[i] = narrowFloat(i);
                }
                return values;
            }
            default -> throw unreadable("floats");
        }
    }

    /**
     * The elements as doubles: every type but STRING, exactly but for integers beyond 2^53, which round to nearest.
     * BOOL gives 0 and 1, complex types two doubles an element.
     *
     * @return a new array, row-major
     * @throws ParallaxException INVALID_ARGUMENT for strings
     */
    public double[] toDoubleArray() {
        switch (type) {
            case FLOAT64, COMPLEX128 -> {
                return segment.toArray(JAVA_DOUBLE);
            }
            case FLOAT32, COMPLEX64, FLOAT16, BFLOAT16, FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ -> {
                float[] floats = toFloatArray();
                double[] values = new double[floats.length];
                for (int i = 0; i < values.length; i++) {
                    values[i] = floats[i];
                }
                return values;
            }
            case STRING, UNDEFINED -> throw unreadable("doubles");
            default -> {
                double[] values = new double[arrayLength()];
                for (int i = 0; i < values.length; i++) {
                    long bits = integer(i);
                    // Halved with the lost bit kept below, then doubled: rounds once and to nearest.
                    values[i] = type == ElementType.UINT64 && bits < 0 ? (bits >>> 1 | bits & 1) * 2.0 : bits;
                }
                return values;
            }
        }
    }

    /**
     * The elements as longs: every integer type and BOOL (0 and 1). UINT64 comes as its 64 bits, see
     * {@link Long#toUnsignedString(long)}.
     *
     * @return a new array, row-major
     * @throws ParallaxException INVALID_ARGUMENT for any other type
     */
    public long[] toLongArray() {
        if (type == ElementType.INT64 || type == ElementType.UINT64) {
            return segment.toArray(JAVA_LONG);
        }
        if (!isInteger()) {
            throw unreadable("longs");
        }
        long[] values = new long[arrayLength()];
        for (int i = 0; i < values.length; i++) {
            values[i] = integer(i);
        }
        return values;
    }

    /**
     * The elements as ints: BOOL (0 and 1) and every integer type of at most 32 bits. UINT32 comes as its 32 bits, see
     * {@link Integer#toUnsignedString(int)}.
     *
     * @return a new array, row-major
     * @throws ParallaxException INVALID_ARGUMENT for any other type
     */
    public int[] toIntArray() {
        if (type == ElementType.INT32 || type == ElementType.UINT32) {
            return segment.toArray(JAVA_INT);
        }
        if (!isInteger() || type.bits() > 32) {
            throw unreadable("ints");
        }
        int[] values = new int[arrayLength()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (int) integer(i);
        }
        return values;
    }

    /**
     * The elements of a BOOL tensor.
     *
     * @return a new array, row-major
     * @throws ParallaxException INVALID_ARGUMENT for any other type
     */
    public boolean[] toBooleanArray() {
        if (type != ElementType.BOOL) {
            throw unreadable("booleans");
        }
        boolean[] values = new boolean[arrayLength()];
        for (int i = 0; i < values.length; i++) {
            values[i] = segment.get(JAVA_BYTE, i) != 0;
        }
        return values;
    }

    /**
     * The bytes as they lie in memory, whatever the type.
     *
     * @return a new array of {@link #byteSize()} bytes
     * @throws ParallaxException INVALID_ARGUMENT for strings
     */
    public byte[] toByteArray() {
        return segment().toArray(JAVA_BYTE);
    }

    /**
     * The elements of a STRING tensor.
     *
     * @return an immutable list, row-major
     * @throws ParallaxException INVALID_ARGUMENT for any other type
     */
    public List<String> strings() {
        if (strings == null) {
            throw unreadable("strings");
        }
        return List.of(strings);
    }

    // ---- inside the package ---------------------------------------------------------------------------------------

    /** The shape without a copy; not to be written to. */
    long[] sizes() {
        return shape;
    }

    /** Whether the memory may still be touched; allocates nothing. */
    boolean isAlive() {
        return segment == null || segment.scope().isAlive();
    }

    /** A view without checks of memory that the core described. */
    static Tensor view(ElementType type, long[] shape, MemorySegment segment) {
        return new Tensor(type, shape, segment, null);
    }

    static String shapeText(long[] shape) {
        return Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
    }

    /** The product of the sizes; INVALID_ARGUMENT for a negative one and on overflow. */
    static long elementCount(long[] shape) {
        long count = 1;
        boolean empty = false;
        for (long size : shape) {
            if (size < 0) {
                throw invalid("shape " + shapeText(shape) + " has a negative size; every size is 0 or more");
            }
            empty |= size == 0;
        }
        if (empty) {
            return 0;  // before multiplying: [0, 2^40, 2^40] is empty, not too large
        }
        for (long size : shape) {
            try {
                count = Math.multiplyExact(count, size);
            } catch (ArithmeticException e) {
                throw invalid("shape " + shapeText(shape) + " has more than 2^63 elements");
            }
        }
        return count;
    }

    // ---- elements -------------------------------------------------------------------------------------------------

    private boolean isInteger() {
        return switch (type) {
            case INT4, UINT4, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, BOOL -> true;
            default -> false;
        };
    }

    private long integer(long i) {
        return switch (type) {
            case INT64, UINT64 -> segment.getAtIndex(JAVA_LONG, i);
            case INT32 -> segment.getAtIndex(JAVA_INT, i);
            case UINT32 -> Integer.toUnsignedLong(segment.getAtIndex(JAVA_INT, i));
            case INT16 -> segment.getAtIndex(JAVA_SHORT, i);
            case UINT16 -> Short.toUnsignedLong(segment.getAtIndex(JAVA_SHORT, i));
            case INT8 -> segment.get(JAVA_BYTE, i);
            case UINT8 -> Byte.toUnsignedLong(segment.get(JAVA_BYTE, i));
            case BOOL -> segment.get(JAVA_BYTE, i) != 0 ? 1 : 0;
            case UINT4 -> segment.get(JAVA_BYTE, i / 2) >> i % 2 * 4 & 0xf;
            // To the top of an int and back down, which carries the sign along.
            case INT4 -> segment.get(JAVA_BYTE, i / 2) << (i % 2 == 0 ? 28 : 24) >> 28;
            default -> throw unreadable("integers");
        };
    }

    private float narrowFloat(long i) {
        return switch (type) {
            case FLOAT16 -> Float.float16ToFloat(segment.getAtIndex(JAVA_SHORT, i));
            case BFLOAT16 -> Float.intBitsToFloat(segment.getAtIndex(JAVA_SHORT, i) << 16);
            // The upper half of a FLOAT16, as BFLOAT16 is of a FLOAT32.
            case FLOAT8E5M2 -> Float.float16ToFloat((short) (segment.get(JAVA_BYTE, i) << 8));
            case FLOAT8E5M2FNUZ -> float8(segment.get(JAVA_BYTE, i), 2, 16, 0x80);
            case FLOAT8E4M3FN -> float8(segment.get(JAVA_BYTE, i), 3, 7, 0x7f);
            case FLOAT8E4M3FNUZ -> float8(segment.get(JAVA_BYTE, i), 3, 8, 0x80);
            default -> throw unreadable("floats");
        };
    }

    /**
     * An 8-bit float without infinities, as in ONNX's "Float stored in 8 bits". The FNUZ types have one NaN, 0x80;
     * E4M3FN has two, 0x7f with either sign.
     */
    private static float float8(byte bits, int mantissaBits, int bias, int nan) {
        if ((bits & 0xff) == nan || nan == 0x7f && (bits & 0x7f) == nan) {
            return Float.NaN;
        }
        int exponent = (bits & 0x7f) >> mantissaBits;
        int mantissa = bits & (1 << mantissaBits) - 1;
        int significand = exponent == 0 ? mantissa : mantissa | 1 << mantissaBits;
        float magnitude = Math.scalb((float) significand, Math.max(exponent, 1) - bias - mantissaBits);
        return bits < 0 ? -magnitude : magnitude;
    }

    private static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >> 16 | 0x40);  // kept a NaN even if its payload was in the lower half
        }
        return (short) (bits + 0x7fff + (bits >> 16 & 1) >> 16);
    }

    private int arrayLength() {
        if (elements > Integer.MAX_VALUE - 8) {
            throw invalid(this + " has more elements than a Java array can hold; read slices of segment()");
        }
        return (int) elements;
    }

    private static void checkCount(long given, long[] shape) {
        long count = elementCount(shape);
        if (given != count) {
            throw invalid(given + " values given, but shape " + shapeText(shape) + " has " + count + " elements");
        }
    }

    private ParallaxException unreadable(String as) {
        return invalid(this + " cannot be read as " + as);
    }

    private static ParallaxException invalid(String message) {
        return new ParallaxException(ErrorCode.INVALID_ARGUMENT, message);
    }
}
