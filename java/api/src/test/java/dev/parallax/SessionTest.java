package dev.parallax;

import static dev.parallax.ElementType.FLOAT32;
import static dev.parallax.ElementType.INT64;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

@TestInstance(Lifecycle.PER_CLASS)
class SessionTest {
    private Engine engine;

    @BeforeAll
    void open() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
    }

    @AfterAll
    void close() {
        engine.close();
    }

    /** A session that outlives its model, as sessions may. */
    private Session session(byte[] bytes) {
        return session(bytes, SessionOptions.DEFAULT);
    }

    private Session session(byte[] bytes, SessionOptions options) {
        try (Model model = TestModels.load(engine, bytes)) {
            return model.session(options);
        }
    }

    private static void assertError(ErrorCode code, String part, Executable action) {
        ParallaxException e = assertThrows(ParallaxException.class, action);
        assertEquals(code, e.code(), e.getMessage());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    private static void assertInvalid(String part, Executable action) {
        assertError(ErrorCode.INVALID_ARGUMENT, part, action);
    }

    // ---- inputs and outputs ---------------------------------------------------------------------------------------

    @Test
    void staticShapesNeedOnlyANameAndKeepTheirMemory() {
        try (Session session = session(TestModels.add())) {
            Tensor x = session.input("x");
            assertEquals("float32[2,3]", x.toString());
            assertEquals(0, x.segment().address() % 64);
            assertSame(x, session.input("x"));
            assertSame(x, session.input("x", 2, 3));
            Tensor y = session.input("y").copyFrom(new float[] {6, 5, 4, 3, 2, 1});
            x.copyFrom(new float[] {1, 2, 3, 4, 5, 6});
            session.run();
            Tensor z = session.output("z");
            assertArrayEquals(new float[] {7, 7, 7, 7, 7, 7}, z.toFloatArray());
            long address = z.segment().address();
            for (int i = 0; i < 20; i++) {
                y.copyFrom(new float[6]);  // read anew by each run
                session.run();
                z = session.output("z");
                if (i == 2) {
                    address = z.segment().address();  // the first runs may still find places for tensors
                }
            }
            assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, z.toFloatArray());
            assertEquals(address, z.segment().address());
            assertSame(z, session.output("z"));
        }
    }

    @Test
    void openShapesHaveToBeNamed() {
        try (Session session = session(TestModels.dynamic())) {
            assertInvalid("leaves dimension 0 (batch) of input x: float32[batch,4] open; call input(\"x\", sizes...)",
                    () -> session.input("x"));
            assertInvalid("input x: float32[batch,4] is not bound", session::run);
            for (int batch : new int[] {1, 3, 2, 3, 100, 1}) {
                Tensor x = session.input("x", batch, 4);
                assertSame(x, session.input("x", batch, 4));
                assertSame(x, session.input("x"));
                float[] values = new float[batch * 4];
                Arrays.fill(values, batch);
                assertArrayEquals(new float[values.length], x.toFloatArray());  // zeros, whatever was there before
                x.copyFrom(values);
                session.run();
                assertArrayEquals(new long[] {batch, 4}, session.output("y").shape());
                assertArrayEquals(values, session.output("y").toFloatArray());
            }
        }
    }

    @Test
    void aLargerShapeReplacesTheMemoryAndTheOldTensorSaysSo() {
        try (Session session = session(TestModels.dynamic())) {
            Tensor small = session.input("x", 1, 4);
            session.input("x", 1000, 4);
            assertThrows(IllegalStateException.class, small::toFloatArray);
        }
    }

    @Test
    void emptyTensorsPassThrough() {
        try (Session session = session(TestModels.dynamic())) {
            session.input("x", 0, 4);
            session.run();
            assertArrayEquals(new long[] {0, 4}, session.output("y").shape());
            assertEquals(0, session.output("y").toFloatArray().length);
            session.input("x", 1, 4).copyFrom(new float[] {1, 2, 3, 4});
            session.run();
            assertArrayEquals(new float[] {1, 2, 3, 4}, session.output("y").toFloatArray());
        }
    }

    @Test
    void boundMemoryIsReadAndWrittenInPlace() {
        try (Session session = session(TestModels.add()); Arena arena = Arena.ofShared()) {
            Tensor x = Tensor.allocate(arena, FLOAT32, 2, 3);
            Tensor y = Tensor.of(new float[] {1, 1, 1, 1, 1, 1}, 2, 3);
            Tensor z = Tensor.allocate(FLOAT32, 2, 3);
            session.bindInput("x", x);
            session.bindInput("y", y);
            session.bindOutput("z", z);
            assertSame(x, session.input("x"));
            for (int i = 0; i < 5; i++) {
                float[] values = {i, i, i, i, i, i};
                x.copyFrom(values);
                session.run();
                assertSame(z, session.output("z"));
                Arrays.fill(values, i + 1);
                assertArrayEquals(values, z.toFloatArray());
            }
            session.unbindOutput("z");
            assertThrows(IllegalStateException.class, () -> session.output("z"));
            x.copyFrom(new float[] {7, 7, 7, 7, 7, 7});
            session.run();
            assertNotSame(z, session.output("z"));
            assertEquals(8, session.output("z").toFloatArray()[0]);
            assertEquals(5, z.toFloatArray()[0]);
        }
    }

    @Test
    void aBoundOutputMayBeAnyDynamicShapeThatTurnsOutRight() {
        try (Session session = session(TestModels.dynamic())) {
            Tensor two = Tensor.allocate(FLOAT32, 2, 4);
            session.bindOutput("y", two);
            session.input("x", 2, 4).copyFrom(new float[] {1, 2, 3, 4, 5, 6, 7, 8});
            session.run();
            assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6, 7, 8}, two.toFloatArray());
            session.input("x", 3, 4);
            ParallaxException e = assertThrows(ParallaxException.class, session::run);
            assertEquals(ErrorCode.INVALID_ARGUMENT, e.code(), e.getMessage());
            assertTrue(e.getMessage().contains("2") && e.getMessage().contains("3"), e.getMessage());
            session.input("x", 2, 4).copyFrom(new float[] {8, 7, 6, 5, 4, 3, 2, 1});
            session.run();
            assertArrayEquals(new float[] {8, 7, 6, 5, 4, 3, 2, 1}, two.toFloatArray());
        }
    }

    @Test
    void outputsWhoseSizeDependsOnTheData() {
        try (Session session = session(TestModels.compress())) {
            session.bindInput("x", Tensor.of(new float[] {1, 2, 3, 4}, 4));
            Tensor keep = session.input("keep", 4);
            for (boolean[] mask : new boolean[][] {{true, false, true, true}, {false, false, false, true},
                {false, false, false, false}, {true, true, true, true}}) {
                for (int i = 0; i < 4; i++) {
                    keep.segment().set(ValueLayout.JAVA_BOOLEAN, i, mask[i]);
                }
                session.run();
                int kept = 0;
                for (boolean b : mask) {
                    kept += b ? 1 : 0;
                }
                assertArrayEquals(new long[] {kept}, session.output("y").shape());
                assertEquals(kept, session.output("y").toFloatArray().length);
            }
            assertArrayEquals(new float[] {1, 2, 3, 4}, session.output("y").toFloatArray());
        }
    }

    @Test
    void aViewOfAnOutputThatMovedFailsInsteadOfReadingFreedMemory() {
        Session session = session(TestModels.dynamic());
        session.input("x", 1, 4);
        session.run();
        Tensor before = session.output("y");
        session.input("x", 5000, 4);
        session.run();
        assertThrows(IllegalStateException.class, before::toFloatArray);
        Tensor last = session.output("y");
        session.close();
        assertThrows(IllegalStateException.class, last::toFloatArray);
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = {"UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128", "INT4", "UINT4"})
    void everyElementTypePasses(ElementType type) {
        byte[] bytes = new byte[(int) type.byteSize(5)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (type == ElementType.BOOL ? i % 2 : 0x11 * (i % 7));
        }
        try (Session session = session(TestModels.identity(type))) {
            session.bindInput("x", Tensor.ofBytes(type, bytes, 5));
            for (int i = 0; i < 3; i++) {
                session.run();
                Tensor y = session.output("y");
                assertEquals(type + "[5]", y.toString());
                assertArrayEquals(bytes, y.toByteArray());
            }
            session.input("x", 5).copyFrom(bytes);
            session.run();
            assertArrayEquals(bytes, session.output("y").toByteArray());
        }
    }

    /** ONNX Runtime copies no 4-bit tensors, but unpacks and packs them. */
    @ParameterizedTest
    @EnumSource(names = {"INT4", "UINT4"})
    void fourBitTypesPass(ElementType type) {
        byte[] bytes = new OnnxBuilder("nibbles").opset(21).input("x", type, "n").output("y", type, "n")
                .output("f", FLOAT32, "n").initializer("scale", Tensor.of(new float[] {1}))
                .initializer("zero", Tensor.ofBytes(type, new byte[1]))
                .node("DequantizeLinear", List.of("x", "scale"), List.of("f"))
                .node("QuantizeLinear", List.of("f", "scale", "zero"), List.of("y")).build();
        try (Session session = session(bytes)) {
            byte[] packed = {(byte) 0xf1, 0x27, 0x05};
            session.input("x", 5).copyFrom(packed);
            session.run();
            int minus = type == ElementType.INT4 ? -1 : 15;
            assertArrayEquals(new float[] {1, minus, 7, 2, 5}, session.output("f").toFloatArray());
            assertArrayEquals(new int[] {1, minus, 7, 2, 5}, session.output("y").toIntArray());
            assertArrayEquals(packed, session.output("y").toByteArray());
        }
    }

    @Test
    void stringsPassAndAreReadAnewAfterEachRun() {
        try (Session session = session(TestModels.identity(ElementType.STRING))) {
            for (List<String> strings : List.of(List.of("a", "", "h\u00e9llo \"w\"\n\ud83d\ude00"),
                    List.of("b", "c", "d"), List.of("longer than any small string buffer would be", "x", "y"))) {
                session.bindInput("x", Tensor.ofStrings(strings, 3));
                session.run();
                assertEquals(strings, session.output("y").strings());
                assertEquals("string[3]", session.output("y").toString());
            }
            assertInvalid("bindInput(\"x\", Tensor.ofStrings(...))", () -> session.input("x", 3));
            assertInvalid("output(\"y\").strings()",
                    () -> session.bindOutput("y", Tensor.ofStrings(List.of("a"), 1)));
        }
    }

    // ---- wrong arguments ------------------------------------------------------------------------------------------

    @Test
    void wrongArgumentsAreNamed() {
        try (Session session = session(TestModels.add()); Arena arena = Arena.ofConfined()) {
            Tensor right = Tensor.allocate(FLOAT32, 2, 3);
            assertInvalid("no input named 'X'; its inputs are: x, y", () -> session.input("X"));
            assertInvalid("no input named 'z'", () -> session.bindInput("z", right));
            assertInvalid("no output named 'x'; its outputs are: z", () -> session.bindOutput("x", right));
            assertInvalid("no output named 'x'", () -> session.unbindOutput("x"));
            assertInvalid("no output named 'x'", () -> session.output("x"));
            assertInvalid("shape [3,2] does not fit input x: float32[2,3]", () -> session.input("x", 3, 2));
            assertInvalid("it has 1 dimensions, not 2", () -> session.input("x", 6));
            assertInvalid("shape [2,-3] has a negative size", () -> session.input("x", 2, -3));
            assertInvalid("input x: float32[2,3] takes float32, but the tensor given is int64[2,3]",
                    () -> session.bindInput("x", Tensor.allocate(INT64, 2, 3)));
            assertInvalid("shape [2,4] does not fit output z: float32[2,3]",
                    () -> session.bindOutput("z", Tensor.allocate(FLOAT32, 2, 4)));
            assertInvalid("takes float32, but the tensor given is int64[2,3]",
                    () -> session.bindOutput("z", Tensor.allocate(INT64, 2, 3)));
            MemorySegment readOnly = arena.allocate(24, 64).asReadOnly();
            assertInvalid("read-only", () -> session.bindOutput("z", Tensor.wrap(readOnly, FLOAT32, 2, 3)));
            session.bindInput("x", Tensor.wrap(readOnly, FLOAT32, 2, 3));  // reading is allowed
            assertInvalid("input y: float32[2,3] is not bound; call input(\"y\")", session::run);
            assertThrows(IllegalStateException.class, () -> session.output("z"));
            assertThrows(NullPointerException.class, () -> session.bindInput("x", null));
        }
    }

    @Test
    void boundMemoryThatIsClosedIsAnErrorNotACrash() {
        try (Session session = session(TestModels.add())) {
            Tensor z;
            try (Arena arena = Arena.ofShared()) {
                session.bindInput("x", Tensor.allocate(arena, FLOAT32, 2, 3));
                session.input("y");
                z = Tensor.allocate(arena, FLOAT32, 2, 3);
                session.run();
            }
            assertTrue(assertThrows(IllegalStateException.class, session::run).getMessage()
                    .contains("input x: float32[2,3] is closed"));
            session.input("x", 2, 3);
            session.run();
            assertThrows(IllegalStateException.class, () -> session.bindOutput("z", z));
            assertThrows(IllegalStateException.class, () -> session.bindInput("x", z));
            session.run();
        }
    }

    @Test
    void aSequenceIsNoTensor() {
        byte[] bytes = new OnnxBuilder("sequence").input("x", FLOAT32, 2).output("y", FLOAT32, 2)
                .sequenceOutput("s", FLOAT32).node("Relu", List.of("x"), List.of("y"))
                .node("SequenceConstruct", List.of("x", "y"), List.of("s")).build();
        try (Session session = session(bytes)) {
            session.input("x").copyFrom(new float[] {-1, 1});
            session.run();
            assertArrayEquals(new float[] {0, 1}, session.output("y").toFloatArray());
            assertError(ErrorCode.UNSUPPORTED, "output s: sequence is no tensor; read it with outputValue(\"s\")",
                    () -> session.output("s"));
        }
    }

    // ---- runs -----------------------------------------------------------------------------------------------------

    @Test
    void aFailedRunLeavesTheSessionUsable() {
        try (Session session = session(TestModels.gather())) {
            session.input("x").copyFrom(new float[] {10, 20, 30});
            Tensor i = session.input("i");
            session.run();
            assertEquals(10, session.output("y").toFloatArray()[0]);
            i.copyFrom(new long[] {7});
            assertError(ErrorCode.RUN_FAILED, "", session::run);
            assertThrows(IllegalStateException.class, () -> session.output("y"));
            i.copyFrom(new long[] {2});
            session.run();
            assertEquals(30, session.output("y").toFloatArray()[0]);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aSteadyRunAllocatesNothingOnTheJavaHeap(Units units) throws ReflectiveOperationException {
        try (Session session = session(TestModels.diamond(), SessionOptions.builder().units(units).build())) {
            session.input("x", 1, 8);
            int[] sink = new int[1];
            Runnable runs = () -> {
                for (int i = 0; i < 1000; i++) {
                    session.run();
                    sink[0] += session.output("y") == null ? 1 : 0;
                }
            };
            long bytes = Long.MAX_VALUE;
            // The compiler needs some thousand runs to see that nothing has to be allocated; when is its affair.
            for (int round = 0; round < 100 && bytes != 0; round++) {
                bytes = AllocatedBytes.of(runs);
            }
            assertEquals(0, bytes);
            for (int round = 0; round < 10; round++) {
                bytes += AllocatedBytes.of(runs);
            }
            // Less than a byte a run: the JVM itself may allocate when it recompiles, and the least object is 16 bytes.
            assertTrue(bytes < 10_000, bytes + " bytes in 10,000 more runs");
        }
    }

    @Test
    void reportsWhatRan() {
        try (Session session = session(TestModels.diamond(), SessionOptions.builder().units(Units.NODES).build())) {
            session.input("x", 1, 8);
            session.run();
            session.run();
            RunReport report = session.report();
            assertEquals(2, report.runs());
            assertEquals(List.of(0, 1, 2, 3), report.units().stream().map(RunReport.UnitRun::unit).toList());
            for (RunReport.UnitRun unit : report.units()) {
                assertEquals("cpu", unit.device());
                assertTrue(unit.durationNs() >= 0, unit.toString());
            }
            assertTrue(report.plannedBytes() >= report.lowerBoundBytes()
                    && report.plannedBytes() <= report.oneBufferPerTensorBytes(), report.toString());
        }
    }

    @Test
    void reportsWhatItRemembersOfShapes() {
        SessionOptions options = SessionOptions.builder().units(Units.NODES).shapesKept(2).build();
        try (Session session = session(TestModels.diamond(), options)) {
            for (int rows : new int[] {1, 2, 1, 3, 1, 2}) {  // 3 and then 2 push out what was used longest ago
                session.input("x", rows, 8);
                session.run();
            }
            RunReport.Shapes shapes = session.report().shapes();
            assertTrue(shapes.sizingNs() > 0);
            assertEquals(new RunReport.Shapes(2, 2, 4, 2, 1, 0, shapes.sizingNs()), shapes);
        }
        ParallaxException e = assertThrows(ParallaxException.class, () -> SessionOptions.builder().shapesKept(0)
                .build());
        assertEquals("shapesKept is 0; give 1 or more", e.getMessage());
    }

    @Test
    void threadsTakeTurnsOnOneSession() throws Exception {
        try (Session session = session(TestModels.add());
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            session.input("x").copyFrom(new float[] {1, 2, 3, 4, 5, 6});
            session.input("y");
            session.run();
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                tasks.add(() -> {
                    for (int i = 0; i < 200; i++) {
                        session.run();
                        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, session.output("z").copy().toFloatArray());
                        session.report();
                    }
                    return null;
                });
            }
            for (Future<Void> done : threads.invokeAll(tasks)) {
                done.get();
            }
            assertEquals(1601, session.report().runs());
        }
    }

    @Test
    void sessionsRunSideBySide() throws Exception {
        try (Model model = TestModels.load(engine, TestModels.diamond());
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (Units units : Units.values()) {
                for (int width = 0; width < 2; width++) {
                    SessionOptions options = SessionOptions.builder().units(units).threads(width).build();
                    float value = units.ordinal() - 1.5f;
                    tasks.add(() -> {
                        try (Session session = model.session(options)) {
                            float[] expected = new float[16];
                            Arrays.fill(expected, TestModels.diamondOf(value));
                            float[] x = new float[16];
                            Arrays.fill(x, value);
                            session.input("x", 2, 8).copyFrom(x);
                            for (int i = 0; i < 100; i++) {
                                session.run();
                                assertArrayEquals(expected, session.output("y").toFloatArray(), 1e-5f);
                            }
                        }
                        return null;
                    });
                }
            }
            for (Future<Void> done : threads.invokeAll(tasks)) {
                done.get();
            }
        }
    }

    // ---- ending ---------------------------------------------------------------------------------------------------

    @Test
    void closedItRefusesEverything() {
        Session session = session(TestModels.add());
        Tensor x = session.input("x");
        session.close();
        session.close();
        for (Executable use : List.<Executable>of(session::run, session::report, () -> session.input("x"),
                () -> session.input("x", 2, 3), () -> session.output("z"), () -> session.unbindOutput("z"),
                () -> session.bindInput("x", Tensor.allocate(FLOAT32, 2, 3)),
                () -> session.bindOutput("z", Tensor.allocate(FLOAT32, 2, 3)), x::toFloatArray)) {
            assertThrows(IllegalStateException.class, use);
        }
        session.cancel();
        assertEquals("x", session.inputs().getFirst().name());
        assertEquals(1, session.plan().units().size());
    }

    @Test
    void aRunCanBeCancelledAndTheNextOneGoesThrough() throws Exception {
        SessionOptions options = SessionOptions.builder().units(Units.NODES).build();
        try (Session session = session(TestModels.slow(), options);
                ExecutorService thread = Executors.newSingleThreadExecutor()) {
            session.input("x");
            session.cancel();  // nothing to cancel: no effect on the next run
            session.run();
            Future<ParallaxException> cancelled = thread.submit(() -> {
                ParallaxException caught = null;
                while (caught == null) {  // until the request arrives while a run is in progress
                    try {
                        session.run();
                    } catch (ParallaxException e) {
                        caught = e;
                    }
                }
                return caught;
            });
            while (!cancelled.isDone()) {
                Thread.sleep(5);
                session.cancel();
            }
            assertEquals(ErrorCode.RUN_FAILED, cancelled.get().code());
            assertTrue(cancelled.get().getMessage().contains("cancelled"), cancelled.get().getMessage());
            session.run();
        }
    }

    @Test
    void closeWaitsForTheRunInProgress() throws Exception {
        Session session = session(TestModels.slow());
        session.input("x");
        CountDownLatch ran = new CountDownLatch(1);
        try (ExecutorService thread = Executors.newSingleThreadExecutor()) {
            Future<?> runs = thread.submit(() -> {
                while (true) {
                    session.run();
                    ran.countDown();
                }
            });
            ran.await();
            session.close();
            // The run in progress ended well, or this would be its error, or a crash; the next one found it closed.
            ExecutionException end = assertThrows(ExecutionException.class, runs::get);
            assertEquals("this session is closed", end.getCause().getMessage());
            assertEquals(IllegalStateException.class, end.getCause().getClass());
        }
    }

    @Test
    void oneShotRunsKeepNothingOfTheirInputs() {
        try (Model model = TestModels.load(engine, TestModels.add())) {
            Tensor y = Tensor.of(new float[6], 2, 3);
            try (Arena arena = Arena.ofConfined()) {
                model.run(Map.of("x", Tensor.allocate(arena, FLOAT32, 2, 3), "y", y));
            }
            float[] values = {1, 2, 3, 4, 5, 6};
            assertArrayEquals(values, model.run(Map.of("x", Tensor.of(values, 2, 3), "y", y)).get("z").toFloatArray());
            assertFalse(model.run(Map.of("x", y, "y", y)).isEmpty());
        }
    }
}
