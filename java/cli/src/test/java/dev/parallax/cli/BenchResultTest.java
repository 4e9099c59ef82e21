package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import dev.parallax.cli.BenchResult.Entry;
import dev.parallax.cli.BenchResult.Verdict;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** What is made of samples, on samples that are made up. */
class BenchResultTest {
    private static final SideBySide SIDE = new SideBySide(7, 2, 3, 1.5e6, 6e6, "", null);
    private static final FreshProcess.Memory MEMORY = new FreshProcess.Memory(300_000_000, 200_000_000);

    private static double[] millis(double... values) {
        double[] nanos = values.clone();
        for (int i = 0; i < nanos.length; i++) {
            nanos[i] *= 1e6;
        }
        return nanos;
    }

    /** Each with 2 ms of processor time afterwards. */
    private static Bench.Samples samples(double... millis) {
        double[] after = new double[millis.length];
        Arrays.fill(after, 2e6);
        return new Bench.Samples(millis(millis), after);
    }

    private static BenchResult result(Entry... entries) {
        return new BenchResult("tiny", List.of("x: float32[1,4]"),
                new BenchBaseline(OrtSetting.named("2-sequential-nospin", 2),
                        List.of(new BenchBaseline.Tried("2-sequential-spin", millis(12, 14, 13)),
                                new BenchBaseline.Tried("2-sequential-nospin", millis(10, 10, 10))),
                        new TreeMap<>(Map.of("2-streams-nospin", "no layer has two branches",
                                "2-streams-spin", "no layer has two branches"))), List.of(entries));
    }

    private static Entry baseline(double... turns) {
        return new Entry("2-sequential-nospin", "", null, samples(turns), samples(turns), MEMORY, "");
    }

    private static Entry way(String cut, String policy, double... turns) {
        return new Entry(cut + "/" + policy, policy, SIDE, samples(turns), samples(turns), MEMORY, "");
    }

