package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.DataflowPolicy;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.ParallaxException;
import dev.parallax.SequentialPolicy;
import dev.parallax.Session;
import dev.parallax.Tensor;
import dev.parallax.Units;
import dev.parallax.ValueInfo;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Models whose shapes or whose work change from run to run, over many runs of the same sessions: each run gives the
 * bits that plain ONNX Runtime gives on the same input. What comes out of a run and goes into the next is each one's
 * own. The long form (see {@link Ways}) takes more shapes and pictures.
 */
class DynamicModelsTest {
    private static Engine engine;

    @BeforeAll
    static void start() {
        engine = Engine.create();
    }

    @AfterAll
    static void stop() {
        engine.close();
    }

    /** What is fed at a step, from what came out of the step before it, which for the first one is nothing. */
    @FunctionalInterface
    private interface Feed {
        Map<String, Tensor> at(int step, Map<String, Tensor> before);
    }

    /** Somebody looks at what plain ONNX Runtime gave. */
    @FunctionalInterface
    private interface Witness {
        void sees(int step, Map<String, Tensor> outputs);
    }

    /**
     * Runs the steps by plain ONNX Runtime and by Parallax, in one session for each of several ways.
     *
     * @param runs how often each step runs: the first run of a shape learns what the second relies on
     * @param shapes at which plans are estimated and measured, as the texts of --shape
     */
    private static void agree(Path path, int steps, int runs, List<String> shapes, Feed feed, Witness witness) {
        agree(path, steps, runs, shapes, true, feed, witness);
    }

    private static void agree(Path path, int steps, int runs, List<String> shapes, boolean measured, Feed feed,
            Witness witness) {
        List<Session> sessions = new ArrayList<>();
        try (Model model = engine.load(path); Reference reference = Reference.load(path, engine.info().threads())) {
            Inputs first = prepare(model.inputs(), shapes, 0);
            List<Ways.Way> ways = new ArrayList<>(List.of(
                    Ways.way(first, Units.BRANCHES, DataflowPolicy.INSTANCE, 0),
                    Ways.way(first, Units.NODES, SequentialPolicy.INSTANCE, 1)));
            if (measured) {
                ways.add(Ways.way(first, Units.MIXED, DataflowPolicy.INSTANCE, 0));
            }
            List<Map<String, Tensor>> before = new ArrayList<>();
            for (Ways.Way way : ways) {
                sessions.add(model.session(way.options()));
                before.add(Map.of());
            }
            Map<String, Tensor> expected = Map.of();
            for (int step = 0; step < steps; step++) {
                Map<String, Tensor> inputs = feed.at(step, expected);
                reference.bind(inputs);
                reference.run();
                expected = reference.outputs();
                witness.sees(step, expected);
                for (int i = 0; i < ways.size(); i++) {
                    Session session = sessions.get(i);
                    Map<String, Tensor> ours = feed.at(step, before.get(i));
                    Runs.bind(session, ours);
                    for (int run = 0; run < runs; run++) {
                        session.run();
                        assertAgrees(session, expected, path.getFileName() + ", " + ways.get(i) + ", step " + step
                                + ", inputs " + inputs.values() + ", run " + run);
                    }
                    before.set(i, Runs.outputs(session));
                }
            }
        } finally {
            sessions.forEach(Session::close);
        }
    }

    private static void assertAgrees(Session session, Map<String, Tensor> expected, String where) {
        assertEquals(session.outputs().stream().map(ValueInfo::name).toList(), List.copyOf(expected.keySet()));
        expected.forEach((name, theirs) -> {
            Comparison c = Comparison.of(name, session.output(name), theirs, 0, 0);
            assertTrue(c.bitEqual(), () -> where + ": " + c);
        });
    }

    private static Inputs prepare(List<ValueInfo> inputs, List<String> shapes, long seed) {
        return Inputs.prepare(inputs, shapes, List.of(), seed, Arena.ofAuto());
    }

    private static List<ValueInfo> inputs(Path path) {
        try (Model model = engine.load(path)) {
            return model.inputs();
        }
    }

    // ---- shapes drawn at random -----------------------------------------------------------------------------------

