package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class TimingTest {
    @Test
    void bothRunByTurnsAndWhoBeginsAlternates() {
        StringBuilder order = new StringBuilder();
        Timing timing = Timing.measure(() -> order.append('a'), () -> order.append('b'), 1, 3);
        assertEquals("ba" + "ab" + "ba" + "ab", order.toString());
        assertEquals(3, timing.runs());
    }

    @Test
    void theMedianIsTheMiddle() {
        assertEquals(2, Timing.median(new double[] {3, 1, 2}));
        assertEquals(2.5, Timing.median(new double[] {4, 1, 2, 3}));
        assertEquals(0.5, new Timing(1, 2, 1).ratio());
    }
}
