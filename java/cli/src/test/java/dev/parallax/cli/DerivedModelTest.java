package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DerivedModelTest {
    @TempDir
    Path folder;

    /**
     * How far the outputs are from the source's on the same input: the root mean square of the differences over that of
     * the source's outputs, and the largest difference over the same.
     */
    @ParameterizedTest
    @CsvSource({
        "swinv2-tiny-fp16, swinv2-tiny, 0.002, 0.01",
        "whisper-tiny-encoder-int8, whisper-tiny-encoder, 0.05, 0.2"})
    void outputsAreFiniteAndCloseToTheSources(String name, String source, double typical, double most) {
        double[] expected = run(TestZoo.model(source));
        double[] values = run(TestZoo.model(name));
        assertEquals(expected.length, values.length);
        double square = 0;
        double difference = 0;
        double largest = 0;
        for (int i = 0; i < values.length; i++) {
            assertTrue(Double.isFinite(values[i]), name + " gives " + values[i] + " at " + i);
            square += expected[i] * expected[i];
            difference += (values[i] - expected[i]) * (values[i] - expected[i]);
            largest = Math.max(largest, Math.abs(values[i] - expected[i]));
        }
        double scale = Math.sqrt(square / values.length);
        double found = Math.sqrt(difference / values.length) / scale;
        String text = name + ": typically " + found + ", at most " + largest / scale;
        assertTrue(found < typical && largest / scale < most, text);
        assertTrue(found > 1e-6, "it computes in another precision: " + text);
    }

    /** The only output, of plain ONNX Runtime on the seeded input. */
    private static double[] run(Path path) {
        try (Arena arena = Arena.ofShared(); Engine engine = Engine.create(); Model model = engine.load(path);
                Reference reference = Reference.load(path, 2)) {
            reference.bind(Inputs.prepare(model.inputs(), List.of(), List.of(), 42, arena).arrays());
            reference.run();
            return reference.outputs().values().iterator().next().toDoubleArray();
        }
    }

    private static Message graph(Path model) throws IOException {
        return Message.parse(ByteString.copyFrom(Files.readAllBytes(model))).message(Onnx.MODEL_GRAPH);
    }

    private static List<String> operators(Message graph) {
        return graph.messages(Onnx.GRAPH_NODE).stream().map(n -> n.text(Onnx.NODE_OPERATOR)).toList();
    }

    /** All tensors of a graph that are of this type: initializers, and those in attributes. */
    private static List<Message> tensors(Message graph, ElementType type) {
        List<Message> tensors = new ArrayList<>(graph.messages(Onnx.GRAPH_INITIALIZER));
        graph.messages(Onnx.GRAPH_NODE).forEach(node -> node.messages(Onnx.NODE_ATTRIBUTE).stream()
                .filter(a -> a.has(Onnx.ATTRIBUTE_TENSOR)).forEach(a -> tensors.add(a.message(Onnx.ATTRIBUTE_TENSOR))));
        return tensors.stream().filter(t -> Onnx.is(t, type)).toList();
    }

    /** What a tensor takes in the file of weights, by its external data; 0 if it is not there. */
    private static long bytes(Message tensor) {
        return tensor.messages(Onnx.TENSOR_EXTERNAL).stream().filter(e -> e.text(Onnx.ENTRY_KEY).equals("length"))
                .mapToLong(e -> Long.parseLong(e.text(Onnx.ENTRY_VALUE))).sum();
    }

    @Test
    void float16HalvesEveryTensorAndLeavesNoneOut() throws IOException {
        Message source = graph(TestZoo.model("swinv2-tiny"));
        Message derived = graph(TestZoo.model("swinv2-tiny-fp16"));
        assertEquals(List.of(), tensors(derived, ElementType.FLOAT32));
        assertEquals(tensors(source, ElementType.FLOAT32).size(), tensors(derived, ElementType.FLOAT16).size());
        long half = tensors(source, ElementType.FLOAT32).stream().mapToLong(DerivedModelTest::bytes).sum() / 2;
        assertEquals(half, tensors(derived, ElementType.FLOAT16).stream().mapToLong(DerivedModelTest::bytes).sum());
        assertTrue(half > 50_000_000, "bytes " + half);
        for (int border : List.of(Onnx.GRAPH_INPUT, Onnx.GRAPH_OUTPUT)) {
            assertEquals(source.messages(border), derived.messages(border));
        }
    }

    /** On x86 nobody would notice the missing kernel; see DerivedFloat16 for what ONNX Runtime does on ARM. */
    @Test
    void float16LeavesNoOperatorToKernelsThatAreSlowOrMissing() throws IOException {
        Map<String, Message> makers = new HashMap<>();
        Message derived = graph(TestZoo.model("swinv2-tiny-fp16"));
        for (Message node : derived.messages(Onnx.GRAPH_NODE)) {
            node.texts(Onnx.NODE_OUTPUT).forEach(output -> makers.put(output, node));
        }
        int found = 0;
        for (Message node : derived.messages(Onnx.GRAPH_NODE)) {
            if (List.of("MatMul", "Gemm", "Erf").contains(node.text(Onnx.NODE_OPERATOR))) {
                found++;
                for (String input : node.texts(Onnx.NODE_INPUT)) {
                    Message cast = makers.get(input);
                    assertEquals("Cast", cast.text(Onnx.NODE_OPERATOR), input);
                    assertEquals(ElementType.FLOAT32.code(),
                            cast.messages(Onnx.NODE_ATTRIBUTE).getFirst().number(Onnx.ATTRIBUTE_NUMBER), input);
                }
            }
        }
        assertEquals(99 + 1 + 12, found);
    }

    @Test
    void int8HasAQuarterOfEveryMatrixThatIsMultiplied() throws IOException {
        Path path = TestZoo.model("whisper-tiny-encoder-int8");
        Message derived = graph(path);
        List<Message> matrices = tensors(derived, ElementType.INT8);
        assertEquals(24, matrices.size(), "six in each of four layers");
        assertEquals(24, Collections.frequency(operators(derived), "MatMulInteger"));
        assertEquals(8, Collections.frequency(operators(derived), "MatMul"), "of two activations");
        assertEquals(16, Collections.frequency(operators(derived), "DynamicQuantizeLinear"), "q, k and v share one");
        assertEquals(2, Collections.frequency(operators(derived), "Conv"));
        // Four of 384x384 and two of 384x1536 in each layer.
        assertEquals(4 * (4 * 384 * 384 + 2 * 384 * 1536),
                matrices.stream().mapToLong(DerivedModelTest::bytes).sum());
        byte[] weights = Files.readAllBytes(path.resolveSibling("whisper-tiny-encoder-int8.weights"));
        for (Message matrix : matrices) {
            int offset = Integer.parseInt(matrix.messages(Onnx.TENSOR_EXTERNAL).get(1).text(Onnx.ENTRY_VALUE));
            int columns = Math.toIntExact(matrix.numbers(Onnx.TENSOR_DIMS).get(1));
            int[] largest = new int[columns];
            for (int i = 0; i < bytes(matrix); i++) {
                largest[i % columns] = Math.max(largest[i % columns], Math.abs(weights[offset + i]));
            }
            for (int column = 0; column < columns; column++) {
                assertEquals(64, largest[column], matrix.text(Onnx.TENSOR_NAME) + " column " + column);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"swinv2-tiny-fp16, 2e684b0c", "whisper-tiny-encoder-int8, 3386f850"})
    void graphsAreTheSameBytesEveryTime(String name, String expected) throws IOException {
        Zoo.Model model = Zoo.open(Plx.zoo()).model(name);
        assertArrayEquals(model.files().graph(), model.files().graph());
        CRC32C crc = new CRC32C();
        crc.update(model.files().graph());
        assertEquals(expected, String.format("%08x", crc.getValue()));
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "-0.0, -0.0", "1, 1", "0.1, 0.099975586", "65504, 65504", "65520, 65504", "-3.4e38, -65504",
        "1e-12, 5.9604645e-8", "-1e-40, -5.9604645e-8", "Infinity, Infinity", "-Infinity, -Infinity", "NaN, NaN"})
    void float16KeepsTheMeaningOfANumber(float value, float expected) {
        assertEquals(expected, Float.float16ToFloat(DerivedFloat16.round(value)));
    }

    /** Fills a model derived from small.onnx, whose weights are those of the table. */
    private Path derive(OnnxFile model, String table, BiFunction<Message, DerivedWeights, Message> derivation)
            throws IOException {
        Files.write(folder.resolve("small.onnx"), model.build());
        SeededModel source = SeededModel.read(Files.writeString(folder.resolve("small.tsv"), table));
        Path to = Files.createDirectories(folder.resolve("to"));
        source.files().fill(to, _ -> {});
        new DerivedModel("derived", source, derivation).files().fill(to, _ -> {});
        return to.resolve("derived.onnx");
    }

    private static Map<String, Tensor> run(Path model, Tensor x) {
        try (Reference reference = Reference.load(model, 1)) {
            reference.bind(Map.of("x", x));
            reference.run();
            return reference.outputs();
        }
    }

    @Test
    void float16KeepsMasksAndSmallNumbersApartFromInfinityAndZero() throws IOException {
        OnnxFile small = new OnnxFile().input("x", ElementType.FLOAT32, 2).output("ratio", ElementType.FLOAT32, 2)
                .output("masked", ElementType.FLOAT32, 2).output("same", ElementType.FLOAT32, 2)
                .initializer("tiny", Tensor.of(new float[] {1e-12f}, 1))
                .constant("mask", Tensor.of(new float[] {-3.4e38f}, 1))
                .node("Max", List.of("x", "tiny"), List.of("norm"))
                .node("Div", List.of("x", "norm"), List.of("ratio"))
                .node("Mul", List.of("x", "mask"), List.of("masked"))
                .node("Identity", List.of("x"), List.of("same"));
        Map<String, Tensor> outputs = run(derive(small, "", DerivedFloat16::derive),
                Tensor.of(new float[] {0, 0.5f}, 2));
        assertArrayEquals(new float[] {0, 1}, outputs.get("ratio").toFloatArray()); // 0/0 would be NaN
        assertArrayEquals(new float[] {-0f, -32752}, outputs.get("masked").toFloatArray()); // as would 0 * -inf
        assertArrayEquals(new float[] {0, 0.5f}, outputs.get("same").toFloatArray());
    }

    @Test
    void int8SharesActivationsAndKeepsWeightsThatOthersUse() throws IOException {
        String table = "w\t0\t12\tnormal\t0\t1\nshared\t4096\t6\tnormal\t0\t1\nzero\t8192\t6\tconst\t0\t0\n";
        OnnxFile small = new OnnxFile().input("x", ElementType.FLOAT32, 2, 3)
                .output("a", ElementType.FLOAT32, 2, 4).output("b", ElementType.FLOAT32, 2, 2)
                .output("c", ElementType.FLOAT32, 2, 2).output("copy", ElementType.FLOAT32, 3, 2)
                .external("w", "small.weights", 0, 3, 4).external("shared", "small.weights", 4096, 3, 2)
                .external("zero", "small.weights", 8192, 3, 2)
                .node("MatMul", List.of("x", "w"), List.of("a"))
                .node("MatMul", List.of("x", "shared"), List.of("b"))
                .node("MatMul", List.of("x", "zero"), List.of("c"))
                .node("Identity", List.of("shared"), List.of("copy"));
        Path path = derive(small, table, DerivedInt8::derive);
        Message graph = graph(path);
        assertEquals(1, Collections.frequency(operators(graph), "DynamicQuantizeLinear"));
        assertEquals(3, Collections.frequency(operators(graph), "MatMulInteger"));
        assertEquals(List.of("w_int8", "w_scale", "shared_int8", "shared_scale", "shared", "zero_int8", "zero_scale"),
                graph.messages(Onnx.GRAPH_INITIALIZER).stream().map(t -> t.text(Onnx.TENSOR_NAME)).toList());
        Tensor x = Tensor.of(new float[] {0.3f, -1.2f, 0.8f, 2, 0.1f, -0.4f}, 2, 3);
        Map<String, Tensor> expected = run(path.resolveSibling("small.onnx"), x);
        Map<String, Tensor> outputs = run(path, x);
        for (String name : List.of("a", "b", "c", "copy")) {
            Comparison c = Comparison.of(name, outputs.get(name), expected.get(name), 0, 0.05);
            assertTrue(c.sameShape() && c.close(), c::toString);
        }
        assertTrue(Comparison.of("copy", outputs.get("copy"), expected.get("copy"), 0, 0).bitEqual());
        assertFalse(Comparison.of("a", outputs.get("a"), expected.get("a"), 0, 0).bitEqual());
    }

    @Test
    void needsNoFileOfItsSourceAndMakesAnewWhatWasHarmed() throws IOException {
        OnnxFile small = new OnnxFile().input("x", ElementType.FLOAT32, 2).output("y", ElementType.FLOAT32, 2)
                .external("w", "swinv2-tiny.weights", 0, 2).node("Add", List.of("x", "w"), List.of("y"));
        Files.write(folder.resolve("swinv2-tiny.onnx"), small.build());
        Files.writeString(folder.resolve("swinv2-tiny.tsv"), "w\t0\t2\tnormal\t0\t1\n");
        Path to = folder.resolve("to");
        Object[] fill = {"zoo", "fill", to, "--from", folder, "--only", "swinv2-tiny-fp16"};
        Plx plx = Plx.run(fill);
        assertTrue(plx.out().contains("swinv2-tiny-fp16: 4 B written in"), plx::toString);
        try (Stream<Path> files = Files.list(to)) {
            assertEquals(List.of("swinv2-tiny-fp16.onnx", "swinv2-tiny-fp16.weights", "swinv2-tiny-fp16.weights.stamp"),
                    files.map(f -> f.getFileName().toString()).sorted().toList());
        }
        assertTrue(Plx.run(fill).out().contains("already there"));
        Path weights = to.resolve("swinv2-tiny-fp16.weights");
        byte[] good = Files.readAllBytes(weights);
        Files.write(weights, new byte[4]);
        assertTrue(Plx.run(fill).out().contains("written in"));
        assertArrayEquals(good, Files.readAllBytes(weights));
        Files.writeString(folder.resolve("swinv2-tiny.tsv"), "w\t0\t2\tnormal\t5\t1\n");
        assertTrue(Plx.run(fill).out().contains("written in"), "the source's table changed");
    }

    @Test
    void skeletonsThatCannotBeDerivedFromAreNamed() throws IOException {
        Files.write(folder.resolve("swinv2-tiny.onnx"), new byte[] {1, 2, 3});
        Files.writeString(folder.resolve("swinv2-tiny.tsv"), "w\t0\t2\tnormal\t0\t1\n");
        Plx plx = Plx.run("zoo", "list", "--from", folder);
        assertTrue(plx.isOneLineError("swinv2-tiny.onnx is no ONNX model"), plx::toString);

        Message body = Message.EMPTY.with(Onnx.ATTRIBUTE_NAME, "body").with(6, Message.EMPTY);
        Message loop = Onnx.node("Loop", List.of("n"), List.of("y")).with(Onnx.NODE_ATTRIBUTE, body);
        BadInputException e = assertThrows(BadInputException.class,
                () -> Onnx.nodes(Message.EMPTY.with(Onnx.GRAPH_NODE, loop)));
        assertTrue(e.getMessage().contains("Loop_y has a subgraph"), e.getMessage());
    }
}
