package dev.parallax.cli;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.Value;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Plain ONNX Runtime through its C interface, since its own Java API takes no sequences, maps and optionals, and not
 * every type of tensor. A session has ONNX Runtime's defaults (all graph passes) and one thread.
 *
 * <p>ONNX Runtime's functions stand in a table whose order is fixed for ever; the numbers below are places in it. The
 * library is opened from a copy of its file, because a process has one environment per loaded copy and this one is to
 * have nothing in common with Parallax's.
 *
 * <p>Lifetime: the environment's is the process's, a session's until close. Threads: any.
 */
@SuppressWarnings("restricted")  // what the C interface hands out, with the sizes it states
final class PlainOrt {
    private static final int API_VERSION = 21;
    private static final int LOG_FATAL = 4;
    private static final int OPTIMISE_ALL = 99;
    private static final int TENSOR = 1;
    private static final int SEQUENCE = 2;
    private static final int MAP = 3;

    private static final int GET_ERROR_MESSAGE = 2;
    private static final int CREATE_ENV = 3;
    private static final int CREATE_SESSION_FROM_ARRAY = 8;
    private static final int RUN = 9;
    private static final int CREATE_SESSION_OPTIONS = 10;
    private static final int SET_SESSION_LOG_SEVERITY_LEVEL = 22;
    private static final int SET_GRAPH_OPTIMIZATION_LEVEL = 23;
    private static final int SET_INTRA_OP_THREADS = 24;
    private static final int SESSION_GET_INPUT_COUNT = 30;
    private static final int SESSION_GET_OUTPUT_COUNT = 31;
    private static final int SESSION_GET_INPUT_NAME = 36;
    private static final int SESSION_GET_OUTPUT_NAME = 37;
    private static final int CREATE_TENSOR_AS_ORT_VALUE = 48;
    private static final int GET_TENSOR_MUTABLE_DATA = 51;
    private static final int GET_TENSOR_ELEMENT_TYPE = 60;
    private static final int GET_DIMENSIONS_COUNT = 61;
    private static final int GET_DIMENSIONS = 62;
    private static final int GET_TENSOR_TYPE_AND_SHAPE = 65;
    private static final int GET_VALUE_TYPE = 67;
    private static final int ALLOCATOR_FREE = 76;
    private static final int GET_ALLOCATOR_WITH_DEFAULT_OPTIONS = 78;
    private static final int GET_VALUE = 80;
    private static final int GET_VALUE_COUNT = 81;
    private static final int CREATE_VALUE = 82;
    private static final int RELEASE_STATUS = 93;
    private static final int RELEASE_SESSION = 95;
    private static final int RELEASE_VALUE = 96;
    private static final int RELEASE_TENSOR_TYPE_AND_SHAPE_INFO = 99;
    private static final int RELEASE_SESSION_OPTIONS = 100;
    private static final int GET_STRING_TENSOR_ELEMENT_LENGTH = 127;
    private static final int GET_STRING_TENSOR_ELEMENT = 128;
    private static final int HAS_VALUE = 192;
    private static final int GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER = 252;

    private static final Linker LINKER = Linker.nativeLinker();
    /** By signature; the function's address is the first argument. */
    private static final Map<FunctionDescriptor, MethodHandle> HANDLES = new ConcurrentHashMap<>();

    private final MemorySegment api;
    private final MemorySegment env;
    private final MemorySegment allocator;

    /** What ONNX Runtime says when it will not. */
    static final class Refusal extends RuntimeException {
        private static final long serialVersionUID = 1;

        Refusal(String message) {
            super(message);
        }
    }

