package dev.parallax;

import dev.parallax.internal.NativeLibrary;
import dev.parallax.internal.bindings.Plx;
import dev.parallax.internal.bindings.plx_engine_options;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * ONNX Runtime opened and its pool of threads made: where models are loaded.
 *
 * <p>One engine per process is enough; more are possible and share the pool, see {@link EngineOptions#threads()}.
 * Parallax opens a private copy of ONNX Runtime, so it goes with {@code ai.onnxruntime} in the same JVM.
 *
 * <p><b>Lifetime</b>: until {@link #close()}, which is idempotent and waits for loads in progress. Models and sessions
 * made from it stay usable; the pool goes with the last of them.
 *
 * <p><b>Threads</b>: any number.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * try (Engine engine = Engine.create(); Model model = engine.load(Path.of("model.onnx"))) {
 *     Map<String, Tensor> results = model.run(Map.of("x", Tensor.of(new float[] {1, 2}, 1, 2)));
 * }
 * }</pre>
 */
public final class Engine implements AutoCloseable {
    private final Handle handle;
    private final EngineInfo info;

    private Engine(Handle handle, EngineInfo info) {
        this.handle = handle;
        this.info = info;
    }

    /**
     * An engine with one thread per core.
     *
     * @return a new engine
     * @throws ParallaxException LIBRARY or NOT_FOUND if a native library cannot be loaded
     */
    public static Engine create() {
        return create(EngineOptions.DEFAULT);
    }

    /**
     * An engine as asked for.
     *
     * @param options how to make it
     * @return a new engine
     * @throws ParallaxException LIBRARY or NOT_FOUND if a native library cannot be loaded, or if a living engine has
     *     another number of threads
     */
    public static Engine create(EngineOptions options) {
        Path core = NativeLibrary.load(options.nativeLibrary());
        Path ort = NativeLibrary.ortLibrary(options.ortLibrary());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = plx_engine_options.allocate(arena);
            plx_engine_options.struct_size(struct, plx_engine_options.sizeof());
            plx_engine_options.ort_library_path(struct, arena.allocateFrom(ort.toString()));
            plx_engine_options.threads(struct, options.threads());
            plx_engine_options.verbosity(struct, options.verbosity().ordinal());
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Native.check(Plx.plx_engine_create(struct, out));
            Handle handle = new Handle("engine", out.get(ValueLayout.ADDRESS, 0), Plx::plx_engine_release);
            try {
                EngineInfo info = handle.call(
                        p -> Parsing.engineInfo(Native.text(arena, text -> Plx.plx_engine_info_json(p, text)), core));
                return new Engine(handle, info);
            } catch (RuntimeException | Error e) {
                handle.close();
                throw e;
            }
        }
    }

    /**
     * What this engine is made of; may be asked after {@link #close()}.
     *
     * @return versions, threads and paths
     */
    public EngineInfo info() {
        return info;
    }

    /**
     * Measures what a device and the CPU beside it can do: tries what the device's kernels are to be built for, and keeps
     * the fastest for all sessions from then on; then runs small models of one kind of operator each on both. Some
     * seconds, once per device, driver, kernels, processor, thread count and version of ONNX Runtime. It is kept in
     * {@code parallax/} in {@code XDG_CACHE_HOME} or {@code ~/.cache}. {@link Offload#AUTO} does it when it is first
     * needed. Plans that are made already keep their rates.
     *
     * @param device {@code opencl}, or {@code opencl:1} for the second one
     * @param again whether to measure even if it is known
     * @return rates by class of operators
     * @throws ParallaxException NOT_FOUND for a device that is not there, INVALID_ARGUMENT for a name that is none,
     *     RUN_FAILED or UNSUPPORTED if the device does not run the small models
     */
    public Calibration calibrate(String device, boolean again) {
        try (Arena arena = Arena.ofConfined()) {
            return Parsing.calibration(handle.call(p -> Native.text(arena, out ->
                    Plx.plx_engine_calibrate(p, arena.allocateFrom(device), again ? 1 : 0, out))));
        }
    }

    /**
     * Loads a model from a file. Its weights are mapped, not read; external data is looked for in the file's folder.
     *
     * @param path an ONNX file
     * @return a new model
     * @throws ParallaxException NOT_FOUND, INVALID_MODEL, UNSUPPORTED or IO
     */
    public Model load(Path path) {
        return load(path, ModelOptions.DEFAULT);
    }

    /**
     * Loads a model from a file. Its weights are mapped, not read; external data is looked for in the file's folder.
     *
     * @param path an ONNX file
     * @param options how to load it
     * @return a new model
     * @throws ParallaxException NOT_FOUND, INVALID_MODEL, UNSUPPORTED or IO
     */
    public Model load(Path path, ModelOptions options) {
        Objects.requireNonNull(options, "options");
        if (path.getFileSystem() != FileSystems.getDefault()) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, path + " is not in the default file system, so it"
                    + " cannot be mapped; load Files.newInputStream(path) instead");
        }
        return handle.call(p -> Model.load(info, null, options, (arena, struct, out) ->
                Plx.plx_model_load_file(p, arena.allocateFrom(path.toString()), struct, out)));
    }

    /**
     * Loads a model from memory. Off-heap memory is used in place: it must stay unchanged, and its arena open, until
     * the model and its sessions are closed. Memory on the Java heap is copied.
     *
     * @param bytes an ONNX file's content
     * @return a new model
     * @throws ParallaxException INVALID_MODEL or UNSUPPORTED
     */
    public Model load(MemorySegment bytes) {
        return load(bytes, ModelOptions.DEFAULT);
    }

    /**
     * Loads a model from memory. Off-heap memory is used in place: it must stay unchanged, and its arena open, until
     * the model and its sessions are closed. Memory on the Java heap is copied.
     *
     * @param bytes an ONNX file's content
     * @param options how to load it
     * @return a new model
     * @throws ParallaxException INVALID_MODEL, UNSUPPORTED, or NOT_FOUND for external data
     */
    public Model load(MemorySegment bytes, ModelOptions options) {
        Objects.requireNonNull(options, "options");
        if (bytes.isNative()) {
            return load(new ModelMemory(bytes, null), options);
        }
        ModelMemory memory = ModelMemory.allocate(bytes.byteSize());
        memory.data().copyFrom(bytes);
        return load(memory, options);
    }

    /**
     * Loads a model from a stream, which is read to its end and not closed.
     *
     * @param stream gives an ONNX file's content
     * @return a new model
     * @throws ParallaxException IO if reading fails, INVALID_MODEL or UNSUPPORTED
     */
    public Model load(InputStream stream) {
        return load(stream, ModelOptions.DEFAULT);
    }

    /**
     * Loads a model from a stream, which is read to its end and not closed.
     *
     * @param stream gives an ONNX file's content
     * @param options how to load it
     * @return a new model
     * @throws ParallaxException IO if reading fails, INVALID_MODEL, UNSUPPORTED, or NOT_FOUND for external data
     */
    public Model load(InputStream stream, ModelOptions options) {
        Objects.requireNonNull(options, "options");
        handle.call(p -> p);  // closed? Say so before reading
        List<byte[]> chunks = new ArrayList<>();
        long size = 0;
        try {
            // In chunks, because one array ends at 2 GB.
            for (byte[] chunk = stream.readNBytes(1 << 20); chunk.length > 0; chunk = stream.readNBytes(1 << 20)) {
                chunks.add(chunk);
                size += chunk.length;
            }
        } catch (IOException e) {
            throw new ParallaxException(ErrorCode.IO, "reading the model from the stream failed: " + e, e);
        }
        ModelMemory memory = ModelMemory.allocate(size);
        long offset = 0;
        for (int i = 0; i < chunks.size(); i++) {
            byte[] chunk = chunks.set(i, null);  // not needed twice
            MemorySegment.copy(chunk, 0, memory.data(), ValueLayout.JAVA_BYTE, offset, chunk.length);
            offset += chunk.length;
        }
        return load(memory, options);
    }

    private Model load(ModelMemory memory, ModelOptions options) {
        try {
            return handle.call(p -> Model.load(info, memory, options, (arena, struct, out) ->
                    Plx.plx_model_load_memory(p, memory.data(), memory.data().byteSize(), struct, out)));
        } catch (RuntimeException | Error e) {
            memory.release();
            throw e;
        }
    }

    /** Gives the engine up; idempotent. Models and sessions made from it stay usable. */
    @Override
    public void close() {
        handle.close();
    }

    @Override
    public String toString() {
        return "engine of " + info.threads() + " threads, ONNX Runtime " + info.onnxRuntime();
    }
}
