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
    NODES
}