    PlainOrt(Path library) throws IOException {
        Path copy = Files.createTempFile("parallax-plain-", ".so");
        try {
            Files.copy(library, copy, StandardCopyOption.REPLACE_EXISTING);
            // For ever: ONNX Runtime leaves thread-local destructors behind, so it must not be unloaded.
            SymbolLookup symbols = SymbolLookup.libraryLookup(copy, Arena.global());
            MemorySegment base = ((MemorySegment) invoke(symbols.find("OrtGetApiBase").orElseThrow(), ADDRESS))
                    .reinterpret(2 * ADDRESS.byteSize());
            api = ((MemorySegment) invoke(base.get(ADDRESS, 0), ADDRESS, API_VERSION))
                    .reinterpret((GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER + 1) * ADDRESS.byteSize());
        } finally {
            Files.delete(copy);  // mapped by now
        }
        try (Arena arena = Arena.ofConfined()) {
            env = pointer(arena, CREATE_ENV, LOG_FATAL, Arena.global().allocateFrom("plain"));
            allocator = pointer(arena, GET_ALLOCATOR_WITH_DEFAULT_OPTIONS);
        }
    }

    /** Loads a model. */
    Session load(byte[] model) {
        return new Session(model);
    }

    /** A model, ready to run. */
    final class Session implements AutoCloseable {
        private final Arena arena = Arena.ofShared();
        private final MemorySegment session;
        private final List<String> inputs;
        private final List<String> outputs;
        private final List<Message> types;  // of the inputs

        private Session(byte[] model) {
            try (Arena call = Arena.ofConfined()) {
                MemorySegment options = owned(call, RELEASE_SESSION_OPTIONS, pointer(call, CREATE_SESSION_OPTIONS));
                check(SET_SESSION_LOG_SEVERITY_LEVEL, options, LOG_FATAL);
                check(SET_GRAPH_OPTIMIZATION_LEVEL, options, OPTIMISE_ALL);
                check(SET_INTRA_OP_THREADS, options, 1);
                session = owned(arena, RELEASE_SESSION, pointer(call, CREATE_SESSION_FROM_ARRAY, env,
                        call.allocateFrom(JAVA_BYTE, model), (long) model.length, options));
                inputs = names(call, SESSION_GET_INPUT_COUNT, SESSION_GET_INPUT_NAME);
                outputs = names(call, SESSION_GET_OUTPUT_COUNT, SESSION_GET_OUTPUT_NAME);
            } catch (RuntimeException e) {
                arena.close();
                throw e;
            }
            Map<String, Message> declared = OnnxTypes.inputs(model);
            types = inputs.stream().map(declared::get).toList();
        }

        private List<String> names(Arena call, int count, int name) {
            List<String> names = new ArrayList<>();
            long size = number(call, count, session);
            for (long i = 0; i < size; i++) {
                MemorySegment text = pointer(call, name, session, i, allocator);
                names.add(text.reinterpret(Long.MAX_VALUE).getString(0));
                check(ALLOCATOR_FREE, allocator, text);
            }
            return names;
        }

        List<String> inputs() {
            return inputs;
        }

        /** Runs on the values of the first so many inputs. */
        List<Value> run(List<Value> values) {
            try (Arena call = Arena.ofConfined()) {
                List<MemorySegment> given = new ArrayList<>();
                List<String> names = new ArrayList<>();
                for (int i = 0; i < values.size(); i++) {
                    if (values.get(i) instanceof Value.None) {
                        continue;  // an optional without content is an input that is not given
                    }
                    given.add(toOrt(call, values.get(i), types.get(i)));
                    names.add(inputs.get(i));
                }
                List<Value> results = new ArrayList<>();
                for (MemorySegment output : run(call, names, given)) {
                    results.add(fromOrt(call, output));
                }
                return results;
            }
        }

        private List<MemorySegment> run(Arena call, List<String> names, List<MemorySegment> given) {
            MemorySegment made = call.allocate(ADDRESS, outputs.size());
            check(RUN, session, MemorySegment.NULL, texts(call, names), array(call, given),
                    (long) given.size(), texts(call, outputs), (long) outputs.size(), made);
            List<MemorySegment> results = new ArrayList<>();
            for (int i = 0; i < outputs.size(); i++) {
                results.add(owned(call, RELEASE_VALUE, made.getAtIndex(ADDRESS, i)));
            }
            return results;
        }

