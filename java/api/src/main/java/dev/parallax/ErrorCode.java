package dev.parallax;

/**
 * What kind of thing went wrong; the numbers are those of {@code plx_code} in the C interface.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * catch (ParallaxException e) {
 *     if (e.code() == ErrorCode.NOT_FOUND) { ... }
 * }
 * }</pre>
 */
public enum ErrorCode {
    /** A wrong name, shape, element type or option. */
    INVALID_ARGUMENT(1),
    /** A file or library that is not there. */
    NOT_FOUND(2),
    /** Bytes that are not a well-formed ONNX model, or a model that contradicts itself. */
    INVALID_MODEL(3),
    /** A sound model that needs an operator, opset or feature that is not there. */
    UNSUPPORTED(4),
    /** A native library is missing, too old, not loadable, or differs from what is already loaded. */
    LIBRARY(5),
    /** More bytes needed than the budget leaves: always a {@link MemoryBudgetException}. */
    MEMORY_BUDGET(6),
    /** An operator failed while running, or the run was cancelled; the session stays usable. */
    RUN_FAILED(7),
    /** The native object was closed. */
    CLOSED(8),
    /** A plan or schedule that a validator refuses, or a policy that gave none. */
    INVALID_PLAN(9),
    /** The operating system refused a read, write or mapping. */
    IO(10),
    /** A defect in Parallax. */
    INTERNAL(11);

    private final int number;

    ErrorCode(int number) {
        this.number = number;
    }

    /**
     * The number of this code in the C interface.
     *
     * @return the {@code plx_code}
     */
    public int number() {
        return number;
    }

    /** The code of a {@code plx_code}; {@link #INTERNAL} for a number that no version so far has used. */
    static ErrorCode of(int number) {
        for (ErrorCode code : values()) {
            if (code.number == number) {
                return code;
            }
        }
        return INTERNAL;
    }
}
