package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Requests given to a session, several at a time. */
class RequestsTest {
    private static final int SIZE = 64;
    private static Engine engine;
    private static Model model;

    @BeforeAll
    static void load() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        model = TestModels.load(engine, cpuDeviceCpu());
    }

    @AfterAll
    static void close() {
        model.close();
        engine.close();
    }

    /** Sums and products by turns: no OpenCL kernel of ours makes the sums. */
    private static byte[] cpuDeviceCpu() {
        OnnxBuilder b = new OnnxBuilder("turns").input("x", ElementType.FLOAT32, SIZE, SIZE)
                .output("y", ElementType.FLOAT32, SIZE, SIZE);
        float[] weights = new float[SIZE * SIZE];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = ((i * 37 % 101) - 50) / 400f;
        }
        b.initializer("w", Tensor.of(weights, SIZE, SIZE)).initializer("axis", Tensor.of(new long[] {1}));
        String from = "x";
        for (int i = 0; i < 6; i++) {
            b.node("CumSum", List.of(from, "axis"), List.of("s" + i));
            b.node("MatMul", List.of("s" + i, "w"), List.of("p" + i));
            b.node("Tanh", List.of("p" + i), List.of(i == 5 ? "y" : "t" + i));
            from = "t" + i;
        }
        return b.build();
    }

    private static Map<String, Tensor> inputs(int seed) {
        float[] x = new float[SIZE * SIZE];
        for (int i = 0; i < x.length; i++) {
            x[i] = ((i * (seed + 3)) % 19 - 9) / 90f;
        }
        return Map.of("x", Tensor.of(x, SIZE, SIZE));
    }

    private static SessionOptions options(int depth, int threads) {
        return SessionOptions.builder().units(Units.NODES).depth(depth).threads(threads).build();
    }

    @Test
    void eachHasItsOwnResultAndTheyEndInOrder() {
        for (int depth : new int[] {1, 2, 5}) {
            try (Session session = model.session(options(depth, 0))) {
                List<Integer> ended = Collections.synchronizedList(new ArrayList<>());
                List<CompletableFuture<Map<String, Tensor>>> results = new ArrayList<>();
                for (int i = 0; i < 60; i++) {
                    int number = i;
                    CompletableFuture<Map<String, Tensor>> result = session.submit(inputs(i));
                    results.add(result);
                    result.thenRun(() -> ended.add(number));
                }
                for (int i = 0; i < results.size(); i++) {
                    assertArrayEquals(model.run(inputs(i)).get("y").toFloatArray(),
                            results.get(i).join().get("y").toFloatArray(), "request " + i + " at depth " + depth);
                }
                session.submit(inputs(0)).join();  // what is noted when one ends is noted before the next ends
                assertEquals(IntStream.range(0, 60).boxed().toList(), ended);
            }
        }
    }

    @Test
    void theCpuWorksForOneWhileTheDeviceWorksForAnother() {
        PlanOptions plan = PlanOptions.builder().units(Units.BRANCHES).device("opencl").offload(Offload.ALL).build();
        try (Session session = model.session(SessionOptions.builder().plan(plan).threads(1).depth(2).build())) {
            List<CompletableFuture<RunReport>> results = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                results.add(session.submit(inputs(i), Session::report));
            }
            List<RunReport> reports = results.stream().map(CompletableFuture::join).toList();
            int met = 0;
            for (int i = 1; i < reports.size(); i++) {
                assertEquals(6, reports.get(i).units().stream().filter(u -> u.device().equals("opencl")).count());
                met += meet(reports.get(i - 1), true, reports.get(i), false) ? 1 : 0;
                assertTrue(mostMet(reports.get(i - 1), reports.get(i)) <= 1,
                        "the younger request went on while the older one was on the only thread");
            }
            assertTrue(met > 0, "no request's units ran on the CPU while the device worked for the one before");
            TreeSet<Integer> processes = new TreeSet<>();
            for (JsonElement event : JsonParser.parseString(new Trace(session.plan(), reports.subList(0, 2)).toChromeJson())
                    .getAsJsonObject().getAsJsonArray("traceEvents")) {
                processes.add(event.getAsJsonObject().get("pid").getAsInt());
            }
            assertEquals(List.of(1, 2), List.copyOf(processes));
        }
    }

    private static boolean meet(RunReport a, boolean deviceOfA, RunReport b, boolean deviceOfB) {
        return a.units().stream().filter(u -> (u.worker() < 0) == deviceOfA).anyMatch(u -> b.units().stream()
                .filter(v -> (v.worker() < 0) == deviceOfB).anyMatch(v -> meet(a, u, b, v)));
    }

    /** With how many units of the younger request on the CPU a unit of the older one was there at the same time, at most. */
    private static long mostMet(RunReport older, RunReport younger) {
        return older.units().stream().filter(u -> u.worker() >= 0).mapToLong(u -> younger.units().stream()
                .filter(v -> v.worker() >= 0 && meet(older, u, younger, v)).count()).max().orElse(0);
    }

    private static boolean meet(RunReport a, RunReport.UnitRun u, RunReport b, RunReport.UnitRun v) {
        return a.startedNs() + u.startNs() < b.startedNs() + v.endNs() && b.startedNs() + v.startNs() < a.startedNs() + u.endNs();
    }

    @Test
    void whatDoesNotFitFailsAloneAndSaysWhy() {
        try (Session session = model.session(options(2, 1))) {
            assertEquals(ErrorCode.INVALID_ARGUMENT,
                    assertThrows(ParallaxException.class, () -> session.submit(Map.of())).code());
            assertThrows(ParallaxException.class, () -> session.submit(Map.of("z", inputs(1).get("x"))));
            CompletableFuture<Map<String, Tensor>> first = session.submit(inputs(1));
            CompletableFuture<Map<String, Tensor>> bad = session.submit(Map.of("x", Tensor.of(new float[] {1}, 1)));
            CompletableFuture<Map<String, Tensor>> thrown = session.submit(inputs(2), s -> {
                throw new IllegalCallerException("mine");
            });
            CompletableFuture<Map<String, Tensor>> last = session.submit(inputs(3));
            first.join();
            ParallaxException why = assertInstanceOf(ParallaxException.class,
                    assertThrows(CompletionException.class, bad::join).getCause());
            assertTrue(why.getMessage().contains("does not fit input"), why::getMessage);
            assertInstanceOf(IllegalCallerException.class, assertThrows(CompletionException.class, thrown::join).getCause());
            assertArrayEquals(model.run(inputs(3)).get("y").toFloatArray(), last.join().get("y").toFloatArray());
        }
    }

    @Test
    void aCancelledRequestDoesNotBeginAndTheOthersGoOn() throws InterruptedException {
        try (Session session = model.session(options(1, 1))) {
            Held held = new Held();
            CompletableFuture<Boolean> running = session.submit(inputs(0), held::read);
            CompletableFuture<Map<String, Tensor>> waiting = session.submit(inputs(1));
            CompletableFuture<Map<String, Tensor>> last = session.submit(inputs(2));
            held.entered.await();
            assertTrue(waiting.cancel(true));
            held.leave.countDown();
            assertTrue(running.join());
            assertThrows(CancellationException.class, waiting::join);
            assertArrayEquals(model.run(inputs(2)).get("y").toFloatArray(), last.join().get("y").toFloatArray());
        }
    }

    /** Whenever it comes: before the run begins, while it begins, or later. Without it the loops would go on for days. */
    @Test
    void aRequestThatRunsIsStoppedByCancelling() throws Exception {
        try (Model loops = TestModels.load(engine, TestModels.loops());
                Session session = loops.session(SessionOptions.builder().depth(1).build())) {
            Tensor x = Tensor.of(new float[] {1, 2, 3, 4}, 4);
            for (int i = 0; i < 50; i++) {
                CompletableFuture<Map<String, Tensor>> endless =
                        session.submit(Map.of("x", x, "times", Tensor.of(new long[] {1L << 40})));
                TimeUnit.MICROSECONDS.sleep(20L * i);
                assertTrue(endless.cancel(true));
                Tensor y = session.submit(Map.of("x", x, "times", Tensor.of(new long[] {3}))).get(60, TimeUnit.SECONDS).get("y");
                assertEquals(TestModels.loopsOf(2, 3), y.toFloatArray()[1], 1e-6f);
            }
        }
    }

    @Test
    void closingWaitsForWhatRunsAndFailsTheRest() throws InterruptedException {
        Session session = model.session(options(1, 1));
        Held held = new Held();
        CompletableFuture<Boolean> running = session.submit(inputs(0), held::read);
        CompletableFuture<Map<String, Tensor>> waiting = session.submit(inputs(1));
        held.entered.await();
        Thread closer = new Thread(session::close);
        closer.start();
        closer.join(100);
        assertTrue(closer.isAlive(), "close did not wait for the request in progress");
        held.leave.countDown();
        closer.join();
        assertTrue(running.join());
        assertInstanceOf(IllegalStateException.class, assertThrows(CompletionException.class, waiting::join).getCause());
        assertThrows(IllegalStateException.class, () -> session.submit(inputs(2)));
        session.close();
    }

    @Test
    void aRequestMayCloseItsSession() {
        Session session = model.session(options(2, 1));
        assertTrue(session.submit(inputs(0), s -> {
            session.close();
            return true;
        }).join());
        assertThrows(IllegalStateException.class, () -> session.submit(inputs(2)));
    }

    @Test
    void aFixedBudgetIsDividedAmongThem() {
        SessionOptions wanted = SessionOptions.builder().units(Units.NODES).depth(4).memoryBudget(MemoryBudget.fixed(64 << 20))
                .build();
        try (Session session = model.session(wanted)) {
            assertEquals(16 << 20, session.submit(inputs(1), Session::report).join().budget().limitBytes());
        }
    }

    @Test
    void theDepthHasBounds() {
        for (int depth : new int[] {0, -1, 65}) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> SessionOptions.builder().depth(depth).build());
            assertTrue(e.getMessage().startsWith("depth is " + depth), e::getMessage);
        }
    }

    /** Keeps a request in progress. */
    private static final class Held {
        final CountDownLatch entered = new CountDownLatch(1);
        final CountDownLatch leave = new CountDownLatch(1);

        boolean read(Session session) {
            entered.countDown();
            try {
                leave.await();
                return true;
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
