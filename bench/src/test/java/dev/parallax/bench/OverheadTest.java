package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.bench.Overhead.Score;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OverheadTest {
    private static final Score C_RUN = new Score(Overhead.C_RUN, true, 1000, 0.1);

    private static List<Score> with(double nanos, double bytes) {
        return List.of(C_RUN, new Score(Overhead.JUDGED, true, nanos, bytes),
                new Score("ai.onnxruntime run, 1 thread", true, 9000, 352));
    }

    @Test
    void threeMicrosecondsMoreAreAllowed() {
        assertEquals(List.of(), Overhead.misses(with(4000, 0.49)));
    }

    @Test
    void moreIsAMiss() {
        List<String> misses = Overhead.misses(with(4010, 0));
        assertEquals(1, misses.size());
        assertTrue(misses.get(0).contains("costs 3.01 us more"), misses.get(0));
    }

    @Test
    void allocationIsAMissForEveryCut() {
        List<Score> scores = List.of(C_RUN, new Score(Overhead.JUDGED, true, 1000, 0),
                new Score("Parallax nodes, pool", true, 1000, 16));
        List<String> misses = Overhead.misses(scores);
        assertEquals(1, misses.size());
        assertTrue(misses.get(0).contains("Parallax nodes, pool) allocates 16.00 bytes"), misses.get(0));
    }

    @Test
    void whatWasNotMeasuredIsNotAPass() {
        assertEquals(2, Overhead.misses(with(Double.NaN, Double.NaN)).size());
        assertThrows(IllegalArgumentException.class, () -> Overhead.misses(List.of(C_RUN)));
    }

    @Test
    void tableSaysWhatIsPaidOnTop() {
        String table = Overhead.table(with(2500, 0));
        String row = table.lines().filter(line -> line.contains(Overhead.JUDGED)).findFirst().orElseThrow();
        assertTrue(row.contains("2500") && row.contains("2.50") && row.contains("+1.50"), row);
    }

    private static List<Score> handOver(double whole, double nodes, double sequential, double dataflow, double bytes) {
        return List.of(new Score(HandOver.Way.WHOLE.title, false, whole, bytes),
                new Score(HandOver.Way.NODES.title, false, nodes, bytes),
                new Score(HandOver.Way.SEQUENTIAL.title, false, sequential, bytes),
                new Score(HandOver.Way.DATAFLOW.title, false, dataflow, bytes));
    }

    @Test
    void handOverIsPerBorderAndOnTop() {
        Map<String, Double> costs = Overhead.handOver(handOver(4000, 19_000, 9000, 29_500, 0));
        assertEquals(1000, costs.get("one_more_unit_ns"), 1e-9);
        assertEquals(20_500, costs.get("two_units_on_the_pool_ns"), 1e-9);
        String table = Overhead.handOverTable(handOver(4000, 19_000, 9000, 29_500, 0));
        assertTrue(table.contains(" +1.00 |") && table.contains("+20.50 |"), table);
        assertThrows(IllegalArgumentException.class, () -> Overhead.handOver(with(1000, 0)));
    }

    @Test
    void handOverIsNotComparedWithTheRunOfAnotherModel() {
        List<Score> scores = new ArrayList<>(with(2500, 0));
        scores.addAll(handOver(4000, 19_000, 9000, 29_500, 0));
        String row = Overhead.table(scores).lines().filter(line -> line.contains(HandOver.Way.NODES.title)).findFirst()
                .orElseThrow();
        assertTrue(row.contains("19000") && !row.contains("+"), row);
    }

    @Test
    void allocationIsAMissForHandOversToo() {
        List<Score> scores = new ArrayList<>(with(1000, 0));
        scores.addAll(handOver(4000, 19_000, 9000, 29_500, 1.5));
        assertEquals(List.of(), Overhead.misses(scores));
        scores.addAll(handOver(4000, 19_000, 9000, 29_500, 16));
        assertEquals(4, Overhead.misses(scores).size());
    }
}
