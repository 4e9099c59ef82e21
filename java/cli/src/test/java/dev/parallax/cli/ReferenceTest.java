package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ReferenceTest {
    private static byte[] identity(ElementType type) {
        return new OnnxFile().input("x", type, "n", 2).output("y", type, "n", 2)
                .node("Identity", List.of("x"), List.of("y"))
                .build();
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT64", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT16", "INT32", "INT64",
            "BOOL"})
    void everyTypeGoesThroughUnchanged(ElementType type) {
        byte[] bytes = new byte[(int) type.byteSize(4)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (type == ElementType.BOOL ? i % 2 : i + 1);
        }
        Tensor x = Tensor.ofBytes(type, bytes, 2, 2);
        try (Reference reference = Reference.load(identity(type), 1)) {
            reference.bind(Map.of("x", x));
            reference.run();
            assertTrue(Comparison.of("y", reference.outputs().get("y"), x, 0, 0).bitEqual());
            reference.run();
            assertTrue(Comparison.of("y", reference.outputs().get("y"), x, 0, 0).bitEqual());
            assertTrue(Reference.canPin(type));
            reference.pinOutputs();
            x.segment().fill((byte) 1);
            reference.run();
            reference.run();
            assertTrue(Comparison.of("y", reference.outputs().get("y"), x, 0, 0).bitEqual());
            assertEquals("[x: " + type + "[?,2]]", reference.inputs().toString());
        }
    }

    @Test
    void stringsAndEmptyTensorsGoThrough() {
        try (Reference reference = Reference.load(identity(ElementType.STRING), 1)) {
            reference.bind(Map.of("x", Tensor.ofStrings(List.of("a", "", "c", "gr\u00fc\u00dfe"), 2, 2)));
            reference.run();
            assertEquals(List.of("a", "", "c", "gr\u00fc\u00dfe"), reference.outputs().get("y").strings());
            reference.pinOutputs();
            reference.run();
            assertEquals("gr\u00fc\u00dfe", reference.outputs().get("y").strings().getLast(), "as before");
        }
        try (Reference reference = Reference.load(identity(ElementType.FLOAT32), 1)) {
            reference.bind(Map.of("x", Tensor.allocate(ElementType.FLOAT32, 0, 2)));
            reference.run();
            assertArrayEquals(new long[] {0, 2}, reference.outputs().get("y").shape());
            reference.pinOutputs();
            reference.run();
            assertArrayEquals(new long[] {0, 2}, reference.outputs().get("y").shape());
        }
    }

    @Test
    void typesItsJavaApiLacksAreNamed() {
        try (Reference reference = Reference.load(identity(ElementType.UINT32), 1)) {
            String said = assertThrows(BadInputException.class,
                    () -> reference.bind(Map.of("x", Tensor.allocate(ElementType.UINT32, 1, 2)))).getMessage();
            assertTrue(said.contains("input x is of type uint32"), said);
        }
    }

    @Test
    void failuresAreNamed() {
        String said = assertThrows(BadInputException.class, () -> Reference.load(Path.of("none.onnx"), 1)).getMessage();
        assertTrue(said.startsWith("plain ONNX Runtime cannot load none.onnx: "), said);
        try (Reference reference = Reference.load(identity(ElementType.FLOAT32), 1)) {
            reference.bind(Map.of("x", Tensor.allocate(ElementType.FLOAT32, 1, 3)));
            assertTrue(assertThrows(BadInputException.class, reference::run).getMessage()
                    .contains("cannot run the model"));
        }
    }
}
