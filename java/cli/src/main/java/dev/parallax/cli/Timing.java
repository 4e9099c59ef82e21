package dev.parallax.cli;

import java.util.Arrays;

/**
 * Times of two engines that were run by turns, so that whatever else the machine does hits both.
 *
 * @param ours median in nanoseconds
 * @param theirs median in nanoseconds
 * @param runs timed runs of each
 */
record Timing(double ours, double theirs, int runs) {
    /** Runs both by turns, who begins alternates; the first runs are thrown away. */
    static Timing measure(Runnable ours, Runnable theirs, int warmUps, int runs) {
        double[] a = new double[runs];
        double[] b = new double[runs];
        for (int i = -warmUps; i < runs; i++) {
            boolean oursFirst = i % 2 == 0;
            double first = time(oursFirst ? ours : theirs);
            double second = time(oursFirst ? theirs : ours);
            if (i >= 0) {
                a[i] = oursFirst ? first : second;
                b[i] = oursFirst ? second : first;
            }
        }
        return new Timing(median(a), median(b), runs);
    }

    /** Our time over theirs: below 1 is faster. */
    double ratio() {
        return ours / theirs;
    }

    static double time(Runnable run) {
        long start = System.nanoTime();
        run.run();
        return System.nanoTime() - start;
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int half = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }
}
