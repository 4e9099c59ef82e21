package dev.parallax;

import static dev.parallax.ElementType.BOOL;
import static dev.parallax.ElementType.FLOAT32;
import static dev.parallax.ElementType.INT64;
import static dev.parallax.ElementType.STRING;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sequences, maps and optionals through sessions and one-shot runs. */
class ValueTest {
    private static Engine engine;

    @BeforeAll
    static void start() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
    }

    @AfterAll
    static void stop() {
        engine.close();
    }

    /** longer = list with x at its end; length = how many there are. */
    private static byte[] insert(ElementType type) {
        byte[] list = OnnxBuilder.sequenceOf(OnnxBuilder.tensor(type));
        return new OnnxBuilder("insert").input("list", list).input("x", type, "n").output("longer", list)
                .output("length", INT64).node("SequenceInsert", List.of("list", "x"), List.of("longer"))
                .node("SequenceLength", List.of("longer"), List.of("length")).build();
    }

    private static Session session(Model model, Units units) {
        return model.session(SessionOptions.builder().units(units).build());
    }

    private static float[] floats(Value value) {
        return assertInstanceOf(Tensor.class, value).toFloatArray();
    }

    @ParameterizedTest
    @EnumSource(value = Units.class, names = "MIXED", mode = EnumSource.Mode.EXCLUDE)
    void sequencesGoInAndOut(Units units) {
        try (Model model = TestModels.load(engine, insert(FLOAT32)); Session session = session(model, units)) {
            for (int round = 0; round < 3; round++) {
                session.bindInput("list", Value.sequence(Tensor.of(new float[] {1, 2}, 1, 2)));
                session.bindInput("x", Tensor.of(new float[] {round}, 1));
                session.run();
                Value.Sequence longer = assertInstanceOf(Value.Sequence.class, session.outputValue("longer"));
                assertEquals("sequence[float32[1,2], float32[1]]", longer.toString());
                assertSame(longer, session.outputValue("longer"));
                assertArrayEquals(new float[] {1, 2}, floats(longer.elements().get(0)));
                assertArrayEquals(new float[] {round}, floats(longer.elements().get(1)));
                session.bindInput("list", Value.sequence());
                session.run();
                assertNotSame(longer, session.outputValue("longer"));
                assertEquals("sequence[float32[1]]", session.outputValue("longer").toString());
                assertArrayEquals(new float[] {1, 2}, floats(longer.elements().get(0)));  // a copy
                assertArrayEquals(new long[] {1}, session.output("length").toLongArray());
            }
        }
    }

    @Test
    void stringsGoInAndOut() {
        try (Model model = TestModels.load(engine, insert(STRING))) {
            Tensor word = Tensor.ofStrings(new String[] {"Grüße", ""}, 2);
            Map<String, Value> outputs = model.runValues(
                    Map.of("list", Value.sequence(List.of(word, word)), "x", word));
            Value.Sequence longer = assertInstanceOf(Value.Sequence.class, outputs.get("longer"));
            assertEquals(3, longer.elements().size());
            longer.elements().forEach(e -> assertEquals(word.strings(), ((Tensor) e).strings()));
            assertEquals(List.of("longer", "length"), List.copyOf(outputs.keySet()));
            ParallaxException e = assertThrows(ParallaxException.class,
                    () -> model.run(Map.of("list", Value.sequence(), "x", word)));
            assertEquals(ErrorCode.UNSUPPORTED, e.code());
            assertTrue(e.getMessage().contains("outputValue"), e.getMessage());
        }
    }

    @ParameterizedTest
    @EnumSource(value = Units.class, names = "MIXED", mode = EnumSource.Mode.EXCLUDE)
    void optionalsMayBeAbsent(Units units) {
        byte[] maybe = OnnxBuilder.optionalOf(OnnxBuilder.tensor(FLOAT32));
        byte[] bytes = new OnnxBuilder("optional").input("maybe", maybe).output("has", BOOL).output("same", maybe)
                .node("OptionalHasElement", List.of("maybe"), List.of("has"))
                .node("Identity", List.of("maybe"), List.of("same")).build();
        try (Model model = TestModels.load(engine, bytes); Session session = session(model, units)) {
            Tensor content = Tensor.of(new float[] {1, 2}, 2);
            for (int round = 0; round < 3; round++) {
                session.bindInput("maybe", Value.none());
                session.run();
                assertArrayEquals(new boolean[] {false}, session.output("has").toBooleanArray());
                assertEquals(Value.none(), session.outputValue("same"));
                assertThrows(ParallaxException.class, () -> session.output("same"));
                session.bindInput("maybe", content);
                assertSame(content, session.input("maybe"));
                session.run();
                assertArrayEquals(new boolean[] {true}, session.output("has").toBooleanArray());
                assertArrayEquals(new float[] {1, 2}, session.output("same").toFloatArray());
            }
        }
    }

    @Test
    void mapsGoInAndOut() {
        byte[] map = OnnxBuilder.mapOf(INT64, OnnxBuilder.tensor(FLOAT32));
        byte[] bytes = new OnnxBuilder("maps").opset("ai.onnx.ml", 3).input("map", map)
                .output("maps", OnnxBuilder.sequenceOf(map))
                .node("ai.onnx.ml", "DictVectorizer", List.of("map"), List.of("vector"),
                        Map.of("int64_vocabulary", new long[] {5, 6, 7}))
                .node("ai.onnx.ml", "ZipMap", List.of("vector"), List.of("maps"),
                        Map.of("classlabels_int64s", new long[] {1, 2, 3})).build();
        try (Model model = TestModels.load(engine, bytes)) {
            Value.Mapping given = Value.mapping(Tensor.of(new long[] {7, 5}, 2), Tensor.of(new float[] {3, 1}, 2));
            Value.Sequence maps = (Value.Sequence) model.runValues(Map.of("map", given)).get("maps");
            assertEquals("sequence[map[int64[3] -> float32[3]]]", maps.toString());
            Value.Mapping first = (Value.Mapping) maps.elements().getFirst();
            assertArrayEquals(new long[] {1, 2, 3}, first.keys().toLongArray());
            assertArrayEquals(new float[] {1, 0, 3}, first.values().toFloatArray());
        }
    }

    @Test
    void whatDoesNotFitIsRefusedByName() {
        try (Model model = TestModels.load(engine, insert(FLOAT32)); Session session = model.session()) {
            assertInvalid("input list: sequence is no tensor", () -> session.input("list"));
            assertInvalid("input list: sequence is no tensor", () -> session.input("list", 2));
            assertInvalid("input list: sequence is no tensor",
                    () -> session.bindInput("list", Tensor.of(new float[1], 1)));
            assertInvalid("'list': wants sequence(float32), not none",
                    () -> session.bindInput("list", Value.none()));
            assertInvalid("'list': wants float32, not int64[1]",
                    () -> session.bindInput("list", Value.sequence(Tensor.of(new long[1], 1))));
            assertInvalid("output longer: sequence is no tensor",
                    () -> session.bindOutput("longer", Tensor.of(new float[1], 1)));
            assertInvalid("input list: sequence is not bound", session::run);
            session.bindInput("list", Value.sequence());
            session.bindInput("x", Tensor.of(new float[1], 1));
            session.run();
        }
        assertInvalid("a map from int64[2] to float32[1]",
                () -> Value.mapping(Tensor.of(new long[2], 2), Tensor.of(new float[1], 1)));
    }

    @Test
    void copiesAreOnesOwn() {
        Tensor tensor = Tensor.of(new float[] {1}, 1);
        Value.Sequence sequence = Value.sequence(tensor, Value.mapping(Tensor.of(new long[] {1}, 1), tensor));
        Value.Sequence copy = sequence.copy();
        tensor.copyFrom(new float[] {2});
        assertArrayEquals(new float[] {1}, floats(copy.elements().getFirst()));
        assertArrayEquals(new float[] {1}, ((Value.Mapping) copy.elements().getLast()).values().toFloatArray());
    }

    private static void assertInvalid(String part, Executable call) {
        ParallaxException e = assertThrows(ParallaxException.class, call);
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }
}
