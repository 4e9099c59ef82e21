package dev.parallax;

import dev.parallax.internal.NativeLibrary;
import dev.parallax.internal.bindings.Plx;
import java.lang.foreign.Arena;

/**
 * The versions of all that takes part. Work begins at {@link Engine}.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: static, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * System.out.println(Parallax.version());
 * }</pre>
 */
public final class Parallax {
    private Parallax() {}

    /**
     * The version of every part: loads the native libraries, which takes a moment the first time.
     *
     * @return the versions
     * @throws ParallaxException LIBRARY or NOT_FOUND if a library cannot be loaded
     */
    public static Versions version() {
        // One thread, because an engine of one goes with any other engine of the process.
        try (Engine engine = Engine.create(EngineOptions.builder().threads(1).build())) {
            EngineInfo info = engine.info();
            return new Versions(info.parallax(), info.abi(), info.onnxRuntime(), info.ortApi(),
                    System.getProperty("java.vm.version"), NativeLibrary.platform(), info.compiler(),
                    info.nativeLibrary(), info.ortLibrary());
        }
    }

    /**
     * The accelerators of this machine, asked of their drivers now.
     *
     * @return them, and why there are none, if so
     * @throws ParallaxException LIBRARY or NOT_FOUND if Parallax's own library cannot be loaded
     */
    public static Accelerator.All accelerators() {
        try (Engine engine = Engine.create(EngineOptions.builder().threads(1).build()); Arena arena = Arena.ofConfined()) {
            return Parsing.accelerators(Native.text(arena, Plx::plx_devices_json));
        }
    }
}
