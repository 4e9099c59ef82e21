package dev.parallax;

import java.util.Locale;

/**
 * The type of a tensor's elements, numbered as in ONNX's {@code TensorProto.DataType}.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * long bytes = ElementType.INT4.byteSize(7);  // 4: two elements to the byte, rounded up
 * }</pre>
 */
public enum ElementType {
    /** Not known, or not a tensor. */
    UNDEFINED(0, 0),
    /** IEEE 754 binary32, Java's float. */
    FLOAT32(1, 32),
    /** Unsigned, 8 bits. */
    UINT8(2, 8),
    /** Signed, 8 bits, Java's byte. */
    INT8(3, 8),
    /** Unsigned, 16 bits. */
    UINT16(4, 16),
    /** Signed, 16 bits, Java's short. */
    INT16(5, 16),
    /** Signed, 32 bits, Java's int. */
    INT32(6, 32),
    /** Signed, 64 bits, Java's long. */
    INT64(7, 64),
    /** UTF-8 text; has no fixed size and no segment. */
    STRING(8, 0),
    /** One byte, 0 or 1. */
    BOOL(9, 8),
    /** IEEE 754 binary16. */
    FLOAT16(10, 16),
    /** IEEE 754 binary64, Java's double. */
    FLOAT64(11, 64),
    /** Unsigned, 32 bits. */
    UINT32(12, 32),
    /** Unsigned, 64 bits. */
    UINT64(13, 64),
    /** Two FLOAT32: real, imaginary. */
    COMPLEX64(14, 64),
    /** Two FLOAT64: real, imaginary. */
    COMPLEX128(15, 128),
    /** The upper half of a FLOAT32. */
    BFLOAT16(16, 16),
    /** 8 bits: 4 of exponent, 3 of mantissa, no infinities. */
    FLOAT8E4M3FN(17, 8),
    /** As {@link #FLOAT8E4M3FN} with a bias of 8 and no negative zero. */
    FLOAT8E4M3FNUZ(18, 8),
    /** 8 bits: 5 of exponent, 2 of mantissa. */
    FLOAT8E5M2(19, 8),
    /** As {@link #FLOAT8E5M2} with a bias of 16, no infinities and no negative zero. */
    FLOAT8E5M2FNUZ(20, 8),
    /** Unsigned, 4 bits, two to the byte, the first in the low half. */
    UINT4(21, 4),
    /** Signed, 4 bits, two to the byte, the first in the low half. */
    INT4(22, 4);

    private final int code;
    private final int bits;

    ElementType(int code, int bits) {
        this.code = code;
        this.bits = bits;
    }

    /**
     * The number of this type in ONNX and in the C interface.
     *
     * @return the {@code TensorProto.DataType}
     */
    public int code() {
        return code;
    }

    /**
     * Bits of one element.
     *
     * @return bits; 0 for {@link #STRING} and {@link #UNDEFINED}
     */
    public int bits() {
        return bits;
    }

    /**
     * Bytes that so many elements take when packed without gaps.
     *
     * @param elements how many, not negative
     * @return bytes, rounded up
     * @throws ParallaxException INVALID_ARGUMENT for types without a size, and for sizes beyond 2^63 - 1 bytes
     */
    public long byteSize(long elements) {
        if (bits == 0) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "elements of type " + this + " have no fixed size");
        }
        try {
            return bits == 4 ? elements / 2 + elements % 2 : Math.multiplyExact(elements, bits / 8);
        } catch (ArithmeticException e) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    elements + " elements of type " + this + " do not fit 2^63 bytes");
        }
    }

    /** Bytes to which memory of this type must be aligned: the size of an element, or of its half for complex ones. */
    long alignment() {
        return this == COMPLEX64 || this == COMPLEX128 ? bits / 16 : Math.max(1, bits / 8);
    }

    /**
     * The type of an ONNX number.
     *
     * @param code a {@code TensorProto.DataType}
     * @return the type
     * @throws ParallaxException INVALID_ARGUMENT for a number that is none
     */
    public static ElementType ofCode(int code) {
        ElementType[] types = Constants.ALL;
        if (code < 0 || code >= types.length) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "there is no ONNX element type " + code
                    + "; they go from 0 to " + (types.length - 1));
        }
        return types[code];
    }

    /** The name in lower case: {@code float32}, {@code int64}, ... as everywhere in Parallax's texts. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The constants once, since values() copies; their order is that of their codes. */
    private static final class Constants {
        static final ElementType[] ALL = values();
    }
}
