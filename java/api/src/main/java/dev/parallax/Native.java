package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;

/** What calls into the C interface share: statuses and texts. */
final class Native {
    private Native() {}

    /** Throws what a status says, and releases it; returns at once for success. */
    static void check(MemorySegment status) {
        if (status.address() != 0) {
            throw exception(status);
        }
    }

    /** Calls something that gives a plx_text, in memory of the arena, and takes the text over. */
    static String text(Arena arena, Function<MemorySegment, MemorySegment> call) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        check(call.apply(out));
        MemorySegment text = out.get(ValueLayout.ADDRESS, 0);
        try {
            long size = Plx.plx_text_size(text);
            byte[] bytes = Plx.plx_text_data(text).asSlice(0, size).toArray(ValueLayout.JAVA_BYTE);
            return new String(bytes, StandardCharsets.UTF_8);
        } finally {
            Plx.plx_text_release(text);
        }
    }

    /**
     * plx_session_run, with the status as an address. The generated method wraps it into a segment, which the compiler
     * does not always see through: 40 bytes of Java heap a run.
     */
    static long run(MemorySegment session, MemorySegment info) {
        try {
            return (long) Run.HANDLE.invokeExact(session, info);
        } catch (Throwable e) {
            throw new AssertionError("a downcall throws nothing", e);
        }
    }

    /** Initialised with the first run, when the core is loaded. */
    private static final class Run {
        @SuppressWarnings("restricted")  // the generated handle's address and parameters
        static final MethodHandle HANDLE = Linker.nativeLinker().downcallHandle(Plx.plx_session_run$address(),
                Plx.plx_session_run$descriptor().changeReturnLayout(ValueLayout.JAVA_LONG));
    }

    private static ParallaxException exception(MemorySegment status) {
        try {
            ErrorCode code = ErrorCode.of(Plx.plx_status_code(status));
            String message = Plx.plx_status_message(status).getString(0);
            return code == ErrorCode.MEMORY_BUDGET
                    ? new MemoryBudgetException(message, Plx.plx_status_requested_bytes(status),
                            Plx.plx_status_available_bytes(status))
                    : new ParallaxException(code, message);
        } finally {
            Plx.plx_status_release(status);
        }
    }
}