    /** Pairs of batch and sequence length; the rows of a batch are of different lengths, as the mask says. */
    @ParameterizedTest
    @CsvSource({"all-minilm-l6-v2, 4, 128", "distilbert, 3, 128", "clip-text, 3, 77"})
    void textModelsAtRandomBatchesAndLengths(String name, int batches, int longest) {
        Path path = name.startsWith("all-minilm") ? TestZoo.miniLm("") : TestZoo.model(name);
        List<ValueInfo> inputs = inputs(path);
        int pairs = Ways.LONG ? 100 : 4;
        Gaussian random = new Gaussian(Gaussian.seed(7, name));
        List<long[]> sizes = new ArrayList<>();
        for (int i = 0; i < pairs; i++) {
            sizes.add(new long[] {1 + random.below(batches), 1 + random.below(Ways.LONG ? longest : longest / 2)});
        }
        // Measuring takes longer than all the rest of the short form.
        boolean measured = Ways.LONG || name.startsWith("all-minilm");
        agree(path, pairs, 2, List.of("input_ids=1x16"), measured, (step, before) -> {
            long[] size = sizes.get(step);
            Map<String, Tensor> fed = prepare(inputs, List.of("input_ids=" + Text.shape(size)), step).arrays();
            Tensor mask = fed.get("attention_mask");
            Gaussian lengths = new Gaussian(step);
            for (long row = 0; row < size[0]; row++) {
                for (long i = 1 + lengths.below((int) size[1]); i < size[1]; i++) {
                    mask.segment().setAtIndex(ValueLayout.JAVA_LONG, row * size[1] + i, 0);
                }
            }
            return fed;
        }, (step, outputs) -> {});
    }

