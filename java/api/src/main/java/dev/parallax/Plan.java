package dev.parallax;

import java.util.List;
import java.util.Locale;

/**
 * How a model is cut, and why. The terms are the paper's: a <em>branch</em> is a chain of nodes, a <em>layer</em> holds
 * branches that do not depend on one another, a <em>delegate region</em> is a connected set of nodes that an
 * accelerator would take as one piece. A <em>unit</em> is what runs as one piece; an <em>alias</em> is a view operator
 * that is no work at all. All refer to each other by index.
 *
 * <p><b>Lifetime</b>: a value, readable after its model is closed. {@link #toJson()} is its lasting form, which
 * {@link Model#readPlan(String)} takes back. <b>Threads</b>: immutable, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Plan plan = model.plan(PlanOptions.builder().units(Units.BRANCHES).rule(Rule.RELAXED).build());
 * System.out.println(plan.census().parallelLayers() + " parallel layers");
 * for (Plan.Layer layer : plan.layers()) {
 *     if (!layer.parallel()) {
 *         System.out.println("layer " + layer.index() + ": " + layer.reason());
 *     }
 * }
 * }</pre>
 */
public final class Plan {
    private final PlanHandle handle;  // null for a plan that no model made
    private final int unitCount;
    private final boolean mayHaveRegions;
    // Written out by the core when first asked for: a session needs none of it, and a large graph's takes 70 ms.
    private Content content;
    private String json;
    private String text;
    private List<ValueInfo> tensors;

    /** A plan of the core's. */
    Plan(PlanHandle handle, int unitCount, boolean mayHaveRegions) {
        this.handle = handle;
        this.unitCount = unitCount;
        this.mayHaveRegions = mayHaveRegions;
    }

    /** A plan that no model made. */
    Plan(Content content, String json, String text) {
        this.handle = null;
        this.unitCount = content.units().size();
        this.mayHaveRegions = true;
        this.content = content;
        this.json = json;
        this.text = text;
    }

    /** False only where no unit is a region; without looking at them. */
    boolean mayHaveRegions() {
        return mayHaveRegions;
    }

    private synchronized Content content() {
        if (content == null) {
            content = Parsing.plan(toJson());
        }
        return content;
    }

    /** What the JSON holds. */
    record Content(Units cut, Rule rule, double beta, int minNodes, String device, boolean measured,
            String graphDigest, List<Node> nodes,
            List<Region> regions, List<Branch> branches, List<Layer> layers, List<Unit> units, List<Alias> aliases,
            Census census, long unknownSizes) {}

    /** A node's class by the number of its distinct neighbours; control flow is always SPLIT_MERGE. */
    public enum NodeClass {
        /** At most one neighbour before and one after. */
        SEQUENTIAL,
        /** At most one before, several after. */
        SPLITTER,
        /** Several before, at most one after. */
        MERGER,
        /** Several before and after, or control flow. */
        SPLIT_MERGE;

        /** {@code sequential}, {@code splitter}, {@code merger} or {@code split-merge}. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /**
     * A node of the graph that was cut.
     *
     * @param index its place in a topological order; what the lists of nodes below refer to
     * @param name its name, perhaps empty
     * @param operator its operator, with the domain before a colon if that is not ONNX's own
     * @param nodeClass its class
     */
    public record Node(int index, String name, String operator, NodeClass nodeClass) {}

    /**
     * A candidate for an accelerator.
     *
     * @param index its place in {@link Plan#regions()}
     * @param nodes its nodes
     * @param macs F: multiply-accumulates
     * @param borderBytes B: bytes that cross its border
     * @param deviceSeconds predicted time there, transfers included
     * @param cpuSeconds predicted time on the CPU
     * @param trial what it took when it was tried; null if it was not
     * @param accepted whether it goes to the device
     * @param reason why it was given back to the CPU; empty when accepted
     */
    public record Region(int index, List<Integer> nodes, double macs, long borderBytes, double deviceSeconds,
            double cpuSeconds, Trial trial, boolean accepted, String reason) {
        /** Copies the list. */
        public Region {
            nodes = List.copyOf(nodes);
        }
    }

