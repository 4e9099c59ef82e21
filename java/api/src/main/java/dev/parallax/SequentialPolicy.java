package dev.parallax;

import java.util.stream.IntStream;

/**
 * The units in the plan's own order, one by one, each with all threads.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: stateless, one instance for all.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SessionOptions options = SessionOptions.builder().policy(SequentialPolicy.INSTANCE).build();
 * }</pre>
 */
public final class SequentialPolicy implements SchedulerPolicy {
    /** The one instance. */
    public static final SequentialPolicy INSTANCE = new SequentialPolicy();

    private SequentialPolicy() {}

    @Override
    public Schedule schedule(Plan plan, DeviceState state) {
        // A large plan's units take long to be written out, and without regions nothing about them matters here.
        return new Schedule(plan.mayHaveRegions() ? plan.units().stream().map(Schedule.Entry::of).toList()
                : IntStream.range(0, plan.unitCount()).mapToObj(Schedule.Entry::of).toList(), state.memoryBudgetBytes());
    }

    @Override
    public boolean watchesDevice() {
        return false;
    }

    @Override
    public String toString() {
        return "SequentialPolicy";
    }
}
