package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import dev.parallax.bench.FootprintResult.Engine;
import dev.parallax.bench.FootprintResult.Storage;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FootprintResultTest {
    private static FootprintResult.Sample sample(long hwm, long anon, String digest) {
        return new FootprintResult.Sample(hwm, anon, anon, 2.5, 100, 8_000_000, 7_000_000, 2_000_000, 10_000_000, digest);
    }

    private static FootprintResult result(String model, long hwm, long anon, String digest) {
        return result(model, Storage.BESIDE, hwm, anon, digest);
    }

    private static FootprintResult result(String model, Storage storage, long hwm, long anon, String digest) {
        return new FootprintResult(model, storage, Map.of(Engine.ORT, List.of(sample(1000, 1000, "d"), sample(2000, 2000, "d")),
                Engine.WHOLE, List.of(sample(900, 900, "d"), sample(1800, 1800, "d")),
                Engine.BRANCHES, List.of(sample(900, 900, "d"), sample(1800, 1800, "d")),
                Engine.CACHED, List.of(sample(hwm, anon, "d"), sample(2 * hwm, 2 * anon, digest))),
                Map.of(Engine.ORT, sample(3000, 3000, "d"), Engine.WHOLE, sample(900, 900, "d"),
                        Engine.BRANCHES, sample(6000, 900, "d"), Engine.CACHED, sample(hwm, anon, "d")),
                new SavingsTime(new double[] {1, 2, 1}, new double[] {1, 2, 4}));
    }

    @Test
    void ratiosAreTakenRoundByRoundAndTheirMeanIsGeometric() {
        FootprintResult one = result("a", 500, 300, "d");
        assertEquals(0.5, one.ratio(Engine.CACHED, FootprintResult.Sample::hwmBytes), 1e-9);
        assertEquals(0.9, one.ratio(Engine.WHOLE, FootprintResult.Sample::anonPeakBytes), 1e-9);
        FootprintResult other = result("b", 2000, 300, "d");
        assertEquals(1, FootprintResult.mean(List.of(one, other), Engine.CACHED, FootprintResult.Sample::hwmBytes),
                1e-9);
    }

    @Test
    void targetsAreOfEachModelAndOfTheMean() {
        assertEquals(List.of(), FootprintResult.misses(List.of(result("a", 1000, 600, "d"), result("b", 700, 200, "d"))));
        List<String> misses = FootprintResult.misses(List.of(result("fine", 800, 300, "d"), result("large", 1100, 700, "d")));
        assertEquals(4, misses.size(), misses::toString);
        assertTrue(misses.get(0).contains("VmHWM of large, weights beside (branches, cached) is 1.10 times"), misses.get(0));
        assertTrue(misses.get(1).contains("RssAnon of large, weights beside (branches, cached) is 0.70 times"),
                misses.get(1));
        assertTrue(misses.get(2).contains("VmHWM of all models, weights beside, in the geometric mean (branches, cached) is"
                + " 0.94"), misses.get(2));
        assertTrue(misses.get(3).endsWith("at most 0.35"), misses.get(3));
    }

    @Test
    void modelsOfOneFileHaveTargetsOfTheirOwn() {
        List<String> misses = FootprintResult.misses(List.of(result("a", Storage.BESIDE, 800, 200, "d"),
                result("b", Storage.INSIDE, 800, 200, "d")));
        assertEquals(2, misses.size(), misses::toString);
        assertTrue(misses.get(0).contains("VmHWM of b, one file") && misses.get(0).endsWith("at most 0.75"), misses.get(0));
        assertTrue(misses.get(1).contains("one file") && misses.get(1).endsWith("at most 0.65"), misses.get(1));
    }

    @Test
    void thePapersTablesAreWritten() {
        List<FootprintResult> results = List.of(result("a", 500, 300, "d"));
        assertTrue(FootprintResult.table4(results).contains("0.50"), FootprintResult.table4(results));
        String arenas = FootprintResult.table5(results);
        assertTrue(arenas.contains("8.0") && arenas.contains("10.0") && arenas.contains("0.20")
                && arenas.contains("0.25"), arenas);
    }

    @Test
    void filesMayCostThreeInAHundredOfTheTime() {
        FootprintResult fine = result("a", 500, 300, "d");
        FootprintResult slow = new FootprintResult("b", Storage.BESIDE, fine.samples(), fine.cold(),
                new SavingsTime(new double[] {1.02, 1.04, 1.05}, new double[] {1, 1, 1}));
        List<String> misses = FootprintResult.misses(List.of(fine, slow));
        assertEquals(1, misses.size(), misses::toString);
        assertTrue(misses.get(0).contains("a run of b, weights beside") && misses.get(0).contains("1.040 times"), misses.get(0));
    }

    @Test
    void coldFiguresStandBesidePlainOnnxRuntimes() {
        String table = FootprintResult.coldTable(List.of(result("a", 1500, 300, "d")));
        assertTrue(table.contains("2.00") && table.contains("0.30") && table.contains("0.50") && table.contains("0.10"), table);
    }

    @Test
    void outputsThatDifferAreSeen() {
        assertTrue(result("a", 1, 1, "d").agrees(Engine.CACHED));
        assertFalse(result("a", 1, 1, "other").agrees(Engine.CACHED));
        assertTrue(FootprintResult.table(List.of(result("a", 1, 1, "other"))).contains("differ"));
        assertEquals(false, ((Map<?, ?>) result("a", 1, 1, "other").toMap().get("cached")).get("outputs_equal"));
    }

    @Test
    void aProcessIsReadAsItPrints() {
        String printed = "{'vm_hwm_bytes': 5, 'rss_anon_peak_bytes': 4, 'rss_anon_bytes': 3, 'median_ms': 1.5,"
                + " 'ready_ms': 20.5, 'rss_anon_growth_bytes': 6, 'outputs_digest': 'ab', 'session': {%s}}";
        FootprintResult.Sample plain = Footprint.sample(JsonParser.parseString(printed.formatted("")).getAsJsonObject());
        assertEquals(new FootprintResult.Sample(5, 4, 3, 1.5, 20.5, 6, 0, 0, 0, "ab"), plain);
        assertEquals(9, Footprint.sample(JsonParser.parseString(
                printed.formatted("'arena_high_water_bytes': 9")).getAsJsonObject()).arenaBytes());
        assertThrows(NullPointerException.class,
                () -> Footprint.sample(JsonParser.parseString("{'session': {}}").getAsJsonObject()));
    }
}
