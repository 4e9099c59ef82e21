package dev.parallax;

/**
 * What a {@link Session} may add to what the process takes: its tensors and its units' temporaries, and some 230 KB and
 * 1.8 KB a unit that are set aside for what ONNX Runtime and the plan take by malloc. The fewer bytes, the less runs side by side, with
 * the same results; a run that cannot keep the budget even one unit at a time is a {@link MemoryBudgetException}, and the
 * session stays usable. Weights, packed or not, are not counted, since sessions share them.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * SessionOptions.builder().units(Units.BRANCHES).memoryBudget(MemoryBudget.adaptive()).build();
 * }</pre>
 */
public sealed interface MemoryBudget {
    /** No limit. */
    MemoryBudget NONE = new None();

    /**
     * So many bytes.
     *
     * @param bytes more than 0
     * @return the budget
     * @throws ParallaxException INVALID_ARGUMENT for any other number
     */
    static MemoryBudget fixed(long bytes) {
        return new Fixed(bytes);
    }

    /**
     * All but 40 % of what the machine has free; the paper's margin is 30 to 50 % (section 3.3).
     *
     * @return the budget
     */
    static MemoryBudget adaptive() {
        return adaptive(Adaptive.DEFAULT_MARGIN);
    }

    /**
     * All but a margin of what the machine would have free if the session took nothing: by MemAvailable and by the limits of
     * memory control groups, half of that while tasks wait for memory (PSI), as far as the kernel tells. The machine is
     * looked at before runs and units, at most every 50 ms. The budget falls when there is 5 % less and rises when there is
     * 25 % more; if it falls below what a run in progress holds, that run starts over in less.
     *
     * @param margin part of what is free that stays free, above 0 and below 1
     * @return the budget
     * @throws ParallaxException INVALID_ARGUMENT for any other number
     */
    static MemoryBudget adaptive(double margin) {
        return new Adaptive(margin);
    }

    /** No limit; {@link #NONE}. */
    record None() implements MemoryBudget {}

    /**
     * A number of bytes.
     *
     * @param bytes more than 0
     */
    record Fixed(long bytes) implements MemoryBudget {
        /** Checks the number. */
        public Fixed {
            if (bytes <= 0) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "a memory budget of " + bytes
                        + " bytes; give a positive number, or MemoryBudget.NONE");
            }
        }
    }

    /**
     * What is free, less a margin.
     *
     * @param margin part of what is free that stays free, above 0 and below 1
     */
    record Adaptive(double margin) implements MemoryBudget {
        /** In the middle of the paper's 0.3 to 0.5. */
        public static final double DEFAULT_MARGIN = 0.4;

        /** Checks the margin. */
        public Adaptive {
            if (!(margin > 0 && margin < 1)) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "a memory margin of " + margin
                        + "; give a number above 0 and below 1, such as 0.4: 40 % of what is free stays free");
            }
        }
    }
}
