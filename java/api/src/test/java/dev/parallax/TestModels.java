package dev.parallax;

import static dev.parallax.ElementType.BOOL;
import static dev.parallax.ElementType.FLOAT32;
import static dev.parallax.ElementType.INT64;

import java.io.ByteArrayInputStream;
import java.util.List;
import java.util.Map;

/** The models of the tests, each as the bytes of an ONNX file. */
final class TestModels {
    private TestModels() {}

    /** z[2,3] = x[2,3] + y[2,3]. */
    static byte[] add() {
        return new OnnxBuilder("add").input("x", FLOAT32, 2, 3).input("y", FLOAT32, 2, 3).output("z", FLOAT32, 2, 3)
                .node("Add", List.of("x", "y"), List.of("z")).build();
    }

    /** y[batch,4] = relu(x[batch,4]). */
    static byte[] dynamic() {
        return new OnnxBuilder("dynamic").input("x", FLOAT32, "batch", 4).output("y", FLOAT32, "batch", 4)
                .node("Relu", List.of("x"), List.of("y")).build();
    }

    /** y[n,8] = (sigmoid(a) + tanh(a)) with a = relu(x[n,8]): as nodes four units, the middle two in either order. */
    static byte[] diamond() {
        return new OnnxBuilder("diamond").input("x", FLOAT32, "n", 8).output("y", FLOAT32, "n", 8)
                .node("Relu", List.of("x"), List.of("a"))
                .node("Sigmoid", List.of("a"), List.of("b"))
                .node("Tanh", List.of("a"), List.of("c"))
                .node("Add", List.of("b", "c"), List.of("y")).build();
    }

    /** What {@link #diamond()} computes. */
    static float diamondOf(float x) {
        float a = Math.max(x, 0);
        return (float) (1 / (1 + Math.exp(-a)) + Math.tanh(a));
    }

    /** y = x, of any type and shape [n]. */
    static byte[] identity(ElementType type) {
        return new OnnxBuilder("identity").opset(21).input("x", type, "n").output("y", type, "n")
                .node("Identity", List.of("x"), List.of("y")).build();
    }

    /** y[k] = x[n] where keep[n]: k depends on the data. */
    static byte[] compress() {
        return new OnnxBuilder("compress").input("x", FLOAT32, "n").input("keep", BOOL, "n").output("y", FLOAT32, "k")
                .node("", "Compress", List.of("x", "keep"), List.of("y"), Map.of("axis", 0L)).build();
    }

    /** y = x[i], which fails while running when i is not within 0 to 2. */
    static byte[] gather() {
        return new OnnxBuilder("gather").input("x", FLOAT32, 3).input("i", INT64, 1).output("y", FLOAT32, 1)
                .node("Gather", List.of("x", "i"), List.of("y")).build();
    }

    /**
     * y[4] = tanh(... tanh(|x[4]|)) + tanh(... tanh(-x[4])), each as often as {@code times[]} says: two loops that may
     * run side by side, and for as long as wanted.
     */
    static byte[] loops() {
        OnnxBuilder builder = new OnnxBuilder("loops").input("x", FLOAT32, 4).input("times", INT64)
                .output("y", FLOAT32, 4);
        for (String p : List.of("l", "r")) {
            OnnxBuilder body = new OnnxBuilder(p + "body").input(p + "i", INT64).input(p + "go", BOOL)
                    .input(p + "carried", FLOAT32, 4).output(p + "on", BOOL).output(p + "next", FLOAT32, 4)
                    .node("Identity", List.of(p + "go"), List.of(p + "on"))
                    .node("Tanh", List.of(p + "carried"), List.of(p + "next"));
            builder.node(p.equals("l") ? "Abs" : "Neg", List.of("x"), List.of(p + "0"))
                    .node("", "Loop", List.of("times", "", p + "0"), List.of(p + "1"), Map.of("body", body));
        }
        return builder.node("Add", List.of("l1", "r1"), List.of("y")).build();
    }

    /** What {@link #loops()} computes. */
    static float loopsOf(float x, int times) {
        double left = Math.abs(x);
        double right = -x;
        for (int i = 0; i < times; i++) {
            left = Math.tanh(left);
            right = Math.tanh(right);
        }
        return (float) (left + right);
    }

    /** Many matrix products one after the other: runs for some hundredths of a second. */
    static byte[] slow() {
        int size = 256;
        OnnxBuilder builder = new OnnxBuilder("slow").input("x", FLOAT32, size, size).output("y", FLOAT32, size, size)
                .initializer("w", Tensor.allocate(FLOAT32, size, size));
        int products = 150;
        for (int i = 0; i < products; i++) {
            builder.node("MatMul", List.of(i == 0 ? "x" : "v" + i, "w"),
                    List.of(i == products - 1 ? "y" : "v" + (i + 1)));
        }
        return builder.build();
    }

    static Model load(Engine engine, byte[] bytes) {
        return engine.load(new ByteArrayInputStream(bytes));
    }
}
