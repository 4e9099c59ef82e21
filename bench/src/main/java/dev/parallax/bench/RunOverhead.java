package dev.parallax.bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import dev.parallax.internal.NativeLibrary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;
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
 * What one run costs on a model of one tiny node: ONNX Runtime's C function called directly, Parallax's
 * {@code session.run()}, and {@code ai.onnxruntime}. Everything is bound before; each alternative has its own forks, so
 * that no engine's threads disturb another's.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(3)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
public class RunOverhead {
    /** ONNX Runtime's C function Run, one thread. */
    @State(Scope.Thread)
    public static class C {
        private OrtRun run;

        /** Opens and checks. */
        @Setup(Level.Trial)
        public void open() throws Throwable {
            run = new OrtRun(NativeLibrary.ortLibrary(null));
            run.run();
            OneNodeModel.check(run.output());
        }

        /** Closes. */
        @TearDown(Level.Trial)
        public void close() throws Exception {
            run.close();
        }
    }

    /** Parallax, however cut, on the calling thread or on the pool. */
    @State(Scope.Thread)
    public static class Ours {
        /** How the model is cut. */
        @Param({"WHOLE", "NODES"})
        public Units units;
        /** 1 = the calling thread alone, 0 = the pool, one thread per core. */
        @Param({"1", "0"})
        public int threads;

        private Engine engine;
        private Model model;
        private Session session;

        /** Opens, binds and checks. */
        @Setup(Level.Trial)
        public void open() {
            engine = Engine.create();
            model = engine.load(MemorySegment.ofArray(OneNodeModel.bytes()));
            session = model.session(SessionOptions.builder().units(units).threads(threads).build());
            session.bindInput(OneNodeModel.INPUT, Tensor.of(OneNodeModel.values(), OneNodeModel.SIZE));
            Tensor output = Tensor.allocate(ElementType.FLOAT32, OneNodeModel.SIZE);
            session.bindOutput(OneNodeModel.OUTPUT, output);
            session.run();
            OneNodeModel.check(output.segment().toArray(ValueLayout.JAVA_FLOAT));
        }

        /** Closes. */
        @TearDown(Level.Trial)
        public void close() {
            session.close();
            model.close();
            engine.close();
        }
    }

    /** ONNX Runtime's own Java binding, one thread, nothing made anew but what its run itself makes. */
    @State(Scope.Thread)
    public static class Binding {
        private OrtSession session;
        private OnnxTensor input;
        private OnnxTensor output;
        private Map<String, OnnxTensor> inputs;
        private Map<String, OnnxTensor> outputs;

        /** Opens and checks. */
        @Setup(Level.Trial)
        public void open() throws OrtException {
            OrtEnvironment environment = OrtEnvironment.getEnvironment();
            try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
                options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
                options.setIntraOpNumThreads(1);
                session = environment.createSession(OneNodeModel.bytes(), options);
            }
            long[] shape = {OneNodeModel.SIZE};
            FloatBuffer values = direct();
            values.put(OneNodeModel.values()).rewind();
            FloatBuffer result = direct();
            input = OnnxTensor.createTensor(environment, values, shape);
            output = OnnxTensor.createTensor(environment, result, shape);
            inputs = Map.of(OneNodeModel.INPUT, input);
            outputs = Map.of(OneNodeModel.OUTPUT, output);
            session.run(inputs, outputs).close();
            float[] answers = new float[OneNodeModel.SIZE];
            result.get(answers);
            OneNodeModel.check(answers);
        }

        /** Closes. */
        @TearDown(Level.Trial)
        public void close() throws OrtException {
            output.close();
            input.close();
            session.close();
        }

        private static FloatBuffer direct() {
            return ByteBuffer.allocateDirect(OneNodeModel.SIZE * Float.BYTES).order(ByteOrder.nativeOrder())
                    .asFloatBuffer();
        }
    }

    /** The yardstick. */
    @Benchmark
    public void cRun(C state) throws Throwable {
        state.run.run();
    }

    /** Ours. */
    @Benchmark
    public void parallax(Ours state) {
        state.session.run();
    }

    /** ONNX Runtime's Java binding. */
    @Benchmark
    public void onnxruntimeJava(Binding state) throws OrtException {
        state.session.run(state.inputs, state.outputs).close();
    }
}
