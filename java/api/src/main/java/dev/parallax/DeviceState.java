package dev.parallax;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The machine at one moment, as far as a {@link SchedulerPolicy} may care.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; old as soon as it is read.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * long budget = DeviceState.current(2).freeMemoryBytes() * 6 / 10;  // a margin of 40 %
 * }</pre>
 *
 * @param cores cores this process may use
 * @param freeMemoryBytes what Linux calls MemAvailable: bytes to be had without swapping; -1 when not known
 * @param poolThreads threads a unit can have at most
 * @param memoryBudgetBytes what the session may take, as its options say; 0 = they set no fixed budget
 */
public record DeviceState(int cores, long freeMemoryBytes, int poolThreads, long memoryBudgetBytes) {
    private static final Path MEMINFO = Path.of("/proc/meminfo");
    private static final String AVAILABLE = "MemAvailable:";

    /**
     * A state without a budget.
     *
     * @param cores cores this process may use
     * @param freeMemoryBytes bytes to be had without swapping; -1 when not known
     * @param poolThreads threads a unit can have at most
     */
    public DeviceState(int cores, long freeMemoryBytes, int poolThreads) {
        this(cores, freeMemoryBytes, poolThreads, 0);
    }

    /**
     * Reads the machine's state.
     *
     * @param poolThreads threads a unit can have at most
     * @return the state now
     */
    public static DeviceState current(int poolThreads) {
        return current(poolThreads, 0);
    }

    static DeviceState current(int poolThreads, long memoryBudgetBytes) {
        return new DeviceState(Runtime.getRuntime().availableProcessors(), memAvailable(MEMINFO), poolThreads,
                memoryBudgetBytes);
    }

    /** Whether a policy that watches the machine should decide anew: other cores, or a quarter more or less memory. */
    boolean differsFrom(DeviceState before) {
        long more = Math.max(freeMemoryBytes, before.freeMemoryBytes);
        long less = Math.min(freeMemoryBytes, before.freeMemoryBytes);
        return cores != before.cores || less < more - more / 4;
    }

    /** MemAvailable of a file in the format of /proc/meminfo, in bytes; -1 when it does not say. */
    static long memAvailable(Path meminfo) {
        // A session is made with every load, so this is no place for a regular expression a line.
        try (InputStream in = Files.newInputStream(meminfo)) {
            String text = new String(in.readNBytes(4096), StandardCharsets.ISO_8859_1);  // it is the third line
            int start = text.indexOf(AVAILABLE) + AVAILABLE.length();  // "MemAvailable:    8012345 kB"
            int end = text.indexOf(" kB", start);
            return text.contains(AVAILABLE) && end >= 0 ? Long.parseLong(text.substring(start, end).strip()) * 1024 : -1;
        } catch (IOException | NumberFormatException e) {
            return -1;  // no /proc, as in some containers: a policy has to do without
        }
    }
}
