package dev.parallax.cli;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.function.Supplier;

/**
 * Keeps native code from writing to standard output: ONNX Runtime 1.29 prints there what it plans for several streams,
 * at any log level, and would spoil a report.
 *
 * <p>Stateless. Threads: one; whatever others write to standard output meanwhile is lost.
 */
final class Silence {
    private static final int STANDARD_OUTPUT = 1;
    private static final int WRITE_ONLY = 1;

    private static final MethodHandle OPEN = find("open", Linker.Option.firstVariadicArg(2), ADDRESS, JAVA_INT);
    private static final MethodHandle DUP = find("dup", null, JAVA_INT);
    private static final MethodHandle DUP2 = find("dup2", null, JAVA_INT, JAVA_INT);
    private static final MethodHandle CLOSE = find("close", null, JAVA_INT);
    private static final MethodHandle FFLUSH = find("fflush", null, ADDRESS);

    private Silence() {}

    @SuppressWarnings("restricted") // libc, with the signatures of its manual
    private static MethodHandle find(String name, Linker.Option option, MemoryLayout... arguments) {
        Linker linker = Linker.nativeLinker();
        Linker.Option[] options = option == null ? new Linker.Option[0] : new Linker.Option[] {option};
        return linker.downcallHandle(linker.defaultLookup().find(name).orElseThrow(),
                FunctionDescriptor.of(JAVA_INT, arguments), options);
    }

    /** Does something and drops what native code prints meanwhile. Where that cannot be had, it is not dropped. */
    static <T> T in(Supplier<T> work) {
        System.out.flush();
        flush();
        int output = call(() -> (int) DUP.invokeExact(STANDARD_OUTPUT));
        int nowhere;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom("/dev/null");
            nowhere = call(() -> (int) OPEN.invokeExact(name, WRITE_ONLY));
        }
        if (output >= 0 && nowhere >= 0) {
            call(() -> (int) DUP2.invokeExact(nowhere, STANDARD_OUTPUT));
        }
        try {
            return work.get();
        } finally {
            flush(); // what was printed waits in a buffer
            if (output >= 0) {
                call(() -> (int) DUP2.invokeExact(output, STANDARD_OUTPUT));
                call(() -> (int) CLOSE.invokeExact(output));
            }
            if (nowhere >= 0) {
                call(() -> (int) CLOSE.invokeExact(nowhere));
            }
        }
    }

    private static void flush() {
        call(() -> (int) FFLUSH.invokeExact(MemorySegment.NULL)); // NULL is every stream of C
    }

    @FunctionalInterface
    private interface Call {
        int run() throws Throwable;
    }

    private static int call(Call call) {
        try {
            return call.run();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e); // a C function throws nothing
        }
    }
}
