package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The shipped policies, users' own ones, and what they change in a real run's trace. */
class PolicyTest {
    private static final int BRANCHES = 6;
    private static Engine engine;
    private static Model model;

    @BeforeAll
    static void load() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        model = TestModels.load(engine, sixBranches());
    }

    @AfterAll
    static void close() {
        model.close();
        engine.close();
    }

    /** Six equal branches of four convolutions between a split and a sum. */
    static byte[] sixBranches() {
        Random random = new Random(1);
        OnnxBuilder b = new OnnxBuilder("six").input("x", ElementType.FLOAT32, 1, 16, 24, 24)
                .output("y", ElementType.FLOAT32, 1, 16, 24, 24);
        List<String> ends = new ArrayList<>();
        b.node("Relu", List.of("x"), List.of("stem"));
        for (int branch = 0; branch < BRANCHES; branch++) {
            String from = "stem";
            for (int i = 0; i < 4; i++) {
                String name = "b" + branch + "c" + i;
                float[] weights = new float[16 * 16 * 3 * 3];
                for (int w = 0; w < weights.length; w++) {
                    weights[w] = (float) random.nextGaussian() / 12;
                }
                b.initializer(name + "w", Tensor.of(weights, 16, 16, 3, 3));
                b.node("", "Conv", List.of(from, name + "w"), List.of(name),
                        Map.of("kernel_shape", new long[] {3, 3}, "pads", new long[] {1, 1, 1, 1}));
                from = name;
            }
            ends.add(from);
        }
        return b.node("Sum", ends, List.of("y")).build();
    }

    private static PlanOptions relaxed(Units units) {
        return PlanOptions.builder().units(units).rule(Rule.RELAXED).build();
    }

    private static Session session(SchedulerPolicy policy, long budget) {
        return model.session(SessionOptions.builder().plan(relaxed(Units.BRANCHES)).policy(policy)
                .memoryBudget(budget == 0 ? MemoryBudget.NONE : MemoryBudget.fixed(budget)).build());
    }

    /** Starts units together as far as the plan's estimates of them fit; a session's own budget is another matter. */
    private static SchedulerPolicy withBudget(long bytes) {
        return (plan, state) -> new Schedule(DataflowPolicy.INSTANCE.schedule(plan, state).entries(), bytes);
    }

    /** The report of the third run: the first learns shapes, the second is planned. */
    private static RunReport run(Session session) {
        Random random = new Random(2);
        float[] x = new float[16 * 24 * 24];
        for (int i = 0; i < x.length; i++) {
            x[i] = (float) random.nextGaussian();
        }
        session.input("x").copyFrom(x);
        for (int i = 0; i < 3; i++) {
            session.run();
        }
        return session.report();
    }

    /** Units that overlapped; a busy machine may take one core away for a whole run, so a few runs are looked at. */
    private static boolean everOverlaps(Session session) {
        run(session);
        for (int i = 0; i < 50; i++) {
            session.run();
            if (session.report().overlapNs() > 0) {
                return true;
            }
        }
        return false;
    }

    private static List<Integer> order(RunReport report) {
        return report.units().stream().sorted(Comparator.comparingLong(RunReport.UnitRun::startNs))
                .map(RunReport.UnitRun::unit).toList();
    }

    @Test
    void sixEqualBranchesAreOneParallelLayerUnderEitherRule() {
        for (Rule rule : Rule.values()) {
            Plan plan = model.plan(PlanOptions.builder().units(Units.BRANCHES).rule(rule).build());
            assertEquals(List.of(BRANCHES), plan.layers().stream().filter(Plan.Layer::parallel)
                    .map(l -> l.groups().get(0).size()).toList());
            assertEquals(BRANCHES, plan.units().stream().filter(u -> !u.wide()).count());
        }
    }

    @Test
    void paperAndDataflowOverlapAndGiveTheSameBits() {
        float[] expected;
        try (Session session = session(SequentialPolicy.INSTANCE, 0)) {
            assertEquals(0, run(session).overlapNs());
            expected = session.output("y").toFloatArray();
        }
        for (SchedulerPolicy policy : List.of(new PaperPolicy(), DataflowPolicy.INSTANCE)) {
            try (Session session = session(policy, 0)) {
                assertTrue(everOverlaps(session), policy + " never had two units run at once");
                assertTrue(session.report().units().stream().anyMatch(u -> u.worker() != 0), "no pool thread helped");
                assertArrayEquals(expected, session.output("y").toFloatArray());
            }
        }
    }

    @Test
    void paperPutsBarriersBetweenLayersAndRunsTheRestAlone() {
        Plan plan = model.plan(relaxed(Units.BRANCHES));
        Schedule schedule = new PaperPolicy().schedule(plan, new DeviceState(2, 1L << 30, 2));
        schedule.validate(plan);
        assertEquals((long) ((1L << 30) * 0.6), schedule.memoryBudgetBytes());
        List<Schedule.Entry> narrow = schedule.entries().stream().filter(e -> e.threads() == 1).toList();
        assertEquals(BRANCHES, narrow.size());
        assertEquals(1, narrow.stream().filter(Schedule.Entry::barrier).count());
        assertTrue(schedule.entries().stream().filter(e -> e.threads() == 0).allMatch(Schedule.Entry::barrier));
    }

    @Test
    void paperRunsTheLargestSubsetThatFitsTogether() {
        Plan plan = new Plan(Parsing.plan(ScheduleTest.DIAMOND), ScheduleTest.DIAMOND, "text");  // M: 64, 100, 60, 64
        PaperPolicy policy = new PaperPolicy();
        assertEquals(List.of(0, 2, 1, 3), units(policy.schedule(plan, new DeviceState(2, -1, 2, 159))));
        assertEquals(0, narrow(policy.schedule(plan, new DeviceState(2, -1, 2, 159))));  // one alone is not parallel
        assertEquals(2, narrow(policy.schedule(plan, new DeviceState(2, -1, 2, 160))));
        assertEquals(2, narrow(policy.schedule(plan, new DeviceState(2, -1, 2))));  // free memory not known: no budget
        assertEquals(0, narrow(policy.schedule(plan, new DeviceState(2, 200, 2))));  // 60 % of 200
        assertEquals(2, narrow(new PaperPolicy(0).schedule(plan, new DeviceState(2, 200, 2))));
    }

    private static List<Integer> units(Schedule schedule) {
        return schedule.entries().stream().map(Schedule.Entry::unit).sorted(
                Comparator.comparingInt(u -> u == 2 ? 1 : u == 1 ? 2 : u)).toList();
    }

    private static long narrow(Schedule schedule) {
        return schedule.entries().stream().filter(e -> e.threads() == 1).count();
    }

    @Test
    void aMarginOutsideZeroToOneIsRefused() {
        for (double margin : new double[] {-0.1, 1.1, Double.NaN}) {
            assertThrows(ParallaxException.class, () -> new PaperPolicy(margin));
        }
    }

    @Test
    void dataflowRunsWideWhatHasNothingBesideIt() {
        Plan plan = model.plan(relaxed(Units.BRANCHES));
        Schedule schedule = DataflowPolicy.INSTANCE.schedule(plan, new DeviceState(2, 1L << 30, 2));
        schedule.validate(plan);
        for (Schedule.Entry entry : schedule.entries()) {
            assertEquals(plan.units().get(entry.unit()).wide() ? 0 : 1, entry.threads(), "unit " + entry.unit());
            assertFalse(entry.barrier());
        }
        Schedule alone = DataflowPolicy.INSTANCE.schedule(plan, new DeviceState(1, 1L << 30, 1));
        assertTrue(alone.entries().stream().allMatch(e -> e.threads() == 1));
    }

    @Test
    void aSchedulesBudgetForOneKeepsUnitsApart() {
        long most = model.plan(relaxed(Units.BRANCHES)).units().stream().mapToLong(Plan.Unit::peakBytes).max()
                .orElseThrow();
        assertTrue(most > 0);
        try (Session session = session(withBudget(most), 0)) {
            run(session);
            for (int i = 0; i < 20; i++) {
                session.run();
                assertEquals(0, session.report().overlapNs());
            }
        }
        try (Session session = session(withBudget(2 * most), 0)) {
            assertTrue(everOverlaps(session));
        }
    }

    @Test
    void aUsersPolicyThatReversesTheOrderChangesTheTrace() {
        Comparator<Plan.Unit> byLayer = Comparator.comparingInt(Plan.Unit::layer);
        SchedulerPolicy forward = inOrder(byLayer.thenComparingInt(Plan.Unit::index));
        SchedulerPolicy reverse = inOrder(byLayer.thenComparing(Plan.Unit::index, Comparator.reverseOrder()));
        try (Session a = session(forward, 0); Session b = session(reverse, 0)) {
            List<Integer> one = order(run(a));
            List<Integer> other = order(run(b));
            assertEquals(a.schedule().entries().stream().map(Schedule.Entry::unit).toList(), one);
            assertEquals(b.schedule().entries().stream().map(Schedule.Entry::unit).toList(), other);
            assertNotEquals(one, other);
            assertEquals(0, b.report().overlapNs());  // barriers forbid it
        }
    }

    /** One by one. */
    private static SchedulerPolicy inOrder(Comparator<Plan.Unit> order) {
        return (plan, state) -> new Schedule(plan.units().stream().sorted(order)
                .map(u -> Schedule.Entry.of(u.index()).withThreads(1).withBarrier()).toList(), 0);
    }

    @Test
    void aUsersPolicyThatForcesOneThreadShowsInTheTrace() {
        SchedulerPolicy oneThread = (plan, state) -> new Schedule(plan.units().stream()
                .map(u -> Schedule.Entry.of(u.index()).withThreads(1)).toList(), 0);
        try (Session narrow = session(oneThread, 0); Session wide = session(SequentialPolicy.INSTANCE, 0)) {
            assertTrue(run(narrow).units().stream().allMatch(u -> u.threads() == 1));
            assertTrue(run(wide).units().stream().allMatch(u -> u.threads() == 2));
        }
    }

    /** The example in the documentation of SchedulerPolicy. */
    @Test
    void theDocumentedExampleLetsLayersRunSideBySide() {
        SchedulerPolicy byLayer = (plan, state) -> {
            List<Schedule.Entry> entries = new ArrayList<>();
            int layer = -1;
            for (Plan.Unit unit : plan.units().stream().sorted(Comparator.comparingInt(Plan.Unit::layer)).toList()) {
                Schedule.Entry entry = Schedule.Entry.of(unit.index()).withThreads(1);
                entries.add(unit.layer() == layer ? entry : entry.withBarrier());
                layer = unit.layer();
            }
            return new Schedule(entries, state.memoryBudgetBytes());
        };
        try (Session session = session(byLayer, 0)) {
            assertTrue(everOverlaps(session));
        }
    }

    @Test
    void aPolicyIsAskedAgainOnlyWhenTheMachineHasChanged() {
        DeviceState before = new DeviceState(4, 1000, 4);
        assertFalse(new DeviceState(4, 1000, 4).differsFrom(before));
        assertFalse(new DeviceState(4, 800, 4).differsFrom(before));
        assertTrue(new DeviceState(4, 700, 4).differsFrom(before));
        assertTrue(new DeviceState(4, 1400, 4).differsFrom(before));
        assertTrue(new DeviceState(3, 1000, 4).differsFrom(before));
        int[] asked = {0};
        SchedulerPolicy counting = (plan, state) -> {
            asked[0]++;
            return SequentialPolicy.INSTANCE.schedule(plan, state);
        };
        try (Session session = session(counting, 0)) {
            run(session);
            assertEquals(1, asked[0]);
        }
    }

    @Test
    void traceIsWhatPerfettoReads() {
        try (Session session = session(DataflowPolicy.INSTANCE, 0)) {
            RunReport report = run(session);
            JsonObject trace = JsonParser.parseString(Trace.of(session.plan(), report).toChromeJson())
                    .getAsJsonObject();
            JsonArray events = trace.getAsJsonArray("traceEvents");
            List<JsonObject> slices = events.asList().stream().map(e -> e.getAsJsonObject())
                    .filter(e -> e.get("ph").getAsString().equals("X")).toList();
            assertEquals(report.units().size(), slices.size());
            for (int i = 0; i < slices.size(); i++) {
                RunReport.UnitRun run = report.units().get(i);
                JsonObject args = slices.get(i).getAsJsonObject("args");
                assertEquals(run.unit(), args.get("unit").getAsInt());
                assertEquals(run.bytes(), args.get("bytes").getAsLong());
                assertEquals("cpu", args.get("device").getAsString());
                assertEquals(run.threads(), args.get("threads").getAsInt());
                assertEquals(session.plan().units().get(run.unit()).nodes().size(),
                        args.getAsJsonArray("nodes").size());
                assertEquals(run.worker(), slices.get(i).get("tid").getAsInt());
                assertEquals(run.durationNs() / 1e3, slices.get(i).get("dur").getAsDouble(), 1e-9);
                assertTrue(args.has("branch") && args.has("layer"));
                assertTrue(run.bytes() > 0);
            }
        }
    }

    @Test
    void overlapIsTheTimeInWhichTwoOrMoreRan() {
        assertEquals(0, overlap(new long[][] {{0, 10}, {10, 20}}));
        assertEquals(5, overlap(new long[][] {{0, 10}, {5, 20}}));
        assertEquals(10, overlap(new long[][] {{0, 10}, {0, 10}, {0, 10}}));
        assertEquals(8, overlap(new long[][] {{0, 20}, {2, 6}, {10, 14}}));
        assertEquals(0, overlap(new long[][] {}));
    }

    private static long overlap(long[][] spans) {
        List<RunReport.UnitRun> runs = new ArrayList<>();
        for (long[] span : spans) {
            runs.add(new RunReport.UnitRun(runs.size(), "cpu", 1, 0, span[0], span[1], 0, 0, 0, 0, 0, ""));
        }
        return Overlap.of(runs);
    }

    @Test
    void aMixedPlanIsMeasuredAndRunsRight() {
        Plan plan = model.plan(relaxed(Units.MIXED));
        assertTrue(plan.units().stream().allMatch(u -> u.stretch() >= 0));
        assertTrue(plan.units().stream().mapToDouble(Plan.Unit::narrowNs).sum() > 0);
        assertTrue(plan.units().stream().mapToDouble(Plan.Unit::wideNs).sum() > 0);
        assertEquals(plan, model.readPlan(plan.toJson()));
        float[] expected;
        try (Session session = session(SequentialPolicy.INSTANCE, 0)) {
            run(session);
            expected = session.output("y").toFloatArray();
        }
        for (SchedulerPolicy policy : List.of(SequentialPolicy.INSTANCE, new PaperPolicy(), DataflowPolicy.INSTANCE)) {
            try (Session session = model.session(SessionOptions.builder().plan(plan).policy(policy).build())) {
                run(session);
                assertArrayEquals(expected, session.output("y").toFloatArray());
            }
        }
    }
}
