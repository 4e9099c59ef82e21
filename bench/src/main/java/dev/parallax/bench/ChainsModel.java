package dev.parallax.bench;

import java.util.List;

/**
 * Tiny nodes in chains that have nothing to do with one another: each node doubles four floats, which takes some
 * nanoseconds, so what a cut costs is what the engine around the nodes costs. Each chain has its own input: nodes that
 * compute the same would be made one by the optimiser.
 *
 * @param chains how many
 * @param length nodes of each
 */
record ChainsModel(int chains, int length) {
    static final int SIZE = 4;
    private static final float[] VALUES = {-1.5f, 2.5f, 0.25f, 3.5f};

    static String input(int chain) {
        return "x" + chain;
    }

    static String output(int chain) {
        return "y" + chain;
    }

    byte[] bytes() {
        ModelBuilder model = new ModelBuilder("chains");
        for (int chain = 0; chain < chains; chain++) {
            String last = input(chain);
            model.input(last, SIZE);
            for (int i = 1; i <= length; i++) {
                String name = i == length ? output(chain) : "chain" + chain + "-" + i;
                model.node("Add", List.of(last, last), name);
                last = name;
            }
            model.output(last, SIZE);
        }
        return model.bytes();
    }

    /** What to feed. */
    static float[] values() {
        return VALUES.clone();
    }

    /** A benchmark of a wrong answer is worth nothing. Doubling is exact. */
    void check(float[] output) {
        for (int i = 0; i < SIZE; i++) {
            if (output[i] != VALUES[i] * (1 << length)) {
                throw new IllegalStateException(
                        VALUES[i] + ", doubled " + length + " times, came out as " + output[i]);
            }
        }
    }
}
