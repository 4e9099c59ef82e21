package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.ParallaxException;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.RunStoppedException;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/** What {@link Soak} does thousands of times, and what must not make memory grow. */
enum SoakWay {
    /** A model loaded from a file, cut, run, closed. */
    LOAD("load, run, close") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) throws IOException {
            Path file = Files.write(folder.resolve("model.onnx"), model(64));
            return i -> {
                try (Model model = engine.load(file); Session session = model.session(options(i))) {
                    runTwice(session, 64);
                }
            };
        }
    },
    /** The same from memory. */
    LOAD_BYTES("load from memory") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) {
            byte[] bytes = model(64);
            return i -> {
                try (Model model = engine.load(MemorySegment.ofArray(bytes));
                        Session session = model.session(options(i))) {
                    runTwice(session, 64);
                }
            };
        }
    },
    /** A session of a model that stays. */
    SESSION("new session") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) {
            Model model = engine.load(MemorySegment.ofArray(model(64)));
            return i -> {
                try (Session session = model.session(options(i))) {
                    runTwice(session, 64);
                }
            };
        }
    },
    /** Files that are no models, models with operators that do not exist, and inputs that do not fit. */
    FAILURE("failing load") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) throws IOException {
            byte[] bytes = model(64);
            Path damaged = Files.write(folder.resolve("damaged.onnx"), Arrays.copyOf(bytes, bytes.length / 2));
            byte[] unknown = new ModelBuilder("unknown").input("x", 4).output("y", 4)
                    .node("NoSuchOperator", List.of("x"), "y").bytes();
            return i -> {
                expect(() -> engine.load(damaged).close());
                expect(() -> engine.load(folder.resolve("missing.onnx")).close());
                try (Model model = engine.load(MemorySegment.ofArray(unknown))) {
                    expect(() -> model.session(options(i)).close());
                }
                try (Model model = engine.load(MemorySegment.ofArray(bytes));
                        Session session = model.session(options(i))) {
                    expect(session::run);  // nothing is bound
                }
            };
        }
    },
    /** A run of some milliseconds that is stopped in its first one; then one that ends. */
    STOPPED("cancelled run") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) {
            Model model = engine.load(MemorySegment.ofArray(BranchesModel.bytes()));
            Model quick = engine.load(MemorySegment.ofArray(model(64)));
            return i -> {
                try (Session session = model.session(options(i))) {
                    session.input(BranchesModel.INPUT);
                    try {
                        session.run(Duration.ofNanos(1 + i % 10 * 100_000));
                    } catch (RunStoppedException e) {
                        if (e.reason() != RunStoppedException.Reason.TIME_LIMIT) {
                            throw e;
                        }
                    }
                }
                try (Session session = quick.session(options(i))) {
                    Thread.currentThread().interrupt();
                    session.input("x", 1, 64);
                    expect(session::run);
                    Thread.interrupted();
                    runTwice(session, 64);
                }
            };
        }
    },
    /** A shape that was never there before in every cycle, the largest first. */
    SHAPES("new shape") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) {
            Session session = engine.load(MemorySegment.ofArray(model(16))).session(options(1));
            Tensor all = Tensor.allocate(ElementType.FLOAT32, cycles, 16);
            return i -> {
                long rows = cycles - i;
                session.bindInput("x", Tensor.wrap(all.segment().asSlice(0, rows * 16 * Float.BYTES),
                        ElementType.FLOAT32, rows, 16));
                session.run();
                session.run();
            };
        }
    },
    /** An engine with its pool and everything. */
    ENGINE("engine, load, run, close") {
        @Override
        Cycle begin(Engine engine, Path folder, int cycles) {
            engine.close();
            byte[] bytes = model(64);
            return i -> {
                try (Engine own = Engine.create(EngineOptions.builder().threads(2).build());
                        Model model = own.load(MemorySegment.ofArray(bytes));
                        Session session = model.session(options(i))) {
                    runTwice(session, 64);
                }
            };
        }
    };

    final String title;

    SoakWay(String title) {
        this.title = title;
    }

    /** One of thousands. */
    interface Cycle {
        void run(int number) throws IOException;
    }

    /** What stays over all cycles is made here. */
    abstract Cycle begin(Engine engine, Path folder, int cycles) throws IOException;

    /** Two arms of a product and a function, of any number of rows. */
    private static byte[] model(int size) {
        float[] weights = new float[size * size];
        Arrays.fill(weights, 1f / size);
        return new ModelBuilder("arms").input("x", -1, size).output("y", -1, size)
                .weights("a", weights, size, size).weights("b", weights.clone(), size, size)
                .node("Relu", List.of("x"), "r").node("MatMul", List.of("r", "a"), "p")
                .node("MatMul", List.of("r", "b"), "q").node("Tanh", List.of("p"), "t")
                .node("Sigmoid", List.of("q"), "s").node("Mul", List.of("t", "s"), "y").bytes();
    }

    /** Every cut in turn, one after the other and side by side. */
    private static SessionOptions options(int number) {
        Units[] cuts = {Units.NODES, Units.WHOLE, Units.BRANCHES};
        return SessionOptions.builder()
                .plan(PlanOptions.builder().units(cuts[number % cuts.length]).rule(Rule.RELAXED).build())
                .policy(DataflowPolicy.INSTANCE).build();
    }

    private static void runTwice(Session session, int size) {
        session.input("x", 2, size);
        session.run();
        session.run();
        session.output("y").toFloatArray();
        session.report();
    }

    private static void expect(Runnable action) {
        try {
            action.run();
        } catch (ParallaxException e) {
            return;
        }
        throw new IllegalStateException("what should fail went through");
    }
}
