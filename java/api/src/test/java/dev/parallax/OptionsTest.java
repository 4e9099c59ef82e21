package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class OptionsTest {
    private static void assertInvalid(String part, Executable action) {
        ParallaxException e = assertThrows(ParallaxException.class, action);
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void buildersStartFromTheDefaults() {
        assertEquals(EngineOptions.DEFAULT, EngineOptions.builder().build());
        assertEquals(ModelOptions.DEFAULT, ModelOptions.builder().build());
        assertEquals(PlanOptions.DEFAULT, PlanOptions.builder().build());
        assertEquals(SessionOptions.DEFAULT, SessionOptions.builder().build());
    }

    @Test
    void buildersSetWhatTheyAreTold() {
        assertEquals(new EngineOptions(3, Path.of("o"), Path.of("n"), Verbosity.ALL), EngineOptions.builder().threads(3)
                .ortLibrary(Path.of("o")).nativeLibrary(Path.of("n")).verbosity(Verbosity.ALL).build());
        ModelLimits limits = new ModelLimits(1, 2, 3, 4, 5);
        assertEquals(limits, ModelLimits.DEFAULT.withMaxModelBytes(1).withMaxWeightBytes(2).withMaxConstantBytes(3)
                .withMaxNodes(4).withMaxDepth(5));
        assertEquals(new ModelOptions(List.of(Path.of("l")), Map.of("k", "v"), Map.of("d", 2L), Path.of("b"),
                        List.of(Path.of("f")), limits, Path.of("c"), Prepack.HEAVY),
                ModelOptions.builder().customOpLibrary(Path.of("l")).config("k", "v").dimension("d", 2)
                        .baseDirectory(Path.of("b")).dataFolder(Path.of("f")).limits(limits)
                        .cacheFolder(Path.of("c")).prepack(Prepack.HEAVY).build());
        PlanOptions plan = new PlanOptions(Units.NODES, Rule.RELAXED, 2, 4, true, "gpu", Offload.ALL,
                Profile.PAPER, List.of("Conv=cpu", "region 1=device"), Map.of("x", List.of(1L, 2L)));
        assertEquals(plan, PlanOptions.builder().units(Units.NODES).rule(Rule.RELAXED).beta(2).minNodes(4)
                .estimate(true).device("gpu").offload(Offload.ALL).profile(Profile.PAPER)
                .place("Conv=cpu").place("region 1=device").shape("x", 1, 2).build());
        SchedulerPolicy policy = (p, s) -> null;
        assertEquals(new SessionOptions(plan, null, 1, policy, MemoryBudget.NONE, 16, 2),
                SessionOptions.builder().plan(plan).threads(1).policy(policy).build());
        assertEquals(Units.LAYERS, SessionOptions.builder().units(Units.LAYERS).build().planOptions().units());
    }

    @Test
    void nonsenseIsRefusedAtOnce() {
        assertInvalid("threads is -1", () -> EngineOptions.builder().threads(-1).build());
        assertInvalid("dimension d", () -> ModelOptions.builder().dimension("d", -1).build());
        assertInvalid("maxNodes is -1", () -> ModelLimits.DEFAULT.withMaxNodes(-1));
        assertInvalid("beta is 0.5", () -> PlanOptions.builder().beta(0.5).build());
        assertInvalid("beta is NaN", () -> PlanOptions.builder().beta(Double.NaN).build());
        assertInvalid("minNodes is 0", () -> PlanOptions.builder().minNodes(0).build());
        assertInvalid("threads of a session is 2", () -> SessionOptions.builder().threads(2).build());
    }

    @Test
    void deviceStateReadsTheMachine(@TempDir Path folder) throws Exception {
        DeviceState state = DeviceState.current(3);
        assertEquals(3, state.poolThreads());
        assertTrue(state.cores() >= 1 && state.freeMemoryBytes() > 0, state.toString());
        Path file = folder.resolve("meminfo");
        Files.writeString(file, "MemTotal: 9 kB\nMemAvailable:    12345 kB\n");
        assertEquals(12345 * 1024, DeviceState.memAvailable(file));
        Files.writeString(file, "MemTotal: 9 kB\n");
        assertEquals(-1, DeviceState.memAvailable(file));
        assertEquals(-1, DeviceState.memAvailable(folder.resolve("none")));
    }
}
