package dev.parallax;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;

/**
 * The paper's scheduling (section 3.3): layer by layer, with a barrier after each; in a layer the largest subset of its
 * parallel branches whose estimated peak memory fits the budget together, one thread each, and the others one by one with
 * all threads.
 *
 * <p>Which branches of a layer are parallel the plan says (its rule, N and beta). The budget is the session's, or, if it
 * has none, what is free less a margin. A plan of {@link Units#MIXED} has stretches in place of layers.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: immutable, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SessionOptions options = SessionOptions.builder().units(Units.BRANCHES).policy(new PaperPolicy()).build();
 * }</pre>
 *
 * @param margin the part of free memory that stays free, from 0 to 1; the paper's is 0.3 to 0.5
 */
public record PaperPolicy(double margin) implements SchedulerPolicy {
    /** Checks the margin. */
    public PaperPolicy {
        if (!(margin >= 0 && margin <= 1)) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    "the margin is " + margin + "; it must be from 0 to 1, such as 0.4 for 40 %");
        }
    }

    /** With a margin of 40 %. */
    public PaperPolicy() {
        this(0.4);
    }

    @Override
    public Schedule schedule(Plan plan, DeviceState state) {
        long budget = budget(state);
        List<Schedule.Entry> entries = new ArrayList<>();
        List<Plan.Unit> units = plan.units();
        // Units of several layers come with the first of them; the plan's own order settles the rest.
        TreeMap<Integer, List<Plan.Unit>> layers = new TreeMap<>();
        for (Plan.Unit unit : units) {
            layers.computeIfAbsent(place(plan, unit), l -> new ArrayList<>()).add(unit);
        }
        for (List<Plan.Unit> layer : layers.values()) {
            Set<Integer> together = fitting(layer, budget);
            boolean barrier = true;
            for (Plan.Unit unit : layer) {
                if (together.contains(unit.index())) {
                    Schedule.Entry entry = Schedule.Entry.of(unit).withThreads(1);
                    entries.add(barrier ? entry.withBarrier() : entry);
                    barrier = false;
                }
            }
            for (Plan.Unit unit : layer) {
                if (!together.contains(unit.index())) {
                    entries.add(Schedule.Entry.of(unit).withBarrier());
                }
            }
        }
        return new Schedule(entries, budget);
    }

    /** The largest subset of a layer's parallel units that fits: the smallest ones first. None if that is only one. */
    private static Set<Integer> fitting(List<Plan.Unit> layer, long budget) {
        Set<Integer> chosen = new HashSet<>();
        long sum = 0;
        for (Plan.Unit unit : layer.stream().filter(u -> !u.wide())
                .sorted(Comparator.comparingLong(Plan.Unit::peakBytes)).toList()) {
            if (budget != 0 && unit.peakBytes() > budget - sum) {
                break;
            }
            sum += unit.peakBytes();
            chosen.add(unit.index());
        }
        return chosen.size() < 2 ? Set.of() : chosen;
    }

    private static int place(Plan plan, Plan.Unit unit) {
        if (unit.stretch() >= 0) {
            return unit.stretch();
        }
        return unit.layer() >= 0 ? unit.layer() : unit.index();
    }

    private long budget(DeviceState state) {
        if (state.memoryBudgetBytes() > 0) {
            return state.memoryBudgetBytes();
        }
        return state.freeMemoryBytes() < 0 ? 0 : Math.max(1, (long) (state.freeMemoryBytes() * (1 - margin)));
    }
}
