package dev.parallax.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * What running side by side was made for: six equal branches of four 3x3 convolutions between a split and a sum. A
 * branch takes some milliseconds on one thread, far more than it costs to hand it to another, and two threads have
 * three each.
 */
final class BranchesModel {
    static final String INPUT = "x";
    static final String OUTPUT = "y";
    static final int BRANCHES = 6;
    private static final int LENGTH = 4;
    private static final int CHANNELS = 32;
    private static final int SIZE = 64;
    private static final long[] SHAPE = shape(SIZE);

    private BranchesModel() {}

    private static long[] shape(int size) {
        return new long[] {1, CHANNELS, size, size};
    }

    static byte[] bytes() {
        return bytes(SIZE);
    }

    /** The same with tensors of other sizes: 32 channels of size by size. */
    static byte[] bytes(int size) {
        Random random = new Random(1);
        ModelBuilder model = new ModelBuilder("six-branches").input(INPUT, shape(size)).output(OUTPUT, shape(size))
                .node("Relu", List.of(INPUT), "split");
        List<String> ends = new ArrayList<>();
        for (int branch = 0; branch < BRANCHES; branch++) {
            String last = "split";
            for (int i = 0; i < LENGTH; i++) {
                String name = "branch" + branch + "-conv" + i;
                // Of this spread values neither grow nor fade from one convolution to the next.
                model.weights(name + "-weights", gaussian(random, CHANNELS * CHANNELS * 9,
                        1 / Math.sqrt(CHANNELS * 9)), CHANNELS, CHANNELS, 3, 3);
                model.node("Conv", List.of(last, name + "-weights"), name, "pads", 1, 1, 1, 1);
                last = name;
            }
            ends.add(last);
        }
        return model.node("Sum", ends, OUTPUT).bytes();
    }

    static long[] shape() {
        return SHAPE.clone();
    }

    /** What to feed. */
    static float[] values() {
        return gaussian(new Random(2), CHANNELS * SIZE * SIZE, 1);
    }

    private static float[] gaussian(Random random, int count, double spread) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (random.nextGaussian() * spread);
        }
        return values;
    }
}
