package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.langchain4j.model.embedding.onnx.allminilml6v2.AllMiniLmL6V2EmbeddingModel;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The commands on models that work, small ones where that is enough. */
class CommandsTest {
    @TempDir
    Path folder;

    /**
     * s[n,4] = sigmoid(relu(x)), t[n,4] = tanh(relu(x)), each with two more nodes: two branches that could run
     * together.
     */
    private Path diamond() throws IOException {
        return write("diamond.onnx", new OnnxFile().input("x", ElementType.FLOAT32, "n", 4)
                .output("y", ElementType.FLOAT32, "n", 4)
                .node("Relu", List.of("x"), List.of("a"))
                .node("Sigmoid", List.of("a"), List.of("b1")).node("Neg", List.of("b1"), List.of("b2"))
                .node("Exp", List.of("b2"), List.of("b3"))
                .node("Tanh", List.of("a"), List.of("c1")).node("Abs", List.of("c1"), List.of("c2"))
                .node("Exp", List.of("c2"), List.of("c3"))
                .node("Add", List.of("b3", "c3"), List.of("y")).build());
    }

    private Path write(String name, byte[] bytes) throws IOException {
        return Files.write(folder.resolve(name), bytes);
    }

    private static JsonObject json(Path file) throws IOException {
        return JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    }

    @Test
    void versionNamesEverything() {
        Plx plx = Plx.run("--version");
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(Pattern.compile("(?s)parallax \\d.* \\(abi \\d.*onnxruntime 1\\.\\d.* \\(api \\d.*java \\d.*")
                .matcher(plx.out()).matches(), plx::toString);
    }

