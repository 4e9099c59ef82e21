package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonParser;
import com.google.protobuf.ByteString;
import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.Value;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What commands make of outputs that are no tensors. */
class ValuesTest {
    @TempDir
    private Path folder;

    /** list = [x, |x|], map = {7: x0, 9: x1}, and an optional without content. */
    private Path model(boolean optional) throws IOException {
        Message floats = OnnxTypes.tensor(ElementType.FLOAT32);
        Message labels = Message.EMPTY.with(Onnx.ATTRIBUTE_NAME, "classlabels_int64s").with(8, List.of(7, 9))
                .with(Onnx.ATTRIBUTE_TYPE, 7);
        OnnxFile file = new OnnxFile().input("x", ElementType.FLOAT32, 1, 2)
                .node("Abs", List.of("x"), List.of("a")).node("SequenceConstruct", List.of("x", "a"), List.of("list"))
                .node(Onnx.node("ZipMap", List.of("x"), List.of("map")).with(Onnx.NODE_ATTRIBUTE, labels)
                        .with(7, "ai.onnx.ml"))
                .output("list", OnnxTypes.sequenceOf(floats))
                .output("map", OnnxTypes.sequenceOf(OnnxTypes.mapOf(ElementType.INT64, floats)));
        if (optional) {
            file.node(OnnxTypes.absent(floats, "maybe")).output("maybe", OnnxTypes.optionalOf(floats));
        }
        return Files.write(folder.resolve("values.onnx"), file.build());
    }

    private Path x() {
        Path x = folder.resolve("x.npy");
        Npy.write(x, Tensor.of(new float[] {-1, 2}, 1, 2));
        return x;
    }

    @Test
    void runShowsAndWritesThem() throws IOException {
        Path json = folder.resolve("run.json");
        for (String units : List.of("whole", "nodes")) {
            Plx plx = Plx.run("run", model(true), "--input", "x=" + x(), "--units", units, "--runs", 2,
                    "--output-dir", folder.resolve("out"), "--json", json);
            assertEquals(0, plx.status(), plx::toString);
            for (String line : List.of("list sequence 2 elements", "list.0 float32 1x2 -1 2 -1 2",
                    "list.1 float32 1x2 1 2 1 2", "map sequence 1 element", "map.0.keys int64 2 7 9 7 9",
                    "map.0.values float32 2 -1 2 -1 2", "maybe none")) {
                assertTrue(plx.out().lines().anyMatch(l -> l.replaceAll(" +", " ").equals(line)), line + ": " + plx);
            }
            assertArrayEquals(new float[] {1, 2},
                    Npy.read(folder.resolve("out/list.1.npy"), Arena.ofAuto()).toFloatArray());
            JsonArray outputs = JsonParser.parseString(Files.readString(json)).getAsJsonObject()
                    .getAsJsonArray("outputs");
            assertEquals("sequence", outputs.get(0).getAsJsonObject().get("type").getAsString());
            assertEquals(2, outputs.get(0).getAsJsonObject().getAsJsonArray("tensors").size());
            assertEquals("none", outputs.get(2).getAsJsonObject().get("type").getAsString());
        }
    }