        @Override
        public void close() {
            arena.close();
        }
    }

    // ---- values ---------------------------------------------------------------------------------------------------

    /** There is no call that makes an empty sequence; but a model can give one. */
    private MemorySegment emptySequence(Arena call, Message type) {
        try (Session session = load(OnnxTypes.emptySequence(type))) {
            return session.run(call, List.of(), List.of()).getFirst();
        }
    }

    private MemorySegment toOrt(Arena call, Value value, Message type) {
        return switch (value) {
            case Value.None _ -> throw new IllegalArgumentException("nothing inside a value can be absent");
            case Value.Sequence s when s.elements().isEmpty() -> emptySequence(call, OnnxTypes.content(type));
            case Value.Sequence s -> make(call, SEQUENCE, s.elements().stream()
                    .map(e -> toOrt(call, e, OnnxTypes.element(OnnxTypes.content(type)))).toList());
            case Value.Mapping m -> make(call, MAP,
                    List.of(toOrt(call, m.keys(), null), toOrt(call, m.values(), null)));
            case Tensor t -> {
                long[] shape = t.shape();
                MemorySegment tensor = owned(call, RELEASE_VALUE, pointer(call, CREATE_TENSOR_AS_ORT_VALUE, allocator,
                        call.allocateFrom(JAVA_LONG, shape), (long) shape.length, t.elementType().code()));
                if (t.elementType() != ElementType.STRING) {
                    pointer(call, GET_TENSOR_MUTABLE_DATA, tensor).reinterpret(t.byteSize()).copyFrom(t.segment());
                    yield tensor;
                }
                for (int i = 0; i < t.strings().size(); i++) {
                    byte[] string = t.strings().get(i).getBytes(StandardCharsets.UTF_8);
                    MemorySegment place = pointer(call, GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER, tensor, (long) i,
                            (long) string.length).reinterpret(string.length);
                    MemorySegment.copy(string, 0, place, JAVA_BYTE, 0, string.length);
                }
                yield tensor;
            }
        };
    }

    private MemorySegment make(Arena call, int kind, List<MemorySegment> parts) {
        return owned(call, RELEASE_VALUE, pointer(call, CREATE_VALUE, array(call, parts), (long) parts.size(), kind));
    }

    private Value fromOrt(Arena call, MemorySegment value) {
        MemorySegment out = call.allocate(JAVA_INT);
        check(HAS_VALUE, value, out);
        if (out.get(JAVA_INT, 0) == 0) {
            return Value.none();
        }
        check(GET_VALUE_TYPE, value, out);
        int kind = out.get(JAVA_INT, 0);
        if (kind == TENSOR) {
            return tensor(call, value);
        }
        List<Value> parts = new ArrayList<>();
        long count = kind == MAP ? 2 : number(call, GET_VALUE_COUNT, value);
        for (int i = 0; i < count; i++) {
            parts.add(fromOrt(call, owned(call, RELEASE_VALUE, pointer(call, GET_VALUE, value, i, allocator))));
        }
        return kind == MAP ? Value.mapping((Tensor) parts.get(0), (Tensor) parts.get(1)) : Value.sequence(parts);
    }

