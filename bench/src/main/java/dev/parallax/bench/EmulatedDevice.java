package dev.parallax.bench;

import dev.parallax.Parallax;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.BitSet;

/**
 * A device of bench/native, by its name: {@code emulated}, or {@code replay:PROFILE}, with
 * {@code /dense} and {@code @SPEED} after it or without.
 *
 * @param name what plans know it by
 */
record EmulatedDevice(String name) {
    private static final String CORE_PROPERTY = "parallax.library.path";
    private static final String REPLAY = "replay:";
    private static final int MOST_CORES = 1024;

    /** Has the core make it; BadInput if it cannot. */
    static EmulatedDevice of(String name) {
        String core = System.getProperty(CORE_PROPERTY, "");
        Parallax.version();  // loads it
        MemorySegment problem;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment emulate = core.isEmpty() ? MemorySegment.NULL
                    : SymbolLookup.libraryLookup(Path.of(core), Arena.global()).find("plx_emulate").orElse(MemorySegment.NULL);
            if (emulate.equals(MemorySegment.NULL)) {
                throw new Commands.BadInput("the core has no emulated devices; -D" + CORE_PROPERTY + " has to name"
                        + " libparallax-emulation.so, which bench/coexecution builds");
            }
            problem = (MemorySegment) Linker.nativeLinker()
                    .downcallHandle(emulate, FunctionDescriptor.of(
                            ValueLayout.ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(
                                    Integer.MAX_VALUE, ValueLayout.JAVA_BYTE)), ValueLayout.ADDRESS))
                    .invokeExact(arena.allocateFrom(name));
        } catch (Commands.BadInput e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("plx_emulate", e);
        }
        if (!problem.equals(MemorySegment.NULL)) {
            throw new Commands.BadInput(problem.getString(0));
        }
        return new EmulatedDevice(name);
    }

    /** Whether it takes no core, and can be had at any speed. */
    boolean replays() {
        return name.startsWith(REPLAY);
    }

    /** What is left to the CPU: a device that computes keeps a core to itself. */
    int cpuThreads(int cores) {
        return replays() ? cores : Math.max(1, cores - 1);
    }

    /**
     * Keeps the calling thread, and those that it starts, off the core of a device that computes, as they could not get in
     * the way of a real one.
     *
     * @return to be closed by the same thread, which then may use all cores again
     */
    Cores keepOffItsCore() {
        if (replays()) {
            return () -> { };
        }
        BitSet all = cores("sched_getaffinity", new BitSet());
        BitSet others = (BitSet) all.clone();
        others.clear(all.length() - 1);
        cores("sched_setaffinity", others.isEmpty() ? all : others);
        return () -> cores("sched_setaffinity", all);
    }

    /** What a thread may use until this is closed. */
    interface Cores extends AutoCloseable {
        @Override
        void close();
    }

    private static BitSet cores(String function, BitSet cores) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment set = arena.allocate(MOST_CORES / Byte.SIZE, Long.BYTES);
            set.copyFrom(MemorySegment.ofArray(cores.toByteArray()));
            int status = (int) Linker.nativeLinker().downcallHandle(
                    Linker.nativeLinker().defaultLookup().find(function).orElseThrow(),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG,
                            ValueLayout.ADDRESS)).invokeExact(0, set.byteSize(), set);
            if (status < 0) {
                throw new IllegalStateException(function + " failed");
            }
            return BitSet.valueOf(set.asByteBuffer());
        } catch (RuntimeException e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(function, e);
        }
    }
}