    /**
     * What a region that was predicted to be faster on the device took, on made-up inputs.
     *
     * @param deviceSeconds there, transfers included
     * @param cpuSeconds on the CPU with all threads
     * @param problem why it could not be tried; empty if it was
     */
    public record Trial(double deviceSeconds, double cpuSeconds, String problem) {}

    /**
     * A chain of nodes.
     *
     * @param index its place in {@link Plan#branches()}
     * @param nodes its nodes in order
     * @param layer the layer it is in
     * @param predecessors branches it depends on, ascending
     * @param region the accepted region it is, or -1
     * @param flops F, two to a multiply-accumulate
     * @param borderBytes B: bytes that cross its border, constants apart
     */
    public record Branch(int index, List<Integer> nodes, int layer, List<Integer> predecessors, int region,
            double flops, long borderBytes) {
        /** Copies the lists. */
        public Branch {
            nodes = List.copyOf(nodes);
            predecessors = List.copyOf(predecessors);
        }
    }

    /**
     * Branches that do not depend on one another.
     *
     * @param index its place in {@link Plan#layers()}
     * @param branches its branches
     * @param groups sets of them that may run together; every other branch runs alone
     * @param reason why the layer is not parallel; empty when it is
     */
    public record Layer(int index, List<Integer> branches, List<List<Integer>> groups, String reason) {
        /** Copies the lists. */
        public Layer {
            branches = List.copyOf(branches);
            groups = groups.stream().map(List::copyOf).toList();
        }

        /**
         * Whether branches of this layer may run together.
         *
         * @return true with at least one group
         */
        public boolean parallel() {
            return !groups.isEmpty();
        }
    }

    /**
     * What runs as one piece.
     *
     * @param index its place in {@link Plan#units()}, and its number in a {@link Schedule}
     * @param nodes its nodes in order
     * @param inputs names of the values it reads, constants apart
     * @param outputs names of the values it gives to others
     * @param predecessors units whose results it reads, ascending
     * @param branch the branch it lies in, or -1
     * @param layer the layer it lies in, or -1
     * @param region the delegate region it is, or -1
     * @param flops F, two to a multiply-accumulate
     * @param peakBytes M, estimated: most bytes of tensors made in it that live at once (the paper's section 3.3)
     * @param wide whether it is best run on all threads; if not, on one, beside others
     * @param stretch in a plan of {@link Units#MIXED} the range of layers it is from: units of one stretch come before
     *     all of the next; otherwise -1
     * @param narrowNs in a plan of {@link Units#MIXED}: measured nanoseconds on one thread; otherwise 0
     * @param wideNs likewise on all threads
     */
    public record Unit(int index, List<Integer> nodes, List<String> inputs, List<String> outputs,
            List<Integer> predecessors, int branch, int layer, int region, double flops, long peakBytes, boolean wide,
            int stretch, double narrowNs, double wideNs) {
        /** Copies the lists. */
        public Unit {
            nodes = List.copyOf(nodes);
            inputs = List.copyOf(inputs);
            outputs = List.copyOf(outputs);
            predecessors = List.copyOf(predecessors);
        }
    }

    /**
     * A view operator that no unit contains: its output is its input's bytes under another shape.
     *
     * @param node its node
     * @param input name of the value it reads
     * @param output name of the value it gives
     */
    public record Alias(int node, String input, String output) {}

    /**
     * One line of the paper's table 7.
     *
     * @param nodes nodes of the graph, a delegate region counted as one
     * @param branches branches
     * @param layers layers
     * @param parallelLayers layers of which branches may run together
     * @param mostBranches most branches in one layer
     */
    public record Census(long nodes, long branches, long layers, long parallelLayers, long mostBranches) {}

    /**
     * How finely the graph is cut.
     *
     * @return the option it was made with
     */
    public Units cut() {
        return content().cut();
    }

    /**
     * The rule for parallel layers.
     *
     * @return the option it was made with
     */
    public Rule rule() {
        return content().rule();
    }

    /**
     * Largest Fmax / Fmin within a parallel layer.
     *
     * @return the option it was made with
     */
    public double beta() {
        return content().beta();
    }

