package dev.parallax;

import java.util.Objects;

/**
 * Something Parallax could not do; the message names the thing and the fix.
 *
 * <p><b>Lifetime</b>: owns all it says; nothing native hangs on it. <b>Threads</b>: as any exception.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * try {
 *     engine.load(path);
 * } catch (ParallaxException e) {
 *     System.err.println(e.getMessage());  // one line, fit for a person
 *     return e.code() == ErrorCode.INTERNAL ? 70 : 2;
 * }
 * }</pre>
 */
public class ParallaxException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final ErrorCode code;

    /**
     * An error with its code.
     *
     * @param code what kind of error it is
     * @param message one line that names the thing and the fix
     */
    public ParallaxException(ErrorCode code, String message) {
        this(code, message, null);
    }

    /**
     * An error with its code and what led to it.
     *
     * @param code what kind of error it is
     * @param message one line that names the thing and the fix
     * @param cause what led to it, or null
     */
    public ParallaxException(ErrorCode code, String message, Throwable cause) {
        super(message, cause);
        this.code = Objects.requireNonNull(code, "code");
    }

    /**
     * What kind of error this is.
     *
     * @return the code
     */
    public ErrorCode code() {
        return code;
    }
}
