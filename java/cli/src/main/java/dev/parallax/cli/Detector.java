package dev.parallax.cli;

import dev.parallax.ElementType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * A detector in which what there is to do depends on what there is to see: more time goes into picking boxes than into
 * the network before. In the manner of RetinaNet with the light heads of SSDLite, in three parts that begin the names
 * of their tensors:
 *
 * <pre>{@code
 * backbone/  convolutions of a picture of 320x320, and a pyramid of three levels with strides of 8, 16 and 32
 * predict/   on each level, for each of 3 anchors at each place: 91 scores, and a box from 4 offsets
 * select/    for each class: scores over the class's own threshold (Greater, NonZero, GatherND), the best of them
 *            (TopK), their boxes (GatherND), NonMaxSuppression; at last, If any is left, the best of all (TopK), or
 *            else none
 * }</pre>
 *
 * <p>The weights are noise, so its answers mean nothing, but they are many or few or none as with a real detector.
 * Backbone and heads have no biases but one, which makes all scores low: a picture of zeros has no detections, noise
 * has the more of them the louder it is. What the heads see is a feature's difference from its neighbourhood, since
 * features of noise hardly differ from place to place otherwise, and a class would be everywhere or nowhere.
 */
final class Detector implements Zoo.Model {
    static final String NAME = "detector";
    static final int CLASSES = 91;
    static final int LEVELS = 3;
    /** Most detections of one picture. */
    static final int MOST = 100;
    private static final int SIDE = 320;
    private static final int STRIDE = 8; // of the finest level; those of the others are twice and four times as large
    private static final int ANCHORS = 3;
    private static final float[][] ANCHOR_SIDES = {{4, 4}, {5.5f, 2.75f}, {2.75f, 5.5f}}; // in strides
    private static final int CANDIDATES = 200; // most boxes of a class that NonMaxSuppression looks at
    private static final int MOST_OF_CLASS = 20;
    private static final int CHANNELS = 64; // of each level
    private static final float BIAS = -4.6f; // of all scores before the sigmoid: 0.01 after it, as in RetinaNet
    private static final double GAIN = 0.36; // of the heads, which sets how many scores get over their thresholds
    private static final double LOWEST = 0.05; // threshold of a class
    private static final double RANGE = 0.25; // from the lowest to the highest
    private static final int OPERATORS = 17;

    private final NewWeights weights = new NewWeights(NAME + ".weights");
    private final List<Message> nodes = new ArrayList<>();
    private final List<Message> initializers = new ArrayList<>();
    private final byte[] graph;
    private long parameters;

