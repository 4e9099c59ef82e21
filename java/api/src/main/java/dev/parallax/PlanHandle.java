package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.util.Set;

/**
 * The core's form of a plan. A Plan is a value and nobody closes it, so this goes when the plan is unreachable. It keeps
 * the graph it is about, not the model's weights nor the engine.
 */
final class PlanHandle {
    private static final Cleaner CLEANER = Cleaner.create();

    private final Set<PlanHandle> owner;  // of the model that made it: identity says whose plan this is
    private final MemorySegment pointer;

    private PlanHandle(Set<PlanHandle> owner, MemorySegment pointer) {
        this.owner = owner;
        this.pointer = pointer;
    }

    /** A handle in {@code owner}, a concurrent set; attach the plan at once. */
    static PlanHandle of(Set<PlanHandle> owner, MemorySegment pointer) {
        PlanHandle handle = new PlanHandle(owner, pointer);
        owner.add(handle);
        return handle;
    }

    /** Releases with the plan. */
    void follow(Plan plan) {
        // The action must not refer to the plan; it refers to this handle, which does not either.
        CLEANER.register(plan, this::free);
    }

    boolean belongsTo(Set<PlanHandle> set) {
        return owner == set;
    }

    MemorySegment pointer() {
        return pointer;
    }

    String json() {
        try (Arena arena = Arena.ofConfined()) {
            return Native.text(arena, out -> Plx.plx_plan_to_json(pointer, out));
        }
    }

    String tensorsJson() {
        try (Arena arena = Arena.ofConfined()) {
            return Native.text(arena, out -> Plx.plx_plan_tensors_json(pointer, out));
        }
    }

    String text() {
        try (Arena arena = Arena.ofConfined()) {
            return Native.text(arena, out -> Plx.plx_plan_to_text(pointer, out));
        }
    }

    private void free() {
        if (owner.remove(this)) {
            Plx.plx_plan_release(pointer);
        }
    }
}
