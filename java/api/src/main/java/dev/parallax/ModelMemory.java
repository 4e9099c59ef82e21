package dev.parallax;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The memory a model was loaded from: the core reads weights from it for as long as the model or a session of it lives,
 * so each of them holds a share, and memory of our own goes with the last.
 */
final class ModelMemory {
    private final MemorySegment data;
    private final Arena arena;  // null for memory of the caller's
    private final AtomicInteger shares = new AtomicInteger(1);

    ModelMemory(MemorySegment data, Arena arena) {
        this.data = data;
        this.arena = arena;
    }

    static ModelMemory allocate(long bytes) {
        Arena arena = Arena.ofShared();
        try {
            return new ModelMemory(arena.allocate(bytes, Tensor.ALIGNMENT), arena);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    MemorySegment data() {
        return data;
    }

    /** Refuses to go on when the caller closed the arena too early: the core would read from unmapped pages. */
    void checkAlive() {
        if (!data.scope().isAlive()) {
            throw new IllegalStateException("the memory this model was loaded from is closed; its arena must stay open"
                    + " until the model and its sessions are closed");
        }
    }

    ModelMemory share() {
        shares.incrementAndGet();
        return this;
    }

    void release() {
        if (shares.decrementAndGet() == 0 && arena != null) {
            arena.close();
        }
    }
}
