package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import dev.parallax.internal.bindings.plx_schedule_entry;
import dev.parallax.internal.bindings.plx_schedule_header;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;

/**
 * What a {@link SchedulerPolicy} decided: the units of a plan in the order in which they start.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Schedule schedule = new Schedule(List.of(Schedule.Entry.of(1), Schedule.Entry.of(0).withThreads(1)), 0);
 * }</pre>
 *
 * @param entries every unit of the plan exactly once, none before a unit it reads from
 * @param memoryBudgetBytes units start together only if their estimated peak memory fits into it; 0 = no budget
 */
public record Schedule(List<Entry> entries, long memoryBudgetBytes) {
    /** Copies the entries and checks the budget. */
    public Schedule {
        entries = List.copyOf(entries);
        if (memoryBudgetBytes < 0) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    "a memory budget of " + memoryBudgetBytes + " bytes; give 0 for none, or a positive number");
        }
    }

    /**
     * One unit's turn.
     *
     * @param unit index of the unit in the plan
     * @param device where it runs: 0 = CPU; 1 = the plan's device, for units that are delegate regions
     * @param threads 0 = wide: all threads of the pool, and nothing beside it; 1 = narrow: one, beside other narrow ones
     * @param barrier whether everything before this entry has finished before it starts
     */
    public record Entry(int unit, int device, int threads, boolean barrier) {
        /**
         * A unit on the CPU with all threads, without a barrier.
         *
         * @param unit index of the unit
         * @return the entry
         */
        public static Entry of(int unit) {
            return new Entry(unit, 0, 0, false);
        }

        /**
         * A unit where the plan has it: on its device if it is a delegate region, else on the CPU with all threads.
         *
         * @param unit the unit
         * @return the entry
         */
        public static Entry of(Plan.Unit unit) {
            return new Entry(unit.index(), unit.region() >= 0 ? 1 : 0, 0, false);
        }

        /**
         * The same with another number of threads.
         *
         * @param value 0 = all, 1 = one
         * @return a new entry
         */
        public Entry withThreads(int value) {
            return new Entry(unit, device, value, barrier);
        }

        /**
         * The same with a barrier before it.
         *
         * @return a new entry
         */
        public Entry withBarrier() {
            return new Entry(unit, device, threads, true);
        }
    }

    /**
     * Checks this schedule against a plan: what a session does before it takes one.
     *
     * @param plan the plan it is meant for
     * @throws ParallaxException INVALID_PLAN, saying what is wrong with which unit
     */
    public void validate(Plan plan) {
        if (isPlansOwnOrder(plan)) {
            return;
        }
        List<Plan.Unit> units = plan.units();
        boolean[] started = new boolean[units.size()];
        for (Entry entry : entries) {
            int unit = entry.unit();
            if (unit < 0 || unit >= units.size()) {
                throw invalid("it holds unit " + unit + ", but the plan has units 0 to " + (units.size() - 1));
            }
            if (started[unit]) {
                throw invalid("it holds unit " + unit + " twice");
            }
            if (entry.device() < 0 || entry.device() > 1) {
                throw invalid("it puts unit " + unit + " on device " + entry.device()
                        + "; there are only 0, the CPU, and 1, the plan's device");
            }
            if (entry.device() == 1 && units.get(unit).region() < 0) {
                throw invalid("it puts unit " + unit + " on device 1; it is no delegate region, so that only 0, the CPU,"
                        + " will do");
            }
            if (entry.threads() != 0 && entry.threads() != 1) {
                throw invalid("it gives unit " + unit + " " + entry.threads()
                        + " threads; a unit has 1, or 0 for all of the pool");
            }
            for (int before : units.get(unit).predecessors()) {
                if (!started[before]) {
                    throw invalid("it starts unit " + unit + " before unit " + before + ", whose results it reads");
                }
            }
            started[unit] = true;
        }
        for (int unit = 0; unit < started.length; unit++) {
            if (!started[unit]) {
                throw invalid("it leaves out unit " + unit + " of " + started.length);
            }
        }
    }

    /** The order the plan itself has, which its validator has checked. */
    private boolean isPlansOwnOrder(Plan plan) {
        if (entries.size() != plan.unitCount()) {
            return false;
        }
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            boolean inPlace = entry.unit() == i && entry.device() == 0;
            if (!inPlace || (entry.threads() != 0 && entry.threads() != 1)) {
                return false;
            }
        }
        return true;
    }

    /**
     * This schedule as the core reads it: one flat block, a header and one entry after the other.
     *
     * @param arena owns the block
     * @return the block: {@code plx_schedule_header}, then {@code plx_schedule_entry} for each entry
     */
    public MemorySegment toBlock(Arena arena) {
        Objects.requireNonNull(arena, "arena");
        long header = plx_schedule_header.sizeof();
        MemorySegment block = arena.allocate(header + entries.size() * plx_schedule_entry.sizeof(), 8);
        plx_schedule_header.magic(block, Plx.PLX_SCHEDULE_MAGIC());
        plx_schedule_header.version(block, 1);
        plx_schedule_header.unit_count(block, entries.size());
        plx_schedule_header.memory_budget_bytes(block, memoryBudgetBytes);
        MemorySegment array = block.asSlice(header);
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            MemorySegment slot = plx_schedule_entry.asSlice(array, i);
            plx_schedule_entry.unit(slot, entry.unit());
            plx_schedule_entry.device(slot, entry.device());
            plx_schedule_entry.threads(slot, entry.threads());
            plx_schedule_entry.barrier(slot, entry.barrier() ? 1 : 0);
        }
        return block;
    }

    /** Asks a policy and checks its answer; INVALID_PLAN, naming the policy's class, for all that can go wrong. */
    static Schedule ask(SchedulerPolicy policy, Plan plan, DeviceState state) {
        String name = policy.getClass().getName();
        Schedule schedule;
        try {
            schedule = policy.schedule(plan, state);
        } catch (Exception | StackOverflowError | AssertionError e) {
            throw failed(policy, e);
        }
        if (schedule == null) {
            throw new ParallaxException(ErrorCode.INVALID_PLAN, "scheduler policy " + name
                    + " returned null; it must return a schedule with every unit of the plan");
        }
        try {
            schedule.validate(plan);
        } catch (ParallaxException e) {
            throw new ParallaxException(ErrorCode.INVALID_PLAN, "scheduler policy " + name + ": " + e.getMessage(), e);
        }
        return schedule;
    }

    /** Whether a policy wants to be asked again; errors as in {@link #ask}. */
    static boolean watchesDevice(SchedulerPolicy policy) {
        try {
            return policy.watchesDevice();
        } catch (Exception | StackOverflowError | AssertionError e) {
            throw failed(policy, e);
        }
    }

    private static ParallaxException failed(SchedulerPolicy policy, Throwable e) {
        return new ParallaxException(ErrorCode.INVALID_PLAN,
                "scheduler policy " + policy.getClass().getName() + " failed: " + e, e);
    }

    private static ParallaxException invalid(String what) {
        return new ParallaxException(ErrorCode.INVALID_PLAN, "the schedule does not fit the plan: " + what);
    }
}
