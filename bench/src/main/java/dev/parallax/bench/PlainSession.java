package dev.parallax.bench;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Plain ONNX Runtime by its own Java binding, with every optimisation and a pool whose threads stop spinning when their
 * run ends, so that they do not disturb whoever runs next.
 *
 * <p>Lifetime: until close. Threads: one.
 */
final class PlainSession implements AutoCloseable {
    private final OrtEnvironment environment =
            OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "bench");
    private final OrtSession session;
    private Map<String, OnnxTensor> inputs = Map.of();

    PlainSession(Path file, int threads) throws IOException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            options.setIntraOpNumThreads(threads);
            options.addConfigEntry("session.force_spinning_stop", "1");
            session = environment.createSession(file.toString(), options);
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime cannot load " + file + ": " + e.getMessage(), e);
        }
    }

    /** The tensors' memory, not a copy. */
    void bind(Map<String, Tensor> tensors) throws IOException {
        free();
        Map<String, OnnxTensor> bound = new LinkedHashMap<>();
        try {
            for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
                Tensor tensor = entry.getValue();
                ByteBuffer bytes = tensor.segment().asByteBuffer().order(ByteOrder.nativeOrder());
                bound.put(entry.getKey(), tensor.elementType() == ElementType.INT64
                        ? OnnxTensor.createTensor(environment, bytes.asLongBuffer(), tensor.shape())
                        : OnnxTensor.createTensor(environment, bytes.asFloatBuffer(), tensor.shape()));
            }
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime takes no such input: " + e.getMessage(), e);
        } finally {
            inputs = bound;
        }
    }

    /** Runs, and gives the nanoseconds. */
    double run() throws IOException {
        long start = System.nanoTime();
        try (OrtSession.Result result = session.run(inputs)) {
            return System.nanoTime() - start;
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime: " + e.getMessage(), e);
        }
    }

    /** Runs, and gives what it makes: float tensors. */
    Map<String, float[]> outputs() throws IOException {
        try (OrtSession.Result result = session.run(inputs)) {
            Map<String, float[]> outputs = new LinkedHashMap<>();
            for (Map.Entry<String, OnnxValue> entry : result) {
                if (!(entry.getValue() instanceof OnnxTensor tensor) || tensor.getInfo().type != OnnxJavaType.FLOAT) {
                    throw new IOException("output " + entry.getKey() + " is no float tensor");
                }
                FloatBuffer buffer = tensor.getFloatBuffer();
                float[] values = new float[buffer.remaining()];
                buffer.get(values);
                outputs.put(entry.getKey(), values);
            }
            return outputs;
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime: " + e.getMessage(), e);
        }
    }

    private void free() {
        inputs.values().forEach(OnnxTensor::close);
        inputs = Map.of();
    }

    @Override
    public void close() throws IOException {
        free();
        try {
            session.close();
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime: " + e.getMessage(), e);
        }
    }
}
