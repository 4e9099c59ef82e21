package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Session;
import dev.parallax.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every cut of every real model, under every policy (in the short form not each with each, see {@link Ways}), gives the
 * bits that plain ONNX Runtime gives, at several shapes one after the other in the same session, each run twice: the
 * first run of a shape learns sizes that the second relies on.
 */
class AgreementTest {
    /** Models that a mixed plan measures in a few seconds; the long form has all of them. */
    private static final Set<String> MEASURED_IN_SHORT =
            Set.of("yolov8n", "whisper-tiny-decoder-past", "distilbert", "all-minilm-l6-v2");
    private static Engine engine;

    @BeforeAll
    static void start() {
        engine = Engine.create();
    }

    @AfterAll
    static void stop() {
        engine.close();
    }

    /** Shapes are cases split by '|', each as the texts of --shape split by blanks; empty for what the model fixes. */
    @ParameterizedTest
    @CsvSource({
        "yolov8n, ''",
        "detector, ''",
        "swinv2-tiny, ''",
        "swinv2-tiny-fp16, ''",
        "whisper-tiny-encoder, input_features=1x80x3000 | input_features=2x80x3000 | input_features=1x80x3000",
        "whisper-tiny-encoder-int8, input_features=1x80x3000 | input_features=2x80x3000 | input_features=1x80x3000",
        "whisper-tiny-decoder, input_ids=1x1 | input_ids=1x7 | input_ids=2x4",
        "whisper-tiny-decoder-past, past.0.self.k=1x6x1x64 | past.0.self.k=1x6x16x64 | past.0.self.k=1x6x41x64",
        "whisper-tiny-greedy, prompt_ids=1x1 | prompt_ids=1x4 | prompt_ids=1x9",
        "clip-text, input_ids=1x16 | input_ids=2x7 | input_ids=1x77",
        "distilbert, input_ids=1x16 | input_ids=3x5 | input_ids=1x128",
        "all-minilm-l6-v2, input_ids=1x8 | input_ids=4x21 | input_ids=1x1",
        "all-minilm-l6-v2-q, input_ids=1x8 | input_ids=4x21 | input_ids=1x1"})
    void everyCutGivesTheBitsOfPlainOnnxRuntime(String name, String shapes) {
        Path path = name.startsWith("all-minilm") ? TestZoo.miniLm(name.substring("all-minilm-l6-v2".length()))
                : TestZoo.model(name);
        try (Arena arena = Arena.ofShared();
                Model model = engine.load(path);
                Reference reference = Reference.load(path, engine.info().threads())) {
            List<Inputs> inputs = new ArrayList<>();
            List<Map<String, Tensor>> expected = new ArrayList<>();
            for (String shape : shapes.split("\\|")) {
                List<String> texts = Arrays.stream(shape.strip().split(" ")).filter(s -> !s.isEmpty()).toList();
                Inputs prepared = Inputs.prepare(model.inputs(), texts, List.of(), 42, arena);
                inputs.add(prepared);
                reference.bind(prepared.arrays());
                reference.run();
                expected.add(reference.outputs());
            }
            for (Ways.Way way : Ways.of(inputs.getFirst(), MEASURED_IN_SHORT.contains(name))) {
                try (Session session = model.session(way.options())) {
                    for (int i = 0; i < inputs.size(); i++) {
                        Runs.bind(session, inputs.get(i).arrays());
                        for (String run : List.of("first", "second")) {
                            session.run();
                            assertAgrees(session, expected.get(i), name + ", " + way + ", case " + i + ", " + run
                                    + " run");
                        }
                    }
                }
            }
            if (name.equals("whisper-tiny-greedy")) {
                // Or the test would compare prompts with prompts: eight new tokens, and not the same one over and over.
                long[] tokens = expected.getFirst().get("token_ids").toLongArray();
                assertEquals(1 + 8, tokens.length);
                assertTrue(Arrays.stream(tokens).skip(1).distinct().count() > 1, Arrays.toString(tokens));
            }
        }
    }

    private static void assertAgrees(Session session, Map<String, Tensor> expected, String where) {
        assertFalse(expected.isEmpty());
        expected.forEach((name, theirs) -> {
            Comparison c = Comparison.of(name, session.output(name), theirs, 0, 0);
            assertTrue(c.bitEqual(), where + ": " + c);
        });
    }

    @Test
    void theZooIsTheSameOnEveryMachine() throws IOException {
        Map<String, String> checksums = Map.of("clip-text", "89b08e6f", "distilbert", "5cc9c11f",
                "swinv2-tiny", "37b66b2f", "swinv2-tiny-fp16", "4404919f", "whisper-tiny-decoder-past", "d7f0750c",
                "whisper-tiny-decoder", "36cad1da", "whisper-tiny-encoder", "eefc654d",
                "whisper-tiny-encoder-int8", "14cc680f", "whisper-tiny-greedy", "a692da73", "yolov8n", "9d2953e4");
        for (Map.Entry<String, String> entry : checksums.entrySet()) {
            Path stamp = TestZoo.model(entry.getKey()).resolveSibling(entry.getKey() + ".weights.stamp");
            assertTrue(Files.readString(stamp).endsWith("crc32c=" + entry.getValue() + "\n"),
                    entry.getKey() + ": " + Files.readString(stamp));
        }
    }
}
