package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ValueInfoTest {
    private static final String MODEL = """
            {"name":"m","ir_version":8,"opsets":{"":17,"com.microsoft":1},"producer":"p","nodes":3,
             "initializer_bytes":5000000000,
             "inputs":[{"name":"a","kind":"tensor","type":1,"shape":[1,"batch",-1]},
                       {"name":"b","kind":"tensor","type":7,"shape":[]},
                       {"name":"c","kind":"tensor","type":0,"shape":null},
                       {"name":"d","kind":"sparse_tensor","type":1,"shape":null}],
             "outputs":[{"name":"y","kind":"sequence","type":0,"shape":null}]}""";

    private final ModelInfo model = Parsing.modelInfo(MODEL);

    @Test
    void readsWhatTheCoreSays() {
        assertEquals(5_000_000_000L, model.initializerBytes());
        assertEquals(Map.of("", 17L, "com.microsoft", 1L), model.opsets());
        assertEquals(List.of(Dimension.of(1), Dimension.symbol("batch"), Dimension.UNKNOWN),
                model.inputs().get(0).shape());
        assertNull(model.inputs().get(2).shape());
        assertEquals(ElementType.UNDEFINED, model.inputs().get(2).elementType());
        assertEquals(ValueKind.SPARSE_TENSOR, model.inputs().get(3).kind());
        assertEquals(ValueKind.SEQUENCE, model.outputs().get(0).kind());
    }

    @Test
    void printsAsAPersonReadsIt() {
        assertEquals("[a: float32[1,batch,?], b: int64[], c: undefined[...], d: sparse_tensor]",
                model.inputs().toString());
    }

    @Test
    void saysWhichShapesFit() {
        ValueInfo open = model.inputs().get(0);
        assertFalse(open.isStatic());
        assertTrue(open.accepts(1, 7, 0));
        assertFalse(open.accepts(2, 7, 0));
        assertFalse(open.accepts(1, 7));
        assertFalse(open.accepts(1, -1, 0));
        ParallaxException e = assertThrows(ParallaxException.class, open::fixedShape);
        assertEquals("a: float32[1,batch,?] has no fixed shape", e.getMessage());
        assertTrue(model.inputs().get(1).isStatic());
        assertArrayEquals(new long[0], model.inputs().get(1).fixedShape());
        assertTrue(model.inputs().get(2).accepts(1, 2, 3));
    }

    @Test
    void anUnexpectedTextIsADefectAndSaysSo() {
        for (String text : List.of("", "[]", "{}", "not json", MODEL.replace("sequence", "tuple"))) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> Parsing.modelInfo(text));
            assertEquals(ErrorCode.INTERNAL, e.code());
        }
    }

    @Test
    void dimensionsAreEitherSizedOrNamed() {
        assertThrows(ParallaxException.class, () -> new Dimension(3, "x"));
        assertThrows(ParallaxException.class, () -> new Dimension(-2, null));
    }
}
