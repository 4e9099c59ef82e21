package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class StatisticsTest {
    @Test
    void medianOfAnOddNumberIsTheMiddleOne() {
        assertEquals(3, Statistics.median(9, 1, 3));
    }

    @Test
    void medianOfAnEvenNumberIsTheMeanOfTheMiddleTwo() {
        assertEquals(2.5, Statistics.median(4, 1, 100, 1));
    }

    @Test
    void medianLeavesItsArgumentsAsTheyAre() {
        double[] values = {3, 1, 2};
        Statistics.median(values);
        assertEquals(3, values[0]);
    }

    @Test
    void medianOfNothingIsRefused() {
        assertThrows(IllegalArgumentException.class, Statistics::median);
    }

    @Test
    void pairedRatioIsThatOfTheRoundsNotOfTheMedians() {
        // The machine was ten times slower in two rounds of three; each round says 1.5.
        double[] theirs = {10, 100, 100};
        double[] ours = {15, 150, 150};
        assertEquals(1.5, Statistics.pairedRatio(ours, theirs), 1e-12);
        // Medians 20 and 10 would say 2.
        assertEquals(1, Statistics.pairedRatio(new double[] {20, 10, 30}, new double[] {10, 10, 30}));
    }

    @Test
    void unpairedValuesAreRefused() {
        assertThrows(IllegalArgumentException.class,
                () -> Statistics.pairedRatio(new double[] {1, 2}, new double[] {1}));
    }
}
