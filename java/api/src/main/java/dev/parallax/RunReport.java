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
 * @param startedNs when the last run's first unit started, by the clock of {@link System#nanoTime()}
 * @param units the units of the last run, in the order in which they started
 * @param arenaBytes bytes that the session's arena has mapped
 * @param sessionsBytes bytes that the process grew by while ONNX Runtime's sessions of the plan were made (RssAnon), shared
 *     by all sessions of the plan: packed weights for the most part, unless they come from files
 * @param plannedBytes bytes of the planned block: the tensors between units, and what each unit takes while it runs, those
 *     that are never needed together sharing space
 * @param oneBufferPerTensorBytes bytes these would take with a buffer each
 * @param lowerBoundBytes the largest sum of those needed at one time, one unit after the other: no plan can take less
 * @param shapes what the session knows about the sets of input shapes it met
 * @param budget what became of the session's memory budget
 * @param cache what came from the model's cache folder
 * @param aliases view operators that were no work at all
 * @param device what became of the plan's device; null for a plan without one
 * @param unitsElided units of the last run that had nothing to do: a Concat or Split along the outermost axis whose tensors
 *     lie in one another
 */
public record RunReport(long runs, long startedNs, List<UnitRun> units, long arenaBytes, long sessionsBytes, long plannedBytes,
        long oneBufferPerTensorBytes, long lowerBoundBytes, Shapes shapes, Budget budget, Cache cache,
        long aliases, long unitsElided, Device device) {
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
     * @param refined plans of shapes that had run for seconds and were found anew, smaller, by a longer search
     * @param sizingNs nanoseconds all this took beside the runs: looking up, recording, planning and placing
     */
    public record Shapes(long cached, long hits, long misses, long evictions, long planned, long refined,
            long sizingNs) {}

    /**
     * A session's memory, and the limit that {@link SessionOptions#memoryBudget()} sets to it.
     *
     * @param limitBytes the limit; of an adaptive budget, what it was last; 0 = none
     * @param highWaterBytes the most that the arena ever had mapped
     * @param barriers how many the budget put into the schedule at the last run's shapes, so that less runs side by side
     * @param reruns how often a run started over, in less memory
     * @param moves how often an adaptive budget moved, and memory with it
     */
    public record Budget(long limitBytes, long highWaterBytes, int barriers, long reruns, long moves) {}

    /**
     * What {@link ModelOptions#cacheFolder()} did for the sessions of the model so far; all 0 without one.
     *
     * @param loaded units whose file was there
     * @param stored units whose file was written
     * @param bytes of these files
     * @param problem why the last unit that could not be written was not, so that it was packed in memory; empty if
     *     there was none
     */
    public record Cache(long loaded, long stored, long bytes, String problem) {}

    /**
     * What became of a plan's device.
     *
     * @param kind such as {@code opencl}
     * @param name the driver's name for it
     * @param bytes what its regions hold there, and tensors that cross take
     * @param fallbacks how often the CPU had to run a region, in all runs
     * @param problem why, the last time; empty if never
     */
    public record Device(String kind, String name, long bytes, long fallbacks, String problem) {}

    /**
     * One unit's run.
     *
     * @param unit index of the unit in the plan
     * @param device where it ran, such as {@code cpu}
     * @param threads how many it could use
     * @param worker which thread it was started by: 0 is the one that called run, -1 is a device, others are the pool's
     * @param startNs start, nanoseconds since the start of the first unit
     * @param endNs end, likewise
     * @param bytes bytes of its outputs, as far as their sizes follow from the inputs'
     * @param memoryBytes bytes that ONNX Runtime took for it at most while it ran, outputs without a planned place
     *     included
     * @param deviceNs nanoseconds that a device worked for it, as far as it tells
     * @param predictedNs nanoseconds that the plan expected it to: its region's {@link Plan.Region#deviceSeconds()}; 0 for a unit of the CPU's
     * @param copiedBytes bytes copied for it between the CPU's memory and the device's
     * @param fellBack why the CPU ran what was to run on the device; empty if it did not
     */
    public record UnitRun(int unit, String device, int threads, int worker, long startNs, long endNs, long bytes,
            long memoryBytes, long deviceNs, long predictedNs, long copiedBytes, String fellBack) {
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
