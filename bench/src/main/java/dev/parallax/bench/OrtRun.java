package dev.parallax.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * ONNX Runtime's C function {@code Run} on {@link OneNodeModel}, with nothing around it: the yardstick of what a run
 * costs. Input and output are OrtValues made once, on one thread. The call itself is a foreign one, some 10 ns.
 *
 * <p>ONNX Runtime's functions stand in a table whose order is fixed for ever; the numbers below are places in it. The
 * library is opened from a copy of its file, because a process has one environment per loaded copy and this one is to
 * have nothing in common with the other engines'.
 *
 * <p>Lifetime: until close. Threads: one.
 */
final class OrtRun implements AutoCloseable {
    private static final int API_VERSION = 21;
    private static final int LOG_FATAL = 4;
    private static final int OPTIMISE_ALL = 99;
    private static final int DEVICE_ALLOCATOR = 0;
    private static final int MEMORY_DEFAULT = 0;
    private static final int FLOAT = 1;

    private static final int GET_ERROR_MESSAGE = 2;
    private static final int CREATE_ENV = 3;
    private static final int CREATE_SESSION_FROM_ARRAY = 8;
    private static final int RUN = 9;
    private static final int CREATE_SESSION_OPTIONS = 10;
    private static final int SET_GRAPH_OPTIMIZATION_LEVEL = 23;
    private static final int SET_INTRA_OP_THREADS = 24;
    private static final int CREATE_TENSOR_WITH_DATA = 49;
    private static final int CREATE_CPU_MEMORY_INFO = 69;
    private static final int RELEASE_ENV = 92;
    private static final int RELEASE_MEMORY_INFO = 94;
    private static final int RELEASE_SESSION = 95;
    private static final int RELEASE_VALUE = 96;
    private static final int RELEASE_SESSION_OPTIONS = 100;

    private static final Linker LINKER = Linker.nativeLinker();
    /** Static and final, or the compiler could not see through it. The function's address is the first argument. */
    private static final MethodHandle RUN_HANDLE = LINKER.downcallHandle(FunctionDescriptor.of(ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS));

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment api;
    private final MemorySegment env;
    private final MemorySegment session;
    private final MemorySegment data;
    private final MemorySegment result;
    private final MemorySegment runFunction;
    private final MemorySegment inputNames;
    private final MemorySegment outputNames;
    private final MemorySegment inputs;
    private final MemorySegment outputs;

