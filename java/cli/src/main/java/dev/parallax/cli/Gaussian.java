package dev.parallax.cli;

/**
 * Seeded noise that is the same bytes on every machine and every JDK: SplitMix64 for the bits and the ziggurat of
 * Marsaglia and Tsang (2000) with 128 layers for the normal distribution. {@link java.util.random.RandomGenerator}
 * would do the same job, but its algorithm may change between releases.
 *
 * <p>Only IEEE double arithmetic and {@link StrictMath} are used, so no result depends on the CPU.
 *
 * <p>Lifetime: a generator is one stream. Threads: one at a time; make one per piece of work instead of sharing.
 * Example: {@code new Gaussian(Gaussian.seed(42, "images")).next()}.
 */
final class Gaussian {
    private static final int LAYERS = 128;
    private static final double TAIL = 3.442619855899; // where the lowest layer's tail begins
    private static final double AREA = 9.91256303526217e-3; // of each layer
    private static final double[] EDGE = new double[LAYERS + 1]; // right edge of each layer, falling to 0
    private static final double[] INSIDE = new double[LAYERS]; // share of a layer that needs no second look

    static {
        double height = StrictMath.exp(-0.5 * TAIL * TAIL);
        EDGE[0] = AREA / height;
        EDGE[1] = TAIL;
        for (int i = 2; i < LAYERS; i++) {
            EDGE[i] = StrictMath.sqrt(-2 * StrictMath.log(AREA / EDGE[i - 1] + height));
            height = StrictMath.exp(-0.5 * EDGE[i] * EDGE[i]);
        }
        for (int i = 0; i < LAYERS; i++) {
            INSIDE[i] = EDGE[i + 1] / EDGE[i];
        }
    }

    private long state;

    Gaussian(long seed) {
        state = seed;
    }

    /** A seed for the stream called {@code name}: streams of different names are unrelated. */
    static long seed(long seed, String name) {
        long hash = 0xcbf29ce484222325L ^ mix(seed); // FNV-1a over the UTF-16 units
        for (int i = 0; i < name.length(); i++) {
            hash = (hash ^ name.charAt(i)) * 0x100000001b3L;
        }
        return mix(hash);
    }

    /** 64 random bits. */
    long bits() {
        state += 0x9e3779b97f4a7c15L;
        return mix(state);
    }

    /** Uniform in (0, 1]. */
    double uniform() {
        return ((bits() >>> 11) + 1) * 0x1p-53;
    }

    /** Uniform in 0 .. bound - 1, for bounds far below 2^31 (the bias is bound / 2^31). */
    int below(int bound) {
        return (int) ((bits() >>> 33) * bound >>> 31);
    }

    /** Normal with mean 0 and standard deviation 1. */
    double next() {
        while (true) {
            long bits = bits();
            int layer = (int) bits & (LAYERS - 1);
            double u = (bits >> 11) * 0x1p-52; // [-1, 1), from other bits than the layer
            if (Math.abs(u) < INSIDE[layer]) {
                return u * EDGE[layer];
            }
            if (layer == 0) {
                return tail(u < 0);
            }
            double x = u * EDGE[layer];
            double low = StrictMath.exp(-0.5 * (EDGE[layer] * EDGE[layer] - x * x));
            double high = StrictMath.exp(-0.5 * (EDGE[layer + 1] * EDGE[layer + 1] - x * x));
            if (high + uniform() * (low - high) < 1) {
                return x;
            }
        }
    }

    private double tail(boolean negative) {
        double x;
        double y;
        do {
            x = -StrictMath.log(uniform()) / TAIL;
            y = -StrictMath.log(uniform());
        } while (y + y < x * x);
        return negative ? -TAIL - x : TAIL + x;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }
}
