package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.parallax.ElementType;
import dev.parallax.Plan;
import dev.parallax.Rule;
import dev.parallax.RunReport.UnitRun;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A suite on made-up figures, and from end to end on a tiny model: no time is judged. */
class BenchSuiteTest {
    @TempDir
    Path folder;

    // ---- arithmetic --------------------------------------------------------------------------------------------

    private static UnitRun run(int unit, long start, long end) {
        return new UnitRun(unit, "cpu", 1, 0, start, end, 0, 0, 0, 0, 0, "");
    }

    @Test
    void aLayersTimeCountsNoMomentTwice() {
        // Layer 0: one unit; layer 1: 10..30 and 20..25 within it, 40..50 after a gap; unit 4 is of no single layer.
        List<UnitRun> runs = List.of(run(0, 0, 10), run(2, 20, 25), run(1, 10, 30), run(3, 40, 50), run(4, 50, 99));
        assertEquals(Map.of(0, 10L, 1, 30L), LayerTimes.busy(runs, List.of(0, 1, 1, 1, -1)));
    }

    @Test
    void parallelLayersAreAmongThoseOfSeveralBranches() {
        assertEquals(EnumSet.of(LayerTimes.Kind.ONE), LayerTimes.kinds(new Plan.Layer(0, List.of(0), List.of(), "")));
        assertEquals(EnumSet.of(LayerTimes.Kind.SEVERAL),
                LayerTimes.kinds(new Plan.Layer(0, List.of(0, 1), List.of(), "")));
        assertEquals(EnumSet.of(LayerTimes.Kind.SEVERAL, LayerTimes.Kind.PARALLEL),
                LayerTimes.kinds(new Plan.Layer(0, List.of(0, 1), List.of(List.of(0, 1)), "")));
    }

    // ---- texts and JSON ----------------------------------------------------------------------------------------

    private static BenchResult.Entry entry(String name, String policy, String reason, double millis) {
        double[] nanos = {millis * 1e6, millis * 1e6, millis * 1e6};
        SideBySide side = policy.isEmpty() ? null
                : new SideBySide(7, 2, 3, reason.isEmpty() ? 1e6 : 0, 4e6, reason, null);
        return new BenchResult.Entry(name, policy, side, new Bench.Samples(nanos, new double[3]),
                new Bench.Samples(new double[] {10e6, 10e6}, new double[2]), new FreshProcess.Memory(12 << 20, 3 << 20),
                "");
    }

    private static SuiteResult.ModelResult model(String name, double dataflow) {
        BenchResult latency = new BenchResult(name, List.of(), new BenchBaseline(OrtSetting.named("1-sequential", 2),
                List.of(), Map.of()), List.of(entry("1-sequential", "", "", 10),
                        entry("whole/sequential", "sequential", "one unit for the whole graph", 10),
                        entry("branches/dataflow", "dataflow", "", dataflow)));
        LayerTimes layers = new LayerTimes(
                Map.of(LayerTimes.Kind.SEVERAL, 4, LayerTimes.Kind.PARALLEL, 0, LayerTimes.Kind.ONE, 9),
                Map.of(LayerTimes.Kind.SEVERAL, new double[] {3e6, 6e6, 6e6}, LayerTimes.Kind.PARALLEL, new double[3],
                        LayerTimes.Kind.ONE, new double[] {5e6, 5e6, 5e6}),
                Map.of(LayerTimes.Kind.SEVERAL, new double[] {6e6, 12e6, 8e6}, LayerTimes.Kind.PARALLEL, new double[3],
                        LayerTimes.Kind.ONE, new double[] {5e6, 5e6, 5e6}));
        Plan.Census census = new Plan.Census(50, 20, 13, 1, 5);
        return new SuiteResult.ModelResult(name, "batch = 1", latency, layers,
                List.of(new SuiteResult.Structure("as given", census, 2, 0),
                        new SuiteResult.Structure("delegated", new Plan.Census(6, 4, 3, 0, 2), 1, 2),
                        new SuiteResult.Structure("as cut", census, 3, 0)),
                List.of(new SuiteResult.Swept(SuiteResult.DEFAULT, 3, new double[] {4e6, 4e6}),
                        new SuiteResult.Swept("beta 2.0", 5, new double[] {3e6, 3e6})));
    }

