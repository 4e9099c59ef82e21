package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShapeResultTest {
    private static ShapeResult result(double sizing, double seen, double changed) {
        double[][] runs = {{3e6, 2e6, 1e6}};
        return new ShapeResult("m", ShapeWay.NODES, 7, new double[] {sizing}, runs, runs, new double[] {seen},
                new double[] {changed}, new double[] {1e6});
    }

    @Test
    void whatIsMissedIsNamed() {
        assertEquals(List.of(), ShapeResult.misses(List.of(result(2e6, 1e5, 1.1e6))));
        assertEquals(List.of("MISSED: a new shape of m (nodes) takes 2.10 ms to size; at most 2.0"),
                ShapeResult.misses(List.of(result(2.1e6, 0, 1e6))));
        assertEquals(List.of("MISSED: a shape of m (nodes) seen before takes 0.20 ms of bookkeeping; at most 0.1"),
                ShapeResult.misses(List.of(result(0, 2e5, 1e6))));
        assertEquals(List.of("MISSED: a run of m (nodes) after a change to a shape seen before takes 1.20 times a run"
                + " without; at most 1.1"), ShapeResult.misses(List.of(result(0, 0, 1.2e6))));
        String table = ShapeResult.table(List.of(result(2.1e6, 0, 1e6)));
        assertTrue(table.contains("2.10 (!)") && table.contains("m, nodes"), table);
    }

    @Test
    void setsOfSizesDifferInOpenDimensionsButForBatches() {
        ValueInfo ids = new ValueInfo("ids", ValueKind.TENSOR, ElementType.INT64,
                List.of(Dimension.symbol("batch"), Dimension.symbol("sequence"), Dimension.of(3)));
        assertArrayEquals(new long[] {1, 8, 3}, ModelInputs.sizes(ids, 0));
        assertArrayEquals(new long[] {1, 12, 3}, ModelInputs.sizes(ids, 4));
        assertTrue(ModelInputs.vary(List.of(ids)));
        ValueInfo fixed = new ValueInfo("f", ValueKind.TENSOR, ElementType.FLOAT32,
                List.of(Dimension.UNKNOWN, Dimension.of(3)));
        assertFalse(ModelInputs.vary(List.of(fixed)));
        assertEquals(List.of("ids", "f"), List.copyOf(ModelInputs.of(List.of(ids, fixed), 0, 1).keySet()));
        ValueInfo text = new ValueInfo("t", ValueKind.TENSOR, ElementType.STRING, List.of());
        assertThrows(Commands.BadInput.class, () -> ModelInputs.of(List.of(text), 0, 1));
    }

    @Test
    void measuresAModelOfOneShapeAndOneOfMany(@TempDir Path folder) throws Exception {
        Path fixed = Files.write(folder.resolve("fixed.onnx"), new ChainsModel(2, 4).bytes());
        Path open = Files.write(folder.resolve("open.onnx"), new ModelBuilder("open").input("x", 1, -1)
                .output("y", 1, -1).node("Relu", List.of("x"), "a").node("Exp", List.of("a"), "y").bytes());
        try (Engine engine = Engine.create(EngineOptions.builder().threads(2).build())) {
            for (Path file : List.of(fixed, open)) {
                try (Model model = engine.load(file)) {
                    ShapeResult result = ShapeCost.measure("m", file, model, ShapeWay.NARROW, 3, 2);
                    assertEquals(3, result.sizing().length);
                    for (int i = 0; i < 3; i++) {
                        assertTrue(result.sizing()[i] > 0 && result.ours()[i][2] > 0 && result.plain()[i][2] > 0);
                    }
                    assertEquals(file == fixed ? 0 : 6, result.back().length);
                }
            }
        }
    }
}
