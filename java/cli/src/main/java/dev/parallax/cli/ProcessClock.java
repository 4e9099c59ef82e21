package dev.parallax.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The processor time that all threads of this process have taken, and a wait until they take no more. Java's own clock
 * of this kind counts in hundredths of a second.
 *
 * <p>Lifetime: until closed. Threads: one. Example: {@code double afterwards = clock.settle();}
 */
final class ProcessClock implements AutoCloseable {
    private static final int CLOCK_PROCESS_CPUTIME_ID = 2;
    private static final long WINDOW_MILLIS = 2;
    private static final int QUIET_WINDOWS = 4; // on a busy machine a thread that spins waits for a core in some
    private static final long BUSY_NANOS = 200_000; // in a window; looking costs a tenth of it
    private static final long LONGEST_NANOS = 250_000_000;
    private static final MethodHandle CLOCK_GETTIME = find();

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment time = arena.allocate(ValueLayout.JAVA_LONG, 2);

    @SuppressWarnings("restricted") // libc, with the signature of its manual
    private static MethodHandle find() {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().find("clock_gettime").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
    }

    /** Processor time in nanoseconds since the process began. */
    long nanos() {
        try {
            int result = (int) CLOCK_GETTIME.invokeExact(CLOCK_PROCESS_CPUTIME_ID, time);
            if (result != 0) {
                throw new IllegalStateException("clock_gettime failed");
            }
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e); // a C function throws nothing
        }
        return time.getAtIndex(ValueLayout.JAVA_LONG, 0) * 1_000_000_000L + time.getAtIndex(ValueLayout.JAVA_LONG, 1);
    }

    /**
     * Waits until no thread works any more, a quarter of a second at most.
     *
     * @return processor time in nanoseconds that was taken meanwhile
     */
    double settle() {
        long first = nanos();
        long deadline = System.nanoTime() + LONGEST_NANOS;
        long last = first;
        for (int quiet = 0; quiet < QUIET_WINDOWS && System.nanoTime() < deadline;) {
            try {
                Thread.sleep(WINDOW_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new BadInputException("interrupted", e);
            }
            long now = nanos();
            quiet = now - last < BUSY_NANOS ? quiet + 1 : 0;
            last = now;
        }
        return last - first;
    }

    @Override
    public void close() {
        arena.close();
    }
}
