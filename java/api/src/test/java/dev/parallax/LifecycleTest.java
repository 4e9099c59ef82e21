package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.RunStoppedException.Reason;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Runs that are stopped, from wherever, at whatever moment; and user code that throws. */
@TestInstance(Lifecycle.PER_CLASS)
class LifecycleTest {
    /** Rounds of a loop that take minutes. */
    private static final long ENDLESS = 1L << 27;

    private Engine engine;
    private Model loops;

    @BeforeAll
    void open() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        loops = TestModels.load(engine, TestModels.loops());
    }

    @AfterAll
    void close() {
        loops.close();
        engine.close();
    }

    /** Where a run is when it is stopped. */
    private enum Place {
        /** In one operator's loop, inside ONNX Runtime. */
        WHOLE(Units.WHOLE, SequentialPolicy.INSTANCE),
        /** In one unit of several. */
        NODES(Units.NODES, SequentialPolicy.INSTANCE),
        /** In two units side by side, on the calling thread and the pool's. */
        SIDE_BY_SIDE(Units.NODES, (plan, state) -> new Schedule(plan.units().stream()
                .map(u -> Schedule.Entry.of(u.index()).withThreads(1)).toList(), 0));

        final Units units;
        final SchedulerPolicy policy;

        Place(Units units, SchedulerPolicy policy) {
            this.units = units;
            this.policy = policy;
        }
    }

    private Session session(Place place) {
        Session session = loops.session(SessionOptions.builder().units(place.units).policy(place.policy).build());
        session.input("x").copyFrom(new float[] {-2, -0.5f, 0.25f, 3});
        session.input("times");
        return session;
    }

    private static void assertRunsRight(Session session) {
        session.input("times").copyFrom(new long[] {3});
        session.run();
        float[] expected = new float[4];
        float[] x = session.input("x").toFloatArray();
        for (int i = 0; i < 4; i++) {
            expected[i] = TestModels.loopsOf(x[i], 3);
        }
        assertArrayEquals(expected, session.output("y").toFloatArray(), 1e-5f);
    }

    /** What a thread met in a run that never ends by itself, and whether it was left interrupted. */
    private record Met(RunStoppedException stop, boolean interrupted) {}

    private static final class Runner extends Thread {
        final CompletableFuture<Met> met = new CompletableFuture<>();
        final Runnable run;

        Runner(Runnable run) {
            this.run = run;
            start();
        }

        @Override
        public void run() {
            try {
                run.run();
                met.completeExceptionally(new AssertionError("the run ended"));
            } catch (RunStoppedException e) {
                met.complete(new Met(e, isInterrupted()));
            } catch (Throwable e) {
                met.completeExceptionally(e);
            }
        }
    }

    private static void assertStopped(Reason reason, Met met) {
        assertEquals(reason, met.stop.reason(), met.stop.getMessage());
        assertEquals(ErrorCode.RUN_FAILED, met.stop.code());
        assertEquals(reason == Reason.INTERRUPTED, met.interrupted);
    }

    // ---- stopping -------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @EnumSource
    void aCancelledRunEnds(Place place) throws Exception {
        try (Session session = session(place)) {
            for (int round = 0; round < 3; round++) {
                session.input("times").copyFrom(new long[] {ENDLESS});
                Runner runner = new Runner(session::run);
                while (!runner.met.isDone()) {  // a request between runs does nothing
                    Thread.sleep(10);
                    session.cancel();
                }
                assertStopped(Reason.CANCELLED, runner.met.get());
                assertThrows(IllegalStateException.class, () -> session.output("y"));
                assertRunsRight(session);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void anInterruptedThreadComesBackFromItsRun(Place place) throws Exception {
        try (Session session = session(place)) {
            for (int round = 0; round < 3; round++) {
                session.input("times").copyFrom(new long[] {ENDLESS});
                Runner runner = new Runner(session::run);
                Thread.sleep(30L * round);  // before the run begins, perhaps, and in it
                runner.interrupt();  // once: it must not get lost, wherever it falls
                assertStopped(Reason.INTERRUPTED, runner.met.get());
                assertRunsRight(session);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void aRunEndsAtItsLimit(Place place) throws Exception {
        try (Session session = session(place)) {
            for (Map.Entry<String, Duration> entry : Map.of("1 ns", Duration.ofNanos(1), "1 ms", Duration.ofMillis(1),
                    "50 ms", Duration.ofMillis(50)).entrySet()) {
                Duration limit = entry.getValue();
                session.input("times").copyFrom(new long[] {ENDLESS});
                long start = System.nanoTime();
                Runner runner = new Runner(() -> session.run(limit));
                assertStopped(Reason.TIME_LIMIT, runner.met.get());
                assertTrue(System.nanoTime() - start >= limit.toNanos());
                String message = runner.met.get().stop.getMessage();
                assertTrue(message.contains("its limit of " + entry.getKey()), message);
                assertRunsRight(session);
            }
            session.input("times").copyFrom(new long[] {3});
            session.run(Duration.ofDays(1_000_000));  // longer than nanoseconds can tell
            session.run(Duration.ofMinutes(1));
            session.output("y");
        }
    }

    @Test
    void alreadyInterruptedItDoesNotBegin() {
        try (Session session = session(Place.NODES)) {
            assertRunsRight(session);
            Thread.currentThread().interrupt();
            assertEquals(Reason.INTERRUPTED, assertThrows(RunStoppedException.class, session::run).reason());
            assertEquals(Reason.INTERRUPTED,
                    assertThrows(RunStoppedException.class, () -> session.run(Duration.ofMinutes(1))).reason());
            assertTrue(Thread.interrupted());
            assertRunsRight(session);
        }
    }

    @Test
    void limitsThatAreNoneAreRefused() {
        try (Session session = session(Place.WHOLE)) {
            for (int nanos : new int[] {0, -1}) {
                ParallaxException e = assertThrows(ParallaxException.class,
                        () -> session.run(Duration.ofNanos(nanos)));
                assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
                assertTrue(e.getMessage().contains("a time limit of " + nanos + " ns"), e.getMessage());
            }
            assertThrows(NullPointerException.class, () -> session.run(null));
        }
    }

    @Test
    void waitingForAnotherThreadsRunCanBeStoppedToo() throws Exception {
        try (Session session = session(Place.WHOLE)) {
            session.input("times").copyFrom(new long[] {ENDLESS});
            Runner one = new Runner(session::run);
            Runner other = new Runner(session::run);
            while (one.getState() != Thread.State.WAITING && other.getState() != Thread.State.WAITING) {
                Thread.sleep(1);
            }
            Runner waiting = one.getState() == Thread.State.WAITING ? one : other;
            Runner busy = waiting == one ? other : one;
            waiting.interrupt();
            assertStopped(Reason.INTERRUPTED, waiting.met.get());
            Runner limited = new Runner(() -> session.run(Duration.ofMillis(20)));
            assertStopped(Reason.TIME_LIMIT, limited.met.get());
            assertFalse(busy.met.isDone());  // all this was none of its business
            busy.interrupt();
            assertStopped(Reason.INTERRUPTED, busy.met.get());
            assertRunsRight(session);
        }
    }

    /** Interrupts and limits of one thread are nothing to the others, at whatever moment they come. */
    @Test
    void stopsNeverReachAnotherThreadsRun() throws Exception {
        try (Session session = session(Place.NODES); ExecutorService threads = Executors.newCachedThreadPool()) {
            session.input("times").copyFrom(new long[] {20});
            AtomicBoolean over = new AtomicBoolean();
            CompletableFuture<Thread> victim = new CompletableFuture<>();
            AtomicInteger interruptions = new AtomicInteger();
            AtomicInteger limits = new AtomicInteger();
            Future<?> interrupted = threads.submit(() -> {
                victim.complete(Thread.currentThread());
                while (!over.get()) {
                    try {
                        session.run();
                    } catch (RunStoppedException e) {
                        assertEquals(Reason.INTERRUPTED, e.reason());
                        interruptions.incrementAndGet();
                    }
                    Thread.interrupted();
                }
            });
            Future<?> limited = threads.submit(() -> {
                while (!over.get()) {
                    try {
                        session.run(Duration.ofNanos(ThreadLocalRandom.current().nextInt(1, 300_000)));
                    } catch (RunStoppedException e) {
                        assertEquals(Reason.TIME_LIMIT, e.reason());
                        limits.incrementAndGet();
                    }
                }
            });
            Future<?> interrupting = threads.submit(() -> {
                while (!over.get()) {
                    victim.join().interrupt();
                    Thread.yield();
                }
            });
            long late = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);  // a busy machine may take its time
            try {
                for (int i = 0; i < 500 || interruptions.get() < 10 || limits.get() < 10; i++) {
                    session.run();  // nobody stops this one
                    assertTrue(System.nanoTime() < late, interruptions + " interruptions, " + limits + " limits met");
                }
            } finally {
                over.set(true);
            }
            interrupted.get();
            limited.get();
            interrupting.get();
            assertRunsRight(session);
        }
    }

    @Test
    void eightThreadsWithTheirOwnSessions() throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                Place place = Place.values()[t % 3];
                boolean stopped = t % 2 == 0;
                tasks.add(() -> {
                    try (Session session = session(place)) {
                        for (int i = 0; i < 10; i++) {
                            if (stopped) {
                                session.input("times").copyFrom(new long[] {ENDLESS});
                                assertEquals(Reason.TIME_LIMIT, assertThrows(RunStoppedException.class,
                                        () -> session.run(Duration.ofMillis(2))).reason());
                            }
                            assertRunsRight(session);
                        }
                    }
                    return null;
                });
            }
            for (Future<Void> done : threads.invokeAll(tasks)) {
                done.get();
            }
        }
    }

    // ---- closing --------------------------------------------------------------------------------------------------

    /** Nobody has to wait for a run that is not wanted any more: cancel first. Who comes later finds it closed. */
    @Test
    void closedWhileSomeRunAndSomeWait() throws Exception {
        Session session = session(Place.SIDE_BY_SIDE);
        session.input("times").copyFrom(new long[] {ENDLESS});
        List<Runner> runners = List.of(new Runner(session::run), new Runner(() -> session.run(Duration.ofHours(1))),
                new Runner(session::run));
        Thread.sleep(20);
        Thread closer = Thread.ofPlatform().start(session::close);
        while (closer.isAlive()) {  // each runner that had come before it has to be stopped
            session.cancel();
            Thread.sleep(1);
        }
        for (Runner runner : runners) {
            try {
                assertStopped(Reason.CANCELLED, runner.met.get());
            } catch (ExecutionException e) {
                assertEquals("this session is closed", e.getCause().getMessage());
            }
        }
        assertThrows(IllegalStateException.class, session::run);
        assertThrows(IllegalStateException.class, () -> session.run(Duration.ofSeconds(1)));
        session.cancel();
        session.close();
    }

    // ---- user code that throws ------------------------------------------------------------------------------------

    /** No error in Java code can meet native frames: the core's interface takes no function. */
    @Test
    void theCoreCallsNothingBack() throws Exception {
        String header = Files.readString(Path.of(System.getProperty("plx.header")));
        assertTrue(header.contains("plx_session_run"));
        assertFalse(header.contains("(*"), "a pointer to a function: what if Java code behind it throws?");
    }

    private static <E extends Throwable> void sneak(Throwable e) throws E {
        @SuppressWarnings("unchecked")
        E same = (E) e;
        throw same;
    }

    private static final List<Throwable> THROWN = List.of(new IllegalArgumentException("thrown"),
            new Exception("thrown"), new StackOverflowError("thrown"), new AssertionError("thrown"),
            new OutOfMemoryError("thrown"), new Throwable("thrown"));

    /** Exceptions become ours; errors that say the JVM is in trouble pass as they are. */
    private static void assertThrown(Throwable thrown, org.junit.jupiter.api.function.Executable action) {
        Throwable met = assertThrows(Throwable.class, action);
        if (met instanceof ParallaxException e) {
            assertEquals(ErrorCode.INVALID_PLAN, e.code());
            assertTrue(e.getMessage().contains("thrown"), e.getMessage());
        } else {
            assertEquals(thrown, met);
        }
    }

    @Test
    void aPolicyThatThrowsWhenASessionIsMade() {
        for (Throwable thrown : THROWN) {
            SchedulerPolicy bad = (plan, state) -> {
                LifecycleTest.<RuntimeException>sneak(thrown);
                return null;
            };
            assertThrown(thrown, () -> loops.session(SessionOptions.builder().policy(bad).build()));
            SchedulerPolicy worse = new SchedulerPolicy() {
                @Override
                public Schedule schedule(Plan plan, DeviceState state) {
                    return SequentialPolicy.INSTANCE.schedule(plan, state);
                }

                @Override
                public boolean watchesDevice() {
                    LifecycleTest.<RuntimeException>sneak(thrown);
                    return true;
                }
            };
            assertThrown(thrown, () -> loops.session(SessionOptions.builder().policy(worse).build()));
        }
        try (Session session = session(Place.NODES)) {
            assertRunsRight(session);
        }
    }

    /** Sees to it that the next run asks the policy again. */
    private static void makeTheMachineDiffer(Session session) {
        session.steering.state = new DeviceState(12345, 1, session.steering.state.poolThreads());
        session.steering.looked -= TimeUnit.HOURS.toNanos(1);
    }

    @Test
    void aPolicyThatThrowsWhenItIsAskedAgain() {
        Throwable[] thrown = new Throwable[1];
        SchedulerPolicy policy = (plan, state) -> {
            if (thrown[0] != null) {
                LifecycleTest.<RuntimeException>sneak(thrown[0]);
            }
            return SequentialPolicy.INSTANCE.schedule(plan, state);
        };
        try (Session session = loops.session(SessionOptions.builder().units(Units.NODES).policy(policy).build())) {
            session.input("x").copyFrom(new float[] {1, 2, 3, 4});
            session.input("times");
            for (Throwable next : THROWN) {
                thrown[0] = next;
                makeTheMachineDiffer(session);
                assertThrown(next, session::run);
                makeTheMachineDiffer(session);
                thrown[0] = null;
                assertRunsRight(session);
            }
        }
    }

    @Test
    void aPolicyThatMeddlesWithItsSession() {
        Runnable[] meddle = {() -> {}};
        SchedulerPolicy policy = (plan, state) -> {
            meddle[0].run();
            return SequentialPolicy.INSTANCE.schedule(plan, state);
        };
        Session session = loops.session(SessionOptions.builder().units(Units.NODES).policy(policy).build());
        session.input("x").copyFrom(new float[] {1, 2, 3, 4});
        session.input("times");
        meddle[0] = session::run;
        makeTheMachineDiffer(session);
        ParallaxException e = assertThrows(ParallaxException.class, session::run);
        assertEquals(ErrorCode.INVALID_PLAN, e.code());
        assertTrue(e.getMessage().contains("asks its policy"), e.getMessage());
        meddle[0] = session::cancel;  // the run it is asked for
        makeTheMachineDiffer(session);
        assertEquals(Reason.CANCELLED, assertThrows(RunStoppedException.class, session::run).reason());
        assertRunsRight(session);
        meddle[0] = session::close;
        makeTheMachineDiffer(session);
        assertEquals("this session is closed", assertThrows(IllegalStateException.class, session::run).getMessage());
    }

    @Test
    void aPolicyThatClosesItsModel() {
        Model model = TestModels.load(engine, TestModels.add());
        SchedulerPolicy policy = new SchedulerPolicy() {
            @Override
            public Schedule schedule(Plan plan, DeviceState state) {
                return SequentialPolicy.INSTANCE.schedule(plan, state);
            }

            @Override
            public boolean watchesDevice() {
                model.close();
                return false;
            }
        };
        assertThrows(IllegalStateException.class,
                () -> model.session(SessionOptions.builder().policy(policy).build()));
    }

    @Test
    void aStreamThatThrows() {
        for (Throwable thrown : THROWN) {
            InputStream stream = new InputStream() {
                @Override
                public int read() {
                    LifecycleTest.<RuntimeException>sneak(thrown);
                    return -1;
                }
            };
            assertEquals(thrown, assertThrows(Throwable.class, () -> engine.load(stream)));
        }
        try (Session session = session(Place.WHOLE)) {
            assertRunsRight(session);
        }
    }
}