    OrtRun(Path library) throws Throwable {
        api = open(library);
        env = create(CREATE_ENV, LOG_FATAL, arena.allocateFrom("bench"));
        MemorySegment options = create(CREATE_SESSION_OPTIONS);
        check(function(SET_GRAPH_OPTIMIZATION_LEVEL, FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT))
                .invoke(options, OPTIMISE_ALL));
        check(function(SET_INTRA_OP_THREADS, FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT)).invoke(options, 1));
        byte[] model = OneNodeModel.bytes();
        session = create(CREATE_SESSION_FROM_ARRAY, env, arena.allocateFrom(ValueLayout.JAVA_BYTE, model),
                (long) model.length, options);
        release(RELEASE_SESSION_OPTIONS, options);

        data = arena.allocateFrom(JAVA_FLOAT, OneNodeModel.values());
        result = arena.allocate(data.byteSize(), 64);
        MemorySegment shape = arena.allocateFrom(JAVA_LONG, OneNodeModel.SIZE);
        MemorySegment memory = create(CREATE_CPU_MEMORY_INFO, DEVICE_ALLOCATOR, MEMORY_DEFAULT);
        inputs = pointerTo(create(CREATE_TENSOR_WITH_DATA, memory, data, data.byteSize(), shape, 1L, FLOAT));
        outputs = pointerTo(create(CREATE_TENSOR_WITH_DATA, memory, result, result.byteSize(), shape, 1L, FLOAT));
        release(RELEASE_MEMORY_INFO, memory);
        inputNames = pointerTo(arena.allocateFrom(OneNodeModel.INPUT));
        outputNames = pointerTo(arena.allocateFrom(OneNodeModel.OUTPUT));
        runFunction = api.getAtIndex(ADDRESS, RUN);
    }

    /** One run. */
    void run() throws Throwable {
        MemorySegment status = (MemorySegment) RUN_HANDLE.invokeExact(runFunction, session, MemorySegment.NULL,
                inputNames, inputs, 1L, outputNames, 1L, outputs);
        if (status.address() != 0) {
            check(status);
        }
    }

    /** The output as the last run left it. */
    float[] output() {
        return result.toArray(JAVA_FLOAT);
    }

    @Override
    public void close() throws IOException {
        try (arena) {
            release(RELEASE_VALUE, outputs.get(ADDRESS, 0));
            release(RELEASE_VALUE, inputs.get(ADDRESS, 0));
            release(RELEASE_SESSION, session);
            release(RELEASE_ENV, env);
        } catch (Throwable e) {
            throw new IOException("ONNX Runtime could not be closed", e);
        }
    }

    private static MemorySegment open(Path library) throws Throwable {
        Path copy = Files.createTempFile("parallax-bench-", ".so");
        try {
            Files.copy(library, copy, StandardCopyOption.REPLACE_EXISTING);
            // For ever: ONNX Runtime leaves thread-local destructors behind, so it must not be unloaded.
            SymbolLookup symbols = SymbolLookup.libraryLookup(copy, Arena.global());
            MethodHandle getBase = LINKER.downcallHandle(symbols.find("OrtGetApiBase").orElseThrow(
                    () -> new IOException(library + " is not ONNX Runtime: it has no symbol OrtGetApiBase")),
                    FunctionDescriptor.of(ADDRESS));
            MemorySegment base = ((MemorySegment) getBase.invoke()).reinterpret(2 * ADDRESS.byteSize());
            MemorySegment api = (MemorySegment) LINKER.downcallHandle(base.get(ADDRESS, 0),
                    FunctionDescriptor.of(ADDRESS, JAVA_INT)).invoke(API_VERSION);
            if (api.address() == 0) {
                throw new IOException(library + " is too old: release 1." + API_VERSION + " or newer is needed");
            }
            return api.reinterpret((RELEASE_SESSION_OPTIONS + 1) * ADDRESS.byteSize());
        } finally {
            Files.delete(copy); // mapped by now
        }
    }

    /** Calls a function whose last parameter is where to put the new object. */
    private MemorySegment create(int place, Object... arguments) throws Throwable {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length + 1];
        Object[] all = new Object[arguments.length + 1];
        for (int i = 0; i < arguments.length; i++) {
            all[i] = arguments[i];
            layouts[i] = arguments[i] instanceof Integer ? JAVA_INT
                    : arguments[i] instanceof Long ? JAVA_LONG : ADDRESS;
        }
        MemorySegment out = arena.allocate(ADDRESS);
        all[arguments.length] = out;
        layouts[arguments.length] = ADDRESS;
        check(function(place, FunctionDescriptor.of(ADDRESS, layouts)).invokeWithArguments(all));
        return out.get(ADDRESS, 0);
    }

    private void release(int place, MemorySegment object) throws Throwable {
        function(place, FunctionDescriptor.ofVoid(ADDRESS)).invoke(object);
    }

    private void check(Object status) throws Throwable {
        if (((MemorySegment) status).address() != 0) {
            MemorySegment text = (MemorySegment) function(GET_ERROR_MESSAGE, FunctionDescriptor.of(ADDRESS, ADDRESS))
                    .invoke((MemorySegment) status);
            throw new IOException("ONNX Runtime: " + text.reinterpret(Long.MAX_VALUE).getString(0));
        }
    }

    private MethodHandle function(int place, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(api.getAtIndex(ADDRESS, place), descriptor);
    }

    private MemorySegment pointerTo(MemorySegment segment) {
        MemorySegment pointer = arena.allocate(ADDRESS);
        pointer.set(ADDRESS, 0, segment);
        return pointer;
    }
}
