package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class EngineTest {
    private static EngineOptions threads(int threads) {
        return EngineOptions.builder().threads(threads).build();
    }

    private static float[] add(Engine engine) {
        try (Model model = TestModels.load(engine, TestModels.add())) {
            Tensor ones = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
            return model.run(Map.of("x", ones, "y", ones)).get("z").toFloatArray();
        }
    }

    @Test
    void namesEveryVersion() {
        Versions versions = Parallax.version();
        assertTrue(versions.parallax().matches("\\d+\\.\\d+\\.\\d+.*"), versions.parallax());
        assertTrue(versions.onnxRuntime().matches("1\\.\\d+\\.\\d+.*"), versions.onnxRuntime());
        assertTrue(versions.platform().startsWith("linux-"));
        assertTrue(Files.exists(versions.ortLibrary()) && Files.exists(versions.nativeLibrary()));
        assertTrue(versions.toString().contains(versions.onnxRuntime()), versions.toString());
    }

    @Test
    void hasAsManyThreadsAsAskedFor() {
        try (Engine engine = Engine.create(threads(2))) {
            assertEquals(2, engine.info().threads());
        }
        try (Engine engine = Engine.create()) {
            assertEquals(Runtime.getRuntime().availableProcessors(), engine.info().threads());
        }
    }

    @Test
    void twoInOneProcessGiveTheSame() {
        try (Engine second = Engine.create(threads(2))) {
            try (Engine first = Engine.create(threads(2))) {
                assertArrayEquals(add(first), add(second));
            }
            assertArrayEquals(new float[] {2, 4, 6, 8, 10, 12}, add(second));
        }
    }

    @Test
    void aSecondOneMayAskForOneThreadOrForAny() {
        try (Engine first = Engine.create(threads(2));
                Engine one = Engine.create(threads(1));
                Engine any = Engine.create(threads(0))) {
            assertArrayEquals(add(first), add(one));
            assertArrayEquals(add(first), add(any));
            assertEquals(2, any.info().threads());
            assertEquals(1, one.info().threads());
        }
    }

    /** One thread means one, whatever pool another engine has made; each engine's sessions follow their own. */
    @ParameterizedTest
    @EnumSource
    void oneThreadBesideAPoolIsTheCallers(Units units) {
        try (Engine two = Engine.create(threads(2)); Engine one = Engine.create(threads(1))) {
            for (Engine engine : List.of(one, two)) {
                try (Model model = TestModels.load(engine, TestModels.diamond());
                        Session session = model.session(SessionOptions.builder().units(units)
                                .policy(DataflowPolicy.INSTANCE).build())) {
                    session.input("x", 2, 8);
                    session.run();
                    int most = session.report().units().stream().mapToInt(RunReport.UnitRun::threads).max().orElse(0);
                    assertTrue(most <= engine.info().threads(), most + " threads");
                    assertTrue(units != Units.WHOLE || most == engine.info().threads(), most + " threads");
                    assertTrue(engine == two || session.report().units().stream().allMatch(u -> u.worker() == 0));
                }
            }
            assertArrayEquals(add(one), add(two));
        }
    }

    @Test
    void aSecondOneOfAnotherSizeIsRefusedWhileTheFirstLives() {
        try (Engine first = Engine.create(threads(2))) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> Engine.create(threads(3)));
            assertEquals(ErrorCode.LIBRARY, e.code());
            assertTrue(e.getMessage().contains("2") && e.getMessage().contains("3"), e.getMessage());
            add(first);
        }
        try (Engine later = Engine.create(threads(3))) {
            assertEquals(3, later.info().threads());
        }
    }

    @Test
    void aWrongOnnxRuntimeIsNamed(@TempDir Path folder) throws Exception {
        Path missing = folder.resolve("libonnxruntime.so");
        ParallaxException absent = assertThrows(ParallaxException.class,
                () -> Engine.create(EngineOptions.builder().ortLibrary(missing).build()));
        assertEquals(ErrorCode.NOT_FOUND, absent.code());
        assertTrue(absent.getMessage().contains(missing.toString()), absent.getMessage());

        Path text = Files.writeString(folder.resolve("text.so"), "no library");
        ParallaxException broken = assertThrows(ParallaxException.class,
                () -> Engine.create(EngineOptions.builder().ortLibrary(text).build()));
        assertEquals(ErrorCode.LIBRARY, broken.code());
        assertTrue(broken.getMessage().contains(text.toString()), broken.getMessage());

        Path core = Parallax.version().nativeLibrary();  // a sound library, but of something else
        ParallaxException other = assertThrows(ParallaxException.class,
                () -> Engine.create(EngineOptions.builder().ortLibrary(core).build()));
        assertEquals(ErrorCode.LIBRARY, other.code());
        assertTrue(other.getMessage().contains(core.toString()), other.getMessage());
    }

    @Test
    void oneCorePerProcess(@TempDir Path folder) throws Exception {
        Path core = Parallax.version().nativeLibrary();
        Engine.create(EngineOptions.builder().nativeLibrary(core).build()).close();
        Path copy = Files.copy(core, folder.resolve("copy.so"));
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> Engine.create(EngineOptions.builder().nativeLibrary(copy).build()));
        assertEquals(ErrorCode.LIBRARY, e.code());
        assertTrue(e.getMessage().contains(copy.toString()) && e.getMessage().contains(core.toString()),
                e.getMessage());
    }

    @Test
    void closedItRefusesAndWhatItMadeGoesOn() {
        Engine engine = Engine.create(threads(2));
        Model model = TestModels.load(engine, TestModels.add());
        engine.close();
        engine.close();
        assertThrows(IllegalStateException.class, () -> TestModels.load(engine, TestModels.add()));
        assertThrows(IllegalStateException.class, () -> engine.load(Path.of("any.onnx")));
        assertEquals(2, engine.info().threads());
        Session session = model.session();
        model.close();
        model.close();
        assertThrows(IllegalStateException.class, model::session);
        assertThrows(IllegalStateException.class, () -> model.plan(PlanOptions.DEFAULT));
        assertThrows(IllegalStateException.class, () -> model.readPlan("{}"));
        Tensor x = Tensor.of(new float[6], 2, 3);
        assertThrows(IllegalStateException.class, () -> model.run(Map.of("x", x, "y", x)));
        session.input("x").copyFrom(new float[] {1, 2, 3, 4, 5, 6});
        session.input("y");
        session.run();
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, session.output("z").toFloatArray());
        session.close();
    }
}
