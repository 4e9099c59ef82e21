package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.bench.Overhead.Score;
import java.util.List;
import org.junit.jupiter.api.Test;

class OverheadTest {
    private static final Score C_RUN = new Score(Overhead.C_RUN, 1000, 0.1);

    private static List<Score> with(double nanos, double bytes) {
        return List.of(C_RUN, new Score(Overhead.JUDGED, nanos, bytes),
                new Score("ai.onnxruntime run, 1 thread", 9000, 352));
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
        List<Score> scores = List.of(C_RUN, new Score(Overhead.JUDGED, 1000, 0),
                new Score("Parallax nodes, pool", 1000, 16));
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
}
