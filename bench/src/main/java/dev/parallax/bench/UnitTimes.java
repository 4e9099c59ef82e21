package dev.parallax.bench;

import dev.parallax.Plan;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What the units of a plan take when they run one after the other, and what that leaves to win where a device and the CPU
 * work at the same time.
 *
 * <p>A CPU unit has all threads there, so that the CPU is one place: two of its units at once are no faster than in turn.
 * Where they are, since one thread each suits them better, a run may be below the bound.
 *
 * @param nanos of each unit
 * @param onDevice whether it is the device's
 * @param predecessors of each unit, all of them earlier ones
 */
record UnitTimes(double[] nanos, boolean[] onDevice, List<List<Integer>> predecessors) {
    /** Of sides that count as balanced the shorter works for at least so much of the time of the longer. */
    static final double BALANCED = 0.8;

    /** The medians of several runs, a row each, with a number for each unit. */
    static UnitTimes of(Plan plan, double[][] runs) {
        int units = plan.units().size();
        double[] nanos = new double[units];
        boolean[] onDevice = new boolean[units];
        for (int u = 0; u < units; u++) {
            double[] times = new double[runs.length];
            for (int run = 0; run < runs.length; run++) {
                times[run] = runs[run][u];
            }
            nanos[u] = Statistics.median(times);
            onDevice[u] = plan.units().get(u).region() >= 0;
        }
        return new UnitTimes(nanos, onDevice, plan.units().stream().map(Plan.Unit::predecessors).toList());
    }

    double deviceNs() {
        return IntStream.range(0, nanos.length).filter(u -> onDevice[u]).mapToDouble(u -> nanos[u]).sum();
    }

    double cpuNs() {
        return IntStream.range(0, nanos.length).filter(u -> !onDevice[u]).mapToDouble(u -> nanos[u]).sum();
    }

    /** The longest way through the units. */
    double criticalPathNs() {
        double[] end = new double[nanos.length];
        double last = 0;
        for (int u = 0; u < end.length; u++) {
            double start = 0;
            for (int before : predecessors.get(u)) {
                start = Math.max(start, end[before]);
            }
            end[u] = start + nanos[u];
            last = Math.max(last, end[u]);
        }
        return last;
    }

    /** No run takes less, whatever the schedule. */
    double boundNs() {
        return Math.max(criticalPathNs(), streamBoundNs());
    }

    /** Nor does a request of many take less, whatever runs beside it. */
    double streamBoundNs() {
        return Math.max(deviceNs(), cpuNs());
    }

    boolean balanced() {
        return Math.min(deviceNs(), cpuNs()) >= BALANCED * streamBoundNs();
    }
}
