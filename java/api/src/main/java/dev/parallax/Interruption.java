package dev.parallax;

import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.spi.AbstractInterruptibleChannel;

/**
 * Has something done when the thread that is inside is interrupted. A thread in native code does not see an interrupt;
 * Java's channels have the same trouble, and the means they are given for it serve here: {@link Thread#interrupt()}
 * itself calls, so no thread has to watch. Entering and leaving allocates nothing and takes some tens of nanoseconds.
 *
 * <p>Lifetime: good for one interrupt, see {@link #leave()}. Threads: one inside at a time.
 */
final class Interruption extends AbstractInterruptibleChannel {
    private final Runnable action;

    /** The action is called at most once, by the thread that interrupts, or that enters or leaves interrupted. */
    Interruption(Runnable action) {
        this.action = action;
    }

    void enter() {
        begin();
    }

    /** True if the thread was interrupted inside: the action has been called and has ended, and this is used up. */
    boolean leave() {
        try {
            end(true);
            return false;
        } catch (AsynchronousCloseException e) {
            return true;
        }
    }

    @Override
    protected void implCloseChannel() {
        action.run();
    }
}
