package dev.parallax;

/**
 * Decides in which order, on which device and with how many threads the units of a plan run.
 *
 * <p>A policy is asked when a session is made, on the thread that makes it; and again, on a thread that calls
 * {@link Session#run()}, when the machine's state has changed enough to matter (see {@link #watchesDevice()}). What it
 * returns is checked before anything
 * runs: a schedule that is null, misses, repeats or invents a unit, or puts a unit before one it reads from, is refused
 * with {@link ErrorCode#INVALID_PLAN}, and so is a policy that throws.
 *
 * <p><b>Lifetime</b>: kept by nobody once the session is made. <b>Threads</b>: a policy given to several sessions may
 * be asked by several threads at once.
 *
 * <p>Units with one thread run beside others, as soon as what they read is there; a unit with all threads runs alone,
 * and so does one after a barrier. {@link SequentialPolicy}, {@link PaperPolicy} and {@link DataflowPolicy} are there.
 *
 * <p><b>Example</b>: a user's own policy, which lets the units of a layer run side by side, whatever they weigh.
 * <pre>{@code
 * SchedulerPolicy byLayer = (plan, state) -> {
 *     List<Schedule.Entry> entries = new ArrayList<>();
 *     int layer = -1;
 *     for (Plan.Unit unit : plan.units().stream().sorted(Comparator.comparingInt(Plan.Unit::layer)).toList()) {
 *         Schedule.Entry entry = Schedule.Entry.of(unit.index()).withThreads(1);
 *         entries.add(unit.layer() == layer ? entry : entry.withBarrier());
 *         layer = unit.layer();
 *     }
 *     return new Schedule(entries, state.memoryBudgetBytes());
 * };
 * }</pre>
 */
@FunctionalInterface
public interface SchedulerPolicy {
    /**
     * Decides.
     *
     * @param plan the plan to run
     * @param state the machine as it is now
     * @return every unit of the plan exactly once, none before a unit it reads from
     */
    Schedule schedule(Plan plan, DeviceState state);

    /**
     * Whether the schedule depends on the machine's state. If it does, a session looks at the state again between runs,
     * at most once a second, and asks the policy anew when the cores differ or free memory by a quarter.
     *
     * @return true unless overridden
     */
    default boolean watchesDevice() {
        return true;
    }
}
