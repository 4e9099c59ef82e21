package dev.parallax;

/**
 * How much a model may ask for. A model file is untrusted input, and a few bytes can declare terabytes; what goes beyond
 * these limits is {@link ErrorCode#INVALID_MODEL}, with a message that names the limit.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * ModelOptions small = ModelOptions.builder().limits(ModelLimits.DEFAULT.withMaxWeightBytes(1L << 30)).build();
 * }</pre>
 *
 * @param maxModelBytes of the ONNX file itself; 0 = 2 GiB less one, where the format ends as well
 * @param maxWeightBytes of all constants, those in external files included; 0 = 64 GiB
 * @param maxConstantBytes of constants that do not stand in the model but are computed from it while it is loaded
 *     (sparse tensors made dense, nodes that read constants only), beyond eight times the weights; no single one may be
 *     larger than that; 0 = 1 GiB
 * @param maxNodes subgraphs, and functions at each of their calls, included; 0 = 200,000
 * @param maxDepth of subgraphs in subgraphs, 64 at most; 0 = 32, where ONNX Runtime's own parser ends as well
 */
public record ModelLimits(long maxModelBytes, long maxWeightBytes, long maxConstantBytes, long maxNodes, int maxDepth) {
    /** The defaults, which are far above ordinary models. */
    public static final ModelLimits DEFAULT = new ModelLimits(0, 0, 0, 0, 0);

    /** Checks the values. */
    public ModelLimits {
        check("maxModelBytes", maxModelBytes);
        check("maxWeightBytes", maxWeightBytes);
        check("maxConstantBytes", maxConstantBytes);
        check("maxNodes", maxNodes);
        check("maxDepth", maxDepth);
    }

    private static void check(String name, long value) {
        if (value < 0) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    name + " is " + value + "; give 0 for the default, or more");
        }
    }

    /**
     * The same with another {@link #maxModelBytes()}.
     *
     * @param value bytes, or 0
     * @return new limits
     */
    public ModelLimits withMaxModelBytes(long value) {
        return new ModelLimits(value, maxWeightBytes, maxConstantBytes, maxNodes, maxDepth);
    }

    /**
     * The same with another {@link #maxWeightBytes()}.
     *
     * @param value bytes, or 0
     * @return new limits
     */
    public ModelLimits withMaxWeightBytes(long value) {
        return new ModelLimits(maxModelBytes, value, maxConstantBytes, maxNodes, maxDepth);
    }

    /**
     * The same with another {@link #maxConstantBytes()}.
     *
     * @param value bytes, or 0
     * @return new limits
     */
    public ModelLimits withMaxConstantBytes(long value) {
        return new ModelLimits(maxModelBytes, maxWeightBytes, value, maxNodes, maxDepth);
    }

    /**
     * The same with another {@link #maxNodes()}.
     *
     * @param value a number of nodes, or 0
     * @return new limits
     */
    public ModelLimits withMaxNodes(long value) {
        return new ModelLimits(maxModelBytes, maxWeightBytes, maxConstantBytes, value, maxDepth);
    }

    /**
     * The same with another {@link #maxDepth()}.
     *
     * @param value a depth, or 0
     * @return new limits
     */
    public ModelLimits withMaxDepth(int value) {
        return new ModelLimits(maxModelBytes, maxWeightBytes, maxConstantBytes, maxNodes, value);
    }
}
