package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.util.Set;

/**
 * The core's form of a plan. A Plan is a value and nobody closes it, yet the core's form keeps model and engine alive,
 * so it goes when the plan is unreachable or its model is closed, whichever comes first.
 */
final class PlanHandle {
    private static final Cleaner CLEANER = Cleaner.create();

    private final Set<PlanHandle> owner;  // of the model that made it: identity says whose plan this is
    private final MemorySegment pointer;
    private Cleaner.Cleanable cleanable;

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
        cleanable = CLEANER.register(plan, this::free);
    }

    boolean belongsTo(Set<PlanHandle> set) {
        return owner == set;
    }

    MemorySegment pointer() {
        return pointer;
    }

    /** Releases now; later attempts do nothing. */
    void release() {
        if (cleanable != null) {
            cleanable.clean();
        } else {
            free();
        }
    }

    private void free() {
        if (owner.remove(this)) {
            Plx.plx_plan_release(pointer);
        }
    }
}
