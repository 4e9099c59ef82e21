package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

class ComparisonTest {
    private static final float INF = Float.POSITIVE_INFINITY;

    private static Comparison floats(float[] ours, float[] theirs, double rtol, double atol) {
        return Comparison.of("y", Tensor.of(ours, ours.length), Tensor.of(theirs, theirs.length), rtol, atol);
    }

    @Test
    void equalBitsAreEqual() {
        Comparison c = floats(new float[] {1, INF, -INF, Float.NaN, -0f}, new float[] {1, INF, -INF, Float.NaN, -0f},
                0, 0);
        assertTrue(c.bitEqual() && c.close());
        assertEquals(0, c.maxAbsolute());
        assertNull(c.at());
    }

    @Test
    void findsTheLargestDifferencesAndTheirPlace() {
        Comparison c = Comparison.of("y", Tensor.of(new float[] {1, 2, 3, 0.5f, 5, 6.25f}, 2, 3),
                Tensor.of(new float[] {1, 2, 3, 0.25f, 5, 6}, 2, 3), 0, 0.2);
        assertFalse(c.bitEqual());
        assertEquals(0.25, c.maxAbsolute());
        assertEquals(0.5, c.maxRelative()); // 0.25 / 0.5
        assertArrayEquals(new long[] {1, 0}, c.at());
        assertEquals(2, c.outside());
        assertEquals(6, c.numbers());
    }

    @Test
    void toleranceIsThatOfNumPy() {
        assertTrue(floats(new float[] {1.0625f}, new float[] {1}, 0, 0.0625).close());
        assertFalse(floats(new float[] {1.0626f}, new float[] {1}, 0, 0.0625).close());
        assertTrue(floats(new float[] {102}, new float[] {100}, 0.02, 0).close());
        assertFalse(floats(new float[] {102.1f}, new float[] {100}, 0.02, 0).close());
    }

    @Test
    void zerosOfDifferentSignDifferInTheirBitsOnly() {
        Comparison c = floats(new float[] {-0f}, new float[] {0f}, 0, 0);
        assertFalse(c.bitEqual());
        assertTrue(c.close());
        assertEquals(0, c.maxAbsolute());
        assertEquals(0, c.maxRelative());
    }

    @Test
    void nansOfDifferentBitsDifferInTheirBitsOnly() {
        float other = Float.intBitsToFloat(0x7fc00001);
        Comparison c = floats(new float[] {other}, new float[] {Float.NaN}, 0, 0);
        assertFalse(c.bitEqual());
        assertTrue(c.close());
        assertEquals(0, c.maxAbsolute());
    }

    @Test
    void nanAndInfinityBesideAnythingElseAreInfinitelyFar() {
        for (float[] pair : new float[][] {{Float.NaN, 1}, {1, Float.NaN}, {INF, 1}, {1, -INF}, {INF, -INF},
                {Float.NaN, INF}}) {
            Comparison c = floats(new float[] {pair[0]}, new float[] {pair[1]}, 1e9, 1e9);
            assertEquals(Double.POSITIVE_INFINITY, c.maxAbsolute());
            assertEquals(Double.POSITIVE_INFINITY, c.maxRelative());
            assertFalse(c.close(), pair[0] + " against " + pair[1]);
        }
    }

    @Test
    void emptyTensorsAreEqualIfTheirShapesAre() {
        Tensor a = Tensor.allocate(ElementType.FLOAT32, 0, 3);
        assertTrue(Comparison.of("y", a, Tensor.allocate(ElementType.FLOAT32, 0, 3), 0, 0).bitEqual());
        assertFalse(Comparison.of("y", a, Tensor.allocate(ElementType.FLOAT32, 0, 4), 0, 0).bitEqual());
    }

    @Test
    void otherTypesOrShapesNeverAgree() {
        Comparison shape = Comparison.of("y", Tensor.of(new float[2], 2), Tensor.of(new float[2], 1, 2), 1, 1);
        assertFalse(shape.sameShape() || shape.bitEqual() || shape.close());
        assertEquals("float32[2]", shape.ours());
        assertEquals("float32[1,2]", shape.theirs());
        Comparison type = Comparison.of("y", Tensor.of(new float[2], 2), Tensor.of(new int[2], 2), 1, 1);
        assertFalse(type.sameShape() || type.bitEqual() || type.close());
    }

    @Test
    void halfPrecisionIsComparedByValue() {
        Comparison c = Comparison.of("y", Tensor.of(ElementType.FLOAT16, new float[] {1, 1.5f}, 2),
                Tensor.of(ElementType.FLOAT16, new float[] {1, 1}, 2), 0, 0.5);
        assertEquals(0.5, c.maxAbsolute());
        assertTrue(c.close());
        Comparison b = Comparison.of("y", Tensor.of(ElementType.BFLOAT16, new float[] {2}, 1),
                Tensor.of(ElementType.BFLOAT16, new float[] {4}, 1), 0, 0);
        assertEquals(2, b.maxAbsolute());
        assertEquals(0.5, b.maxRelative());
    }

    @Test
    void wideIntegersAreNotRoundedToEquality() {
        long big = 1L << 60;
        Comparison c = Comparison.of("y", Tensor.of(new long[] {big + 1}, 1), Tensor.of(new long[] {big}, 1), 0, 0);
        assertEquals(1, c.maxAbsolute());
        assertFalse(c.close());
        Comparison far = Comparison.of("y", Tensor.of(new long[] {Long.MAX_VALUE}, 1),
                Tensor.of(new long[] {Long.MIN_VALUE}, 1), 0, 0);
        assertEquals(0x1p64, far.maxAbsolute());
    }

    @Test
    void stringsAreEqualOrNot() {
        Tensor a = Tensor.ofStrings(List.of("a", "b"), 2);
        assertTrue(Comparison.of("y", a, Tensor.ofStrings(List.of("a", "b"), 2), 0, 0).bitEqual());
        Comparison c = Comparison.of("y", a, Tensor.ofStrings(List.of("a", "c"), 2), 1, 1);
        assertFalse(c.bitEqual() || c.close());
        assertArrayEquals(new long[] {1}, c.at());
    }

    @Test
    void theWorseOfTwoRunsCounts() {
        Comparison good = floats(new float[] {1}, new float[] {1}, 0, 0);
        Comparison bad = floats(new float[] {2}, new float[] {1}, 0, 0);
        Comparison worst = floats(new float[] {3}, new float[] {1}, 0, 0);
        assertEquals(bad, good.worse(bad));
        assertEquals(bad, bad.worse(good));
        assertEquals(worst, bad.worse(worst));
        assertEquals(worst, worst.worse(bad));
    }
}
