package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.RunReport;
import dev.parallax.Units;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class UnitTimesTest {
    /** 0 comes before 1 and 2, which come before 3; 1 is the device's, and works for all but 5 ns of its time. */
    private static UnitTimes diamond(double left, double right) {
        return new UnitTimes(new double[] {10, left, right, 20}, new double[] {10, left - 5, right, 20},
                new boolean[] {false, true, false, false}, List.of(List.of(), List.of(0), List.of(0), List.of(1, 2)));
    }

    @Test
    void theBoundIsTheLongestWayOrTheBusierSide() {
        UnitTimes longDevice = diamond(100, 40);
        assertEquals(95, longDevice.deviceNs());
        assertEquals(70, longDevice.cpuNs());
        assertEquals(10 + 100 + 20, longDevice.boundNs());
        assertEquals(95, longDevice.streamBoundNs());
        assertEquals(10 + 140 + 20, diamond(100, 140).boundNs());
        assertEquals(120, times(List.of(List.of(), List.of(), List.of()), 60, 60, -30).boundNs());
        assertEquals(0, times(List.of()).boundNs());
    }

    @Test
    void whatOneSideDoesBetweenTwoUnitsIsDoneInTurn() {
        // Two of the CPU's between device units, twice: neither the longest way, 180, nor either side's sum sees that.
        assertEquals(30 + 100 + 30 + 100 + 30, times(List.of(List.of(), List.of(0), List.of(0), List.of(1, 2), List.of(3),
                List.of(3), List.of(4, 5)), -30, 50, 50, -30, 50, 50, -30).boundNs());
        // Two of the device's that take 20 to begin, both at once.
        UnitTimes late = new UnitTimes(new double[] {5, 50, 50, 5}, new double[] {5, 30, 30, 5},
                new boolean[] {false, true, true, false}, List.of(List.of(), List.of(0), List.of(0), List.of(1, 2)));
        assertEquals(5 + 20 + 60 + 5, late.boundNs());
    }

    /** Those of the device are below 0. */
    private static UnitTimes times(List<List<Integer>> predecessors, double... nanos) {
        double[] times = Arrays.stream(nanos).map(Math::abs).toArray();
        boolean[] onDevice = new boolean[nanos.length];
        for (int u = 0; u < nanos.length; u++) {
            onDevice[u] = nanos[u] < 0;
        }
        return new UnitTimes(times, times, onDevice, predecessors);
    }

    @Test
    void sidesAreBalancedWithinAFifth() {
        assertTrue(diamond(85, 70).balanced());   // 80 and 100
        assertFalse(diamond(84, 70).balanced());  // 79 and 100
        assertTrue(diamond(130, 70).balanced());  // 125 and 100
        assertFalse(diamond(131, 70).balanced()); // 126 and 100
        assertEquals(1, diamond(1, 1).deviceUnits());
    }

    @Test
    void timesAreMediansOfReports() {
        try (Engine engine = Engine.create(); Model model = engine.load(MemorySegment.ofArray(BranchesModel.bytes()))) {
            Plan plan = model.plan(PlanOptions.builder().units(Units.BRANCHES).build());
            boolean[] onDevice = new boolean[plan.unitCount()];
            onDevice[1] = true;
            List<RunReport> reports = new ArrayList<>();
            for (long ns : new long[] {10, 1000, 30}) {
                reports.add(report(List.of(run(0, 0, 0, ns, 0), run(1, -1, 5, 5 + 2 * ns, ns))));
            }
            UnitTimes times = UnitTimes.of(plan, onDevice, reports);
            assertEquals(30, times.nanos()[0]);
            assertEquals(60, times.nanos()[1]);
            assertEquals(30, times.workNs()[0]);
            assertEquals(30, times.workNs()[1]);
            assertEquals(0, times.nanos()[2], "it had nothing to do");
            assertEquals(plan.units().get(2).predecessors(), times.predecessors().get(2));
        }
    }

    static RunReport.UnitRun run(int unit, int worker, long start, long end, long deviceNs) {
        return new RunReport.UnitRun(unit, worker < 0 ? "emulated" : "cpu", 1, worker, start, end, 0, 0, deviceNs, 0, 0, "");
    }

    static RunReport report(List<RunReport.UnitRun> units) {
        return new RunReport(1, 0, units, 0, 0, 0, 0, 0, null, null, null, 0, 0, null);
    }
}