    private Tensor tensor(Arena call, MemorySegment value) {
        MemorySegment info = owned(call, RELEASE_TENSOR_TYPE_AND_SHAPE_INFO,
                pointer(call, GET_TENSOR_TYPE_AND_SHAPE, value));
        MemorySegment out = call.allocate(JAVA_INT);
        check(GET_TENSOR_ELEMENT_TYPE, info, out);
        ElementType type = ElementType.ofCode(out.get(JAVA_INT, 0));
        MemorySegment dims = call.allocate(JAVA_LONG, number(call, GET_DIMENSIONS_COUNT, info));
        check(GET_DIMENSIONS, info, dims, dims.byteSize() / Long.BYTES);
        long[] shape = dims.toArray(JAVA_LONG);
        if (type != ElementType.STRING) {
            Tensor tensor = Tensor.allocate(type, shape);
            tensor.segment().copyFrom(pointer(call, GET_TENSOR_MUTABLE_DATA, value).reinterpret(tensor.byteSize()));
            return tensor;
        }
        String[] strings = new String[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < strings.length; i++) {
            long length = number(call, GET_STRING_TENSOR_ELEMENT_LENGTH, value, (long) i);
            MemorySegment bytes = call.allocate(Math.max(1, length));
            check(GET_STRING_TENSOR_ELEMENT, value, length, (long) i, bytes);
            strings[i] = new String(bytes.asSlice(0, length).toArray(JAVA_BYTE), StandardCharsets.UTF_8);
        }
        return Tensor.ofStrings(strings, shape);
    }

    // ---- calls ----------------------------------------------------------------------------------------------------

    private static MemorySegment array(Arena arena, List<MemorySegment> pointers) {
        MemorySegment array = arena.allocate(ADDRESS, pointers.size());
        for (int i = 0; i < pointers.size(); i++) {
            array.setAtIndex(ADDRESS, i, pointers.get(i));
        }
        return array;
    }

    private static MemorySegment texts(Arena arena, List<String> texts) {
        return array(arena, texts.stream().map(arena::allocateFrom).toList());
    }

    /** Calls a function whose last parameter is where to put a pointer. */
    private MemorySegment pointer(Arena arena, int place, Object... arguments) {
        MemorySegment out = arena.allocate(ADDRESS);
        check(place, with(arguments, out));
        return out.get(ADDRESS, 0);
    }

    /** The same where a number is put. */
    private long number(Arena arena, int place, Object... arguments) {
        MemorySegment out = arena.allocate(JAVA_LONG);
        check(place, with(arguments, out));
        return out.get(JAVA_LONG, 0);
    }

    private static Object[] with(Object[] arguments, Object last) {
        Object[] all = Arrays.copyOf(arguments, arguments.length + 1);
        all[arguments.length] = last;
        return all;
    }

    private MemorySegment owned(Arena arena, int release, MemorySegment object) {
        MemorySegment function = api.getAtIndex(ADDRESS, release);
        return object.reinterpret(arena, segment -> invoke(function, null, segment));
    }

    private void check(int place, Object... arguments) {
        MemorySegment status = (MemorySegment) invoke(api.getAtIndex(ADDRESS, place), ADDRESS, arguments);
        if (status.address() != 0) {
            String text = ((MemorySegment) invoke(api.getAtIndex(ADDRESS, GET_ERROR_MESSAGE), ADDRESS, status))
                    .reinterpret(Long.MAX_VALUE).getString(0);
            invoke(api.getAtIndex(ADDRESS, RELEASE_STATUS), null, status);
            throw new Refusal(text);
        }
    }

    private static Object invoke(MemorySegment function, MemoryLayout result, Object... arguments) {
        MemoryLayout[] layouts = Arrays.stream(arguments).map(a -> a instanceof Integer ? JAVA_INT
                : a instanceof Long ? JAVA_LONG : ADDRESS).toArray(MemoryLayout[]::new);
        FunctionDescriptor descriptor = result == null ? FunctionDescriptor.ofVoid(layouts)
                : FunctionDescriptor.of(result, layouts);
        Object[] all = new Object[arguments.length + 1];
        all[0] = function;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        try {
            return HANDLES.computeIfAbsent(descriptor, LINKER::downcallHandle).invokeWithArguments(all);
        } catch (Throwable e) {
            throw new AssertionError("a downcall throws nothing", e);
        }
    }
}
