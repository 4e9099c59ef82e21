package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.parallax.Tensor;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What the detector is and what plain ONNX Runtime finds with it; Parallax runs it in {@link DynamicModelsTest}. */
class DetectorTest {
    private static final int SIDE = 320;
    private static Reference reference;

    private final byte[] bytes = new Detector().files().graph();
    private final Message graph = Message.parse(ByteString.copyFrom(bytes)).message(Onnx.MODEL_GRAPH);
    private final Map<String, Message> tensors = graph.messages(Onnx.GRAPH_INITIALIZER).stream()
            .collect(Collectors.toMap(t -> t.text(Onnx.TENSOR_NAME), Function.identity()));

    @BeforeAll
    static void load() {
        reference = Reference.load(TestZoo.model(Detector.NAME), 2);
    }

    @AfterAll
    static void close() {
        reference.close();
    }

    private float[] floats(String name) {
        Message tensor = tensors.get(name);
        float[] values = new float[Math.toIntExact(NewWeights.elements(tensor.numbers(Onnx.TENSOR_DIMS)))];
        tensor.bytes(Onnx.TENSOR_RAW).getFirst().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
                .get(values);
        return values;
    }

    private float[] thresholds() {
        float[] thresholds = new float[Detector.CLASSES];
        for (int c = 0; c < thresholds.length; c++) {
            thresholds[c] = floats("select/class" + c + "/threshold")[0];
        }
        return thresholds;
    }

    /** Detections, rows of x0, y0, x1, y1, score and class. */
    private static float[][] detect(double loudness) {
        float[] pixels = new float[3 * SIDE * SIDE];
        Gaussian noise = new Gaussian(1);
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = (float) (loudness * noise.next());
        }
        reference.bind(Map.of("images", Tensor.of(pixels, 1, 3, SIDE, SIDE)));
        reference.run();
        Tensor detections = reference.outputs().get("detections");
        assertArrayEquals(new long[] {detections.shape()[0], 6}, detections.shape());
        float[] values = detections.toFloatArray();
        float[][] rows = new float[values.length / 6][6];
        for (int i = 0; i < values.length; i++) {
            rows[i / 6][i % 6] = values[i];
        }
        return rows;
    }

    @Test
    void isTheSameBytesEveryTime() throws IOException {
        assertArrayEquals(bytes, new Detector().files().graph());
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        assertEquals("41dd1c4c", String.format("%08x", crc.getValue()));
        Path stamp = TestZoo.model(Detector.NAME).resolveSibling(Detector.NAME + ".weights.stamp");
        assertTrue(Files.readString(stamp).endsWith("crc32c=38310134\n"), Files.readString(stamp));
    }

    @Test
    void picksAmongThousandsOfBoxesClassByClass() {
        Map<String, Integer> operators = new HashMap<>();
        graph.messages(Onnx.GRAPH_NODE).forEach(n -> operators.merge(n.text(Onnx.NODE_OPERATOR), 1, Integer::sum));
        assertEquals(91, operators.get("NonZero"));
        assertEquals(91, operators.get("TopK"));
        assertEquals(5 * 91, operators.get("GatherND"));
        assertEquals(91, operators.get("NonMaxSuppression"));
        assertEquals(1, operators.get("If"));
        long boxes = 0;
        for (int level = 0; level < Detector.LEVELS; level++) {
            boxes += tensors.get("predict/level" + level + "/anchors/centres").numbers(Onnx.TENSOR_DIMS).get(1);
        }
        assertEquals(6300, boxes);
        Set<Float> thresholds = new HashSet<>();
        for (float threshold : thresholds()) {
            assertTrue(threshold > 0.05 && threshold <= 0.3, "threshold " + threshold);
            thresholds.add(threshold);
        }
        assertEquals(91, thresholds.size(), "each class has its own");
    }

    @Test
    void findsNothingInABlackPicture() {
        assertEquals(0, detect(0).length);
        assertEquals(0, detect(0.5).length);
    }

    @Test
    void whatItFindsIsOverItsThresholdInOrderAndApart() {
        float[] thresholds = thresholds();
        float[][] rows = detect(1);
        Set<Integer> classes = new HashSet<>();
        assertTrue(rows.length > 10 && rows.length <= Detector.MOST, rows.length + " detections");
        for (int i = 0; i < rows.length; i++) {
            float[] row = rows[i];
            int label = (int) row[5];
            classes.add(label);
            assertTrue(row[4] > thresholds[label] && row[4] < 1, "score " + row[4]);
            assertTrue(i == 0 || row[4] <= rows[i - 1][4], "in order of scores");
            assertTrue(row[0] < row[2] && row[1] < row[3] && row[2] > 0 && row[0] < SIDE, "a box at the picture");
            for (int k = 0; k < i; k++) {
                assertTrue(rows[k][5] != label || overlap(row, rows[k]) <= 0.501, "boxes of a class are apart");
            }
        }
        assertTrue(classes.size() > 5, classes.size() + " classes");
        assertTrue(detect(0.85).length < rows.length, "fewer in a quieter picture");
    }

    /** Area in common over area of either. */
    private static double overlap(float[] a, float[] b) {
        double width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
        double height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
        double common = Math.max(0, width) * Math.max(0, height);
        return common / (area(a) + area(b) - common);
    }

    private static double area(float[] box) {
        return (double) (box[2] - box[0]) * (box[3] - box[1]);
    }
}
