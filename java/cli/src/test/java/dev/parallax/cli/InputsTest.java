package dev.parallax.cli;

import static dev.parallax.cli.ShapesTest.input;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.ValueInfo;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class InputsTest {
    private static final List<ValueInfo> MODEL = List.of(input("input_ids", ElementType.INT64, "batch", "sequence"),
            input("attention_mask", ElementType.INT64, "batch", "sequence"), input("x", ElementType.FLOAT32, "3"));

    @TempDir
    Path folder;

    private static Tensor generate(String name, ElementType type, long seed, long... shape) {
        String[] dims = Arrays.stream(shape).mapToObj(Long::toString).toArray(String[]::new);
        return Inputs.generate(input(name, type, dims), shape, seed, Arena.ofAuto());
    }

    private static Inputs prepare(List<String> shapes, List<String> files) {
        return Inputs.prepare(MODEL, shapes, files, 42, Arena.ofAuto());
    }

    @Test
    void theSameSeedGivesTheSameValuesEverywhere() {
        assertArrayEquals(generate("x", ElementType.FLOAT32, 1, 50).toFloatArray(),
                generate("x", ElementType.FLOAT32, 1, 50).toFloatArray());
        assertArrayEquals(new float[] {0.60157543f, 0.33548203f, -1.4210258f},
                generate("x", ElementType.FLOAT32, 42, 3).toFloatArray());
        assertArrayEquals(new long[] {880, 54, 973, 781}, generate("ids", ElementType.INT64, 42, 4).toLongArray());
    }

    @Test
    void anotherSeedOrNameGivesOtherValues() {
        float[] x = generate("x", ElementType.FLOAT32, 1, 8).toFloatArray();
        assertNotEquals(Arrays.toString(x), Arrays.toString(generate("x", ElementType.FLOAT32, 2, 8).toFloatArray()));
        assertNotEquals(Arrays.toString(x), Arrays.toString(generate("y", ElementType.FLOAT32, 1, 8).toFloatArray()));
    }

    @ParameterizedTest
    @EnumSource(names = {"INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL", "INT4",
            "UINT4"})
    void wholeNumbersAreSmallAndNotNegative(ElementType type) {
        long[] values = generate("ids", type, 42, 1001).toLongArray();
        long limit = Math.min(1000, type == ElementType.BOOL ? 2 : type == ElementType.INT4 ? 8
                : type == ElementType.UINT4 ? 16
                : type == ElementType.INT8 ? 128 : type == ElementType.UINT8 ? 256 : 1000);
        assertTrue(Arrays.stream(values).allMatch(v -> v >= 0 && v < limit), Arrays.toString(values));
        assertTrue(Arrays.stream(values).distinct().count() >= limit / 2, "too few different values");
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT64", "FLOAT16", "BFLOAT16"})
    void floatsAreNormal(ElementType type) {
        double[] values = generate("x", type, 42, 20, 500).toDoubleArray();
        double mean = Arrays.stream(values).average().orElseThrow();
        double square = Arrays.stream(values).map(v -> v * v).average().orElseThrow();
        assertEquals(0, mean, 0.05);
        assertEquals(1, square, 0.07);
    }

    @Test
    void namesDecideWhereTheyMeanSomething() {
        assertArrayEquals(new long[] {1, 1, 1, 1},
                generate("attention_mask", ElementType.INT64, 42, 2, 2).toLongArray());
        assertArrayEquals(new long[] {0, 0, 0}, generate("token_type_ids", ElementType.INT64, 42, 1, 3).toLongArray());
        assertArrayEquals(new long[] {0, 1, 2, 0, 1, 2},
                generate("position_ids", ElementType.INT64, 42, 2, 3).toLongArray());
        assertArrayEquals(new long[] {8}, generate("max_new_tokens", ElementType.INT64, 42).toLongArray());
        assertEquals(4, generate("words", ElementType.STRING, 42, 4).strings().size());
    }

    @Test
    void typesWithoutSeededValuesAskForAFile() {
        String said = assertThrows(BadInputException.class, () -> generate("z", ElementType.COMPLEX64, 42, 1))
                .getMessage();
        assertTrue(said.contains("--input z=FILE.npy"), said);
    }

    @Test
    void filesReplaceTheSeedAndSettleTheSymbols() {
        Path file = folder.resolve("ids=1.npy");
        Npy.write(file, Tensor.of(new long[] {5, 6, 7}, 1, 3));
        Inputs inputs = prepare(List.of(), List.of("input_ids=" + file));
        assertArrayEquals(new long[] {5, 6, 7}, inputs.arrays().get("input_ids").toLongArray());
        assertArrayEquals(new long[] {1, 3}, inputs.arrays().get("attention_mask").shape());
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        inputs.print(new PrintStream(text));
        assertTrue(text.toString().contains(file.toString()) && text.toString().contains("seed 42"), text.toString());
    }

    @Test
    void saysWhichSizesWereChosen() {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        prepare(List.of(), List.of()).print(new PrintStream(text));
        assertTrue(text.toString().contains("not given, so batch = 1, sequence = 16"), text.toString());
    }

    @Test
    void wrongFilesAndNamesAreNamed() {
        Path floats = folder.resolve("f.npy");
        Npy.write(floats, Tensor.of(new float[] {1, 2}, 1, 2));
        Path row = folder.resolve("r.npy");
        Npy.write(row, Tensor.of(new long[] {1, 2}, 2));
        assertMessage("the file holds float32[1,2], but the input is input_ids: int64[batch,sequence]", List.of(),
                "input_ids=" + floats);
        assertMessage("the file holds int64[2], which does not fit input_ids", List.of(), "input_ids=" + row);
        assertMessage("the model has no input ids; it has input_ids: int64", List.of(), "ids=" + row);
        assertMessage("is not NAME=FILE.npy", List.of(), "input_ids");
        assertMessage("is not NAME=FILE.npy", List.of(), "input_ids=");
        assertMessage("no such file", List.of(), "x=" + folder.resolve("none.npy"));
        assertMessage("gives input x twice", List.of("x=3", "x=3"));
        assertMessage("the model has no input y", List.of("y=3"));
    }

    @Test
    void aFileAndAShapeForOneInputContradict() {
        Path file = folder.resolve("x.npy");
        Npy.write(file, Tensor.of(new float[3], 3));
        assertMessage("--shape and --input both give x", List.of("x=3"), "x=" + file);
        assertMessage("--input gives x twice", List.of(), "x=" + file, "x=" + file);
    }

    private static void assertMessage(String part, List<String> shapes, String... files) {
        String said = assertThrows(BadInputException.class, () -> prepare(shapes, List.of(files))).getMessage();
        assertTrue(said.contains(part), said);
    }
}
