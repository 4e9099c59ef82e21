package dev.parallax;

/**
 * Which weights ONNX Runtime packs for its kernels. A packed weight is a second copy in memory, or in a file of
 * {@link ModelOptions#cacheFolder()}, and makes matrix products faster; the original's pages are given back. What it took
 * tells {@link RunReport#sessionsBytes()}. The last bits of outputs depend on it.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Model model = engine.load(path, ModelOptions.builder().prepack(Prepack.HEAVY).build());
 * }</pre>
 */
public enum Prepack {
    /** All that a kernel would have packed: what ONNX Runtime does by default. */
    ALL,
    /** Only those of units with a megabyte of weights or more, where packing is worth most. */
    HEAVY,
    /** None: the least memory, and slower products. */
    NONE
}
