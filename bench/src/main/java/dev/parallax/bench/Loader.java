package dev.parallax.bench;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Units;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * Loads a model until a session is ready to run, and takes the time. What is made once per process, the engine and ONNX
 * Runtime's environment, is made before the clock starts.
 *
 * <p>Lifetime: until close. Threads: one.
 */
final class Loader implements AutoCloseable {
    /**
     * One load.
     *
     * @param readyNs from nothing to a session that is ready to run
     * @param cpuNs processor time of the whole process meanwhile, the compiler's and the collector's too
     * @param closeNs until all is released again
     */
    record Sample(long readyNs, long cpuNs, long closeNs) {}

    private static final int CLOCK_PROCESS_CPUTIME_ID = 2;
    private static final MethodHandle CLOCK_GETTIME = Linker.nativeLinker().downcallHandle(
            Linker.nativeLinker().defaultLookup().find("clock_gettime").orElseThrow(),
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));

    private final int threads;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment time = arena.allocate(ValueLayout.JAVA_LONG, 2);
    private final Engine engine; // null for ONNX Runtime alone
    private final OrtEnvironment environment; // null for Parallax alone

    private Loader(int threads, Engine engine, OrtEnvironment environment) {
        this.threads = threads;
        this.engine = engine;
        this.environment = environment;
        cpuNanos(); // or the first sample would pay for linking
    }

    /** For all ways in turn. */
    static Loader ofAll(int threads) {
        return new Loader(threads, Engine.create(EngineOptions.builder().threads(threads).build()), environment());
    }

    /** For one way alone: nothing of the other engine is in the process. */
    static Loader of(Way way, int threads) {
        return way == Way.ORT ? new Loader(threads, null, environment())
                : new Loader(threads, Engine.create(EngineOptions.builder().threads(threads).build()), null);
    }

    private static OrtEnvironment environment() {
        return OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "bench");
    }

    Sample load(Way way, Path file) throws IOException {
        return way == Way.ORT ? plain(file) : ours(way == Way.WHOLE ? Units.WHOLE : Units.BRANCHES, file);
    }

    private Sample plain(Path file) throws IOException {
        long start = System.nanoTime();
        long cpu = cpuNanos();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            options.setIntraOpNumThreads(threads);
            // A new pool's threads spin while they wait for work, during the load and for a while after it: where cores
            // are few or busy that alone doubles the time of a small model's load. Spinning is of no use to a load, so
            // the baseline does without; the second key is for the good order of the measurements that follow.
            options.addConfigEntry("session.intra_op.allow_spinning", "0");
            options.addConfigEntry("session.force_spinning_stop", "1");
            OrtSession session = environment.createSession(file.toString(), options);
            long ready = System.nanoTime();
            long cpuReady = cpuNanos();
            session.close();
            return new Sample(ready - start, cpuReady - cpu, System.nanoTime() - ready);
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime cannot load " + file + ": " + e.getMessage(), e);
        }
    }

    private Sample ours(Units units, Path file) {
        long start = System.nanoTime();
        long cpu = cpuNanos();
        Model model = engine.load(file);
        Session session;
        try {
            session = model.session(SessionOptions.builder().units(units).build());
        } catch (RuntimeException | Error e) {
            model.close();
            throw e;
        }
        long ready = System.nanoTime();
        long cpuReady = cpuNanos();
        session.close();
        model.close();
        return new Sample(ready - start, cpuReady - cpu, System.nanoTime() - ready);
    }

    private long cpuNanos() {
        try {
            int result = (int) CLOCK_GETTIME.invokeExact(CLOCK_PROCESS_CPUTIME_ID, time);
            if (result != 0) {
                throw new IllegalStateException("clock_gettime failed");
            }
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e); // a C function throws nothing
        }
        return time.getAtIndex(ValueLayout.JAVA_LONG, 0) * 1_000_000_000L + time.getAtIndex(ValueLayout.JAVA_LONG, 1);
    }

    @Override
    public void close() {
        if (engine != null) {
            engine.close();
        }
        arena.close();
    }
}
