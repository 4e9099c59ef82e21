package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

class TensorTest {
    private static void assertInvalid(String part, Executable action) {
        ParallaxException e = assertThrows(ParallaxException.class, action);
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = {"UNDEFINED", "STRING"})
    void allocatesZerosOfTheRightSizeAligned(ElementType type) {
        Tensor tensor = Tensor.allocate(type, 3, 5);
        assertEquals((15L * type.bits() + 7) / 8, tensor.byteSize());
        assertEquals(tensor.byteSize(), tensor.segment().byteSize());
        assertEquals(0, tensor.segment().address() % 64);
        assertEquals(15, tensor.elementCount());
        for (byte b : tensor.toByteArray()) {
            assertEquals(0, b);
        }
        assertEquals(type + "[3,5]", tensor.toString());
    }

    @Test
    void scalarsAndEmptyTensors() {
        assertEquals(1, Tensor.of(new float[] {2}).elementCount());
        assertArrayEquals(new long[0], Tensor.of(new float[] {2}).shape());
        Tensor empty = Tensor.of(new long[0], 0, 1L << 40, 1L << 40);
        assertEquals(0, empty.elementCount());
        assertArrayEquals(new long[0], empty.toLongArray());
    }

    @Test
    void wrapIsAViewOfTheSameBytes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(24, 64);
            Tensor tensor = Tensor.wrap(memory, ElementType.FLOAT32, 2, 3);
            assertSame(memory, tensor.segment());
            memory.setAtIndex(ValueLayout.JAVA_FLOAT, 5, 7);
            assertEquals(7, tensor.toFloatArray()[5]);
        }
    }

    @Test
    void wrapChecksSizePlaceAndAlignment() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(64, 64);
            assertInvalid("has 64 bytes, but float32[2,3] takes 24",
                    () -> Tensor.wrap(memory, ElementType.FLOAT32, 2, 3));
            assertInvalid("multiple of 4", () -> Tensor.wrap(memory.asSlice(1, 24), ElementType.FLOAT32, 2, 3));
            assertInvalid("Java heap",
                    () -> Tensor.wrap(MemorySegment.ofArray(new float[6]), ElementType.FLOAT32, 2, 3));
            assertInvalid("negative", () -> Tensor.wrap(memory, ElementType.FLOAT32, 2, -3));
            assertInvalid("2^63", () -> Tensor.wrap(memory, ElementType.INT8, 1L << 32, 1L << 32));
            assertInvalid("no fixed size", () -> Tensor.wrap(memory, ElementType.STRING, 2));
        }
    }

    @Test
    void closedMemoryIsAnErrorNotACrash() {
        Tensor tensor;
        try (Arena arena = Arena.ofConfined()) {
            tensor = Tensor.allocate(arena, ElementType.INT32, 4);
            assertTrue(tensor.isAlive());
        }
        assertFalse(tensor.isAlive());
        assertThrows(IllegalStateException.class, tensor::toIntArray);
    }

    @Test
    void roundTripsThroughEveryFactory() {
        assertArrayEquals(new float[] {1, -2.5f}, Tensor.of(new float[] {1, -2.5f}, 2).toFloatArray());
        assertArrayEquals(new double[] {1, 1e300}, Tensor.of(new double[] {1, 1e300}, 2).toDoubleArray());
        assertArrayEquals(new long[] {1, -1L << 60}, Tensor.of(new long[] {1, -1L << 60}, 2).toLongArray());
        assertArrayEquals(new int[] {1, -7}, Tensor.of(new int[] {1, -7}, 2).toIntArray());
        assertArrayEquals(new int[] {1, -7}, Tensor.of(new short[] {1, -7}, 2).toIntArray());
        assertArrayEquals(new int[] {1, -7}, Tensor.of(new byte[] {1, -7}, 2).toIntArray());
        assertArrayEquals(new boolean[] {true, false}, Tensor.of(new boolean[] {true, false}, 2).toBooleanArray());
        assertEquals(List.of("a", "", "\u00e9\0\ud83d\ude00"),
                Tensor.ofStrings(List.of("a", "", "\u00e9\0\ud83d\ude00"), 3).strings());
    }

    @Test
    void countsMustMatchTheShape() {
        assertInvalid("3 values given, but shape [2] has 2 elements", () -> Tensor.of(new float[3], 2));
        assertInvalid("shape [] has 1", () -> Tensor.of(new int[2]));
        assertInvalid("3 bytes given, but int4[3] takes 2", () -> Tensor.ofBytes(ElementType.INT4, new byte[3], 3));
        assertInvalid("shape [2] has 2", () -> Tensor.ofStrings(List.of("a"), 2));
    }

    @Test
    void unsignedIntegersWiden() {
        Tensor bytes = Tensor.ofBytes(ElementType.UINT8, new byte[] {-1, 1}, 2);
        assertArrayEquals(new int[] {255, 1}, bytes.toIntArray());
        Tensor shorts = Tensor.ofBytes(ElementType.UINT16, new byte[] {-1, -1}, 1);
        assertArrayEquals(new long[] {65535}, shorts.toLongArray());
        Tensor ints = Tensor.allocate(ElementType.UINT32, 1).copyFrom(new int[] {-1});
        assertArrayEquals(new long[] {0xffffffffL}, ints.toLongArray());
        Tensor longs = Tensor.allocate(ElementType.UINT64, 2).copyFrom(new long[] {-1, 5});
        assertArrayEquals(new double[] {0x1p64, 5}, longs.toDoubleArray());
    }

    @Test
    void nibblesAreLowHalfFirst() {
        byte[] packed = {(byte) 0xf1, 0x08};  // 1, 15 or -1, 8 or -8
        assertArrayEquals(new int[] {1, 15, 8}, Tensor.ofBytes(ElementType.UINT4, packed, 3).toIntArray());
        assertArrayEquals(new int[] {1, -1, -8}, Tensor.ofBytes(ElementType.INT4, packed, 3).toIntArray());
    }

    @Test
    void halfFloatsConvertBothWays() {
        float[] values = {0, -0f, 1, -2.5f, 65504, 0x1p-24f, Float.POSITIVE_INFINITY, Float.NaN};
        assertArrayEquals(values, Tensor.of(ElementType.FLOAT16, values, 8).toFloatArray());
        float[] brain = {0, -0f, 1, -2.5f, 0x1.fep127f, Float.NEGATIVE_INFINITY, Float.NaN};
        assertArrayEquals(brain, Tensor.of(ElementType.BFLOAT16, brain, 7).toFloatArray());
        // Nearest even: 1 + 2^-8 lies midway between 1 and 1 + 2^-7; 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6.
        float[] ties = {1 + 0x1p-8f, 1 + 0x1.8p-7f, Float.MAX_VALUE};
        assertArrayEquals(new float[] {1, 1 + 0x1p-6f, Float.POSITIVE_INFINITY},
                Tensor.of(ElementType.BFLOAT16, ties, 3).toFloatArray());
        assertTrue(Float.isNaN(
                Tensor.of(ElementType.BFLOAT16, new float[] {Float.intBitsToFloat(0x7f800001)}, 1).toFloatArray()[0]));
        assertArrayEquals(new double[] {1.5}, Tensor.of(ElementType.FLOAT64, new float[] {1.5f}, 1).toDoubleArray());
    }

    @Test
    void eightBitFloatsByTheTablesOfTheOnnxSpecification() {
        byte[] bits = {0x00, 0x01, 0x08, 0x38, 0x7e, 0x7f, (byte) 0x80, (byte) 0xb8};
        assertArrayEquals(new float[] {0, 0x1p-9f, 0x1p-6f, 1, 448, Float.NaN, -0f, -1},
                Tensor.ofBytes(ElementType.FLOAT8E4M3FN, bits, 8).toFloatArray());
        assertArrayEquals(new float[] {0, 0x1p-10f, 0x1p-7f, 0.5f, 224, 240, Float.NaN, -0.5f},
                Tensor.ofBytes(ElementType.FLOAT8E4M3FNUZ, bits, 8).toFloatArray());
        byte[] wide = {0x01, 0x3c, 0x7b, 0x7c, 0x7e, (byte) 0x80};
        assertArrayEquals(new float[] {0x1p-16f, 1, 57344, Float.POSITIVE_INFINITY, Float.NaN, -0f},
                Tensor.ofBytes(ElementType.FLOAT8E5M2, wide, 6).toFloatArray());
        assertArrayEquals(new float[] {0x1p-17f, 0.5f, 28672, 32768, 49152, Float.NaN},
                Tensor.ofBytes(ElementType.FLOAT8E5M2FNUZ, wide, 6).toFloatArray());
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = {"UNDEFINED", "STRING"})
    void everyTypeReadsAsDoubles(ElementType type) {
        boolean complex = type == ElementType.COMPLEX64 || type == ElementType.COMPLEX128;
        assertArrayEquals(new double[complex ? 6 : 3], Tensor.allocate(type, 3).toDoubleArray());
    }

    @Test
    void wrongReadersNameTheType() {
        assertInvalid("int64[1] cannot be read as floats", () -> Tensor.of(new long[1], 1).toFloatArray());
        assertInvalid("float32[1] cannot be read as longs", () -> Tensor.of(new float[1], 1).toLongArray());
        assertInvalid("int64[1] cannot be read as ints", () -> Tensor.of(new long[1], 1).toIntArray());
        assertInvalid("as booleans", () -> Tensor.of(new byte[1], 1).toBooleanArray());
        assertInvalid("as strings", () -> Tensor.of(new byte[1], 1).strings());
        Tensor strings = Tensor.ofStrings(List.of("a"), 1);
        assertInvalid("strings()", strings::segment);
        assertInvalid("no fixed size", strings::byteSize);
        assertInvalid("as doubles", strings::toDoubleArray);
    }

    @Test
    void copiesStandAlone() {
        Tensor original = Tensor.of(new float[] {1, 2}, 2);
        Tensor copy = original.copy();
        original.copyFrom(new float[] {3, 4});
        assertArrayEquals(new float[] {1, 2}, copy.toFloatArray());
        assertInvalid("float32[2] cannot be copied to float32[1,2]",
                () -> Tensor.allocate(ElementType.FLOAT32, 1, 2).copyFrom(original));
        assertInvalid("floats cannot be written to int64[2]", () -> Tensor.of(new long[2], 2).copyFrom(new float[2]));
        Tensor strings = Tensor.ofStrings(List.of("a"), 1);
        assertNotSame(strings, strings.copy());
        assertEquals(List.of("a"), strings.copy().strings());
    }

    @Test
    void shapeCannotBeChangedFromOutside() {
        long[] shape = {2};
        Tensor tensor = Tensor.of(new float[2], shape);
        shape[0] = 9;
        tensor.shape()[0] = 9;
        assertArrayEquals(new long[] {2}, tensor.shape());
    }
}
