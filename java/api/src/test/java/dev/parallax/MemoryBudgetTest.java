package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What a session's memory budget promises, and giving memory back. */
class MemoryBudgetTest {
    private static Engine engine;
    private static Model model;
    private static float[] expected;
    private static long unlimited;  // bytes that a session takes which nothing limits
    private static long outside;  // and what of a budget is set aside: MemoryBudget tells how much

    @BeforeAll
    static void load() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        model = TestModels.load(engine, PolicyTest.sixBranches());
        try (Session session = session(0)) {
            expected = run(session, 4);
            unlimited = session.report().budget().highWaterBytes();
            assertEquals(0, session.report().budget().limitBytes());
            outside = (224 << 10) + 1792L * session.plan().units().size();
        }
    }

    @AfterAll
    static void close() {
        model.close();
        engine.close();
    }

    private static Session session(long budget) {
        return session(budget == 0 ? MemoryBudget.NONE : MemoryBudget.fixed(budget));
    }

    private static Session session(MemoryBudget budget) {
        return model.session(SessionOptions.builder()
                .plan(PlanOptions.builder().units(Units.BRANCHES).rule(Rule.RELAXED).build())
                .policy(DataflowPolicy.INSTANCE).memoryBudget(budget).build());
    }

    private static float[] run(Session session, int runs) {
        float[] x = new float[16 * 24 * 24];
        for (int i = 0; i < x.length; i++) {
            x[i] = (i % 17) / 17f - 0.5f;
        }
        session.input("x").copyFrom(x);
        for (int i = 0; i < runs; i++) {
            session.run();
        }
        return session.output("y").toFloatArray();
    }

    @Test
    void aBudgetIsKeptByRunningLessSideBySide() {
        int most = 0;
        for (int percent = 100; percent >= 50; percent -= 10) {
            long budget = unlimited * percent / 100 + outside;
            try (Session session = session(budget)) {
                assertArrayEquals(expected, run(session, 4));
                RunReport.Budget kept = session.report().budget();
                assertEquals(budget, kept.limitBytes());
                assertTrue(kept.highWaterBytes() <= budget - outside, kept::toString);
                most = Math.max(most, kept.barriers());
            } catch (MemoryBudgetException e) {
                break;
            }
        }
        assertTrue(most > 0, "no budget made any difference");
    }

    @Test
    void oneThatCannotBeKeptIsAnErrorThatNamesBothSizesAndLeavesTheSessionOpen() {
        long budget = outside + 50_000;
        try (Session session = session(budget)) {
            for (int i = 0; i < 2; i++) {
                MemoryBudgetException e = assertThrows(MemoryBudgetException.class, () -> run(session, 1));
                assertEquals(50_000, e.availableBytes());
                assertTrue(e.requestedBytes() > 50_000, e::getMessage);
                assertTrue(e.getMessage().contains(String.valueOf(budget)), e::getMessage);
                assertEquals(0, session.report().budget().highWaterBytes());
            }
        }
        try (Session session = session(unlimited + outside)) {
            assertArrayEquals(expected, run(session, 1));
        }
    }

    @Test
    void oneThatIsNoneIsRefused() {
        for (long bytes : new long[] {0, -1, Long.MIN_VALUE}) {
            assertThrows(ParallaxException.class, () -> MemoryBudget.fixed(bytes));
        }
        for (double margin : new double[] {0, -0.1, 1, Double.NaN, Double.POSITIVE_INFINITY}) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> MemoryBudget.adaptive(margin));
            assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
            assertTrue(e.getMessage().contains(String.valueOf(margin)), e::getMessage);
        }
        assertEquals(MemoryBudget.adaptive(0.4), MemoryBudget.adaptive());
        assertThrows(NullPointerException.class, () -> session((MemoryBudget) null));
    }

    @Test
    void oneThatFollowsTheMachineIsMostOfWhatIsFree() {
        long free = DeviceState.current(1).freeMemoryBytes();
        try (Session most = session(MemoryBudget.adaptive(0.1)); Session few = session(MemoryBudget.adaptive(0.9))) {
            assertArrayEquals(expected, run(most, 4));
            assertArrayEquals(expected, run(few, 4));
            RunReport.Budget budget = most.report().budget();
            assertTrue(budget.limitBytes() > 0 && budget.limitBytes() <= free, budget::toString);
            // Control groups may leave less than the machine has, but to both.
            double ratio = (double) few.report().budget().limitBytes() / budget.limitBytes();
            assertTrue(ratio > 0.06 && ratio < 0.2, () -> ratio + " is not about a ninth");
            assertEquals(0, budget.barriers());
        }
    }

    @Test
    void whatIsTrimmedIsTakenAnewByTheNextRun() {
        try (Session session = session(0)) {
            assertEquals(0, session.trim());
            run(session, 4);
            Tensor view = session.output("y");
            long held = session.report().arenaBytes();
            assertTrue(held > 0);
            assertEquals(held, session.trim());
            assertEquals(0, session.report().arenaBytes());
            assertThrows(IllegalStateException.class, view::toFloatArray, "a view of what is gone");
            assertThrows(IllegalStateException.class, () -> session.output("y"));
            assertArrayEquals(expected, run(session, 1));
        }
    }

    @Test
    void aClosedSessionIsNotTrimmed() {
        Session session = session(0);
        session.close();
        assertThrows(IllegalStateException.class, session::trim);
    }
}