    Detector() {
        graph = Onnx.model(build(), OPERATORS).toByteArray();
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public long parameters() {
        return parameters;
    }

    @Override
    public ModelFiles files() {
        CRC32C recipe = new CRC32C();
        recipe.update(graph); // which says where each tensor lies
        return new ModelFiles(NAME, graph, weights.pieces().size(), weights.pieces(), recipe.getValue());
    }

    private Message build() {
        heads();
        selection();
        List<String> levels = backbone();
        List<String> scores = new ArrayList<>();
        List<String> boxes = new ArrayList<>();
        for (int level = 0; level < LEVELS; level++) {
            predict(level, levels.get(level), scores, boxes);
        }
        node("Concat", scores, "predict/scores", Onnx.attribute("axis", 1));
        node("Concat", boxes, "predict/boxes", Onnx.attribute("axis", 0));
        List<String> found = new ArrayList<>();
        for (int c = 0; c < CLASSES; c++) {
            found.add(ofClass("select/class" + c));
        }
        best(node("Concat", found, "select/all", Onnx.attribute("axis", 0)));
        return Onnx.graph(NAME, nodes, initializers,
                List.of(Onnx.value("images", ElementType.FLOAT32, 1, 3, SIDE, SIDE)),
                List.of(Onnx.value("detections", ElementType.FLOAT32, "found", 6)));
    }

    // ---- backbone/ ------------------------------------------------------------------------------------------------

    /** The features of each level, [1,CHANNELS,side,side]. */
    private List<String> backbone() {
        floats("backbone/twice", new float[] {1, 1, 2, 2}, 4);
        String x = relu(conv("images", "backbone/stem0", 3, 16, 3, 2));
        x = relu(conv(x, "backbone/stem1", 16, 32, 3, 2));
        x = relu(conv(x, "backbone/stem2", 32, CHANNELS, 3, 2));
        String inner = relu(conv(x, "backbone/block0", CHANNELS, 32, 1, 1));
        String fine = node("Add", List.of(x, relu(conv(inner, "backbone/block1", 32, CHANNELS, 3, 1))),
                "backbone/fine");
        String middle = relu(conv(fine, "backbone/middle", CHANNELS, 96, 3, 2));
        String coarse = relu(conv(middle, "backbone/coarse", 96, 128, 3, 2));
        String level2 = conv(coarse, "backbone/level2", 128, CHANNELS, 1, 1);
        String level1 = merge(conv(middle, "backbone/lateral1", 96, CHANNELS, 1, 1), level2, "backbone/level1");
        String level0 = merge(conv(fine, "backbone/lateral0", CHANNELS, CHANNELS, 1, 1), level1, "backbone/level0");
        return List.of(level0, level1, level2);
    }

    private String merge(String lateral, String coarser, String name) {
        String larger = node("Resize", List.of(coarser, "", "backbone/twice"), name + "/larger",
                Onnx.attribute("mode", "nearest"), Onnx.attribute("coordinate_transformation_mode", "asymmetric"),
                Onnx.attribute("nearest_mode", "floor"));
        return node("Add", List.of(lateral, larger), name);
    }

    /** With weights of a deviation that keeps the mean square of what goes through the convolution and a Relu. */
    private String conv(String x, String name, int in, int out, int side, int stride) {
        return conv(List.of(x, weight(name + "/weight", out, in, side, Math.sqrt(2.0 / (in * side * side)))), name,
                side, stride);
    }

    private String conv(List<String> inputs, String name, int side, int stride) {
        int pad = side / 2;
        return node("Conv", inputs, name, Onnx.attribute("kernel_shape", dims(side, side)),
                Onnx.attribute("strides", dims(stride, stride)), Onnx.attribute("pads", dims(pad, pad, pad, pad)));
    }

    private String relu(String x) {
        return node("Relu", List.of(x), x + "/relu");
    }

    private String weight(String name, int out, int in, int side, double deviation) {
        int elements = out * in * side * side;
        parameters += elements;
        initializers.add(weights.add(name, ElementType.FLOAT32, dims(out, in, side, side), bytes -> {
            Gaussian noise = noise(name);
            for (int i = 0; i < elements; i++) {
                bytes.putFloat((float) (deviation * noise.next()));
            }
        }));
        return name;
    }

    private static Gaussian noise(String tensor) {
        return new Gaussian(Gaussian.seed(SeededModel.SEED, NAME + '/' + tensor));
    }

    // ---- predict/ -------------------------------------------------------------------------------------------------

    /** Weights that all levels share. */
    private void heads() {
        double deviation = GAIN / Math.sqrt(CHANNELS);
        weight("predict/classes/weight", CLASSES * ANCHORS, CHANNELS, 1, deviation);
        float[] bias = new float[CLASSES * ANCHORS];
        Arrays.fill(bias, BIAS);
        floats("predict/classes/bias", bias, bias.length);
        weight("predict/boxes/weight", 4 * ANCHORS, CHANNELS, 1, deviation);
        ints("predict/halves", 2, 2);
        floats("predict/reach", new float[] {0.1f});
        floats("predict/growth", new float[] {0.2f});
    }

    /** Adds a level's scores [CLASSES,boxes] and boxes [boxes,4], whose rows are x0, y0, x1, y1 in pixels. */
    private void predict(int level, String features, List<String> scores, List<String> boxes) {
        String at = "predict/level" + level;
        int stride = STRIDE << level;
        int count = ANCHORS * (SIDE / stride) * (SIDE / stride);
        // Of the neighbours that there are: at the picture's edge zeros around it would look like a difference.
        String around = node("AveragePool", List.of(features), at + "/around",
                Onnx.attribute("kernel_shape", dims(3, 3)), Onnx.attribute("pads", dims(1, 1, 1, 1)),
                Onnx.attribute("count_include_pad", 0));
        String contrast = node("Sub", List.of(features, around), at + "/contrast");

        String logits = conv(List.of(contrast, "predict/classes/weight", "predict/classes/bias"), at + "/logits", 1, 1);
        String ofClasses = node("Reshape", List.of(logits, ints(at + "/of_classes", CLASSES, count)), at + "/by_class");
        scores.add(node("Sigmoid", List.of(ofClasses), at + "/scores"));

        String offsets = conv(List.of(contrast, "predict/boxes/weight"), at + "/offsets", 1, 1);
        String ofSides = node("Reshape", List.of(offsets, ints(at + "/of_sides", 4, count)), at + "/by_side");
        nodes.add(Onnx.node("Split", List.of(ofSides, "predict/halves"), List.of(at + "/shift", at + "/scale"))
                .with(Onnx.NODE_ATTRIBUTE, Onnx.attribute("axis", 0)));
        anchors(at, stride, count);
        String moved = node("Mul", List.of(node("Mul", List.of(at + "/shift", "predict/reach"), at + "/shift/relative"),
                at + "/anchors/sides"), at + "/shift/absolute");
        String centre = node("Add", List.of(at + "/anchors/centres", moved), at + "/centre");
        String growth = node("Exp", List.of(node("Mul", List.of(at + "/scale", "predict/growth"), at + "/scale/log")),
                at + "/scale/factor");
        String half = node("Mul", List.of(at + "/anchors/half_sides", growth), at + "/half");
        String corners = node("Concat", List.of(node("Sub", List.of(centre, half), at + "/low"),
                node("Add", List.of(centre, half), at + "/high")), at + "/corners", Onnx.attribute("axis", 0));
        boxes.add(node("Transpose", List.of(corners), at + "/boxes", Onnx.attribute("perm", dims(1, 0))));
    }

    /** Where the boxes of a level are before they are moved and scaled, each [2,boxes]: first x, then y. */
    private void anchors(String at, int stride, int count) {
        int side = SIDE / stride;
        float[] centres = new float[2 * count];
        float[] sides = new float[2 * count];
        float[] halfSides = new float[2 * count];
        for (int i = 0; i < count; i++) {
            float[] anchor = ANCHOR_SIDES[i / (side * side)];
            centres[i] = (i % side + 0.5f) * stride;
            centres[count + i] = (i / side % side + 0.5f) * stride;
            for (int xy = 0; xy < 2; xy++) {
                sides[xy * count + i] = anchor[xy] * stride;
                halfSides[xy * count + i] = anchor[xy] * stride / 2;
            }
        }
        floats(at + "/anchors/centres", centres, 2, count);
        floats(at + "/anchors/sides", sides, 2, count);
        floats(at + "/anchors/half_sides", halfSides, 2, count);
    }

    // ---- select/ --------------------------------------------------------------------------------------------------

    private void selection() {
        Gaussian noise = noise("select/thresholds");
        for (int c = 0; c < CLASSES; c++) {
            floats("select/class" + c + "/threshold", new float[] {(float) (LOWEST + RANGE * noise.uniform())});
            floats("select/class" + c + "/label", new float[] {c}, 1, 1);
            ints("select/class" + c + "/row", new long[] {c}); // a scalar: Gather then takes the axis away
        }
        ints("select/candidates", CANDIDATES);
        ints("select/most_of_class", MOST_OF_CLASS);
        ints("select/most", MOST);
        floats("select/overlap", new float[] {0.5f}, 1);
        ints("select/0", 0);
        ints("select/1", 1);
        ints("select/2", 2);
        ints("select/3", 3);
        ints("select/0,1", 0, 1);
    }

    /** What is found of one class: [found,6], rows of box, score and class. */
    private String ofClass(String at) {
        String all = node("Gather", List.of("predict/scores", at + "/row"), at + "/all"); // [boxes]
        String over = node("Greater", List.of(all, at + "/threshold"), at + "/over");
        String places = node("Transpose", List.of(node("NonZero", List.of(over), at + "/nonzero")), at + "/places",
                Onnx.attribute("perm", dims(1, 0))); // [passed,1]
        String passed = node("GatherND", List.of(all, places), at + "/passed");
        String most = node("Min", List.of(node("Shape", List.of(passed), at + "/count"), "select/candidates"),
                at + "/most");
        nodes.add(Onnx.node("TopK", List.of(passed, most), List.of(at + "/best", at + "/rank")));
        String rank = node("Unsqueeze", List.of(at + "/rank", "select/1"), at + "/rank_column");
        String bestPlaces = node("GatherND", List.of(places, rank), at + "/best_places");
        String box = node("GatherND", List.of("predict/boxes", bestPlaces), at + "/boxes"); // [candidates,4]
        String score = node("Unsqueeze", List.of(at + "/best", "select/1"), at + "/scores"); // [candidates,1]

        String kept = node("NonMaxSuppression", List.of(
                node("Unsqueeze", List.of(box, "select/0"), at + "/batch_of_boxes"),
                node("Unsqueeze", List.of(at + "/best", "select/0,1"), at + "/batch_of_scores"),
                "select/most_of_class", "select/overlap"), at + "/kept"); // [found,3]: batch, class, candidate
        String candidate = node("Slice", List.of(kept, "select/2", "select/3", "select/1"), at + "/kept_candidates");
        String keptScore = node("GatherND", List.of(score, candidate), at + "/kept_scores");
        String keptBox = node("GatherND", List.of(box, candidate), at + "/kept_boxes");
        String label = node("Expand", List.of(at + "/label", node("Shape", List.of(keptScore), at + "/kept_shape")),
                at + "/kept_labels");
        return node("Concat", List.of(keptBox, keptScore, label), at + "/found", Onnx.attribute("axis", 1));
    }

    /** The best of what was found, in order: with TopK if there is anything, and otherwise as [0,6]. */
    private void best(String all) {
        String none = node("Equal", List.of(node("Size", List.of(all), "select/size"),
                ints("select/nothing", new long[] {0})), "select/is_empty");
        Message output = Onnx.value("select/no_detections", ElementType.FLOAT32, 0, 6);
        Message empty = Onnx.graph("none", List.of(Onnx.constant("select/no_detections",
                Onnx.tensor("", ElementType.FLOAT32, dims(0, 6), new byte[0]))), List.of(), List.of(), List.of(output));

        List<Message> outer = List.copyOf(nodes);
        nodes.clear();
        String score = node("Gather", List.of(all, ints("select/score", new long[] {4})), "select/all_scores",
                Onnx.attribute("axis", 1));
        String most = node("Min", List.of(node("Shape", List.of(score), "select/count"), "select/most"),
                "select/at_most");
        nodes.add(Onnx.node("TopK", List.of(score, most), List.of("select/best_scores", "select/order")));
        node("Gather", List.of(all, "select/order"), "select/best");
        Message some = Onnx.graph("some", List.copyOf(nodes), List.of(), List.of(),
                List.of(Onnx.value("select/best", ElementType.FLOAT32, "found", 6)));
        nodes.clear();
        nodes.addAll(outer);
        node("If", List.of(none), "detections", Onnx.attribute("then_branch", empty),
                Onnx.attribute("else_branch", some));
    }

    // ---- nodes and small tensors ----------------------------------------------------------------------------------

    private String node(String operator, List<String> inputs, String output, Message... attributes) {
        nodes.add(Onnx.node(operator, inputs, List.of(output)).with(Onnx.NODE_ATTRIBUTE, List.of(attributes)));
        return output;
    }

    private String floats(String name, float[] values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        initializers.add(Onnx.tensor(name, ElementType.FLOAT32, dims(shape), bytes.array()));
        return name;
    }

    /** A list of whole numbers. */
    private String ints(String name, int... values) {
        return ints(name, Arrays.stream(values).asLongStream().toArray(), values.length);
    }

    private String ints(String name, long[] values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(values);
        initializers.add(Onnx.tensor(name, ElementType.INT64, dims(shape), bytes.array()));
        return name;
    }

    private static List<Long> dims(long... sizes) {
        return Arrays.stream(sizes).boxed().toList();
    }
}
