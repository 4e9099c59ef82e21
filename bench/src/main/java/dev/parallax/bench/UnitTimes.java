package dev.parallax.bench;

import dev.parallax.Plan;
import dev.parallax.RunReport;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
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

    /**
     * No run takes less, whatever the schedule: a unit starts no sooner than those it depends on can have ended, all of them
     * on either side one after the other. At least the longest way through the units, and the time of the busier side.
     */
    double boundNs() {
        double[] start = new double[nanos.length];
        List<BitSet> before = new ArrayList<>();
        for (int u = 0; u < start.length; u++) {
            BitSet ancestors = new BitSet();
            for (int p : predecessors.get(u)) {
                ancestors.or(before.get(p));
                ancestors.set(p);
            }
            before.add(ancestors);
            start[u] = ended(ancestors, start);
        }
        BitSet all = new BitSet();
        all.set(0, start.length);
        return ended(all, start);
    }

    /** When all these can have ended, given when each can start. */
    private double ended(BitSet units, double[] start) {
        double end = units.stream().mapToDouble(u -> start[u] + nanos[u]).max().orElse(0);
        for (boolean side : new boolean[] {false, true}) {
            double work = 0;
            // The last of these to start work, the last two and so on: none before the first of them.
            for (int u : units.stream().filter(u -> onDevice[u] == side).boxed()
                    .sorted(Comparator.comparingDouble(u -> -workStart(u, start))).toList()) {
                work += workNs[u];
                end = Math.max(end, workStart(u, start) + work);
            }
        }
        return end;
    }

    private double workStart(int unit, double[] start) {
        return start[unit] + nanos[unit] - workNs[unit];
    }

    /** A request of many does not take less, whatever runs beside it. */
    double streamBoundNs() {
        return Math.max(deviceNs(), cpuNs());
    }

    boolean balanced() {
        return Math.min(deviceNs(), cpuNs()) >= BALANCED * streamBoundNs();
    }
}
