package dev.parallax;

/**
 * How finely a graph is cut into units, the pieces that run as one.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Plan plan = model.plan(PlanOptions.builder().units(Units.BRANCHES).build());
 * }</pre>
 */
public enum Units {
    /** One unit: the graph as given, optimised by ONNX Runtime inside the unit. */
    WHOLE,
    /** One unit per layer. */
    LAYERS,
    /** One unit per branch. */
    BRANCHES,
    /** One unit per node; view operators stay aliases. */
    NODES,
    /**
     * Layers that gain from it as narrow units side by side, all others together as wide ones. What gains is measured
     * when the plan is made: some 20 runs of the model on made-up inputs of the sizes in the plan's options, and the
     * compilation of its nodes one by one, twice. That takes a second or two for a model of a few hundred nodes.
     */
    MIXED
}
