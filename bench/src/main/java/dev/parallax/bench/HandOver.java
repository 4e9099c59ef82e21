package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What units cost inside a run: the same nodes cut in two ways, or the same cut run in two ways. The difference is the
 * hand-over, as the nodes themselves take next to nothing.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(3)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Thread)
public class HandOver {
    /** Nodes of a chain. */
    static final int LENGTH = 16;

    /** What is run, and how. */
    public enum Way {
        /** One chain, one unit. */
        WHOLE("chain of " + LENGTH + " whole, 1 thread", 1, Units.WHOLE, 1, SequentialPolicy.INSTANCE, 1),
        /** The same, a unit for each node. */
        NODES("chain of " + LENGTH + " nodes, 1 thread", 1, Units.NODES, LENGTH, SequentialPolicy.INSTANCE, 1),
        /** Two chains, a unit each, one after the other on the calling thread. */
        SEQUENTIAL("two chains sequential, 1 thread", 2, Units.BRANCHES, 2, SequentialPolicy.INSTANCE, 1),
        /** The same two units side by side on the pool. */
        DATAFLOW("two chains dataflow, pool", 2, Units.BRANCHES, 2, DataflowPolicy.INSTANCE, 0);

        final String title;
        private final ChainsModel model;
        private final Units cut;
        private final int units;
        private final SchedulerPolicy policy;
        private final int threads;

        Way(String title, int chains, Units cut, int units, SchedulerPolicy policy, int threads) {
            this.title = "Parallax " + title;
            this.model = new ChainsModel(chains, LENGTH);
            this.cut = cut;
            this.units = units;
            this.policy = policy;
            this.threads = threads;
        }
    }

    /** What is run, and how. */
    @Param
    public Way way;

    private Engine engine;
    private Model model;
    private Session session;

    /** Opens, binds and checks. */
    @Setup(Level.Trial)
    public void open() {
        engine = Engine.create();
        model = engine.load(MemorySegment.ofArray(way.model.bytes()));
        session = model.session(
                SessionOptions.builder().units(way.cut).policy(way.policy).threads(way.threads).build());
        if (session.plan().unitCount() != way.units) {
            throw new IllegalStateException(way.title + ": cut into " + session.plan().unitCount() + " units, not "
                    + way.units);
        }
        List<Tensor> outputs = new ArrayList<>();
        for (int chain = 0; chain < way.model.chains(); chain++) {
            session.bindInput(ChainsModel.input(chain), Tensor.of(ChainsModel.values(), ChainsModel.SIZE));
            Tensor output = Tensor.allocate(ElementType.FLOAT32, ChainsModel.SIZE);
            session.bindOutput(ChainsModel.output(chain), output);
            outputs.add(output);
        }
        session.run();
        for (Tensor output : outputs) {
            way.model.check(output.segment().toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    /** Closes. */
    @TearDown(Level.Trial)
    public void close() {
        session.close();
        model.close();
        engine.close();
    }

    /** The run. */
    @Benchmark
    public void chains() {
        session.run();
    }
}
