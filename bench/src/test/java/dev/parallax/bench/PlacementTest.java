package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class PlacementTest {
    private static final boolean[] ALL_BUT_FIRST = {false, true, true, true};
    /** 0 comes before 1, 2 and 3, which do not depend on one another. */
    private static final List<List<Integer>> FAN = List.of(List.of(), List.of(0), List.of(0), List.of(0));

    private static UnitTimes cpu(double... nanos) {
        return new UnitTimes(nanos, nanos, new boolean[nanos.length], FAN);
    }

    private static UnitTimes device(double latency, double... work) {
        double[] nanos = work.clone();
        for (int u = 1; u < nanos.length; u++) {
            nanos[u] += latency;
        }
        return new UnitTimes(nanos, work, ALL_BUT_FIRST, FAN);
    }

    @Test
    void allIsAllThatCanBe() {
        assertArrayEquals(ALL_BUT_FIRST, Placement.ALL.choose(cpu(1, 1, 1, 1), device(0, 1, 9, 9, 9)));
    }

    @Test
    void forOneRequestAUnitGoesWhereItEndsFirst() {
        // Longest first: 1 to the device until 30, 2 to the CPU until 31, 3 to the device, since the CPU is busy for as long.
        assertArrayEquals(new boolean[] {false, true, false, true},
                Placement.SHORTEST.choose(cpu(1, 60, 30, 20), device(0, 1, 29, 28, 10)));
        // 0 is the CPU's, whatever it takes there, and a slow device gets nothing.
        assertArrayEquals(new boolean[4], Placement.SHORTEST.choose(cpu(50, 10, 10, 10), device(0, 1, 99, 99, 99)));
        // Beginning takes 5, but of those that come together once only.
        assertArrayEquals(ALL_BUT_FIRST, Placement.SHORTEST.choose(cpu(1, 26, 26, 26), device(5, 1, 6, 6, 6)));
        assertArrayEquals(new boolean[] {false, true, false, true},
                Placement.SHORTEST.choose(cpu(1, 17, 17, 17), device(5, 1, 6, 6, 6)));
    }

    @Test
    void forStreamsSidesGetAsMuchToDo() {
        // 10 against 60; with 1 there 30 against 40; with 2 as well it would be 70 against 20.
        assertArrayEquals(new boolean[] {false, false, true, true},
                Placement.BALANCED.choose(cpu(10, 20, 40, 40), device(7, 10, 20, 20, 20)));
        // The CPU has more to do already.
        assertArrayEquals(ALL_BUT_FIRST, Placement.BALANCED.choose(cpu(100, 1, 1, 1), device(0, 100, 5, 5, 5)));
    }
}