    @Test
    void compareComparesThem() throws IOException {
        Plx plx = Plx.run("compare", model(false), "--input", "x=" + x(), "--units", "nodes", "--runs", 2);
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().lines().anyMatch(l -> l.contains("sequence[float32[1,2], float32[1,2]]")
                && l.contains("equal bit for bit")), plx::toString);
        assertTrue(plx.out().lines().anyMatch(l -> l.contains("sequence[map[int64[2] -> float32[2]]]")
                && l.contains("equal bit for bit")), plx::toString);
    }

    @Test
    void whatCannotBeComparedIsSaid() throws IOException {
        Plx optional = Plx.run("compare", model(true), "--units", "nodes", "--runs", 0);
        assertTrue(optional.isOneLineError("values.onnx has an optional among its outputs"), optional::toString);
        Path path = lengths();
        for (String command : List.of("run", "compare")) {
            Plx plx = Plx.run(command, path);
            assertTrue(plx.isOneLineError("input list is a sequence, of which there are no seeded values"),
                    plx::toString);
            assertTrue(plx.err().contains("--input list=input_0.pb"), plx::toString);
        }
        Plx compare = Plx.run("compare", path, "--input", "list=" + twoTensors());
        assertTrue(compare.isOneLineError("input list is a sequence, which ONNX Runtime's Java API cannot take"),
                compare::toString);
    }

    /** n = how many tensors there are in list. */
    private Path lengths() throws IOException {
        Message list = OnnxTypes.sequenceOf(OnnxTypes.tensor(ElementType.FLOAT32));
        return Files.write(folder.resolve("list.onnx"), new OnnxFile().input("list", list)
                .output("n", ElementType.INT64).node("SequenceLength", List.of("list"), List.of("n")).build());
    }

    /** A SequenceProto of a float32[2] and a float32 scalar. */
    private Path twoTensors() throws IOException {
        Message floats = Message.EMPTY.with(Onnx.TENSOR_DIMS, 2).with(Onnx.TENSOR_TYPE, 1)
                .with(Onnx.TENSOR_RAW, ByteString.copyFrom(new byte[8]));
        Message scalar = Message.EMPTY.with(Onnx.TENSOR_TYPE, 1)
                .with(Onnx.TENSOR_RAW, ByteString.copyFrom(new byte[4]));
        return Files.write(folder.resolve("list.pb"),
                Message.EMPTY.with(2, 1).with(3, List.of(floats, scalar)).toByteArray());
    }

    @Test
    void outputsThatAreConstantsNeedNoRun() throws IOException {
        Path constant = Files.write(folder.resolve("constant.onnx"), new OnnxFile()
                .constant("y", Tensor.of(new float[] {3}, 1)).output("y", ElementType.FLOAT32, 1).build());
        for (String units : List.of("branches", "nodes", "mixed")) {
            Plx plx = Plx.run("run", constant, "--units", units);
            assertEquals(0, plx.status(), plx::toString);
            assertTrue(plx.out().contains("What ran: nothing; every output is a constant"), plx::toString);
        }
    }

    @Test
    void filesOfOnnxsOwnAreInputs() throws IOException {
        Plx plx = Plx.run("run", lengths(), "--input", "list=" + twoTensors(), "--units", "nodes");
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().contains("sequence[float32[2], float32[]]"), plx::toString);
        assertTrue(plx.out().lines().anyMatch(l -> l.replaceAll(" +", " ").equals("n int64 scalar 2 2 2")),
                plx::toString);
        Path broken = Files.write(folder.resolve("broken.pb"), new byte[] {8});
        Plx refused = Plx.run("run", lengths(), "--input", "list=" + broken);
        assertTrue(refused.isOneLineError("broken.pb does not hold a sequence as ONNX stores it"), refused::toString);
        Plx missing = Plx.run("run", lengths(), "--input", "list=" + folder.resolve("none.pb"));
        assertTrue(missing.isOneLineError("none.pb: no such file"), missing::toString);
        // An int64[1] for the float32 tensor that the model takes.
        Path ints = Files.write(folder.resolve("ints.pb"), Message.EMPTY.with(Onnx.TENSOR_DIMS, 1)
                .with(Onnx.TENSOR_TYPE, 7).with(7, 5).toByteArray());
        Plx other = Plx.run("run", model(false), "--input", "x=" + ints);
        assertTrue(other.isOneLineError("the file holds int64[1]"), other::toString);
    }

    @Test
    void differencesInsideAreFound() {
        Tensor one = Tensor.of(new float[] {1}, 1);
        Tensor two = Tensor.of(new float[] {2}, 1);
        Tensor keys = Tensor.of(new long[] {5}, 1);
        Comparison c = Comparison.of("y", Value.sequence(one, two), Value.sequence(one, one), 0, 0.5);
        assertFalse(c.bitEqual() || c.close());
        assertTrue(c.sameShape());
        assertEquals(1, c.maxAbsolute());
        assertEquals(1, c.outside());
        assertEquals(2, c.numbers());
        assertTrue(Comparison.of("y", Value.sequence(one, two), Value.sequence(one, one), 0, 1).close());
        assertTrue(Comparison.of("y", Value.mapping(keys, one), Value.mapping(keys, one), 0, 0).bitEqual());
        assertFalse(Comparison.of("y", Value.mapping(keys, one), Value.mapping(keys, two), 0, 0).bitEqual());
        assertFalse(Comparison.of("y", Value.sequence(one), Value.sequence(one, one), 9, 9).sameShape());
        assertFalse(Comparison.of("y", Value.none(), one, 9, 9).sameShape());
        assertFalse(Comparison.of("y", one, Value.none(), 9, 9).close());
        assertTrue(Comparison.of("y", Value.none(), Value.none(), 0, 0).bitEqual());
    }
}
