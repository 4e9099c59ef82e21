package dev.parallax.bench;

import java.util.Arrays;

/** Medians and paired ratios: means would let one disturbed round decide. Stateless. */
final class Statistics {
    private Statistics() {}

    /** The middle value; the mean of the two middle ones of an even number. */
    static double median(double... values) {
        if (values.length == 0) {
            throw new IllegalArgumentException("the median of no values");
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int half = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }

    /**
     * The median over the rounds of ours / theirs. Both times of a round were taken one after the other, so what
     * slows the machine for a while cancels out, which it does not in a ratio of medians.
     */
    static double pairedRatio(double[] ours, double[] theirs) {
        if (ours.length != theirs.length) {
            throw new IllegalArgumentException(ours.length + " values against " + theirs.length + ": not in pairs");
        }
        double[] ratios = new double[ours.length];
        for (int i = 0; i < ratios.length; i++) {
            ratios[i] = ours[i] / theirs[i];
        }
        return median(ratios);
    }
}
