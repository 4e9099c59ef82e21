package dev.parallax.bench;

import java.util.List;

/**
 * The smallest model worth running, as bytes: {@code y = Relu(x)} on four floats. The kernel takes some nanoseconds, so
 * what a run costs is what the engine around it costs.
 */
final class OneNodeModel {
    static final String INPUT = "x";
    static final String OUTPUT = "y";
    static final int SIZE = 4;
    private static final float[] VALUES = {-1.5f, 2.5f, -0.0f, 3.5f};
    private static final float[] ANSWERS = {0f, 2.5f, 0f, 3.5f};

    private OneNodeModel() {}

    static byte[] bytes() {
        return new ModelBuilder("one-node").input(INPUT, SIZE).output(OUTPUT, SIZE)
                .node("Relu", List.of(INPUT), OUTPUT).bytes();
    }

    /** What to feed; negative ones among them. */
    static float[] values() {
        return VALUES.clone();
    }

    /** A benchmark of a wrong answer is worth nothing. */
    static void check(float[] output) {
        for (int i = 0; i < SIZE; i++) {
            if (output[i] != ANSWERS[i]) {
                throw new IllegalStateException("Relu(" + VALUES[i] + ") came out as " + output[i]);
            }
        }
    }
}
