package dev.parallax;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;

/**
 * Critical path first, without barriers: a unit starts when what it reads is there and a worker is free.
 *
 * <p>A unit's rank is its own time and the longest way from it to the end. In a plan of {@link Units#MIXED} times are
 * measured and the plan says which units are wide. For other plans FLOPs stand for time, and a unit is narrow when the
 * units that could run beside it hold at least half of its own FLOPs: then another core has something to do meanwhile.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: stateless, one instance for all.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SessionOptions options = SessionOptions.builder().units(Units.MIXED).policy(DataflowPolicy.INSTANCE).build();
 * }</pre>
 */
public final class DataflowPolicy implements SchedulerPolicy {
    /** The one instance. */
    public static final DataflowPolicy INSTANCE = new DataflowPolicy();
    /** What a unit that counts no FLOPs weighs all the same: views, gathers and shapes take time too. */
    private static final double LEAST_FLOPS = 1e4;

    private DataflowPolicy() {}

    @Override
    public Schedule schedule(Plan plan, DeviceState state) {
        List<Plan.Unit> units = plan.units();
        boolean[] wide = state.poolThreads() < 2 ? new boolean[units.size()] : wide(units);
        double[] rank = new double[units.size()];
        int[] missing = new int[units.size()];
        List<List<Integer>> successors = new ArrayList<>();
        units.forEach(u -> successors.add(new ArrayList<>()));
        for (Plan.Unit unit : units) {
            missing[unit.index()] = unit.predecessors().size();
            unit.predecessors().forEach(p -> successors.get(p).add(unit.index()));
        }
        for (int u = units.size() - 1; u >= 0; u--) {  // the plan's order is a topological one
            for (int s : successors.get(u)) {
                rank[u] = Math.max(rank[u], rank[s]);
            }
            rank[u] += time(units.get(u), wide[u]);
        }
        // Stretch by stretch; narrow units before wide ones, which would keep them waiting; the longest way first.
        TreeSet<Integer> ready = new TreeSet<>(Comparator.<Integer>comparingInt(u -> units.get(u).stretch())
                .thenComparing(u -> wide[u]).thenComparingDouble(u -> -rank[u]).thenComparingInt(u -> u));
        List<Schedule.Entry> entries = new ArrayList<>();
        for (int u = 0; u < missing.length; u++) {
            if (missing[u] == 0) {
                ready.add(u);
            }
        }
        while (!ready.isEmpty()) {
            int next = ready.pollFirst();
            entries.add(Schedule.Entry.of(units.get(next)).withThreads(wide[next] ? 0 : 1));
            for (int s : successors.get(next)) {
                if (--missing[s] == 0) {
                    ready.add(s);
                }
            }
        }
        return new Schedule(entries, state.memoryBudgetBytes());
    }

    @Override
    public boolean watchesDevice() {
        return false;
    }

    private static double time(Plan.Unit unit, boolean wide) {
        if (unit.stretch() >= 0) {
            return wide ? unit.wideNs() : unit.narrowNs();
        }
        return Math.max(unit.flops(), LEAST_FLOPS);
    }

    private static boolean[] wide(List<Plan.Unit> units) {
        boolean[] wide = new boolean[units.size()];
        List<BitSet> related = new ArrayList<>();  // what must come before or after
        for (Plan.Unit unit : units) {
            BitSet before = new BitSet(units.size());
            before.set(unit.index());
            unit.predecessors().forEach(p -> before.or(related.get(p)));
            related.add(before);
        }
        for (int u = units.size() - 1; u >= 0; u--) {
            for (int p = related.get(u).nextSetBit(0); p >= 0 && p < u; p = related.get(u).nextSetBit(p + 1)) {
                related.get(p).set(u);
            }
        }
        for (Plan.Unit unit : units) {
            if (unit.stretch() >= 0) {
                wide[unit.index()] = unit.wide();
                continue;
            }
            double own = time(unit, false);
            double beside = 0;
            BitSet mine = related.get(unit.index());
            for (int v = mine.nextClearBit(0); v < units.size() && beside < own / 2; v = mine.nextClearBit(v + 1)) {
                if (units.get(v).region() < 0) {  // a device takes no core
                    beside += Math.min(own, time(units.get(v), false));
                }
            }
            wide[unit.index()] = beside < own / 2;
        }
        return wide;
    }

    @Override
    public String toString() {
        return "DataflowPolicy";
    }
}
