package dev.parallax;

/**
 * Decides in which order, on which device and with how many threads the units of a plan run.
 *
 * <p>A policy is asked when a session is made, on the thread that makes it. What it returns is checked before anything
 * runs: a schedule that is null, misses, repeats or invents a unit, or puts a unit before one it reads from, is refused
 * with {@link ErrorCode#INVALID_PLAN}, and so is a policy that throws.
 *
 * <p><b>Lifetime</b>: kept by nobody once the session is made. <b>Threads</b>: a policy given to several sessions may
 * be asked by several threads at once.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SchedulerPolicy narrow = (plan, state) -> new Schedule(
 *         plan.units().stream().map(u -> Schedule.Entry.of(u.index()).withThreads(1)).toList(), 0);
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
}
