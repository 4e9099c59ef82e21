package dev.parallax.cli;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxMap;
import ai.onnxruntime.OnnxSequence;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.Value;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Plain ONNX Runtime through its own Java API: what Parallax is compared with.
 *
 * <p>It runs with ONNX Runtime's defaults (all graph passes, sequential execution, a pool of its own) unless an
 * {@link OrtSetting} says otherwise, but its pool stops spinning when a run ends: an idle pool that spins would slow
 * down whoever is measured next.
 *
 * <p>Lifetime: until {@link #close()}. Threads: one at a time. Example:
 * {@code try (Reference ort = Reference.load(path, 2)) { ort.bind(inputs); ort.run(); use(ort.outputs()); }}
 */
final class Reference implements AutoCloseable {
    private final OrtEnvironment environment;
    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private final Map<String, OnnxTensor> pinned = new LinkedHashMap<>();
    private final Set<String> unpinned = new LinkedHashSet<>();
    private OrtSession.Result result;

    private Reference(OrtEnvironment environment, OrtSession session) {
        this.environment = environment;
        this.session = session;
    }

    /** Loads a model from a file. */
    static Reference load(Path path, int threads) {
        return load(path.toString(), options -> options.setIntraOpNumThreads(threads), (environment, options) ->
                environment.createSession(path.toString(), options));
    }

    /** Loads a model from memory. */
    static Reference load(byte[] bytes, int threads) {
        return load("the model", options -> options.setIntraOpNumThreads(threads), (environment, options) ->
                environment.createSession(bytes, options));
    }

    /**
     * Loads a model from a file, with threads set in a way of one's own.
     *
     * @param poolThreads how many nodes may run side by side, where the setting allows it
     * @param partition the node partition file, which a setting with streams needs; null otherwise
     */
    static Reference load(Path path, OrtSetting setting, int poolThreads, Path partition) {
        Supplier<Reference> load = () -> load(path.toString(),
                options -> setting.apply(options, poolThreads, String.valueOf(partition)),
                (environment, options) -> environment.createSession(path.toString(), options));
        return setting.mode() == OrtSetting.Mode.STREAMS ? Silence.in(load) : load.get();
    }

    @FunctionalInterface
    private interface Settings {
        void apply(OrtSession.SessionOptions options) throws OrtException;
    }

    @FunctionalInterface
    private interface Loader {
        OrtSession load(OrtEnvironment environment, OrtSession.SessionOptions options) throws OrtException;
    }

    private static Reference load(String name, Settings settings, Loader loader) {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            settings.apply(options);
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            options.addConfigEntry("session.force_spinning_stop", "1");
            return new Reference(environment, loader.load(environment, options)).checked(name);
        } catch (OrtException e) {
            throw failed("load " + name, e);
        }
    }

    /** Refuses models with an optional among their outputs: without content it crashes ONNX Runtime's Java API. */
    private Reference checked(String name) {
        try {
            session.getOutputInfo();
            return this;
        } catch (OrtException e) {  // of all types that there are it knows all but this one
            close();
            throw new BadInputException(name + " has an optional among its outputs, which ONNX Runtime's Java API"
                    + " cannot hand out, so there is nothing to compare with; plx run works", e);
        }
    }

    static String version() {
        return OrtEnvironment.getEnvironment().getVersion();
    }

    /** What must be bound, as ONNX Runtime says it. */
    List<ValueInfo> inputs() {
        try {
            List<ValueInfo> infos = new ArrayList<>();
            for (NodeInfo info : session.getInputInfo().values()) {
                if (!(info.getInfo() instanceof TensorInfo tensor)) {
                    throw new BadInputException("input " + info.getName() + " is no tensor, so there is nothing to "
                            + "compare with");
                }
                ElementType type = elementType("input " + info.getName(), tensor);
                infos.add(new ValueInfo(info.getName(), ValueKind.TENSOR, type,
                        Arrays.stream(tensor.getShape()).mapToObj(n -> n < 0 ? Dimension.UNKNOWN : Dimension.of(n))
                                .toList()));
            }
            return infos;
        } catch (OrtException e) {
            throw failed("tell its inputs", e);
        }
    }

    /** Gives all inputs of the next runs; the tensors' memory is read in place. */
    void bind(Map<String, Tensor> tensors) {
        closeInputs();
        try {
            for (NodeInfo info : session.getInputInfo().values()) {
                inputs.put(info.getName(), toOrt(info.getName(), tensors.get(info.getName())));
            }
        } catch (OrtException e) {
            throw failed("take the inputs", e);
        }
    }

    private OnnxTensor toOrt(String name, Tensor tensor) throws OrtException {
        long[] shape = tensor.shape();
        OnnxJavaType type = javaType(tensor.elementType());
        if (type == OnnxJavaType.UNKNOWN) {
            throw new BadInputException("input " + name + " is of type " + tensor.elementType()
                    + ", which ONNX Runtime's Java API cannot take, so there is nothing to compare with; plx run "
                    + "works");
        }
        if (type == OnnxJavaType.STRING) {
            return OnnxTensor.createTensor(environment, tensor.strings().toArray(String[]::new), shape);
        }
        ByteBuffer buffer = tensor.segment().asByteBuffer().order(ByteOrder.nativeOrder());
        return OnnxTensor.createTensor(environment, buffer, shape, type);
    }

    private static OnnxJavaType javaType(ElementType type) {
        return switch (type) {
            case FLOAT32 -> OnnxJavaType.FLOAT;
            case FLOAT64 -> OnnxJavaType.DOUBLE;
            case FLOAT16 -> OnnxJavaType.FLOAT16;
            case BFLOAT16 -> OnnxJavaType.BFLOAT16;
            case INT8 -> OnnxJavaType.INT8;
            case UINT8 -> OnnxJavaType.UINT8;
            case INT16 -> OnnxJavaType.INT16;
            case INT32 -> OnnxJavaType.INT32;
            case INT64 -> OnnxJavaType.INT64;
            case BOOL -> OnnxJavaType.BOOL;
            case STRING -> OnnxJavaType.STRING;
            default -> OnnxJavaType.UNKNOWN;
        };
    }

    /** Whether an output of the type can be written to memory of the caller's. */
    static boolean canPin(ElementType type) {
        return type != ElementType.STRING && javaType(type) != OnnxJavaType.UNKNOWN;
    }

    /**
     * Has the next runs write their outputs to memory that is allocated here and now, once, in the shapes of the last
     * run; an output of another shape then makes a run fail. Outputs that cannot be pinned stay as they are.
     */
    void pinOutputs() {
        try {
            for (Map.Entry<String, OnnxValue> output : result) {
                String name = output.getKey();
                unpinned.add(name);
                if (!(output.getValue() instanceof OnnxTensor tensor)) {
                    continue;
                }
                ElementType type = elementType("output " + name, tensor.getInfo());
                if (canPin(type)) {
                    pinned.put(name, toOrt(name, Tensor.allocate(type, tensor.getInfo().getShape())));
                    unpinned.remove(name);
                }
            }
        } catch (OrtException e) {
            throw failed("take memory for its outputs", e);
        }
    }

    /** Runs once; the outputs of the run before are gone. */
    void run() {
        closeResult();
        try {
            result = pinned.isEmpty() ? session.run(inputs) : session.run(inputs, unpinned, pinned);
        } catch (OrtException e) {
            throw failed("run the model", e);
        }
    }

    /** Copies of the last run's outputs, by name, in the model's order; all of them must be tensors. */
    Map<String, Tensor> outputs() {
        Map<String, Tensor> copies = new LinkedHashMap<>();
        for (Map.Entry<String, OnnxValue> output : result) {
            copies.put(output.getKey(), tensorOf(output.getKey(), tensor(output.getKey(), output.getValue())));
        }
        return copies;
    }

    /** The same for outputs of any kind. */
    Map<String, Value> values() {
        Map<String, Value> copies = new LinkedHashMap<>();
        for (Map.Entry<String, OnnxValue> output : result) {
            copies.put(output.getKey(), valueOf(output.getKey(), output.getValue()));
        }
        return copies;
    }

    private static OnnxTensor tensor(String name, OnnxValue value) {
        if (value instanceof OnnxTensor tensor) {
            return tensor;
        }
        throw new BadInputException("output " + name + " is a " + value.getType()
                + "; only tensors can be compared");
    }

    private static ElementType elementType(String what, TensorInfo info) {
        return switch (info.onnxType) {
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT -> ElementType.FLOAT32;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE -> ElementType.FLOAT64;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 -> ElementType.FLOAT16;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 -> ElementType.BFLOAT16;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 -> ElementType.INT8;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 -> ElementType.UINT8;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 -> ElementType.INT16;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 -> ElementType.UINT16;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 -> ElementType.INT32;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 -> ElementType.UINT32;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 -> ElementType.INT64;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 -> ElementType.UINT64;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL -> ElementType.BOOL;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING -> ElementType.STRING;
            default -> throw new BadInputException(what + " is of type " + info.onnxType
                    + ", which ONNX Runtime's Java API cannot hand out; plx run works");
        };
    }

    private static Value valueOf(String name, OnnxValue value) {
        try {
            return switch (value) {
                case OnnxTensor tensor -> tensorOf(name, tensor);
                case OnnxSequence sequence -> {
                    List<Value> elements = new ArrayList<>();
                    for (OnnxValue element : sequence.getValue()) {
                        elements.add(valueOf(name, element));
                        element.close();
                    }
                    yield Value.sequence(elements);
                }
                case OnnxMap map -> mapOf(map);
                default -> throw new BadInputException("output " + name + " is a " + value.getType()
                        + ", which cannot be compared");
            };
        } catch (OrtException e) {
            throw failed("hand out output " + name, e);
        }
    }

    /** In the order of the keys, which is ONNX Runtime's own; its Java API loses it. */
    private static Value mapOf(OnnxMap map) throws OrtException {
        List<? extends Map.Entry<?, ?>> entries = map.getValue().entrySet().stream()
                .sorted((a, b) -> a.getKey() instanceof Long key ? key.compareTo((Long) b.getKey())
                        : Arrays.compareUnsigned(utf8(a.getKey()), utf8(b.getKey()))).toList();
        return Value.mapping(column(entries.stream().map(Map.Entry::getKey).toList()),
                column(entries.stream().map(Map.Entry::getValue).toList()));
    }

    private static byte[] utf8(Object key) {
        return ((String) key).getBytes(StandardCharsets.UTF_8);
    }

    private static Tensor column(List<?> values) {
        int size = values.size();
        return switch (values.isEmpty() ? 0L : values.getFirst()) {
            case Long _ -> Tensor.of(values.stream().mapToLong(v -> (Long) v).toArray(), size);
            case Double _ -> Tensor.of(values.stream().mapToDouble(v -> (Double) v).toArray(), size);
            case Float _ -> {
                float[] floats = new float[size];
                for (int i = 0; i < size; i++) {
                    floats[i] = (Float) values.get(i);
                }
                yield Tensor.of(floats, size);
            }
            default -> Tensor.ofStrings(values.stream().map(String.class::cast).toList(), size);
        };
    }

    private static Tensor tensorOf(String name, OnnxTensor tensor) {
        long[] shape = tensor.getInfo().getShape();
        ElementType type = elementType("output " + name, tensor.getInfo());
        if (type == ElementType.STRING) {
            try {
                List<String> strings = new ArrayList<>();
                flatten(tensor.getValue(), strings);
                return Tensor.ofStrings(strings, shape);
            } catch (OrtException e) {
                throw failed("hand out output " + name, e);
            }
        }
        ByteBuffer buffer = tensor.getByteBuffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return Tensor.ofBytes(type, bytes, shape);
    }

    /** Strings come as nested arrays. */
    private static void flatten(Object value, List<String> strings) {
        if (value instanceof Object[] array) {
            for (Object element : array) {
                flatten(element, strings);
            }
        } else {
            strings.add((String) value);
        }
    }

    @Override
    public void close() {
        closeResult();
        closeInputs();
        pinned.values().forEach(OnnxTensor::close);
        try {
            session.close();
        } catch (OrtException e) {
            throw failed("close the session", e);
        }
    }

    private void closeResult() {
        if (result != null) {
            result.close();
            result = null;
        }
    }

    private void closeInputs() {
        inputs.values().forEach(OnnxTensor::close);
        inputs.clear();
    }

    private static BadInputException failed(String what, OrtException e) {
        return new BadInputException("plain ONNX Runtime cannot " + what + ": " + e.getMessage(), e);
    }
}
