package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@TestInstance(Lifecycle.PER_CLASS)
class PlanTest {
    private Engine engine;
    private Model diamond;

    @BeforeAll
    void open() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        diamond = TestModels.load(engine, TestModels.diamond());
    }

    @AfterAll
    void close() {
        diamond.close();
        engine.close();
    }

    private static PlanOptions cut(Units units) {
        return PlanOptions.builder().units(units).build();
    }

    private static void assertRuns(Model model, SessionOptions options) {
        try (Session session = model.session(options)) {
            assertRuns(session);
        }
    }

    private static void assertRuns(Session session) {
        Tensor x = session.input("x", 1, 8).copyFrom(new float[] {-3, -1, 0, 0.25f, 1, 2, 3, 9});
        float[] expected = new float[8];
        for (int i = 0; i < 8; i++) {
            expected[i] = TestModels.diamondOf(x.toFloatArray()[i]);
        }
        session.run();
        assertArrayEquals(expected, session.output("y").toFloatArray(), 1e-5f);
    }

    /** Of all units that may start, always the last: another order than the plan's wherever there is a choice. */
    static final class LastReadyPolicy implements SchedulerPolicy {
        @Override
        public Schedule schedule(Plan plan, DeviceState state) {
            List<Schedule.Entry> entries = new ArrayList<>();
            List<Integer> done = new ArrayList<>();
            while (done.size() < plan.units().size()) {
                Plan.Unit next = plan.units().stream()
                        .filter(u -> !done.contains(u.index()) && done.containsAll(u.predecessors()))
                        .reduce((a, b) -> b).orElseThrow();
                done.add(next.index());
                entries.add(Schedule.Entry.of(next.index()));
            }
            return new Schedule(entries, 0);
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyCutRunsAndGivesTheSame(Units units) {
        Plan plan = diamond.plan(cut(units));
        assertEquals(units, plan.cut());
        assertRuns(diamond, SessionOptions.builder().plan(plan).build());
        assertRuns(diamond, SessionOptions.builder().units(units).threads(1).build());
    }

    @Test
    void finerCutsHaveMoreUnits() {
        assertEquals(1, diamond.plan(cut(Units.WHOLE)).units().size());
        Plan nodes = diamond.plan(cut(Units.NODES));
        assertEquals(4, nodes.units().size());
        assertEquals(nodes.nodes().size(), nodes.units().size() + nodes.aliases().size());
        assertTrue(nodes.census().layers() >= 3, nodes.census().toString());
        Plan.Unit last = nodes.units().getLast();
        assertEquals(List.of("y"), last.outputs());
        assertEquals(2, last.predecessors().size());
    }

    @Test
    void theSameOptionsGiveTheSamePlan() {
        assertSame(diamond.plan(cut(Units.NODES)), diamond.plan(cut(Units.NODES)));
        assertNotSame(diamond.plan(cut(Units.NODES)), diamond.plan(cut(Units.BRANCHES)));
    }

    @ParameterizedTest
    @EnumSource
    void jsonRoundTrips(Units units) {
        Plan plan = diamond.plan(cut(units));
        Plan again = diamond.readPlan(plan.toJson());
        assertEquals(plan.toJson(), again.toJson());
        assertEquals(plan.toText(), again.toText());
        assertEquals(plan, again);
        assertEquals(plan.hashCode(), again.hashCode());
        assertFalse(plan.toText().isBlank());
        assertRuns(diamond, SessionOptions.builder().plan(again).build());
    }

    @Test
    void aPlanOutlivesItsModelAndFitsTheSameModelLoadedAnew() {
        Plan plan;
        try (Model model = TestModels.load(engine, TestModels.diamond())) {
            plan = model.plan(cut(Units.NODES));
        }
        assertEquals(4, plan.units().size());
        assertEquals(diamond.plan(cut(Units.NODES)), plan);
        assertEquals(diamond.plan(cut(Units.NODES)).hashCode(), plan.hashCode());
        assertEquals(List.of("x: float32[n,8]", "y: float32[n,8]"),
                plan.tensors().stream().filter(t -> Set.of("x", "y").contains(t.name())).map(ValueInfo::toString)
                        .toList());
        assertRuns(diamond, SessionOptions.builder().plan(plan).build());
    }

    @Test
    void tensorsBetweenUnitsHaveShapesInTheModelsSymbols() {
        byte[] model = new OnnxBuilder("pairs").input("x", ElementType.FLOAT32, "n", 8)
                .output("y", ElementType.FLOAT32, "m", 8)
                .node("", "Concat", List.of("x", "x"), List.of("twice"), Map.of("axis", 0L))
                .node("Relu", List.of("twice"), List.of("y")).build();
        try (Model pairs = TestModels.load(engine, model)) {
            assertEquals(List.of("x: float32[n,8]", "twice: float32[2*n,8]", "y: float32[2*n,8]"),
                    pairs.plan(cut(Units.NODES)).tensors().stream().map(ValueInfo::toString).toList());
            assertEquals(List.of("x: float32[n,8]", "y: float32[m,8]"),
                    pairs.plan(cut(Units.WHOLE)).tensors().stream().map(ValueInfo::toString).toList());
        }
    }

    @Test
    void aPlanOfAnotherModelIsRefused() {
        try (Model other = TestModels.load(engine, TestModels.dynamic())) {
            Plan foreign = other.plan(cut(Units.NODES));
            ParallaxException read =
                    assertThrows(ParallaxException.class, () -> diamond.readPlan(foreign.toJson()));
            assertEquals(ErrorCode.INVALID_PLAN, read.code());
            SessionOptions options = SessionOptions.builder().plan(foreign).build();
            ParallaxException used = assertThrows(ParallaxException.class, () -> diamond.session(options));
            assertEquals(ErrorCode.INVALID_PLAN, used.code());
        }
    }

    @Test
    void whatIsNoPlanIsRefused() {
        String sound = diamond.plan(cut(Units.NODES)).toJson();
        for (String json : List.of("", "{}", "nonsense", sound.substring(0, sound.length() / 2),
                sound.replace("\"predecessors\"", "\"successors\""))) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> diamond.readPlan(json));
            assertEquals(ErrorCode.INVALID_PLAN, e.code());
        }
    }

    @Test
    void shapesOfAPlanAreChecked() {
        PlanOptions unknown = PlanOptions.builder().shape("z", 1).build();
        assertTrue(assertThrows(ParallaxException.class, () -> diamond.plan(unknown)).getMessage()
                .contains("its inputs are: x"));
        PlanOptions unfitting = PlanOptions.builder().shape("x", 1, 9).build();
        assertTrue(assertThrows(ParallaxException.class, () -> diamond.plan(unfitting)).getMessage()
                .contains("[1,9] does not fit input x: float32[n,8]"));
        Plan sized = diamond.plan(PlanOptions.builder().units(Units.NODES).shape("x", 100, 8).build());
        assertTrue(sized.units().getLast().flops() >= 800, sized.units().getLast().toString());
    }

    @Test
    void anUnknownDeviceIsRefused() {
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> diamond.plan(PlanOptions.builder().units(Units.BRANCHES).device("tpu").build()));
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    }

    @Test
    void aDeclaredDeviceNeedNotBePresent() {
        Plan plan = diamond.plan(PlanOptions.builder().units(Units.BRANCHES).device("gpu").build());
        assertEquals("gpu", plan.device());
        assertRuns(diamond, SessionOptions.builder().plan(plan).build());
    }

    @Test
    void aUsersPolicyDecidesTheOrder() {
        SessionOptions options = SessionOptions.builder().units(Units.NODES).policy(new LastReadyPolicy()).build();
        try (Session session = diamond.session(options)) {
            List<Integer> order = session.schedule().entries().stream().map(Schedule.Entry::unit).toList();
            assertEquals(List.of(0, 2, 1, 3), order);
            assertRuns(session);
            assertEquals(order, session.report().units().stream().map(RunReport.UnitRun::unit).toList());
        }
    }

    @Test
    void aBadPolicyFailsTheSessionAndNothingElse() {
        SessionOptions reverse = SessionOptions.builder().units(Units.NODES)
                .policy(new ScheduleTest.ReversePolicy()).build();
        SessionOptions failing = SessionOptions.builder().units(Units.NODES).policy((plan, state) -> {
            throw new UnsupportedOperationException("not today");
        }).build();
        for (SessionOptions options : List.of(reverse, failing)) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> diamond.session(options));
            assertEquals(ErrorCode.INVALID_PLAN, e.code());
            assertTrue(e.getMessage().contains(options.policy().getClass().getName()), e.getMessage());
        }
        assertRuns(diamond, SessionOptions.builder().units(Units.NODES).build());
    }

    @Test
    void aPolicyMayUseAndEvenCloseTheModel() {
        Model model = TestModels.load(engine, TestModels.diamond());
        SchedulerPolicy curious = (plan, state) -> {
            model.plan(cut(Units.NODES));
            model.run(Map.of("x", Tensor.allocate(ElementType.FLOAT32, 1, 8)));
            return SequentialPolicy.INSTANCE.schedule(plan, state);
        };
        assertRuns(model, SessionOptions.builder().policy(curious).build());
        SchedulerPolicy rude = (plan, state) -> {
            model.close();
            return SequentialPolicy.INSTANCE.schedule(plan, state);
        };
        SessionOptions options = SessionOptions.builder().policy(rude).build();
        assertThrows(IllegalStateException.class, () -> model.session(options));
    }

    @Test
    void manyPlansAndModelsComeAndGo() {
        for (int i = 0; i < 50; i++) {
            try (Model model = TestModels.load(engine, TestModels.diamond())) {
                Plan plan = model.readPlan(model.plan(cut(Units.NODES)).toJson());
                try (Session session = model.session(SessionOptions.builder().plan(plan).build())) {
                    assertRuns(session);
                }
            }
            if (i % 10 == 0) {
                System.gc();  // the cleaner and close race for the same plans
            }
        }
    }
}
