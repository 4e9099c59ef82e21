package dev.parallax.bench;

import dev.parallax.internal.NativeLibrary;
import dev.parallax.internal.bindings.Plx;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What it costs to get from Java into the core and back: a call that does nothing there. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(3)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class Downcall {
    /** Loads the core. */
    @Setup(Level.Trial)
    public void load() {
        NativeLibrary.load(null);
    }

    /** The call; its result is consumed. */
    @Benchmark
    public int abiVersion() {
        return Plx.plx_abi_version();
    }
}
