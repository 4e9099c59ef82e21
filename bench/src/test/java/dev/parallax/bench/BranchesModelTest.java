package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.lang.foreign.MemorySegment;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BranchesModelTest {
    @Test
    void isOneLayerOfSixEqualBranchesUnderEitherRule() {
        try (Engine engine = Engine.create(); Model model = engine.load(MemorySegment.ofArray(BranchesModel.bytes()))) {
            for (Rule rule : Rule.values()) {
                Plan plan = model.plan(PlanOptions.builder().units(Units.BRANCHES).rule(rule).build());
                List<Plan.Layer> parallel = plan.layers().stream().filter(Plan.Layer::parallel).toList();
                assertEquals(1, parallel.size());
                assertEquals(List.of(BranchesModel.BRANCHES),
                        parallel.getFirst().groups().stream().map(List::size).toList());
                List<Plan.Branch> branches = parallel.getFirst().groups().getFirst().stream()
                        .map(plan.branches()::get).toList();
                assertEquals(1, branches.stream().map(Plan.Branch::flops).distinct().count());
                for (Plan.Branch branch : branches) {
                    assertEquals(4, branch.nodes().stream()
                            .filter(n -> plan.nodes().get(n).operator().endsWith("Conv")).count());
                }
            }
        }
    }

    @Test
    void bothEnginesAgreeAndValuesNeitherGrowNorFade() throws Exception {
        float[] expected;
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession session = environment.createSession(BranchesModel.bytes());
                OnnxTensor input = OnnxTensor.createTensor(environment, FloatBuffer.wrap(BranchesModel.values()),
                        BranchesModel.shape());
                OrtSession.Result result = session.run(Map.of(BranchesModel.INPUT, input))) {
            FloatBuffer values = ((OnnxTensor) result.get(0)).getFloatBuffer();
            expected = new float[values.remaining()];
            values.get(expected);
        }
        double squares = IntStream.range(0, expected.length).mapToDouble(i -> expected[i] * expected[i]).sum();
        double spread = Math.sqrt(squares / expected.length);
        assertTrue(spread > 0.1 && spread < 10, "spread " + spread);
        try (Engine engine = Engine.create(); Model model = engine.load(MemorySegment.ofArray(BranchesModel.bytes()))) {
            Map<String, Tensor> results = model.run(
                    Map.of(BranchesModel.INPUT, Tensor.of(BranchesModel.values(), BranchesModel.shape())));
            assertArrayEquals(expected, results.get(BranchesModel.OUTPUT).toFloatArray());
        }
    }
}
