package dev.parallax;

import java.util.List;

/**
 * What ran where in a session's last run, and the memory it took.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; it does not follow later runs.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * for (RunReport.UnitRun u : session.report().units()) {
 *     System.out.printf("unit %d on %s: %.3f ms%n", u.unit(), u.device(), u.durationNs() / 1e6);
 * }
 * }</pre>
 *
 * @param runs successful runs of the session so far
 * @param units the units of the last run, in the order in which they started
 * @param arenaBytes bytes of the session's arenas
 * @param plannedBytes bytes of the planned boundary tensors, those that never live together sharing space
 * @param oneBufferPerTensorBytes bytes they would take with a buffer each
 * @param lowerBoundBytes the largest sum of boundary tensors alive at one time: no plan can take less
 * @param shapes what the session knows about the sets of input shapes it met
 * @param aliases view operators that were no work at all
 */
public record RunReport(long runs, List<UnitRun> units, long arenaBytes, long plannedBytes,
        long oneBufferPerTensorBytes, long lowerBoundBytes, Shapes shapes, long aliases) {
    /** Copies the list. */
    public RunReport {
        units = List.copyOf(units);
    }

    /**
     * How long at least two units ran at the same time.
     *
     * @return nanoseconds of the last run
     */
    public long overlapNs() {
        return Overlap.of(units);
    }

    /**
     * From the start of the first unit to the end of the last.
     *
     * @return nanoseconds of the last run
     */
    public long spanNs() {
        return units.stream().mapToLong(UnitRun::endNs).max().orElse(0)
                - units.stream().mapToLong(UnitRun::startNs).min().orElse(0);
    }

    /**
     * A session's memory for sets of input shapes. The first run at a new set lets ONNX Runtime allocate the tensors
     * between units and records their sizes, the second gives each its planned place, later ones pay for nothing.
     *
     * @param cached sets that are remembered now, at most {@link SessionOptions#shapesKept()}
     * @param hits runs that began at a remembered set
     * @param misses runs that began at a new one, or one that was forgotten
     * @param evictions sets that were forgotten for others
     * @param planned memory plans made
     * @param sizingNs nanoseconds all this took beside the runs: looking up, recording, planning and placing
     */
    public record Shapes(long cached, long hits, long misses, long evictions, long planned, long sizingNs) {}

    /**
     * One unit's run.
     *
     * @param unit index of the unit in the plan
     * @param device where it ran, such as {@code cpu}
     * @param threads how many it could use
     * @param worker which thread it was started by: 0 is the one that called run, others are the pool's
     * @param startNs start, nanoseconds since the start of the first unit
     * @param endNs end, likewise
     * @param bytes bytes of its outputs, as far as their sizes follow from the inputs'
     */
    public record UnitRun(int unit, String device, int threads, int worker, long startNs, long endNs, long bytes) {
        /**
         * How long it took.
         *
         * @return nanoseconds
         */
        public long durationNs() {
            return endNs - startNs;
        }
    }
}
