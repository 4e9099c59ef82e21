package dev.parallax;

import static dev.parallax.ElementType.FLOAT32;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(Lifecycle.PER_CLASS)
class ModelTest {
    private static final float[] VALUES = {-1, 0, 1, 2};

    @TempDir
    Path folder;
    private Engine engine;

    @BeforeAll
    void open() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
    }

    @AfterAll
    void close() {
        engine.close();
    }

    private static float[] relu(Model model) {
        Map<String, Tensor> results = model.run(Map.of("x", Tensor.of(VALUES, 1, 4)));
        return results.get("y").toFloatArray();
    }

    /** Loads and compiles, and gives the error: which of the two steps finds it is the core's business. */
    private ParallaxException refused(byte[] bytes) {
        return refused(bytes, ModelOptions.DEFAULT);
    }

    private ParallaxException refused(byte[] bytes, ModelOptions options) {
        ParallaxException e = assertThrows(ParallaxException.class, () -> {
            try (Model model = engine.load(new ByteArrayInputStream(bytes), options);
                    Session session = model.session()) {
                session.inputs();
            }
        });
        assertTrue(e.getMessage().length() > 10 && e.getMessage().lines().count() == 1, e.getMessage());
        return e;
    }

    // ---- sources --------------------------------------------------------------------------------------------------

    @Test
    void everySourceGivesTheSameModel() throws IOException {
        byte[] bytes = TestModels.dynamic();
        Path file = Files.write(folder.resolve("dynamic.onnx"), bytes);
        float[] expected = {0, 0, 1, 2};
        try (Arena arena = Arena.ofShared();
                Model fromFile = engine.load(file);
                Model fromStream = engine.load(new ByteArrayInputStream(bytes));
                Model fromHeap = engine.load(MemorySegment.ofArray(bytes));
                Model fromMemory = engine.load(arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes))) {
            for (Model model : List.of(fromFile, fromStream, fromHeap, fromMemory)) {
                assertArrayEquals(expected, relu(model));
                assertEquals(fromFile.info(), model.info());
            }
        }
    }

    /** y[n,512] = x[n,512] times a matrix of a megabyte. */
    private static byte[] product() {
        float[] weights = new float[512 * 512];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = i % 13 - 6;
        }
        return new OnnxBuilder("product").input("x", FLOAT32, "n", 512).output("y", FLOAT32, "n", 512)
                .initializer("w", Tensor.of(weights, 512, 512))
                .node("MatMul", List.of("x", "w"), List.of("y")).build();
    }

    @Test
    void packedWeightsComeFromTheCacheFolderTheSecondTime() throws IOException {
        Path file = Files.write(folder.resolve("product.onnx"), product());
        Path cache = folder.resolve("cache");
        ModelOptions options = ModelOptions.builder().cacheFolder(cache).build();
        List<float[]> results = new ArrayList<>();
        List<RunReport.Cache> caches = new ArrayList<>();
        for (ModelOptions each : List.of(ModelOptions.DEFAULT, options, options)) {
            try (Model model = engine.load(file, each);
                    Session session = model.session()) {
                float[] x = new float[512];
                for (int i = 0; i < x.length; i++) {
                    x[i] = i % 7 - 3;
                }
                session.input("x", 1, 512).copyFrom(x);
                session.run();
                results.add(session.output("y").toFloatArray());
                caches.add(session.report().cache());
            }
        }
        assertEquals(new RunReport.Cache(0, 0, 0, ""), caches.get(0));
        assertEquals(1, caches.get(1).stored());
        assertTrue(caches.get(1).bytes() > 2 * 4 * 512 * 512, caches::toString);  // as they were, and packed
        assertEquals(new RunReport.Cache(1, 0, caches.get(1).bytes(), ""), caches.get(2));
        assertArrayEquals(results.get(0), results.get(1));
        assertArrayEquals(results.get(0), results.get(2));
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> engine.load(new ByteArrayInputStream(TestModels.dynamic()), options));
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        assertTrue(e.getMessage().contains("cache"), e.getMessage());
    }

    @Test
    void tellsWhatTheModelSays() {
        try (Model model = TestModels.load(engine, TestModels.dynamic())) {
            assertEquals(List.of(new ValueInfo("x", ValueKind.TENSOR, FLOAT32,
                    List.of(Dimension.symbol("batch"), Dimension.of(4)))), model.inputs());
            assertEquals("[y: float32[batch,4]]", model.outputs().toString());
            assertEquals("dynamic", model.info().name());
            assertEquals("OnnxBuilder", model.info().producer());
            assertEquals(8, model.info().irVersion());
            assertEquals(17, model.info().opsets().get(""));
            assertEquals(1, model.info().nodes());
        }
    }

    @Test
    void streamsAreReadToTheirEndAndLeftOpen() {
        boolean[] closed = {false};
        InputStream stream = new ByteArrayInputStream(TestModels.dynamic()) {
            @Override
            public int read(byte[] into, int offset, int length) {
                return super.read(into, offset, Math.min(length, 7));  // in small pieces, as sockets do
            }

            @Override
            public void close() {
                closed[0] = true;
            }
        };
        try (Model model = engine.load(stream)) {
            assertArrayEquals(new float[] {0, 0, 1, 2}, relu(model));
        }
        assertEquals(false, closed[0]);
    }

    @Test
    void aFailingStreamIsAnIoError() {
        IOException failure = new IOException("gone");
        ParallaxException e = assertThrows(ParallaxException.class, () -> engine.load(new InputStream() {
            @Override
            public int read() throws IOException {
                throw failure;
            }
        }));
        assertEquals(ErrorCode.IO, e.code());
        assertEquals(failure, e.getCause());
    }

    @Test
    void memoryClosedTooEarlyIsAnErrorNotACrash() {
        Arena arena = Arena.ofShared();
        Model model = engine.load(arena.allocateFrom(ValueLayout.JAVA_BYTE, TestModels.add()));
        Session session = model.session();
        session.input("x");
        session.input("y");
        session.run();
        arena.close();
        assertThrows(IllegalStateException.class, session::run);
        assertThrows(IllegalStateException.class, model::session);
        session.close();
        model.close();
    }

    @Test
    void externalDataLiesBesideTheFileOrInTheBaseDirectory() throws IOException {
        byte[] bytes = new OnnxBuilder("external").input("x", FLOAT32, 2).output("y", FLOAT32, 2)
                .external("w", FLOAT32, "w.bin", 2).node("Add", List.of("x", "w"), List.of("y")).build();
        Files.write(folder.resolve("w.bin"), Tensor.of(new float[] {10, 20}, 2).toByteArray());
        Path file = Files.write(folder.resolve("external.onnx"), bytes);
        Map<String, Tensor> input = Map.of("x", Tensor.of(new float[] {1, 2}, 2));
        try (Model model = engine.load(file)) {
            assertArrayEquals(new float[] {11, 22}, model.run(input).get("y").toFloatArray());
        }
        ModelOptions based = ModelOptions.builder().baseDirectory(folder).build();
        try (Model model = engine.load(new ByteArrayInputStream(bytes), based)) {
            assertArrayEquals(new float[] {11, 22}, model.run(input).get("y").toFloatArray());
        }
        assertTrue(refused(bytes).getMessage().contains("w.bin"));
        Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
        ParallaxException absent = refused(bytes, ModelOptions.builder().baseDirectory(elsewhere).build());
        assertEquals(ErrorCode.NOT_FOUND, absent.code());
        assertTrue(absent.getMessage().contains("w.bin"), absent.getMessage());
    }

    // ---- bad models -----------------------------------------------------------------------------------------------

    @Test
    void aMissingFileIsNamed() {
        Path missing = folder.resolve("missing.onnx");
        ParallaxException e = assertThrows(ParallaxException.class, () -> engine.load(missing));
        assertEquals(ErrorCode.NOT_FOUND, e.code());
        assertTrue(e.getMessage().contains(missing.toString()), e.getMessage());
        ParallaxException directory = assertThrows(ParallaxException.class, () -> engine.load(folder));
        assertTrue(directory.getMessage().contains(folder.toString()), directory.getMessage());
    }

    @Test
    void bytesThatAreNoModelAreRefused() throws IOException {
        byte[] sound = TestModels.diamond();
        byte[] noise = new byte[500];
        Arrays.fill(noise, (byte) 0xa5);
        for (byte[] bytes : List.of(new byte[0], Arrays.copyOf(sound, sound.length / 2),
                Arrays.copyOf(sound, sound.length - 1), noise, "hello, world".getBytes())) {
            assertEquals(ErrorCode.INVALID_MODEL, refused(bytes).code());
        }
        Path empty = Files.write(folder.resolve("empty.onnx"), new byte[0]);
        ParallaxException e = assertThrows(ParallaxException.class, () -> engine.load(empty));
        assertEquals(ErrorCode.INVALID_MODEL, e.code());
        assertTrue(e.getMessage().contains(empty.toString()), e.getMessage());
    }

    @Test
    void anUnknownOperatorIsNamed() {
        ParallaxException e = refused(new OnnxBuilder("odd").input("x", FLOAT32, 1).output("y", FLOAT32, 1)
                .node("Frobnicate", List.of("x"), List.of("y")).build());
        assertEquals(ErrorCode.UNSUPPORTED, e.code());
        assertTrue(e.getMessage().contains("Frobnicate"), e.getMessage());
    }

    @Test
    void anUnknownOpsetIsNamed() {
        ParallaxException e = refused(new OnnxBuilder("future").opset(999).input("x", FLOAT32, 1)
                .output("y", FLOAT32, 1).node("Relu", List.of("x"), List.of("y")).build());
        assertEquals(ErrorCode.UNSUPPORTED, e.code());
        assertTrue(e.getMessage().contains("999"), e.getMessage());
    }

    @Test
    void aCycleIsRefused() {
        ParallaxException e = refused(new OnnxBuilder("cycle").input("x", FLOAT32, 1).output("y", FLOAT32, 1)
                .node("Add", List.of("x", "b"), List.of("a")).node("Relu", List.of("a"), List.of("b"))
                .node("Relu", List.of("a"), List.of("y")).build());
        assertEquals(ErrorCode.INVALID_MODEL, e.code());
        assertTrue(e.getMessage().contains("cycle"), e.getMessage());
    }

    @Test
    void aValueThatNobodyMakesIsNamed() {
        ParallaxException e = refused(new OnnxBuilder("dangling").input("x", FLOAT32, 1).output("y", FLOAT32, 1)
                .node("Add", List.of("x", "nowhere"), List.of("y")).build());
        assertEquals(ErrorCode.INVALID_MODEL, e.code());
        assertTrue(e.getMessage().contains("nowhere"), e.getMessage());
    }

    @Test
    void aMissingCustomOperatorLibraryIsNamed() {
        Path missing = folder.resolve("libops.so");
        ParallaxException e = refused(TestModels.add(), ModelOptions.builder().customOpLibrary(missing).build());
        assertEquals(ErrorCode.NOT_FOUND, e.code());
        assertTrue(e.getMessage().contains(missing.toString()), e.getMessage());
    }

    @Test
    void aBadModelLeavesTheOthersAlone() {
        try (Model model = TestModels.load(engine, TestModels.dynamic())) {
            refused(new byte[3]);
            assertArrayEquals(new float[] {0, 0, 1, 2}, relu(model));
        }
    }

    // ---- options --------------------------------------------------------------------------------------------------

    @Test
    void dimensionsAndConfigEntriesReachTheModel() {
        ModelOptions options = ModelOptions.builder().dimension("batch", 1)
                .config("session.disable_prepacking", "1").build();
        try (Model model = engine.load(new ByteArrayInputStream(TestModels.dynamic()), options)) {
            assertArrayEquals(new float[] {0, 0, 1, 2}, relu(model));
        }
        ParallaxException e = refused(TestModels.add(), ModelOptions.builder().config("", "x").build());
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    }

    // ---- run(Map) -------------------------------------------------------------------------------------------------

    @Test
    void resultsOwnTheirMemory() {
        Map<String, Tensor> first;
        try (Model model = TestModels.load(engine, TestModels.dynamic())) {
            first = model.run(Map.of("x", Tensor.of(VALUES, 1, 4)));
            Map<String, Tensor> second = model.run(Map.of("x", Tensor.of(new float[8], 2, 4)));
            assertNotSame(first.get("y"), second.get("y"));
            assertArrayEquals(new long[] {2, 4}, second.get("y").shape());
        }
        assertArrayEquals(new float[] {0, 0, 1, 2}, first.get("y").toFloatArray());
    }

    @Test
    void inputsAreCheckedByName() {
        try (Model model = TestModels.load(engine, TestModels.add())) {
            Tensor x = Tensor.of(new float[6], 2, 3);
            ParallaxException unknown =
                    assertThrows(ParallaxException.class, () -> model.run(Map.of("x", x, "why", x)));
            assertEquals("the model has no input named 'why'; its inputs are: x, y", unknown.getMessage());
            ParallaxException missing = assertThrows(ParallaxException.class, () -> model.run(Map.of("x", x)));
            assertEquals("no value is given for input y: float32[2,3]", missing.getMessage());
        }
    }

    @Test
    void manyThreadsMayRunAtOnce() throws Exception {
        try (Model model = TestModels.load(engine, TestModels.diamond());
                ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                float value = i / 8f - 4;
                int rows = 1 + i % 5;
                tasks.add(() -> {
                    float[] x = new float[rows * 8];
                    Arrays.fill(x, value);
                    float[] expected = new float[x.length];
                    Arrays.fill(expected, TestModels.diamondOf(value));
                    Tensor y = model.run(Map.of("x", Tensor.of(x, rows, 8))).get("y");
                    assertArrayEquals(expected, y.toFloatArray(), 1e-5f);
                    return null;
                });
            }
            for (Future<Void> done : threads.invokeAll(tasks)) {
                done.get();
            }
        }
    }
}
