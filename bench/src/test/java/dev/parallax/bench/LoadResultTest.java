package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class LoadResultTest {
    private static List<Loader.Sample> millis(long... ready) {
        return Arrays.stream(ready).mapToObj(ms -> new Loader.Sample(ms * 1_000_000, ms * 2_000_000, 7)).toList();
    }

    private static LoadResult result(String name, long ort, long whole, long branches) {
        return new LoadResult(name, List.of(millis(ort, ort, ort), millis(whole, whole, whole),
                millis(branches, branches, branches)));
    }

    @Test
    void ratiosAreTakenRoundByRound() {
        LoadResult result = new LoadResult("m", List.of(millis(100, 1000, 100), millis(110, 1100, 500),
                millis(150, 1500, 150)));
        assertEquals(1.1, result.ratio(Way.WHOLE), 1e-9);
        assertEquals(1.5, result.ratio(Way.BRANCHES), 1e-9);
        assertEquals(1.1, result.cpuRatio(Way.WHOLE), 1e-9);
        assertEquals(100, result.medianMillis(Way.ORT), 1e-9);
        assertEquals(500, result.medianMillis(Way.WHOLE), 1e-9);
    }

    @Test
    void targetsAreMetUpToTheirLimits() {
        assertEquals(List.of(), LoadResult.misses(List.of(result("a", 100, 110, 200), result("b", 100, 50, 90))));
    }

    @Test
    void missesNameModelCutAndRatio() {
        List<String> misses = LoadResult.misses(List.of(result("fine", 100, 100, 100), result("slow", 100, 112, 210)));
        assertEquals(2, misses.size());
        assertTrue(misses.get(0).contains("slow (whole) takes 1.12 times"), misses.get(0));
        assertTrue(misses.get(0).endsWith("at most 1.1"), misses.get(0));
        assertTrue(misses.get(1).contains("slow (branches) takes 2.10 times"), misses.get(1));
    }

    @Test
    void plainOnnxRuntimeMeetsItsOwnTime() {
        assertTrue(result("m", 100, 200, 300).meets(Way.ORT));
    }

    @Test
    void tableMarksMisses() {
        String table = LoadResult.table(List.of(result("m", 100, 90, 250)));
        String row = table.lines().filter(line -> line.contains("2.50")).findFirst().orElseThrow();
        assertTrue(row.contains("2.50 (!)"), row);
        assertFalse(row.contains("0.90 (!)"), row);
    }

    @Test
    void everySampleIsKept() {
        Map<String, Object> map = new LoadResult("m", List.of(millis(1, 2), millis(3, 4), millis(5, 6))).toMap();
        assertEquals("m", map.get("model"));
        Map<?, ?> branches = (Map<?, ?>) map.get("branches");
        assertEquals(List.of(5_000_000L, 6_000_000L), branches.get("ready_ns"));
        assertEquals(List.of(10_000_000L, 12_000_000L), branches.get("cpu_ns"));
        assertEquals(List.of(7L, 7L), branches.get("close_ns"));
        assertEquals(2.0, branches.get("limit"));
        assertEquals(4.0, branches.get("ratio"));
    }
}
