package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CoExecutionResultTest {
    private static final double MS = 1e6;
    private static final int REQUESTS = 4;

    private static double[] millis(double... values) {
        return Arrays.stream(values).map(value -> value * MS).toArray();
    }

    /** A unit of 60 ms on the device beside one on the CPU. */
    private static CoExecutionResult result(double cpuMs, double[] inTurn, double[] dataflow, double streamInTurn,
            double depth2, double depth3) {
        double[] nanos = millis(60, cpuMs);
        UnitTimes units = new UnitTimes(nanos, nanos, new boolean[] {true, false}, List.of(List.of(), List.of()));
        return new CoExecutionResult("model", "emulated", Placement.ALL, 1, 1, millis(50, 50, 50), inTurn, dataflow,
                millis(40, 1, 50), units, REQUESTS, millis(streamInTurn), Map.of(2, millis(depth2), 3, millis(depth3)));
    }

    private static final CoExecutionResult FINE = result(60, millis(120, 120, 120), millis(60, 66, 66), 480, 300, 260);

    @Test
    void savingsAreTakenRoundByRound() {
        CoExecutionResult result = result(60, millis(120, 1200, 120), millis(60, 600, 90), 480, 300, 240);
        assertEquals(0.5, result.reduction(), 1e-9);
        assertEquals(0.5, result.mostReduction(), 1e-9);
        assertEquals(1.5, result.overBound(), 1e-9);
        assertEquals(1.6, result.gain(2), 1e-9);
        assertEquals(2.0, result.bestGain(), 1e-9);
        assertEquals(2.0, result.mostGain(), 1e-9);
    }

    @Test
    void theLimitsThemselvesAreEnough() {
        assertEquals(List.of(), FINE.misses());
        assertEquals(List.of(), CoExecutionResult.misses(List.of(FINE)));
    }

    @Test
    void missesNameModelDeviceAndFigure() {
        List<String> misses = result(60, millis(120, 120, 120), millis(67, 67, 67), 480, 300, 270).misses();
        assertEquals(2, misses.size());
        assertTrue(misses.get(0).startsWith("MISSED: model on emulated, emulated, placed all, takes 1.12 times"), misses.get(0));
        assertTrue(misses.get(1).contains("a stream gains 1.78 times; at least 1.80"), misses.get(1));
    }

    @Test
    void onlyBalancedStreamsAreJudgedAndThereHasToBeOne() {
        CoExecutionResult idle = result(10, millis(70, 70, 70), millis(60, 60, 60), 280, 270, 270);
        assertEquals(List.of(), idle.misses());
        assertEquals(1, CoExecutionResult.misses(List.of(idle)).size());
        assertEquals(List.of(), CoExecutionResult.misses(List.of(idle, FINE)));
    }

    @Test
    void whatWasNotMeasuredIsNotAPass() {
        double nothing = Double.NaN;
        assertEquals(2, result(60, millis(nothing), millis(nothing), nothing, nothing, nothing).misses().size());
    }

    @Test
    void tablesSayThatItIsEmulatedAndMarkMisses() {
        List<CoExecutionResult> both = List.of(FINE, result(60, millis(120, 120, 120), millis(67, 67, 67), 480, 300, 270));
        String single = CoExecutionResult.singleTable(both);
        assertTrue(single.contains("emulated") && single.contains("1.12 (!)") && !single.contains("1.10 (!)"), single);
        String stream = CoExecutionResult.streamTable(both);
        assertTrue(stream.contains("emulated") && stream.contains("yes (!)"), stream);
        assertFalse(CoExecutionResult.streamTable(List.of(FINE)).contains("(!)"));
    }

    @Test
    void everySampleIsKept() {
        Map<String, Object> map = FINE.toMap();
        assertEquals(true, map.get("emulated"));
        assertArrayEquals(millis(60, 66, 66), (double[]) map.get("dataflow_ns"));
        assertArrayEquals(millis(300), (double[]) ((Map<?, ?>) ((Map<?, ?>) map.get("streams")).get("2")).get("ns"));
    }
}