    @Test
    void doctorFindsTheEngine() {
        Plx plx = Plx.run("doctor");
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("ONNX Runtime") && plx.out().contains("Everything needed is there."),
                plx::toString);
        assertEquals("", plx.err());
    }

    // ---- run ---------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"whole", "layers", "branches", "nodes", "mixed"})
    void runShowsAndWritesWhatCameOut(String units) throws IOException {
        Path x = folder.resolve("x.npy");
        Npy.write(x, Tensor.of(new float[] {0, 1, -1, 2}, 1, 4));
        Path json = folder.resolve("run.json");
        Plx plx = Plx.run("run", diamond(), "--input", "x=" + x, "--units", units, "--runs", 3, "--output-dir",
                folder.resolve("made/out"), "--json", json);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("median of 2"), plx::toString);
        assertTrue(plx.out().contains("What ran: "), plx::toString);
        Tensor y = Npy.read(folder.resolve("made/out/y.npy"), Arena.ofAuto());
        assertArrayEquals(new long[] {1, 4}, y.shape());
        float[] expected = new float[4];
        for (int i = 0; i < 4; i++) {
            double a = Math.max(0, new double[] {0, 1, -1, 2}[i]);
            expected[i] = (float) (Math.exp(-1 / (1 + Math.exp(-a))) + Math.exp(Math.tanh(a)));
        }
        assertArrayEquals(expected, y.toFloatArray(), 1e-5f);
        assertEquals(units, json(json).get("units").getAsString());
        assertEquals(2, json(json).getAsJsonArray("later_runs_ns").size());
        assertTrue(json(json).getAsJsonArray("ran").size() >= 1);
    }

    @Test
    void runSaysWhichSizesItChose() throws IOException {
        Plx plx = Plx.run("run", diamond());
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("seed 42; not given, so n = 1"), plx::toString);
        assertTrue(plx.out().contains("1x4"), plx::toString);
        assertEquals(Plx.run("run", diamond(), "--seed", 42).out().lines().filter(l -> l.startsWith("y ")).toList(),
                plx.out().lines().filter(l -> l.startsWith("y ")).toList());
    }

    @Test
    void runHandlesStringsAndScalarsAndOddNames() throws IOException {
        Path model = write("odd.onnx", new OnnxFile().input("s", ElementType.STRING, 2).input("n", ElementType.INT64)
                .output("../s", ElementType.STRING, 2).output("m", ElementType.INT64)
                .node("Identity", List.of("s"), List.of("../s")).node("Neg", List.of("n"), List.of("m")).build());
        Plx plx = Plx.run("run", model, "--output-dir", folder.resolve("out"));
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().lines().anyMatch(l -> l.startsWith("m ") && l.contains("scalar") && l.contains("-8")),
                plx::toString);
        assertArrayEquals(new long[] {-8}, Npy.read(folder.resolve("out/m.npy"), Arena.ofAuto()).toLongArray());
        assertEquals(2, Npy.read(folder.resolve("out/0-_._s.npy"), Arena.ofAuto()).strings().size());
    }

    // ---- compare -----------------------------------------------------------------------------------------------

    @Test
    void compareOnADeviceSaysWhatFloat16NumbersWentInto() throws IOException {
        Path model = write("halves.onnx", new OnnxFile().input("h", ElementType.FLOAT16, 3, 4)
                .input("x", ElementType.FLOAT32, 3, 4).output("y", ElementType.FLOAT32, 3, 4)
                .output("z", ElementType.FLOAT32, 3, 4)
                .node("Exp", List.of("h"), List.of("e")).node(Onnx.cast("e", "w", ElementType.FLOAT32))
                .node("Neg", List.of("w"), List.of("y")).node("Neg", List.of("x"), List.of("z")).build());
        Path json = folder.resolve("halves.json");
        Plx plx = Plx.run("compare", model, "--device", "opencl", "--offload", "all", "--units", "branches", "--runs", 0,
                "--json", json);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Of 'y', which float16 numbers went into: 0.0020 + 0.0040 * |theirs|."), plx::toString);
        assertFalse(plx.out().contains("Of 'z'"), plx::toString);
        JsonArray outputs = JsonParser.parseString(Files.readString(json)).getAsJsonObject().getAsJsonArray("cuts").get(0)
                .getAsJsonObject().getAsJsonArray("outputs");
        assertEquals(List.of(4e-3, 1e-3), outputs.asList().stream()
                .map(o -> o.getAsJsonObject().get("rtol").getAsDouble()).toList());

        Plx strict = Plx.run("compare", model, "--device", "opencl", "--offload", "all", "--units", "branches", "--runs", 0,
                "--rtol", 1e-9);
        assertFalse(strict.out().contains("Of 'y'"), strict::toString); // what is given is for all
    }

    @Test
    void compareOnADeviceAllowsNumbersThatWereRoundedToInt8WhatOnnxRuntimeChangesByItself() throws IOException {
        Path model = write("rounded.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 3, 4)
                .output("y", ElementType.FLOAT32, 3, 4).output("z", ElementType.FLOAT32, 3, 4)
                .node("Exp", List.of("x"), List.of("e")).node("DynamicQuantizeLinear", List.of("e"), List.of("q", "s", "zero"))
                .node("DequantizeLinear", List.of("q", "s", "zero"), List.of("d")).node("Neg", List.of("d"), List.of("y"))
                .node("Neg", List.of("x"), List.of("z")).build());
        Plx plx = Plx.run("compare", model, "--device", "opencl", "--offload", "all", "--units", "branches", "--runs", 0);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Of 'y', which was rounded to int8 on the way and in ONNX Runtime itself changes by up to "),
                plx::toString);
        assertFalse(plx.out().contains("Of 'z'"), plx::toString);
    }

    @Test
    void compareOnADeviceSaysWhatRanThere() throws IOException {
        Path json = folder.resolve("device.json");
        Plx plx = Plx.run("compare", diamond(), "--shape", "x=3x4", "--device", "opencl", "--offload", "all", "--units",
                "branches", "--runs", 0, "--json", json);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Judged by tolerance: |ours - theirs| <= 1.00e-04 + 0.0010 * |theirs|."), plx::toString);
        assertFalse(plx.out().contains("float16"), plx::toString);
        assertTrue(plx.out().contains("on opencl ("), plx::toString);
        assertTrue(plx.out().contains(", first run "), plx::toString);
        JsonObject there = JsonParser.parseString(Files.readString(json)).getAsJsonObject().getAsJsonArray("cuts").get(0)
                .getAsJsonObject().getAsJsonObject("device");
        assertTrue(there.get("nodes").getAsInt() > 0, there::toString);
        assertEquals(0, there.get("fallbacks").getAsInt(), there::toString);
        assertTrue(there.get("device_ns").getAsLong() > 0 && there.get("predicted_ns").getAsLong() > 0, there::toString);

        Plx run = Plx.run("run", diamond(), "--shape", "x=3x4", "--device", "opencl", "--offload", "all", "--units", "branches");
        assertEquals(0, run.status(), run::toString);
        assertTrue(run.out().contains("of the device") && run.out().contains("predicted"), run::toString);
        Plx missing = Plx.run("compare", diamond(), "--device", "opencl:99", "--units", "nodes");
        assertEquals(2, missing.status(), missing::toString);
        assertTrue(missing.err().contains("device 99"), missing::toString);
        Plx whole = Plx.run("run", diamond(), "--device", "opencl", "--units", "whole");
        assertEquals(2, whole.status(), whole::toString);
        assertTrue(whole.err().contains("--units branches"), whole::toString);
        Plx placed = Plx.run("plan", diamond(), "--shape", "x=3x4", "--device", "opencl", "--units", "branches",
                "--profile", "paper", "--place", "region 0=device");
        assertEquals(0, placed.status(), placed::toString);
        assertTrue(placed.out().contains("Regions for opencl: 1 accepted"), placed::toString);
        Plx wrong = Plx.run("plan", diamond(), "--device", "opencl", "--place", "Conv=gpu");
        assertEquals(2, wrong.status(), wrong::toString);
        assertTrue(wrong.err().contains("'Conv=gpu' is no placement"), wrong::toString);
        Plx unknown = Plx.run("plan", diamond(), "--device", "opencl", "--profile", "fast");
        assertEquals(2, unknown.status(), unknown::toString);
        assertTrue(unknown.err().contains("measured, paper"), unknown::toString);
        Plx odd = Plx.run("run", diamond(), "--offload", "some");
        assertEquals(2, odd.status(), odd::toString);
        assertTrue(odd.err().contains("auto, all, none"), odd::toString);
    }

    @Test
    void calibrateTellsRatesAndKeepsThem() throws IOException {
        Path json = folder.resolve("rates.json");
        Plx first = Plx.run("calibrate", "--json", json);
        assertEquals(0, first.status(), first::toString);
        assertTrue(first.out().contains("convolution") && first.out().contains("GMAC/s"), first::toString);
        JsonObject rates = JsonParser.parseString(Files.readString(json)).getAsJsonObject();
        assertEquals("opencl", rates.get("device").getAsString());
        assertTrue(first.out().contains("Kernels for vectors of "), first::toString);
        assertTrue(rates.get("kernels_ratio").getAsDouble() > 0, rates::toString);
        assertTrue(rates.getAsJsonObject("cpu_rates").get("product").getAsDouble() > 1e6, rates::toString);
        Plx second = Plx.run("calibrate");
        assertTrue(second.out().contains("known already"), second::toString);
        Plx again = Plx.run("calibrate", "--again");
        assertTrue(again.out().contains("measured in"), again::toString);

        Plx missing = Plx.run("calibrate", "--device", "opencl:99");
        assertEquals(2, missing.status(), missing::toString);
        assertTrue(missing.err().contains("device 99"), missing::toString);
        Plx odd = Plx.run("calibrate", "--device", "tpu");
        assertEquals(2, odd.status(), odd::toString);
        assertTrue(odd.err().contains("'tpu' is no device"), odd::toString);
    }

    @Test
    void aMixedPlanTellsWhatWasMeasured() throws IOException {
        Plx plx = Plx.run("plan", diamond(), "--units", "mixed", "--shape", "x=3x4");
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Measured node by node"), plx::toString);
        assertTrue(plx.out().contains("on all threads"), plx::toString);
    }

    @Test
    void aTraceIsWrittenForOneCut() throws IOException {
        Path trace = folder.resolve("trace.json");
        Plx plx = Plx.run("run", diamond(), "--units", "branches", "--policy", "dataflow", "--shape", "x=3x4",
                "--memory-budget", "1M", "--trace", trace);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Memory budget: "), plx::toString);
        assertTrue(plx.out().contains(" at most of 1.0 MB"), plx::toString);
        assertFalse(json(trace).getAsJsonArray("traceEvents").isEmpty());
        Plx all = Plx.run("compare", diamond(), "--shape", "x=3x4", "--trace", trace);
        assertEquals(2, all.status(), all::toString);
        assertTrue(all.err().contains("name it with --units"), all::toString);
        for (String nonsense : List.of("much", "-5", "", "5X", "adaptive:", "adaptive:1.5", "adaptive:x", "9999999999G")) {
            Plx refused = Plx.run("run", diamond(), "--memory-budget", nonsense);
            assertTrue(refused.isOneLineError("--memory-budget " + nonsense + " is no budget"), refused::toString);
        }
        Plx prepack = Plx.run("run", diamond(), "--prepack", "some");
        assertTrue(prepack.isOneLineError("--prepack some is not one of all, heavy, none"), prepack::toString);
        assertEquals(0, Plx.run("run", diamond(), "--prepack", "none").status());
        for (String adaptive : List.of("adaptive", "adaptive:0.3")) {
            Plx follows = Plx.run("run", diamond(), "--runs", 3, "--memory-budget", adaptive);
            assertEquals(0, follows.status(), follows::toString);
            assertTrue(follows.out().contains("Memory budget: "), follows::toString);
        }
    }

    @Test
    void memoryTellsWhatEachBranchTakesAndDrawsIt() throws IOException {
        Path svg = folder.resolve("memory.svg");
        Path json = folder.resolve("memory.json");
        Plx plx = Plx.run("memory", diamond(), "--shape", "x=30000x4", "--units", "nodes", "--svg", svg, "--json", json,
                "--cache", folder.resolve("cache"));
        assertEquals(0, plx.status(), plx::toString);
        for (String row : List.of("a buffer each ", "planned ", "lower bound ", "packed weights ",
                "outside our allocator ", "branch 0 ", "plain ONNX Runtime ", "Parallax ")) {
            assertTrue(plx.out().lines().anyMatch(l -> l.startsWith(row)), () -> row + " is missing in " + plx);
        }
        JsonObject all = json(json);
        long planned = all.get("planned_bytes").getAsLong();
        assertTrue(planned >= all.get("lower_bound_bytes").getAsLong(), plx::toString);
        assertTrue(planned < all.get("one_buffer_per_tensor_bytes").getAsLong(), plx::toString);
        long most = 0;
        for (JsonElement buffer : all.getAsJsonArray("buffers")) {
            JsonObject b = buffer.getAsJsonObject();
            most = Math.max(most, b.get("offset").getAsLong() + b.get("bytes").getAsLong());
        }
        assertTrue(most <= planned && most > planned - 64, plx::toString);
        for (JsonElement arena : all.getAsJsonArray("arenas")) {
            JsonObject a = arena.getAsJsonObject();
            // Element by element, a unit takes its outputs and nothing else, and that is what is estimated.
            assertEquals(a.get("estimated_bytes").getAsLong(), a.get("measured_bytes").getAsLong(), plx::toString);
        }
        for (String engine : List.of("parallax", "onnxruntime")) {
            JsonObject process = all.getAsJsonObject("processes").getAsJsonObject(engine);
            assertTrue(process.get("vm_hwm_bytes").getAsLong() > process.get("rss_anon_bytes").getAsLong(),
                    plx::toString);
        }
        String picture = Files.readString(svg);
        assertEquals(all.getAsJsonArray("buffers").size(), picture.split("<title>", -1).length - 1);
    }

    @Test
    void memoryStartsNoProcessIfItIsNotWanted() throws IOException {
        Plx plx = Plx.run("memory", diamond(), "--no-processes", "--memory-budget", "1M");
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("of a budget of 1.0 MB"), plx::toString);
        assertFalse(plx.out().contains("plain ONNX Runtime "), plx::toString);
    }

    @Test
    void compareSaysWhichCaseItJudges() throws IOException {
        Path json = folder.resolve("compare.json");
        Plx plx = Plx.run("compare", diamond(), "--shape", "x=3x4", "--json", json);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("Judged bit for bit"), plx::toString);
        assertTrue(plx.out().contains("All outputs agree."), plx::toString);
        for (String units : List.of("whole", "layers", "branches", "nodes", "mixed")) {
            assertTrue(plx.out().contains("units " + units + ": "), plx::toString);
        }
        assertTrue(plx.out().contains("of plain ONNX Runtime's time"), plx::toString);
        assertEquals(5, json(json).getAsJsonArray("cuts").size());
        assertTrue(json(json).get("agree").getAsBoolean());
        Plx tolerant = Plx.run("compare", diamond(), "--rtol", "1e-4", "--units", "nodes", "--runs", 0);
        assertEquals(0, tolerant.status(), tolerant::toString);
        assertTrue(tolerant.out().contains("Judged by tolerance"), tolerant::toString);
    }

    @Test
    void compareSaysNoWhenOutputsDiffer() throws IOException {
        // Random numbers without a seed: no two runs agree.
        Path model = write("random.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 2, 64)
                .output("y", ElementType.FLOAT32, 2, 64).node("RandomNormalLike", List.of("x"), List.of("y")).build());
        Plx plx = Plx.run("compare", model, "--units", "whole", "--runs", 0);
        assertEquals(1, plx.status(), plx::toString);
        assertTrue(plx.out().contains("DIFFERS in its bits, most at ["), plx::toString);
        assertTrue(plx.out().contains("1 of 1 output does not agree."), plx::toString);
        Plx tolerant = Plx.run("compare", model, "--units", "whole", "--runs", 0, "--atol", "1e-6");
        assertEquals(1, tolerant.status(), tolerant::toString);
        assertTrue(tolerant.out().contains("of 128 outside the tolerance"), tolerant::toString);
    }

    // ---- plan --------------------------------------------------------------------------------------------------

    @Test
    void planShowsTableSevenAndEveryBranch() throws IOException {
        Path json = folder.resolve("plan.json");
        Plx plx = Plx.run("plan", diamond(), "--shape", "x=2x4", "--json", json);
        assertEquals(0, plx.status(), plx::toString);
        assertEquals(3, plx.out().lines().filter(l -> l.startsWith("as ")).count(), plx::toString);
        Matcher given = Pattern.compile("as given +(\\d+) +(\\d+) +(\\d+) +(\\d+) +(\\d+)").matcher(plx.out());
        assertTrue(given.find(), plx::toString);
        assertEquals("8", given.group(1));
        assertTrue(plx.out().contains("with "), "two branches run together: " + plx);
        assertTrue(plx.out().contains("alone: "), "and others have a reason: " + plx);
        try (Engine engine = Engine.create(); Model model = engine.load(diamond())) {
            assertEquals(Units.BRANCHES, model.readPlan(Files.readString(json)).cut());
        }
        Plx brief = Plx.run("plan", diamond(), "--brief");
        assertEquals(0, brief.status(), brief::toString);
        assertTrue(brief.out().contains("not given, so n = 1"), brief::toString);
    }

    @Test
    void planObeysItsOptions() throws IOException {
        Plx none = Plx.run("plan", diamond(), "--min-nodes", 9);
        assertTrue(none.out().matches("(?s).*as cut +\\d+ +\\d+ +\\d+ +0 .*"), none::toString);
        Path device = folder.resolve("device.json");
        Files.writeString(device,
                "{\"name\": \"toy\", \"operators\": [\"Sigmoid\", \"Neg\", \"Exp\"], \"min_macs\": 0, "
                + "\"max_bytes_per_mac\": 1e30, \"latency_s\": 0, \"r_cpu\": 1}");
        Plx toy = Plx.run("plan", diamond(), "--device", device);
        assertEquals(0, toy.status(), toy::toString);
        assertTrue(toy.out().contains("Regions for toy: "), toy::toString);
        Plx gpu = Plx.run("plan", diamond(), "--device", "gpu", "--rule", "relaxed", "--beta", 3, "--units", "layers");
        assertEquals(0, gpu.status(), gpu::toString);
        assertTrue(gpu.out().contains("Rule relaxed"), gpu::toString);
    }

    // ---- demo --------------------------------------------------------------------------------------------------

    @Test
    void demoFindsTheSentencesThatAreAlike() {
        Plx plx = Plx.run("demo");
        assertEquals(0, plx.status(), plx::toString);
        assertEquals("", plx.err());
        assertTrue(plx.out().contains("For 12 of 12 sentences"), plx::toString);
        assertTrue(plx.out().contains("The plan: ") && plx.out().contains("What ran: "), plx::toString);
        assertTrue(plx.out().contains("Beside plain ONNX Runtime"), plx::toString);
        assertTrue(plx.out().contains("equal bit for bit"), plx::toString);
    }

    @ParameterizedTest
    @EnumSource
    void embeddingsAreThoseOfTheLibraryTheModelComesFrom(Units units) {
        List<String> sentences = List.of("The cat sleeps on the warm windowsill.", "Hi",
                "A rather long sentence, with commas, numbers such as 1234 and names such as Gy\u0151r, that ends "
                        + "here!");
        AllMiniLmL6V2EmbeddingModel library = new AllMiniLmL6V2EmbeddingModel();
        try (MiniLm lm = new MiniLm();
                Engine engine = Engine.create();
                Model model = engine.load(TestZoo.miniLm(""));
                Session session = model.session(SessionOptions.builder().units(units).build())) {
            Map<String, Tensor> inputs = lm.encode(sentences);
            Runs.bind(session, inputs);
            session.run();
            float[][] vectors = lm.pool(session.output(session.outputs().getFirst().name()), inputs);
            for (int i = 0; i < sentences.size(); i++) {
                assertArrayEquals(library.embed(sentences.get(i)).content().vector(), vectors[i], 1e-4f,
                        sentences.get(i));
            }
        }
    }
}
