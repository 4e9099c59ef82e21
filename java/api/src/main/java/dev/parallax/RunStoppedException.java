package dev.parallax;

/**
 * A run that was stopped before its outputs were there. The session stays usable.
 *
 * <p><b>Lifetime</b>: owns all it says; nothing native hangs on it. <b>Threads</b>: as any exception.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * try {
 *     session.run(Duration.ofMillis(50));
 * } catch (RunStoppedException e) {
 *     if (e.reason() == RunStoppedException.Reason.TIME_LIMIT) { ... }
 * }
 * }</pre>
 */
public final class RunStoppedException extends ParallaxException {
    private static final long serialVersionUID = 1;

    private final Reason reason;

    /** Who stopped the run. */
    public enum Reason {
        /** {@link Session#cancel()}. */
        CANCELLED,
        /** The limit given to {@link Session#run(java.time.Duration)}. */
        TIME_LIMIT,
        /** {@link Thread#interrupt()} of the thread in {@code run}; its interrupt status is set. */
        INTERRUPTED
    }

    RunStoppedException(Reason reason, String message) {
        super(ErrorCode.RUN_FAILED, message);
        this.reason = reason;
    }

    /**
     * Who stopped the run.
     *
     * @return the reason; the first, if there were several
     */
    public Reason reason() {
        return reason;
    }
}
