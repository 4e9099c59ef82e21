package dev.parallax;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * A native object that many threads may call and one may close: closing waits for the calls in progress, and no call
 * begins afterwards. Nothing of the user's is to be called inside {@link #call}, or it could close what it is in.
 */
final class Handle {
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private final String what;
    private final Consumer<MemorySegment> release;
    private MemorySegment pointer;  // null when closed

    Handle(String what, MemorySegment pointer, Consumer<MemorySegment> release) {
        this.what = what;
        this.pointer = pointer;
        this.release = release;
    }

    /** Calls with the pointer; IllegalStateException when closed. */
    <T> T call(Function<MemorySegment, T> function) {
        lock.readLock().lock();
        try {
            if (pointer == null) {
                throw new IllegalStateException("this " + what + " is closed");
            }
            return function.apply(pointer);
        } finally {
            lock.readLock().unlock();
        }
    }

    void close() {
        close(() -> {});
    }

    /** Closes; runs {@code before} first, once, when no call is in progress. */
    void close(Runnable before) {
        lock.writeLock().lock();
        try {
            if (pointer != null) {
                MemorySegment last = pointer;
                pointer = null;
                try {
                    before.run();
                } finally {
                    release.accept(last);
                }
            }
        } finally {
            lock.writeLock().unlock();
        }
    }
}
