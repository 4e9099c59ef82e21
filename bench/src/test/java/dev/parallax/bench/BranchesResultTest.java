package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.bench.BranchesResult.Entry;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class BranchesResultTest {
    private static final double MS = 1e6;

    private static Entry entry(List<Integer> together, double overlapNs, double... millis) {
        double[] nanos = new double[millis.length];
        double[] overlaps = new double[millis.length];
        for (int i = 0; i < millis.length; i++) {
            nanos[i] = millis[i] * MS;
        }
        overlaps[0] = overlapNs; // of one round only
        return new Entry(9, together, nanos, overlaps);
    }

    private static BranchesResult result(Entry paper, Entry dataflow) {
        return new BranchesResult(List.of(entry(List.of(6), 0, 100, 1000, 100), paper, dataflow,
                entry(List.of(), 0, 90, 90, 90)));
    }

    private static final Entry FINE = entry(List.of(6), 1, 60, 600, 60);

    @Test
    void ratiosAreTakenRoundByRound() {
        BranchesResult result = result(entry(List.of(6), 1, 55, 500, 900), FINE);
        assertEquals(0.55, result.ratio(BranchesWay.PAPER), 1e-9);
        assertEquals(1, result.ratio(BranchesWay.SEQUENTIAL), 1e-9);
    }

    @Test
    void theLimitItselfAndOverlapInOneRunAreEnough() {
        assertEquals(List.of(), result(FINE, FINE).misses());
    }

    @Test
    void missesNameWayAndRatio() {
        List<String> misses = result(FINE, entry(List.of(6), 1, 61, 610, 61)).misses();
        assertEquals(1, misses.size());
        assertTrue(misses.getFirst().contains("(branches, dataflow, 2 threads) takes 0.61 times"), misses.getFirst());
        assertTrue(misses.getFirst().endsWith("at most 0.60"), misses.getFirst());
    }

    @Test
    void noOverlapAndNoParallelLayerAreMisses() {
        List<String> misses = result(entry(List.of(6), 0, 50, 500, 50), entry(List.of(4, 2), 1, 50, 500, 50)).misses();
        assertEquals(2, misses.size());
        assertTrue(misses.get(0).contains("in no run (branches, paper, 2 threads)"), misses.get(0));
        assertTrue(misses.get(1).contains("[4, 2] branches; one of 6 is expected"), misses.get(1));
        assertEquals(1, result(FINE, entry(List.of(), 1, 50, 500, 50)).misses().size());
    }

    @Test
    void whatWasNotMeasuredIsNotAPass() {
        Entry nothing = entry(List.of(6), Double.NaN, Double.NaN, Double.NaN, Double.NaN);
        assertEquals(2, result(FINE, nothing).misses().size());
    }

    @Test
    void tableMarksMisses() {
        String table = result(FINE, entry(List.of(6), 1, 70, 700, 70)).table();
        assertTrue(table.contains("0.70 (!)"), table);
        assertTrue(table.contains("1 of 6 branches"), table);
        assertFalse(table.contains("0.60 (!)"), table);
        assertFalse(table.contains("1.00 (!)"), table);
    }

    @Test
    void everySampleIsKept() {
        Map<?, ?> paper = (Map<?, ?>) result(FINE, FINE).toMap().get("paper");
        assertArrayEquals(new double[] {60 * MS, 600 * MS, 60 * MS}, (double[]) paper.get("run_ns"));
        assertArrayEquals(new double[] {1, 0, 0}, (double[]) paper.get("overlap_ns"));
        assertEquals(0.6, (double) paper.get("ratio"), 1e-9);
        assertEquals(0.6, paper.get("limit"));
        assertFalse(((Map<?, ?>) result(FINE, FINE).toMap().get("whole")).containsKey("limit"));
    }
}