    /**
     * Fewest nodes of a branch that runs in parallel.
     *
     * @return the option it was made with
     */
    public int minNodes() {
        return content().minNodes();
    }

    /**
     * The device whose regions were sought.
     *
     * @return its name; empty without one
     */
    public String device() {
        return content().device();
    }

    /**
     * Whether the times that regions are predicted to take are by rates that were measured ({@link Engine#calibrate}), and
     * not by constants: the paper's, or a declaration's.
     *
     * @return false without a device, too
     */
    public boolean measured() {
        return content().measured();
    }

    /**
     * What identifies the graph: operators, names, edges and attributes, not the weights.
     *
     * @return a digest; plans of the same graph have the same
     */
    public String graphDigest() {
        return content().graphDigest();
    }

    /**
     * The graph's nodes.
     *
     * @return all of them, in a topological order
     */
    public List<Node> nodes() {
        return content().nodes();
    }

    /**
     * Candidates for the device, accepted or not.
     *
     * @return the regions; empty without a device
     */
    public List<Region> regions() {
        return content().regions();
    }

    /**
     * The branches.
     *
     * @return all of them
     */
    public List<Branch> branches() {
        return content().branches();
    }

    /**
     * The layers.
     *
     * @return all of them, in order
     */
    public List<Layer> layers() {
        return content().layers();
    }

    /**
     * What runs.
     *
     * @return the units, in an order in which they may run one after the other
     */
    public List<Unit> units() {
        return content().units();
    }

    /**
     * How many units there are: cheaper than {@link #units()}, which has the whole plan written out.
     *
     * @return their number
     */
    public int unitCount() {
        return unitCount;
    }

    /**
     * View operators that no unit contains.
     *
     * @return the aliases, in a topological order
     */
    public List<Alias> aliases() {
        return content().aliases();
    }

    /**
     * The cut in figures.
     *
     * @return one line of the paper's table 7
     */
    public Census census() {
        return content().census();
    }

    /**
     * Nodes whose FLOPs could not be told because a size was not known.
     *
     * @return how many; they count as nothing in every F
     */
    public long unknownSizes() {
        return content().unknownSizes();
    }

    /**
     * What lies outside units: the graph's inputs and outputs and all that units take or give, with their shapes in the
     * symbols of the model's inputs. A dimension is a number, a symbol or a formula of one or two, such as
     * {@code batch}, {@code 2*sequence}, {@code past+1} and {@code batch*sequence}; it is open where no such formula
     * fits. An open dimension of an input that has no symbol is named after the input and the axis: {@code x.1}; the
     * second of the same symbol within one input is {@code batch#2}, since it often means something else.
     *
     * <p>Formulas are the simplest that fit what ONNX Runtime infers at three sets of sizes, 3 to 61 for most models:
     * limits above those do not show. Asked for the first time on a model's cut plans this costs those inferences. A
     * plan of {@link Units#WHOLE} tells what the model declares, and so does one that was first asked after its model was
     * closed.
     *
     * @return the values, inputs first, then in the order in which they are made
     */
    public synchronized List<ValueInfo> tensors() {
        if (tensors == null) {
            tensors = handle == null ? List.of() : Parsing.tensors(handle.tensorsJson());
        }
        return tensors;
    }

    /**
     * The lasting form, with a schema version.
     *
     * @return JSON, which {@link Model#readPlan(String)} takes back
     */
    public synchronized String toJson() {
        if (json == null) {
            json = handle.json();
        }
        return json;
    }

    /**
     * The plan as a person reads it.
     *
     * @return several lines
     */
    public synchronized String toText() {
        if (text == null) {
            text = handle.text();
        }
        return text;
    }

    @Override
    public boolean equals(Object other) {
        return other == this || other instanceof Plan plan && toJson().equals(plan.toJson());
    }

    @Override
    public int hashCode() {
        return 31 * graphDigest().hashCode() + unitCount;
    }

    @Override
    public String toString() {
        return "plan of " + unitCount + " units (" + cut().name().toLowerCase(Locale.ROOT) + ") for graph "
                + graphDigest();
    }

    /** The core's own form of this plan, or null. */
    PlanHandle handle() {
        return handle;
    }
}
