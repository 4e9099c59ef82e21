package dev.parallax;

/**
 * More memory was needed than the budget leaves. Nothing is lost: the session stays usable, with a larger budget or
 * smaller inputs.
 *
 * <p><b>Lifetime</b>: a value. <b>Threads</b>: as any exception.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * catch (MemoryBudgetException e) {
 *     log("short of " + (e.requestedBytes() - e.availableBytes()) + " bytes");
 * }
 * }</pre>
 */
public final class MemoryBudgetException extends ParallaxException {
    private static final long serialVersionUID = 1;

    private final long requestedBytes;
    private final long availableBytes;

    /**
     * An error of code {@link ErrorCode#MEMORY_BUDGET}.
     *
     * @param message one line that names the thing and the fix
     * @param requestedBytes the bytes asked for
     * @param availableBytes the bytes that were available
     */
    public MemoryBudgetException(String message, long requestedBytes, long availableBytes) {
        super(ErrorCode.MEMORY_BUDGET, message);
        this.requestedBytes = requestedBytes;
        this.availableBytes = availableBytes;
    }

    /**
     * The bytes asked for.
     *
     * @return bytes
     */
    public long requestedBytes() {
        return requestedBytes;
    }

    /**
     * The bytes that were available.
     *
     * @return bytes
     */
    public long availableBytes() {
        return availableBytes;
    }
}
