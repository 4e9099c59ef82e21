package dev.parallax;

/**
 * The rule by which a layer's branches are judged worth running together.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Plan plan = model.plan(PlanOptions.builder().units(Units.LAYERS).rule(Rule.RELAXED).build());
 * }</pre>
 */
public enum Rule {
    /** Section 3.1 of the paper to the letter: each branch has more than two nodes, and Fmax / Fmin is at most beta. */
    PAPER,
    /** Short branches are set aside to run serially; the rest are grouped by ratio. */
    RELAXED
}
