package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Session;
import dev.parallax.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Generated models, series-parallel and not, under the shipped policies, against plain ONNX Runtime bit for bit: 12 of
 * them, or 200 in the long form (see {@link Ways}). Schedules drawn at random, control flow and sizes that depend on the
 * data are in the native tests (random_graphs_test.cc).
 */
class RandomGraphsTest {
    private static final int GRAPHS = Ways.LONG ? 200 : 12;
    private static final List<String> ONE = List.of("Relu", "Tanh", "Sigmoid", "Abs", "Neg", "Softplus", "Erf");
    private static final List<String> TWO = List.of("Add", "Sub", "Mul", "Max", "Min", "MatMul");

    private static byte[] model(long seed, int nodes) {
        Random random = new Random(seed);
        OnnxFile file = new OnnxFile().input("x", ElementType.FLOAT32, "n", 16);
        float[] weights = new float[16 * 16];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (float) random.nextGaussian() / 8;
        }
        file.initializer("w", Tensor.of(weights, 16, 16));
        List<String> values = new ArrayList<>(List.of("x"));
        List<Boolean> read = new ArrayList<>(List.of(true));
        int window = random.nextBoolean() ? 5 : Integer.MAX_VALUE;
        for (int i = 0; i < nodes; i++) {
            String out = "v" + i;
            String operator = random.nextInt(3) == 0 ? ONE.get(random.nextInt(ONE.size()))
                    : TWO.get(random.nextInt(TWO.size()));
            List<String> in = new ArrayList<>();
            for (int k = 0; k < (ONE.contains(operator) || operator.equals("MatMul") ? 1 : 2); k++) {
                int at = values.size() - 1 - random.nextInt(Math.min(window, values.size()));
                read.set(at, true);
                in.add(values.get(at));
            }
            if (operator.equals("MatMul")) {
                in.add("w");
            }
            file.node(operator, in, List.of(out));
            values.add(out);
            read.add(false);
        }
        for (int i = 1; i < values.size(); i++) {
            if (!read.get(i)) {
                file.output(values.get(i), ElementType.FLOAT32, "n", 16);
            }
        }
        return file.build();
    }

    @Test
    void agreeUnderEveryPolicy() {
        try (Engine engine = Engine.create(); Arena arena = Arena.ofShared()) {
            for (int n = 0; n < GRAPHS; n++) {
                byte[] bytes = model(n, n % 6 == 5 ? 200 : 10 + n % 50);
                try (Model model = engine.load(MemorySegment.ofArray(bytes));
                        Reference reference = Reference.load(bytes, engine.info().threads())) {
                    Inputs inputs = Inputs.prepare(model.inputs(), List.of("x=5x16"), List.of(), n, arena);
                    reference.bind(inputs.arrays());
                    reference.run();
                    Map<String, Tensor> expected = reference.outputs();
                    for (Ways.Way way : Ways.of(inputs, n % 4 == 0)) {
                        try (Session session = model.session(way.options())) {
                            Runs.bind(session, inputs.arrays());
                            for (int run = 0; run < 3; run++) {
                                session.run();
                                String where = "graph " + n + ", " + way + ", run " + run;
                                expected.forEach((name, theirs) -> {
                                    Comparison c = Comparison.of(name, session.output(name), theirs, 0, 0);
                                    assertTrue(c.bitEqual(), where + ": " + c);
                                });
                            }
                        }
                    }
                }
            }
        }
    }
}
