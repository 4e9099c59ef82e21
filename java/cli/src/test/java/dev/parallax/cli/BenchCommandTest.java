package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.parallax.ElementType;
import dev.parallax.Parallax;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command from end to end, on tiny models and with few rounds: no time is judged. */
class BenchCommandTest {
    @TempDir
    Path folder;

    /** Two branches between a first and a last node. */
    private Path diamond() throws IOException {
        return Files.write(folder.resolve("diamond.onnx"), new OnnxFile().input("x", ElementType.FLOAT32, "n", 4)
                .output("y", ElementType.FLOAT32, "n", 4)
                .node("Relu", List.of("x"), List.of("a"))
                .node("Sigmoid", List.of("a"), List.of("b1")).node("Neg", List.of("b1"), List.of("b2"))
                .node("Exp", List.of("b2"), List.of("b3"))
                .node("Tanh", List.of("a"), List.of("c1")).node("Abs", List.of("c1"), List.of("c2"))
                .node("Exp", List.of("c2"), List.of("c3"))
                .node("Add", List.of("b3", "c3"), List.of("y")).build());
    }

    private static JsonObject json(Path file) throws IOException {
        return JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    }

    @Test
    void everythingIsMeasuredAndKept() throws IOException {
        Path file = folder.resolve("bench.json");
        Plx plx = Plx.run("bench", diamond(), "--shape", "x=3x4", "--threads", 2, "--rounds", 3, "--warm-ups", 1,
                "--units", "whole,branches", "--units", "nodes", "--policy", "sequential", "--rule", "relaxed",
                "--json", file);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Nothing overlaps in whole/sequential: one unit for the whole graph."),
                plx::toString);
        JsonObject all = json(file);
        assertEquals(Parallax.version().parallax(), all.getAsJsonObject("versions").get("parallax").getAsString());
        assertEquals(Parallax.version().onnxRuntime(),
                all.getAsJsonObject("versions").get("onnxruntime").getAsString());
        assertEquals(3, all.getAsJsonObject("options").get("rounds").getAsInt());
        assertTrue(all.getAsJsonObject("machine").get("cores").getAsInt() >= 1);
        assertTrue(all.get("date").getAsString().endsWith("Z"));
        JsonObject result = all.getAsJsonObject("result");
        JsonObject search = result.getAsJsonObject("search");
        assertEquals("{}", search.get("not_tried").toString(), "every setting works on this graph, streams too");
        assertEquals(11, search.getAsJsonArray("tried").size());
        String setting = search.get("setting").getAsString();
        assertEquals(setting, OrtSetting.named(setting, 2).name());
        JsonObject baseline = result.getAsJsonObject("baseline");
        assertEquals(setting, baseline.get("name").getAsString());
        assertComplete(baseline, 3);
        assertEquals(3, result.getAsJsonArray("ways").size());
        for (JsonElement way : result.getAsJsonArray("ways")) {
            assertComplete(way.getAsJsonObject(), 3);
            assertTrue(way.getAsJsonObject().get("ratio").getAsDouble() > 0);
            assertEquals(way.getAsJsonObject().get("name").getAsString().startsWith("whole/") ? 0 : 1,
                    way.getAsJsonObject().get("parallel_layers").getAsInt());
        }
        assertTrue(plx.out().contains("| baseline: ONNX Runtime, " + setting), plx::toString);
        for (String way : List.of("whole/sequential", "branches/sequential", "nodes/sequential")) {
            assertTrue(plx.out().contains("\n| " + way), plx::toString);
        }
        assertTrue(plx.out().contains("Medians of 3 rounds by turns after 1 warm-up"), plx::toString);
        assertEquals("", plx.err());
    }

    private static void assertComplete(JsonObject entry, int rounds) {
        assertEquals(rounds, entry.getAsJsonArray("samples_ns").size());
        assertEquals(rounds, entry.getAsJsonArray("alone_samples_ns").size());
        assertEquals(rounds, entry.getAsJsonArray("cpu_after_samples_ns").size());
        assertTrue(entry.has("rss_anon_bytes"), entry::toString);
        assertTrue(entry.get("vm_hwm_bytes").getAsLong() >= entry.get("rss_anon_bytes").getAsLong(),
                entry::toString);
        assertTrue(entry.get("rss_anon_bytes").getAsLong() > 1 << 20, entry::toString);
    }

    @Test
    void aBaselineCanBeGiven() throws IOException {
        Path file = folder.resolve("bench.json");
        Plx plx = Plx.run("bench", diamond(), "--threads", 2, "--rounds", 1, "--warm-ups", 0, "--units", "whole",
                "--baseline", "1-streams-nospin", "--json", file);
        assertEquals(0, plx.status(), plx::toString);
        JsonObject result = json(file).getAsJsonObject("result");
        assertEquals("1-streams-nospin", result.getAsJsonObject("baseline").get("name").getAsString());
        assertEquals(0, result.getAsJsonObject("search").getAsJsonArray("tried").size());
        assertComplete(result.getAsJsonObject("baseline"), 1);
        assertTrue(plx.out().contains("was given, not searched"), plx::toString);
    }

    @Test
    void theOnlyWayOrTheBestIsTraced() throws IOException {
        Path file = folder.resolve("trace.json");
        Plx one = Plx.run("bench", diamond(), "--threads", 2, "--rounds", 1, "--warm-ups", 0, "--units", "whole",
                "--baseline", "1-sequential", "--trace", file);
        assertTrue(one.out().contains("Trace of whole/sequential in " + file), one::toString);
        assertTrue(json(file).getAsJsonArray("traceEvents").size() > 0);
        Plx best = Plx.run("bench", diamond(), "--threads", 2, "--rounds", 1, "--warm-ups", 0, "--units",
                "branches", "--policy", "sequential,dataflow", "--baseline", "1-sequential", "--trace", file);
        assertTrue(best.out().contains("Trace of branches/dataflow in " + file), best::toString);
    }

    @Test
    void graphsWithoutBranchesDoWithoutStreams() throws IOException {
        Path file = folder.resolve("bench.json");
        Path chain = Files.write(folder.resolve("chain.onnx"), new OnnxFile().input("n", ElementType.INT64)
                .input("s", ElementType.STRING, 2).output("m", ElementType.INT64).output("t", ElementType.STRING, 2)
                .node("Neg", List.of("n"), List.of("m")).node("Identity", List.of("s"), List.of("t")).build());
        Plx plx = Plx.run("bench", chain, "--threads", 2, "--rounds", 1, "--warm-ups", 0, "--units", "branches",
                "--policy", "sequential", "--json", file);
        assertEquals(0, plx.status(), plx::toString);
        assertComplete(json(file).getAsJsonObject("result").getAsJsonObject("baseline"), 1);
        Plx given = Plx.run("bench", relu(), "--threads", 2, "--baseline", "2-streams-spin");
        assertTrue(given.isOneLineError("--baseline 2-streams-spin is not possible: no layer"), given::toString);
    }

    private Path relu() throws IOException {
        return Files.write(folder.resolve("relu.onnx"), new OnnxFile().input("x", ElementType.FLOAT32, 4)
                .output("y", ElementType.FLOAT32, 4).node("Relu", List.of("x"), List.of("y")).build());
    }

    @Test
    void outputsThatDifferAreNotTimed() throws IOException {
        Path random = Files.write(folder.resolve("random.onnx"), new OnnxFile().input("x", ElementType.FLOAT32, 4)
                .output("y", ElementType.FLOAT32, 4).node("RandomUniformLike", List.of("x"), List.of("y")).build());
        Plx plx = Plx.run("bench", random, "--threads", 1, "--rounds", 1, "--warm-ups", 0, "--units", "whole");
        assertEquals(1, plx.status(), plx::toString);
        assertTrue(plx.out().contains("whole/sequential: output y, float32[4], DIFFERS in its bits"), plx::toString);
        assertTrue(plx.out().contains("Nothing was timed"), plx::toString);
        Plx close = Plx.run("bench", random, "--threads", 1, "--rounds", 1, "--warm-ups", 0, "--units", "whole",
                "--atol", "2");
        assertEquals(0, close.status(), close::toString);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
            --units halves;                 --units halves is not one of
            --units whole,,nodes;           --units  is not one of
            --policy random;                --policy random is not one of
            --rounds 0;                     --rounds 0 is too few
            --warm-ups -1;                  --warm-ups -1 is negative
            --check --rounds 19;            --check takes --rounds 20 or more, not 19
            --check --policy sequential;    --check judges the policy dataflow
            --policy sequential --units whole,nodes --trace t.json; --trace takes the best way with the policy dataflow
            --rule strict;                  --rule strict is not one of paper, relaxed
            --target 0;                     --target 0.0 is no ratio
            --target NaN;                   --target NaN is no ratio
            --rtol -1;                      --rtol -1.0 is no tolerance
            --threads -1;                   --threads -1 is negative
            --json /none/x.json;            there is no folder /none
            """)
    void wrongUsageIsOneLine(String line, String message) throws IOException {
        Plx plx = Plx.run((Object[]) ("bench " + relu() + " " + line).split(" "));
        assertTrue(plx.isOneLineError(message), plx::toString);
    }

    @Test
    void unknownSettingsAreNamed() throws IOException {
        Plx plx = Plx.run("bench", relu(), "--threads", 2, "--baseline", "fastest");
        assertTrue(plx.isOneLineError("--baseline fastest is no setting for 2 threads; there are 2-sequential-spin"),
                plx::toString);
    }
}
