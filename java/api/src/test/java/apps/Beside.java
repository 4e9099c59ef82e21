package apps;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Tensor;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/** ONNX Runtime's own Java API and Parallax in one JVM, in turns; prints whether they agree. */
public final class Beside {
    private static final float[] VALUES = {-3, -1, 0, 0.25f, 1, 2, 3, 9};

    private Beside() {}

    /**
     * Runs.
     *
     * @param args who begins, {@code parallax} or {@code onnxruntime}, and the model's path
     * @throws OrtException if ONNX Runtime fails
     */
    public static void main(String[] args) throws OrtException {
        float[] early = args[0].equals("parallax") ? parallax(args[1]) : plain(args[1]);
        compare(early, plain(args[1]));
        compare(early, parallax(args[1]));
        try (Engine engine = Engine.create(EngineOptions.builder().threads(2).build());
                Model model = engine.load(Path.of(args[1]));
                OrtSession session = OrtEnvironment.getEnvironment().createSession(args[1])) {
            for (int i = 0; i < 2; i++) {
                compare(early, run(model));
                compare(early, run(session));
            }
        }
    }

    private static void compare(float[] expected, float[] actual) {
        System.out.println(Arrays.equals(expected, actual) ? "equal" : Arrays.toString(actual));
    }

    private static float[] parallax(String path) {
        try (Engine engine = Engine.create(EngineOptions.builder().threads(2).build());
                Model model = engine.load(Path.of(path))) {
            return run(model);
        }
    }

    private static float[] run(Model model) {
        return model.run(Map.of("x", Tensor.of(VALUES, 1, 8))).get("y").toFloatArray();
    }

    private static float[] plain(String path) throws OrtException {
        try (OrtSession session = OrtEnvironment.getEnvironment().createSession(path)) {
            return run(session);
        }
    }

    private static float[] run(OrtSession session) throws OrtException {
        try (OnnxTensor x = OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), FloatBuffer.wrap(VALUES),
                new long[] {1, 8}); OrtSession.Result result = session.run(Map.of("x", x))) {
            float[] y = new float[VALUES.length];
            ((OnnxTensor) result.get(0)).getFloatBuffer().get(y);
            return y;
        }
    }
}