    private static SuiteResult result() {
        return new SuiteResult(Rule.PAPER, List.of(model("fast", 9), model("slow", 12)),
                Map.of("broken", "no such operator\nat all"));
    }

    @Test
    void everyMissIsNamed() {
        assertEquals(List.of("slow: MISSED: branches/dataflow takes 1.200 times the baseline's time; at most 1.1"),
                result().misses(1.1));
        assertEquals(List.of(), result().misses(1.2));
    }

    @Test
    void theReportHasEveryTable() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        result().print(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        String text = bytes.toString(StandardCharsets.UTF_8);
        String dense = text.replaceAll(" +", " ");
        for (String line : List.of(
                "| fast | whole/sequential | 7 | 2 | never | 1.00 | one unit for the whole graph |",
                "| slow | branches/dataflow | 7 | 2 | 1.00 ms of 4.00 ms | 1.20 | |",
                "| fast | 1-sequential | 10.0 ms | 10.0 ms (1.00) | 9.00 ms (0.90) |",
                "| fast | ONNX Runtime, 1-sequential | 13 MB | 3.1 MB | 1.00 | 0 ns |",
                "| slow | branches/dataflow | 13 MB | 3.1 MB | 1.20 (!) | 0 ns |",
                "| fast | several branches | 4 | 6.00 ms | 8.00 ms | 0.50 |",
                "| fast | of them parallel | 0 | - | - | - |",
                "| fast | one branch | 9 | 5.00 ms | 5.00 ms | 1.00 |",
                "| fast | 50 / 6 / 50 | 13 / 3 / 13 | 1 / 0 / 1 | 2 / 1 / 3 | 5 / 2 / 5 | 0 / 2 / 0 |",
                "| fast | beta 2.0 | 5 | 3.00 ms | 0.75 |",
                "Sizes of open dimensions: fast: batch = 1; slow: batch = 1.",
                "- broken: no such operator; at all")) {
            assertTrue(dense.contains("\n" + line + "\n"), () -> line + "\nis not in\n" + text);
        }
    }

    @Test
    void theJsonHasEverySample() {
        JsonObject json = result().toJson();
        assertEquals("no such operator\nat all", json.getAsJsonObject("failed").get("broken").getAsString());
        JsonObject fast = json.getAsJsonArray("models").get(0).getAsJsonObject();
        JsonObject way = fast.getAsJsonObject("latency").getAsJsonArray("ways").get(0).getAsJsonObject();
        assertEquals("[10000000,10000000,10000000]", way.get("samples_ns").toString());
        assertEquals("[10000000,10000000]", way.get("alone_samples_ns").toString());
        JsonObject several = fast.getAsJsonObject("layers").getAsJsonObject("several_branches");
        assertEquals(0.5, several.get("ratio").getAsDouble(), 1e-9);
        assertEquals("[6000000,12000000,8000000]", several.get("sequential_samples_ns").toString());
        assertFalse(fast.getAsJsonObject("layers").getAsJsonObject("parallel").has("ratio"), "0 / 0 is no ratio");
        JsonObject delegated = fast.getAsJsonArray("structure").get(1).getAsJsonObject();
        assertEquals(2, delegated.get("regions").getAsInt());
        assertEquals(6, delegated.get("nodes").getAsInt());
        assertEquals("[3000000,3000000]",
                fast.getAsJsonArray("sweep").get(1).getAsJsonObject().get("samples_ns").toString());
    }

    // ---- from end to end ---------------------------------------------------------------------------------------

