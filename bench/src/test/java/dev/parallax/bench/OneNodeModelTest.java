package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Tensor;
import dev.parallax.internal.NativeLibrary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OneNodeModelTest {
    @Test
    void bothEnginesAgree() throws Throwable {
        float[] answers;
        try (OrtRun run = new OrtRun(NativeLibrary.ortLibrary(null))) {
            run.run();
            answers = run.output();
        }
        OneNodeModel.check(answers);
        try (Engine engine = Engine.create(); Model model = engine.load(MemorySegment.ofArray(OneNodeModel.bytes()))) {
            Map<String, Tensor> results = model.run(
                    Map.of(OneNodeModel.INPUT, Tensor.of(OneNodeModel.values(), OneNodeModel.SIZE)));
            assertArrayEquals(answers, results.get(OneNodeModel.OUTPUT).segment().toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    @Test
    void wrongAnswerIsNotBenchmarked() {
        assertThrows(IllegalStateException.class, () -> OneNodeModel.check(OneNodeModel.values()));
    }
}