    private static String table(BenchResult result) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        result.print(new PrintStream(out, true, StandardCharsets.UTF_8));
        return out.toString(StandardCharsets.UTF_8);
    }

    @Test
    void theRatioIsTheMedianOfTheRounds() {
        // Three rounds at 1.2, one at half the speed of the machine, one with a hiccup of ours: medians would say 1.25.
        BenchResult result = result(baseline(10, 10, 10, 20, 8),
                way("branches", "dataflow", 12, 12, 12.5, 24, 40));
        assertEquals(1.2, result.ratio(result.ours().getFirst()), 1e-9);
        assertEquals(1, result.ratio(result.baseline()), 0);
        assertThrows(IllegalArgumentException.class, () -> BenchResult.pairedRatio(new double[2], new double[3]));
    }

    @Test
    void moreThanThreePercentBesidesAloneIsDisturbed() {
        Entry quiet = new Entry("a", "", null, samples(103, 103, 103), samples(100, 100, 100), MEMORY, "");
        assertEquals(1.03, quiet.turnsOverAlone(), 1e-9);
        assertFalse(new Entry("a", "", null, samples(102.9), samples(100), MEMORY, "").disturbed());
        assertFalse(new Entry("a", "", null, samples(97.1), samples(100), MEMORY, "").disturbed());
        assertTrue(new Entry("a", "", null, samples(103.1), samples(100), MEMORY, "").disturbed());
        assertTrue(new Entry("a", "", null, samples(96.9), samples(100), MEMORY, "").disturbed());
    }

    @Test
    void theBestDataflowWayIsJudged() {
        BenchResult result = result(baseline(10, 10, 10), way("whole", "sequential", 9, 9, 9),
                way("branches", "dataflow", 12, 12, 12), way("mixed", "dataflow", 11.5, 11.5, 11.5));
        Verdict missed = result.verdict(1.10).orElseThrow();
        assertFalse(missed.met());
        assertEquals("MISSED: mixed/dataflow takes 1.150 times the baseline's time; at most 1.1", missed.toString());
        Verdict met = result.verdict(1.2).orElseThrow();
        assertTrue(met.met());
        assertEquals("met: mixed/dataflow takes 1.150 times the baseline's time; at most 1.2", met.toString());
        assertTrue(new Verdict("a", 1.1, 1.1).met(), "as slow as is allowed is allowed");
        assertEquals(Optional.empty(), result(baseline(10), way("whole", "sequential", 9)).verdict(1.1));
    }

    @Test
    void theTableHasEveryWayAndSaysWhatIsWrongWithIt() {
        BenchResult result = result(baseline(10, 10, 10),
                new Entry("branches/dataflow", "dataflow", SIDE, samples(12, 12, 12), samples(10, 10, 10), null,
                        "its process ended with status 134"));
        assertEquals("""
                | ONNX Runtime's setting |  median | of the fastest |
                |------------------------|--------:|---------------:|
                | 2-sequential-nospin    | 10.0 ms |           1.00 |
                | 2-sequential-spin      | 13.0 ms |           1.30 |
                Not tried: 2-streams-nospin, 2-streams-spin: no layer has two branches

                | way                                         | units | parallel layers | narrow units \
                |         overlapped |  median | of baseline |   alone \
                | turns/alone | CPU after | peak memory | anonymous |
                |---------------------------------------------|------:|----------------:|-------------:\
                |-------------------:|--------:|------------:|--------:\
                |------------:|----------:|------------:|----------:|
                | baseline: ONNX Runtime, 2-sequential-nospin |       |                 |              \
                |                    | 10.0 ms |        1.00 | 10.0 ms \
                |        1.00 |   2.00 ms |      300 MB |    200 MB |
                | branches/dataflow                           |     7 |               2 |            3 \
                | 1.50 ms of 6.00 ms | 12.0 ms |        1.20 | 10.0 ms \
                |    1.20 (!) |   2.00 ms |           ? |         ? |
                (!) Times by turns and alone differ by more than 3 %: the machine was busy, or the ways disturb each \
                other. Measure again on a quiet machine.
                Memory of branches/dataflow is not known: its process ended with status 134
                """, table(result));
        assertFalse(table(result(baseline(10), way("whole", "sequential", 9))).contains("(!)"));
    }

    @Test
    void whatRanOneAfterTheOtherSaysWhy() {
        Entry whole = idle("whole/sequential", "one unit for the whole graph");
        Entry first = idle("branches/sequential", "policy sequential runs one unit after the other");
        Entry second = idle("mixed/sequential", "policy sequential runs one unit after the other");
        BenchResult result = result(baseline(10), whole, first, second, way("branches", "dataflow", 9));
        assertTrue(table(result).contains("""
                Nothing overlaps in whole/sequential: one unit for the whole graph.
                Nothing overlaps in branches/sequential, mixed/sequential: policy sequential runs one unit after the \
                other.
                """), table(result));
        JsonObject json = result.toJson().getAsJsonArray("ways").get(0).getAsJsonObject();
        assertEquals("one unit for the whole graph", json.get("no_overlap").getAsString());
        assertEquals(0, json.get("overlap_ns").getAsDouble(), 0);
    }

    private static Entry idle(String name, String reason) {
        return new Entry(name, "sequential", new SideBySide(3, 0, 0, 0, 6e6, reason, null), samples(10), samples(10),
                MEMORY, "");
    }

    @Test
    void theJsonHasEverySample() {
        JsonObject json = result(baseline(10, 11, 12), way("branches", "dataflow", 12, 13, 14)).toJson();
        assertEquals("tiny", json.get("model").getAsString());
        assertEquals("x: float32[1,4]", json.getAsJsonArray("inputs").get(0).getAsString());
        JsonObject search = json.getAsJsonObject("search");
        assertEquals("2-sequential-nospin", search.get("setting").getAsString());
        assertEquals("[12000000,14000000,13000000]",
                search.getAsJsonArray("tried").get(0).getAsJsonObject().get("samples_ns").toString());
        assertEquals("no layer has two branches",
                search.getAsJsonObject("not_tried").get("2-streams-spin").getAsString());
        assertEquals("[10000000,11000000,12000000]", json.getAsJsonObject("baseline").get("samples_ns").toString());
        assertEquals("2-sequential-nospin", json.getAsJsonObject("baseline").get("name").getAsString());
        JsonObject way = json.getAsJsonArray("ways").get(0).getAsJsonObject();
        assertEquals("branches/dataflow", way.get("name").getAsString());
        assertEquals("[12000000,13000000,14000000]", way.get("samples_ns").toString());
        assertEquals("[12000000,13000000,14000000]", way.get("alone_samples_ns").toString());
        assertEquals("[2000000,2000000,2000000]", way.get("cpu_after_samples_ns").toString());
        assertEquals(7, way.get("units").getAsInt());
        assertEquals(2, way.get("parallel_layers").getAsInt());
        assertEquals(3, way.get("narrow_units").getAsInt());
        assertEquals(1.5e6, way.get("overlap_ns").getAsDouble(), 0);
        assertEquals(6e6, way.get("span_ns").getAsDouble(), 0);
        assertFalse(way.has("no_overlap"));
        assertEquals(13.0 / 11, way.get("ratio").getAsDouble(), 1e-9);
        assertEquals(13e6, way.get("median_ns").getAsDouble(), 0);
        assertFalse(way.get("disturbed").getAsBoolean());
        assertEquals(300_000_000, way.get("vm_hwm_bytes").getAsLong());
        assertEquals(200_000_000, way.get("rss_anon_bytes").getAsLong());
    }
}
