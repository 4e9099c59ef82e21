package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Units;
import dev.parallax.ValueInfo;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a plan says of the tensors between its units, against what plain ONNX Runtime computes. */
class TensorsTest {
    /**
     * The model with inner tensors as further outputs, run by plain ONNX Runtime at a size that no formula was made
     * from: whatever the plan says is what comes out.
     */
    @ParameterizedTest
    @CsvSource({"distilbert, input_ids=4x71", "clip-text, input_ids=4x71",
        "whisper-tiny-decoder-past, past.0.self.k=1x6x71x64", "all-minilm-l6-v2, input_ids=4x71"})
    void shapesAreThoseOfPlainOnnxRuntime(String name, String shape) throws IOException {
        Path path = name.startsWith("all-minilm") ? TestZoo.miniLm("") : TestZoo.model(name);
        byte[] bytes = Files.readAllBytes(path);
        Path opened = path.resolveSibling(name + ".opened.onnx");
        try (Engine engine = Engine.create(); Model model = engine.load(path); Arena arena = Arena.ofShared()) {
            Inputs inputs = Inputs.prepare(model.inputs(), List.of(shape), List.of(), 42, arena);
            Plan plan = model.plan(PlanOptions.builder().units(Units.NODES).build());
            Map<String, Long> sizes = new HashMap<>();
            for (ValueInfo input : model.inputs()) {
                List<Dimension> shown = plan.tensors().stream().filter(t -> t.name().equals(input.name())).findFirst()
                        .orElseThrow().shape();
                for (int axis = 0; axis < shown.size(); axis++) {
                    if (shown.get(axis).isOpen()) {
                        sizes.put(shown.get(axis).symbol(), inputs.arrays().get(input.name()).shape()[axis]);
                    }
                }
            }
            List<ValueInfo> floats = plan.tensors().stream().filter(t -> t.elementType() == ElementType.FLOAT32)
                    .toList();
            // ONNX Runtime's passes make a few tensors of their own, which the model as given cannot be asked for.
            List<String> known = floats.stream().map(ValueInfo::name)
                    .filter(n -> model.inputs().stream().noneMatch(i -> i.name().equals(n))
                            && model.outputs().stream().noneMatch(o -> o.name().equals(n)) && isMade(bytes, n))
                    .toList();
            assertTrue(known.size() >= floats.size() * 3 / 4, known.size() + " of " + floats.size() + " are there");
            Files.write(opened, withOutputs(bytes, known));
            Map<String, long[]> computed = new HashMap<>();
            try (Reference reference = Reference.load(opened, engine.info().threads())) {
                reference.bind(inputs.arrays());
                reference.run();
                reference.outputs().forEach((n, tensor) -> computed.put(n, tensor.shape()));
            }
            List<String> wrong = new ArrayList<>();
            for (ValueInfo tensor : floats) {
                long[] theirs = computed.get(tensor.name());
                if (theirs != null && !Arrays.equals(at(tensor, sizes), theirs)) {
                    wrong.add(tensor + " is " + Arrays.toString(theirs));
                }
            }
            assertEquals(List.of(), wrong);
        } finally {
            Files.deleteIfExists(opened);
        }
    }

    @Test
    void theCommandListsThem() {
        Plx plx = Plx.run("plan", TestZoo.model("distilbert"), "--brief", "--tensors");
        assertEquals(0, plx.status(), plx::toString);
        List<String> rows = plx.out().lines().dropWhile(l -> !l.startsWith("tensor ")).toList();
        assertTrue(rows.get(1).matches("input_ids +int64 +\\[batch,sequence\\]"), plx::toString);
        assertTrue(rows.stream().filter(l -> l.matches(".* float32 +\\[batch,sequence,768\\]")).count() > 10,
                plx::toString);
        assertTrue(Plx.run("plan", TestZoo.model("distilbert"), "--brief").out().lines()
                .noneMatch(l -> l.startsWith("tensor ")));
    }

    /** The shape in numbers; -1 for what is open. */
    private static long[] at(ValueInfo tensor, Map<String, Long> sizes) {
        return tensor.shape() == null ? null : tensor.shape().stream().mapToLong(d -> at(d, sizes)).toArray();
    }

    private static long at(Dimension d, Map<String, Long> sizes) {
        if (!d.isOpen() || d.symbol() == null) {
            return d.size();
        }
        int sign = Math.max(d.symbol().lastIndexOf('+'), d.symbol().lastIndexOf('-'));
        boolean shifted = sign > 0 && d.symbol().substring(sign + 1).matches("[0-9]+");
        long product = 1;
        for (String factor : (shifted ? d.symbol().substring(0, sign) : d.symbol()).split("\\*")) {
            product *= factor.matches("[0-9]+") ? Long.parseLong(factor) : sizes.get(factor);
        }
        return product + (shifted ? Long.parseLong(d.symbol().substring(sign)) : 0);
    }

    // ---- the few bytes of onnx.proto that are needed ------------------------------------------------------------

    /** Whether some node has an output of that name: field 2 of NodeProto. */
    private static boolean isMade(byte[] model, String name) {
        byte[] field = field(2, name.getBytes(StandardCharsets.UTF_8));
        return new String(model, StandardCharsets.ISO_8859_1).contains(new String(field, StandardCharsets.ISO_8859_1));
    }

    /** A message may be appended to another: these outputs come after the model's own. */
    private static byte[] withOutputs(byte[] model, List<String> names) {
        ByteArrayOutputStream outputs = new ByteArrayOutputStream();
        names.forEach(n -> outputs.writeBytes(field(12, field(1, n.getBytes(StandardCharsets.UTF_8)))));
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.writeBytes(model);
        all.writeBytes(field(7, outputs.toByteArray()));
        return all.toByteArray();
    }

    private static byte[] field(int number, byte[] content) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(number << 3 | 2);
        int length = content.length;
        for (; length > 127; length >>>= 7) {
            out.write(length & 127 | 128);
        }
        out.write(length);
        out.writeBytes(content);
        return out.toByteArray();
    }
}
