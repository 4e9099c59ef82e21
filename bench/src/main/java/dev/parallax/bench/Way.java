package dev.parallax.bench;

/** How a model is loaded in {@link LoadTime}. */
enum Way {
    /** Plain ONNX Runtime, by its own Java binding: what the others are measured against. */
    ORT("ONNX Runtime", 1),
    /** Parallax, the whole graph as one unit. */
    WHOLE("whole", 1.1),
    /** Parallax, a unit per branch. */
    BRANCHES("branches", 2);

    final String title;
    /** Most times of plain ONNX Runtime's time that loading may take. */
    final double limit;

    Way(String title, double limit) {
        this.title = title;
        this.limit = limit;
    }
}
