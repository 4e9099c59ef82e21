package dev.parallax.cli;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Plain ONNX Runtime through its own Java API: what Parallax is compared with.
 *
 * <p>It runs with ONNX Runtime's defaults (all graph passes, sequential execution, a pool of its own), but its pool
 * stops spinning when a run ends: an idle pool that spins would slow down whoever is measured next.
 *
 * <p>Lifetime: until {@link #close()}. Threads: one at a time. Example:
 * {@code try (Reference ort = Reference.load(path, 2)) { ort.bind(inputs); ort.run(); use(ort.outputs()); }}
 */
final class Reference implements AutoCloseable {
    private final OrtEnvironment environment;
    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private OrtSession.Result result;

    private Reference(OrtEnvironment environment, OrtSession session) {
        this.environment = environment;
        this.session = session;
    }

    /** Loads a model from a file. */
    static Reference load(Path path, int threads) {
        return load(threads, path.toString(), (environment, options) ->
                environment.createSession(path.toString(), options));
    }

    /** Loads a model from memory. */
    static Reference load(byte[] bytes, int threads) {
        return load(threads, "the model", (environment, options) -> environment.createSession(bytes, options));
    }

    @FunctionalInterface
    private interface Loader {
        OrtSession load(OrtEnvironment environment, OrtSession.SessionOptions options) throws OrtException;
    }

    private static Reference load(int threads, String name, Loader loader) {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            options.addConfigEntry("session.force_spinning_stop", "1");
            return new Reference(environment, loader.load(environment, options));
        } catch (OrtException e) {
            throw failed("load " + name, e);
        }
    }

    static String version() {
        return OrtEnvironment.getEnvironment().getVersion();
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
        OnnxJavaType type = switch (tensor.elementType()) {
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
            default -> throw new BadInputException("input " + name + " is of type " + tensor.elementType()
                    + ", which ONNX Runtime's Java API cannot take, so there is nothing to compare with; plx run "
                    + "works");
        };
        if (type == OnnxJavaType.STRING) {
            return OnnxTensor.createTensor(environment, tensor.strings().toArray(String[]::new), shape);
        }
        ByteBuffer buffer = tensor.segment().asByteBuffer().order(ByteOrder.nativeOrder());
        return OnnxTensor.createTensor(environment, buffer, shape, type);
    }

    /** Runs once; the outputs of the run before are gone. */
    void run() {
        closeResult();
        try {
            result = session.run(inputs);
        } catch (OrtException e) {
            throw failed("run the model", e);
        }
    }

    /** Copies of the last run's outputs, by name, in the model's order. */
    Map<String, Tensor> outputs() {
        Map<String, Tensor> copies = new LinkedHashMap<>();
        for (Map.Entry<String, OnnxValue> output : result) {
            copies.put(output.getKey(), fromOrt(output.getKey(), output.getValue()));
        }
        return copies;
    }

    private static Tensor fromOrt(String name, OnnxValue value) {
        if (!(value instanceof OnnxTensor tensor)) {
            throw new BadInputException("output " + name + " is a " + value.getType()
                    + "; only tensors can be compared");
        }
        long[] shape = tensor.getInfo().getShape();
        ElementType type = switch (tensor.getInfo().onnxType) {
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
            default -> throw new BadInputException("output " + name + " is of type " + tensor.getInfo().onnxType
                    + ", which ONNX Runtime's Java API cannot hand out; plx run works");
        };
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
