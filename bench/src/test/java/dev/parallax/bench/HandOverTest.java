package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class HandOverTest {
    /** Opening checks the number of units and the answers. */
    @ParameterizedTest
    @EnumSource
    void everyWayIsCutAsItSaysAndRunsRight(HandOver.Way way) {
        HandOver benchmark = new HandOver();
        benchmark.way = way;
        benchmark.open();
        benchmark.chains();
        benchmark.close();
    }

    @Test
    void wrongAnswerIsNotBenchmarked() {
        ChainsModel model = new ChainsModel(1, 3);
        float[] answer = ChainsModel.values();
        for (int i = 0; i < answer.length; i++) {
            answer[i] *= 8;
        }
        model.check(answer);
        assertThrows(IllegalStateException.class, () -> new ChainsModel(1, 4).check(answer));
    }
}
