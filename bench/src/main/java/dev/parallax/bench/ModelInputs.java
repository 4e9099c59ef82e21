package dev.parallax.bench;

import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.ValueInfo;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

/**
 * Made-up inputs for a model, at one set of sizes after the other: batches are 1, every other open dimension has 8 plus
 * the set's number. Floats are seeded noise; whole numbers are 1, so that they are sound as ids and masks, and 2 where
 * the input is a single number, such as how often to go round.
 */
final class ModelInputs {
    private static final int SMALLEST = 8;

    private ModelInputs() {}

    /** Whether the sets of sizes differ: with all dimensions fixed, batches apart, a model has but one. */
    static boolean vary(List<ValueInfo> inputs) {
        return inputs.stream().anyMatch(input -> !Arrays.equals(sizes(input, 0), sizes(input, 1)));
    }

    /** A tensor for each input, by name. */
    static Map<String, Tensor> of(List<ValueInfo> inputs, int set, long seed) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        Random random = new Random(seed);
        for (ValueInfo input : inputs) {
            tensors.put(input.name(), tensor(input, sizes(input, set), random));
        }
        return tensors;
    }

    static long[] sizes(ValueInfo input, int set) {
        if (input.shape() == null) {
            throw new Commands.BadInput("input " + input + " does not say how many dimensions it has");
        }
        long[] sizes = new long[input.shape().size()];
        for (int axis = 0; axis < sizes.length; axis++) {
            Dimension dimension = input.shape().get(axis);
            boolean batch = dimension.symbol() == null ? axis == 0
                    : dimension.symbol().toLowerCase(Locale.ROOT).contains("batch");
            sizes[axis] = !dimension.isOpen() ? dimension.size() : batch ? 1 : SMALLEST + set;
        }
        return sizes;
    }

    private static Tensor tensor(ValueInfo input, long[] sizes, Random random) {
        int count = 1;
        for (long size : sizes) {
            count = Math.toIntExact(Math.multiplyExact(count, size));
        }
        if (input.elementType() == ElementType.FLOAT32) {
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = (float) random.nextGaussian();
            }
            return Tensor.of(values, sizes);
        }
        if (input.elementType() == ElementType.INT64) {
            long[] values = new long[count];
            Arrays.fill(values, sizes.length == 0 ? 2 : 1);
            return Tensor.of(values, sizes);
        }
        throw new Commands.BadInput("input " + input + " is of a type that this benchmark makes no values for; it"
                + " makes float32 and int64");
    }
}
