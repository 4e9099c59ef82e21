package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class GaussianTest {
    private static final int SAMPLES = 2_000_000;

    @Test
    void hasTheMomentsOfANormalDistribution() {
        Gaussian noise = new Gaussian(7);
        double[] power = new double[5];
        for (int i = 0; i < SAMPLES; i++) {
            double x = noise.next();
            for (int p = 1; p < power.length; p++) {
                power[p] += Math.pow(x, p) / SAMPLES;
            }
        }
        // Five standard errors each: sqrt(Var(x^p) / n).
        assertEquals(0, power[1], 5 * Math.sqrt(1.0 / SAMPLES));
        assertEquals(1, power[2], 5 * Math.sqrt(2.0 / SAMPLES));
        assertEquals(0, power[3], 5 * Math.sqrt(15.0 / SAMPLES));
        assertEquals(3, power[4], 5 * Math.sqrt(96.0 / SAMPLES));
    }

    @Test
    void hasTheSharesOfANormalDistributionOutToTheTail() {
        double[] edges = {-3.4426, -2, -1, 0, 1, 2, 3.4426, 4};
        double[] shares = {2.8808e-4, 0.0227501, 0.1586553, 0.5, 0.8413447, 0.9772499, 0.99971192, 0.99996833};
        int[] below = new int[edges.length];
        Gaussian noise = new Gaussian(11);
        for (int i = 0; i < SAMPLES; i++) {
            double x = noise.next();
            for (int e = 0; e < edges.length; e++) {
                below[e] += x < edges[e] ? 1 : 0;
            }
        }
        for (int e = 0; e < edges.length; e++) {
            double error = 5 * Math.sqrt(shares[e] * (1 - shares[e]) / SAMPLES);
            assertEquals(shares[e], (double) below[e] / SAMPLES, error, "share below " + edges[e]);
        }
    }

    @Test
    void givesTheSameBitsOnEveryMachine() {
        Gaussian noise = new Gaussian(Gaussian.seed(42, "x"));
        long hash = 0;
        for (int i = 0; i < 100_000; i++) { // enough for wedges and tails, where logarithms are taken
            hash = 31 * hash + Double.doubleToRawLongBits(noise.next());
        }
        assertEquals(7237462139200169666L, hash);
    }

    @Test
    void seedsOfDifferentNamesAreUnrelated() {
        assertNotEquals(Gaussian.seed(42, "a"), Gaussian.seed(42, "b"));
        assertNotEquals(Gaussian.seed(42, "a"), Gaussian.seed(43, "a"));
        assertEquals(Gaussian.seed(42, "a"), Gaussian.seed(42, "a"));
    }

    @Test
    void smallNumbersCoverTheirRangeEvenly() {
        Gaussian random = new Gaussian(3);
        int[] counts = new int[10];
        for (int i = 0; i < 100_000; i++) {
            counts[random.below(10)]++;
        }
        for (int count : counts) {
            assertEquals(10_000, count, 500); // five standard errors are 474
        }
        for (int i = 0; i < 1000; i++) {
            double u = random.uniform();
            assertTrue(u > 0 && u <= 1, "uniform gave " + u);
        }
    }
}