    /** Text detection on pictures of any size: PP-OCRv4, whose weights are Constant nodes. */
    @Test
    void textDetectionAtRandomSizes() {
        Path path = TestZoo.fetched("ch_PP-OCRv4_det_infer");
        List<ValueInfo> inputs = inputs(path);
        Gaussian random = new Gaussian(20);
        int largest = Ways.LONG ? 30 : 10; // in steps of 32 pixels: 960, which its authors scale pictures to, and 320
        List<long[]> sizes = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            sizes.add(new long[] {1, 3, 32 * (1 + random.below(largest)), 32 * (1 + random.below(largest))});
        }
        agree(path, sizes.size(), 2, List.of("x=1x3x160x160"),
                (step, before) -> prepare(inputs, List.of("x=" + Text.shape(sizes.get(step))), step).arrays(),
                (step, outputs) -> {});
    }

    /** A size that the model cannot have is one clear error, and the session goes on with the next one. */
    @ParameterizedTest
    @CsvSource({"BRANCHES", "NODES", "WHOLE"})
    void aSizeThatOnnxRuntimeRefusesIsRefused(Units units) {
        Path path = TestZoo.fetched("ch_PP-OCRv4_det_infer");
        List<ValueInfo> inputs = inputs(path);
        Map<String, Tensor> fits = prepare(inputs, List.of("x=1x3x64x96"), 1).arrays();
        // Also the plan is for a size that is none: sizes then stay open in it.
        Inputs none = prepare(inputs, List.of("x=1x3x48x70"), 1);
        try (Model model = engine.load(path); Reference reference = Reference.load(path, engine.info().threads());
                Session session = model.session(Ways.way(none, units, DataflowPolicy.INSTANCE, 0).options())) {
            reference.bind(none.arrays());
            assertThrows(BadInputException.class, reference::run);
            reference.bind(fits);
            reference.run();
            for (int round = 0; round < 2; round++) {
                Runs.bind(session, none.arrays());
                String said = assertThrows(ParallaxException.class, session::run).getMessage();
                assertTrue(said.contains("Add") && said.lines().count() == 1, said);
                Runs.bind(session, fits);
                session.run();
                assertAgrees(session, reference.outputs(), path.getFileName() + ", units " + units);
            }
        }
    }

    // ---- state that is carried from run to run --------------------------------------------------------------------

    /**
     * Voice detection, chunk by chunk: Silero VAD v5, 25 nested If and an LSTM. Each of its two sample rates has a
     * branch of its own, which fails at the other's sizes; a mixed plan is measured on made-up numbers, which this
     * model takes for the lower rate.
     */
    @ParameterizedTest
    @CsvSource({"16000, 1000", "8000, 200"})
    void voiceDetectionOverManyChunks(int rate, int chunks) {
        int chunk = 512 * rate / 16000;
        int context = chunk / 8; // the end of the chunk before goes before each chunk
        float[] speech = speech(rate, context + chunks * chunk);
        float[] probability = new float[chunks];
        agree(TestZoo.fetched("silero_vad_v5"), chunks, 1, List.of("input=1x" + (context + chunk), "state=2x1x128"),
                rate == 8000, (step, before) -> {
                    Map<String, Tensor> fed = new LinkedHashMap<>();
                    int from = step * chunk;
                    fed.put("input", Tensor.of(Arrays.copyOfRange(speech, from, from + context + chunk), 1,
                            context + chunk));
                    fed.put("state", before.getOrDefault("stateN", Tensor.allocate(ElementType.FLOAT32, 2, 1, 128)));
                    fed.put("sr", Tensor.of(new long[] {rate}));
                    return fed;
                }, (step, outputs) -> probability[step] = outputs.get("output").toFloatArray()[0]);
        Arrays.sort(probability);
        assertTrue(probability[0] < 0.1 && probability[chunks - 1] > 0.5,
                "it hears voice and silence: " + probability[0] + " to " + probability[chunks - 1]);
    }

    /**
     * Something like speech: pulses of a voice through resonances of vowels, in syllables with pauses between
     * words, over some noise.
     */
    private static float[] speech(int rate, int samples) {
        double[][] vowels = {{730, 1090, 2440}, {270, 2290, 3010}, {300, 870, 2240}, {530, 1840, 2480},
            {570, 840, 2410}};
        Gaussian random = new Gaussian(16000);
        float[] signal = new float[samples];
        double[][] state = new double[3][2];
        double phase = 0;
        int syllable = 0;
        for (int i = 0; i < samples; i++) {
            int length = rate / 5; // 0.2 s
            if (i % length == 0) {
                syllable = random.below(vowels.length + 2); // the last two are pauses
            }
            double envelope = syllable < vowels.length ? Math.sin(Math.PI * (i % length) / length) : 0;
            phase += (120 + 30 * Math.sin(i * 1.8 / rate)) / rate;
            double x = phase >= 1 ? envelope : 0;
            phase -= Math.floor(phase);
            for (int formant = 0; formant < 3; formant++) {
                double radius = Math.exp(-Math.PI * (60 + 30 * formant) / rate);
                double angle = 2 * Math.PI * vowels[Math.min(syllable, vowels.length - 1)][formant] / rate;
                double y = x + 2 * radius * Math.cos(angle) * state[formant][0]
                        - radius * radius * state[formant][1];
                state[formant][1] = state[formant][0];
                state[formant][0] = y;
                x = y * (1 - radius);
            }
            signal[i] = (float) (20 * x + 0.0005 * random.next());
        }
        return signal;
    }

    /** A decoder's cache grows by what each step adds to it, and the best token of a step is the input of the next. */
    @Test
    void aDecoderOverSixtyFourStepsOfAGrowingCache() {
        Path path = TestZoo.model("whisper-tiny-decoder-past");
        List<String> shapes = List.of("past.0.self.k=1x6x1x64");
        Map<String, Tensor> start = prepare(inputs(path), shapes, 42).arrays();
        int steps = 64;
        List<Long> tokens = new ArrayList<>();
        agree(path, steps, 1, shapes, (step, before) -> {
            Map<String, Tensor> fed = new LinkedHashMap<>(start);
            before.forEach((name, tensor) -> {
                if (name.startsWith("present.")) {
                    fed.put(name.replace("present.", "past."), tensor);
                }
            });
            if (step > 0) {
                fed.put("input_ids", Tensor.of(new long[] {best(before.get("logits").toFloatArray())}, 1, 1));
            }
            assertEquals(1 + step, fed.get("past.3.self.v").shape()[2]);
            return fed;
        }, (step, outputs) -> tokens.add(best(outputs.get("logits").toFloatArray())));
        assertTrue(tokens.stream().distinct().count() > 5, "not the same token over and over: " + tokens);
    }

    private static long best(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        return best;
    }

    // ---- work that depends on the data ----------------------------------------------------------------------------

    /** Pictures from black to loud noise, of which some have detections, many or few, and some have none. */
    @Test
    void aDetectorOnPicturesWithAndWithoutDetections() {
        int pictures = Ways.LONG ? 100 : 16;
        List<Long> found = new ArrayList<>();
        agree(TestZoo.model(Detector.NAME), pictures, 1, List.of(), (step, before) -> {
            Gaussian random = new Gaussian(step);
            double loudness = step % 8 == 0 ? 0 : 1.5 * random.uniform();
            float[] pixels = new float[3 * 320 * 320];
            for (int i = 0; i < pixels.length; i++) {
                pixels[i] = (float) (loudness * random.next());
            }
            return Map.of("images", Tensor.of(pixels, 1, 3, 320, 320));
        }, (step, outputs) -> found.add(outputs.get("detections").shape()[0]));
        assertTrue(found.contains(0L) && found.stream().anyMatch(n -> n > 0), "detections: " + found);
        assertTrue(found.stream().distinct().count() > 3, "detections: " + found);
    }
}
