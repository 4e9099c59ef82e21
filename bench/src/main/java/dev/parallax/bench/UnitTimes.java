package dev.parallax.bench;

import dev.parallax.Plan;
import dev.parallax.RunReport;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What the units of a plan take when they run one after the other, and what that leaves to win where a device and the CPU
 * work at the same time.
 *
 * <p>A CPU unit has all threads there, so that the CPU is one place: two of its units at once are no faster than in turn.
 * Where they are, since one thread each suits them better, a run may be below the bound.
 *
 * @param nanos of each unit, from when it could start to when others could go on
 * @param workNs of each unit, in which it keeps its side from other work: less than that on a device that takes its time
 *     to begin, but can begin with the next one meanwhile
 * @param onDevice whether it is the device's
 * @param predecessors of each unit, all of them earlier ones
 */
record UnitTimes(double[] nanos, double[] workNs, boolean[] onDevice, List<List<Integer>> predecessors) {
    /** Of sides that count as balanced the shorter works for at least so much of the time of the longer. */
    static final double BALANCED = 0.8;

    /** The medians of several runs. */
    static UnitTimes of(Plan plan, boolean[] onDevice, List<RunReport> runs) {
        double[][] nanos = new double[onDevice.length][runs.size()];
        double[][] workNs = new double[onDevice.length][runs.size()];
        for (int run = 0; run < runs.size(); run++) {
            for (RunReport.UnitRun unit : runs.get(run).units()) {
                nanos[unit.unit()][run] = unit.durationNs();
                workNs[unit.unit()][run] = onDevice[unit.unit()] ? unit.deviceNs() : unit.durationNs();
            }
        }
        return new UnitTimes(medians(nanos), medians(workNs), onDevice,
                plan.units().stream().map(Plan.Unit::predecessors).toList());
    }

    private static double[] medians(double[][] samples) {
        return Arrays.stream(samples).mapToDouble(Statistics::median).toArray();
    }

    long deviceUnits() {
        return IntStream.range(0, nanos.length).filter(u -> onDevice[u]).count();
    }

    double deviceNs() {
        return IntStream.range(0, nanos.length).filter(u -> onDevice[u]).mapToDouble(u -> workNs[u]).sum();
    }

    double cpuNs() {
        return IntStream.range(0, nanos.length).filter(u -> !onDevice[u]).mapToDouble(u -> workNs[u]).sum();
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
