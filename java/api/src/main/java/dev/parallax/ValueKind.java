package dev.parallax;

/**
 * What an input or output of a model is declared to be; see {@link Value} for what is given and got.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * boolean runnable = model.inputs().stream().allMatch(v -> v.kind() == ValueKind.TENSOR);
 * }</pre>
 */
public enum ValueKind {
    /** A dense tensor. */
    TENSOR,
    /** A sequence of values. */
    SEQUENCE,
    /** A value that may be absent. */
    OPTIONAL,
    /** A map. */
    MAP,
    /** A sparse tensor. */
    SPARSE_TENSOR,
    /** The model does not say. */
    UNKNOWN
}
