package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShapesTest {
    /** Numbers are fixed sizes, "?" is unknown, anything else a symbol. */
    static ValueInfo input(String name, ElementType type, String... dims) {
        return new ValueInfo(name, ValueKind.TENSOR, type,
                Arrays.stream(dims).map(d -> d.equals("?") ? Dimension.UNKNOWN
                : d.matches("\\d+") ? Dimension.of(Long.parseLong(d)) : Dimension.symbol(d)).toList());
    }

    private static String resolve(List<ValueInfo> inputs, Map<String, long[]> given) {
        return String.join(" ", Shapes.resolve(inputs, given).stream().map(r -> Text.shape(r.shape())).toList());
    }

    @Test
    void readsNamesAndSizes() {
        assertArrayEquals(new long[] {1, 16}, Shapes.parse("ids=1x16").getValue());
        assertArrayEquals(new long[] {1, 3, 640, 640}, Shapes.parse("images=1,3,640,640").getValue());
        assertArrayEquals(new long[] {7}, Shapes.parse("a=7").getValue());
        assertArrayEquals(new long[] {0, 2}, Shapes.parse("a=0X2").getValue());
        assertArrayEquals(new long[] {}, Shapes.parse("max_new_tokens=scalar").getValue());
        assertEquals("a=b", Shapes.parse("a=b=2x3").getKey());
        assertEquals("past.0.self.k", Shapes.parse("past.0.self.k=1x6x4x64").getKey());
    }

    @ParameterizedTest
    @ValueSource(strings = {"ids", "ids=", "=1x2", "ids=1x", "ids=axb", "ids=-1", "ids=1x-2", "ids=1 x b", "ids=1.5",
        "ids=99999999999999999999", ""})
    void refusesWhatIsNoShape(String text) {
        String said = assertThrows(BadInputException.class, () -> Shapes.parse(text)).getMessage();
        assertTrue(said.startsWith("--shape " + text), said);
    }

    @Test
    void aSymbolHasOneSizeInAllInputs() {
        List<ValueInfo> inputs = List.of(input("mask", ElementType.INT64, "batch", "sequence"),
                input("ids", ElementType.INT64, "batch", "sequence"),
                input("x", ElementType.FLOAT32, "batch", "1500", "384"));
        assertEquals("2x7 2x7 2x1500x384", resolve(inputs, Map.of("ids", new long[] {2, 7})));
        assertEquals("1x16 1x16 1x1500x384", resolve(inputs, Map.of()));
    }

    @Test
    void aSymbolTwiceInOneInputIsNotTrusted() {
        List<ValueInfo> inputs = List.of(input("ids", ElementType.INT64, "batch", "batch"),
                input("mask", ElementType.INT64, "batch", "batch"));
        assertEquals("1x16 1x16", resolve(inputs, Map.of()));
        assertEquals("2x8 2x8", resolve(inputs, Map.of("mask", new long[] {2, 8})));
    }

    @Test
    void saysWhichSizesItChose() {
        List<ValueInfo> inputs = List.of(input("ids", ElementType.INT64, "batch", "?"),
                input("x", ElementType.FLOAT32, "batch"));
        List<Shapes.Resolved> resolved = Shapes.resolve(inputs, Map.of());
        assertEquals(List.of("batch = 1", "dimension 1 = 16"), resolved.getFirst().chosen());
        assertEquals(List.of(), resolved.getLast().chosen()); // said once
        assertEquals(List.of(), Shapes.resolve(inputs, Map.of("ids", new long[] {1, 2})).getFirst().chosen());
    }

    @Test
    void choosesByNameOrPlace() {
        assertEquals("1x3x64x64", resolve(List.of(input("x", ElementType.FLOAT32, "N", "3", "height", "width")),
                Map.of()));
        assertEquals("1x3x64x64", resolve(List.of(input("x", ElementType.FLOAT32, "?", "?", "?", "?")), Map.of()));
        assertEquals("1x3x64x64", resolve(List.of(input("x", ElementType.FLOAT32, "p", "q", "r", "s")), Map.of()));
        assertEquals("1x6x16x64", resolve(List.of(input("past", ElementType.FLOAT32, "batch", "6", "past", "64")),
                Map.of()));
        assertEquals("1x16", resolve(List.of(input("prompt", ElementType.INT64, "1", "prompt")), Map.of()));
        assertEquals("scalar", resolve(List.of(input("n", ElementType.INT64)), Map.of()));
    }

    @Test
    void refusesUnknownNamesAndUnfittingSizes() {
        List<ValueInfo> inputs = List.of(input("ids", ElementType.INT64, "batch", "4"));
        assertMessage("the model has no input idz; it has ids: int64[batch,4]", inputs, Map.of("idz", new long[] {1}));
        assertMessage("shape 1x5 does not fit input ids: int64[batch,4]", inputs, Map.of("ids", new long[] {1, 5}));
        assertMessage("shape 1 does not fit", inputs, Map.of("ids", new long[] {1}));
    }

    @Test
    void asksForAShapeWhereNotEvenTheRankIsKnown() {
        List<ValueInfo> inputs = List.of(new ValueInfo("x", ValueKind.TENSOR, ElementType.FLOAT32, null));
        assertMessage("how many dimensions input x has; give its shape, such as --shape x=", inputs, Map.of());
        assertEquals("2x2", resolve(inputs, Map.of("x", new long[] {2, 2})));
    }

    @Test
    void refusesInputsThatAreNoTensors() {
        assertMessage("is a sequence", List.of(new ValueInfo("x", ValueKind.SEQUENCE, ElementType.UNDEFINED, null)),
                Map.of());
    }

    private static void assertMessage(String part, List<ValueInfo> inputs, Map<String, long[]> given) {
        String said = assertThrows(BadInputException.class, () -> Shapes.resolve(inputs, given)).getMessage();
        assertTrue(said.contains(part), said);
    }
}
