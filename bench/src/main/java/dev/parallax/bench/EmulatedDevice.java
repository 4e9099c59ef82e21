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

/**
 * A device of bench/native, by its name: {@code emulated}, or {@code replay:PROFILE}, with
 * {@code /dense} and {@code @SPEED} after it or without.
 *
 * @param name what plans know it by
 */
record EmulatedDevice(String name) {
    private static final String CORE_PROPERTY = "parallax.library.path";
    private static final String REPLAY = "replay:";

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
}
