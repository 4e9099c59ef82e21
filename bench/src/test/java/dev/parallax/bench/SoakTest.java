package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SoakTest {
    /** What some dozen cycles can tell for sure; the long form, {@code ./plx test --soak}, sees some hundred bytes. */
    private static final long LARGE_LEAK_BYTES = 40_000;

    @ParameterizedTest
    @EnumSource(names = {"LOAD", "FAILURE", "STOPPED"})
    void noLargeLeaks(SoakWay way) throws Exception {
        SoakResult result = Soak.inProcess(way, 40, 120);
        assertTrue(result.before() > 32_000_000, "less than Java's own heap: " + result);
        assertTrue(result.bytesPerCycle() < LARGE_LEAK_BYTES, result.toString());
    }

    @Test
    void growthIsJudged() {
        SoakResult good = new SoakResult(SoakWay.LOAD, 500, 10_000, 100_000_000, 102_000_000, 1);
        SoakResult bad = new SoakResult(SoakWay.LOAD, 500, 10_000, 100_000_000, 102_100_000, 1);
        assertEquals(List.of(), SoakResult.misses(List.of(good)));
        assertEquals(List.of("MISSED: after 10000 cycles (load, run, close) memory is 1.021 times that after 500; at"
                + " most 1.02"), SoakResult.misses(List.of(good, bad)));
        assertEquals(221, bad.bytesPerCycle());
        assertTrue(SoakResult.table(List.of(bad)).contains("1.021 (!)"));
    }
}
