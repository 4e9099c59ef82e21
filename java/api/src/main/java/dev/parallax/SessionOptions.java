package dev.parallax;

import java.util.Objects;

/**
 * How a {@link Session} is made.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; the builder belongs to one thread.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SessionOptions options = SessionOptions.builder().plan(plan).threads(1).build();
 * }</pre>
 *
 * @param planOptions how to cut the model when no plan is given
 * @param plan the plan to compile, or null
 * @param threads 0 = as many as {@link EngineInfo#threads()}; 1 = the calling thread alone; no other number
 * @param policy who decides the order of the units; {@link SequentialPolicy} by default
 * @param memoryBudget what the session's tensors and its units' temporaries may take together; {@link MemoryBudget#NONE}
 *     by default
 * @param shapesKept sets of input shapes for which sizes and places of tensors are remembered, some 200 bytes a tensor
 *     each; the least recently used goes first, and costs its first run anew when it comes again. 16 by default
 * @param depth how many requests given to {@link Session#submit} are in progress at a time, each in memory of its own; with a
 *     device 2 keep both sides at work if they take as long, 3 where they do not. 2 by default
 */
public record SessionOptions(PlanOptions planOptions, Plan plan, int threads, SchedulerPolicy policy,
        MemoryBudget memoryBudget, int shapesKept, int depth) {
    private static final int SHAPES_KEPT = 16;
    private static final int DEPTH = 2;
    private static final int DEEPEST = 64;

    /** The whole graph as one unit, on the engine's threads. */
    public static final SessionOptions DEFAULT =
            new SessionOptions(PlanOptions.DEFAULT, null, 0, SequentialPolicy.INSTANCE, MemoryBudget.NONE,
                    SHAPES_KEPT, DEPTH);

    /** Checks the values. */
    public SessionOptions {
        Objects.requireNonNull(planOptions, "planOptions");
        Objects.requireNonNull(policy, "policy");
        Objects.requireNonNull(memoryBudget, "memoryBudget");
        if (threads != 0 && threads != 1) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "threads of a session is " + threads
                    + "; give 0 for the engine's, whose number EngineOptions.threads sets, or 1 for the caller alone");
        }
        if (shapesKept < 1) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "shapesKept is " + shapesKept + "; give 1 or more");
        }
        if (depth < 1 || depth > DEEPEST) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "depth is " + depth + "; give 1 to " + DEEPEST
                    + ": that many requests are in progress at a time");
        }
    }

    /** What policies are told: a fixed budget's bytes; 0 for none, and for one that moves, which the core keeps by itself. */
    long fixedBudgetBytes() {
        return memoryBudget instanceof MemoryBudget.Fixed fixed ? fixed.bytes() : 0;
    }

    /**
     * A builder that starts from {@link #DEFAULT}.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Sets one option after the other; what each means says {@link SessionOptions}. */
    public static final class Builder {
        private PlanOptions planOptions = PlanOptions.DEFAULT;
        private Plan plan;
        private int threads;
        private SchedulerPolicy policy = SequentialPolicy.INSTANCE;
        private MemoryBudget memoryBudget = MemoryBudget.NONE;
        private int shapesKept = SHAPES_KEPT;
        private int depth = DEPTH;

        private Builder() {}

        /**
         * Sets {@link SessionOptions#planOptions()}, and forgets a plan set before.
         *
         * @param value how to cut
         * @return this
         */
        public Builder plan(PlanOptions value) {
            planOptions = value;
            plan = null;
            return this;
        }

        /**
         * Sets {@link SessionOptions#plan()}.
         *
         * @param value a plan of the model
         * @return this
         */
        public Builder plan(Plan value) {
            plan = value;
            return this;
        }

        /**
         * Cuts so finely, all else by default: short for {@link #plan(PlanOptions)}.
         *
         * @param value how finely to cut
         * @return this
         */
        public Builder units(Units value) {
            return plan(PlanOptions.builder().units(value).build());
        }

        /**
         * Sets {@link SessionOptions#threads()}.
         *
         * @param value 0 or 1
         * @return this
         */
        public Builder threads(int value) {
            threads = value;
            return this;
        }

        /**
         * Sets {@link SessionOptions#policy()}.
         *
         * @param value the policy
         * @return this
         */
        public Builder policy(SchedulerPolicy value) {
            policy = value;
            return this;
        }

        /**
         * Sets {@link SessionOptions#memoryBudget()}.
         *
         * @param value the budget
         * @return this
         */
        public Builder memoryBudget(MemoryBudget value) {
            memoryBudget = value;
            return this;
        }

        /**
         * Sets {@link SessionOptions#shapesKept()}.
         *
         * @param value sets of shapes, 1 or more
         * @return this
         */
        public Builder shapesKept(int value) {
            shapesKept = value;
            return this;
        }

        /**
         * Sets {@link SessionOptions#depth()}.
         *
         * @param value requests, 1 to 64
         * @return this
         */
        public Builder depth(int value) {
            depth = value;
            return this;
        }

        /**
         * The options.
         *
         * @return a checked value
         */
        public SessionOptions build() {
            return new SessionOptions(planOptions, plan, threads, policy, memoryBudget, shapesKept, depth);
        }
    }
}