    /** Two branches of three nodes, and a model that no engine can load. */
    private void fill() throws IOException {
        Files.write(folder.resolve("diamond.onnx"), new OnnxFile().input("x", ElementType.FLOAT32, "batch", 4)
                .output("y", ElementType.FLOAT32, "batch", 4)
                .node("Sigmoid", List.of("x"), List.of("b1")).node("Neg", List.of("b1"), List.of("b2"))
                .node("Exp", List.of("b2"), List.of("b3"))
                .node("Tanh", List.of("x"), List.of("c1")).node("Abs", List.of("c1"), List.of("c2"))
                .node("Exp", List.of("c2"), List.of("c3"))
                .node("Add", List.of("b3", "c3"), List.of("y")).build());
        Files.writeString(folder.resolve("broken.onnx"), "no model");
    }

    @Test
    void aFolderIsMeasured() throws IOException {
        fill();
        Path file = folder.resolve("suite.json");
        Plx plx = Plx.run("bench", "--suite", "paper", folder, "--only", "diamond", "--threads", 2, "--rounds", 2,
                "--rule", "relaxed", "--json", file);
        assertEquals(0, plx.status(), plx::toString);
        for (String heading : List.of("## Summary", "## Table 3", "## Table 6", "## Table 7", "## Sweeps", "Target ")) {
            assertTrue(plx.out().contains("\n" + heading), plx::toString);
        }
        assertFalse(plx.out().contains("## Not measured"), plx::toString);
        assertTrue(plx.err().startsWith("1/1 diamond ...\n1/1 diamond: done after "), plx::toString);
        JsonObject all = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
        assertEquals("paper", all.get("suite").getAsString());
        assertTrue(all.getAsJsonObject("machine").has("cpu"));
        assertTrue(all.getAsJsonObject("versions").has("onnxruntime"));
        JsonObject model = all.getAsJsonObject("result").getAsJsonArray("models").get(0).getAsJsonObject();
        assertEquals("batch = 1", model.get("sizes").getAsString());
        assertEquals(4, model.getAsJsonObject("latency").getAsJsonArray("ways").size());
        model.getAsJsonObject("latency").getAsJsonArray("ways").forEach(way ->
                assertTrue(way.getAsJsonObject().get("vm_hwm_bytes").getAsLong() > 0, way::toString));
        assertEquals(1, model.getAsJsonObject("layers").getAsJsonObject("parallel").get("layers").getAsInt());
        assertEquals(5, model.getAsJsonObject("layers").getAsJsonObject("one_branch")
                .getAsJsonArray("paper_samples_ns").size());
        assertEquals(4, model.getAsJsonArray("structure").size());
        assertEquals(7, model.getAsJsonArray("sweep").size(), "the default, 3 betas, 2 margins, 1 thread");
    }

    @Test
    void aModelThatFailsIsNamed() throws IOException {
        fill();
        Plx plx = Plx.run("bench", "--suite", "paper", folder, "--only", "broken", "--rounds", 1);
        assertEquals(1, plx.status(), plx::toString);
        assertTrue(plx.out().contains("## Not measured\n\n- broken: "), plx::toString);
        assertFalse(plx.out().contains("Target met"), plx::toString);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
            --suite tflite;                 --suite tflite is not known
            --suite memory;                 in a clone of the project
            --suite paper --only none;      --only none is not among the models: broken, diamond
            --suite paper --sweep none;     --sweep none is not among the models: broken, diamond
            --suite paper --units whole;    leave --units, --policy
            --suite paper --trace t.json;   leave --units, --policy
            --only diamond;                 --only and --sweep choose models of a suite
            """)
    void wrongUsageIsOneLine(String line, String message) throws IOException {
        fill();
        Plx plx = Plx.run((Object[]) ("bench " + folder + " " + line).split(" "));
        assertTrue(plx.isOneLineError(message), plx::toString);
    }

    @Test
    void aFolderWithoutModelsIsRefused() {
        Plx plx = Plx.run("bench", "--suite", "paper", folder);
        assertTrue(plx.isOneLineError("there is no .onnx file in " + folder), plx::toString);
        Plx none = Plx.run("bench", "--suite", "paper", folder.resolve("none"));
        assertTrue(none.isOneLineError("cannot be listed"), none::toString);
    }
}
