package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.parallax.RunReport;
import java.util.List;
import org.junit.jupiter.api.Test;

class BothAtWorkTest {
    private static RunReport.UnitRun cpu(int worker, long start, long end) {
        return UnitTimesTest.run(0, worker, start, end, 0);
    }

    private static RunReport.UnitRun device(long start, long end) {
        return UnitTimesTest.run(0, -1, start, end, 0);
    }

    @Test
    void countsWhatDeviceAndCpuShareOnceHoweverManyUnitsOfASide() {
        assertEquals(0, BothAtWork.of(List.of()));
        assertEquals(0, BothAtWork.of(List.of(cpu(0, 0, 10), cpu(1, 0, 10))), "two of the CPU's");
        assertEquals(0, BothAtWork.of(List.of(device(0, 10), device(0, 10))), "two of the device's");
        assertEquals(0, BothAtWork.of(List.of(device(0, 10), cpu(0, 10, 20))), "in turn");
        assertEquals(5, BothAtWork.of(List.of(device(0, 10), cpu(0, 5, 20))));
        assertEquals(6, BothAtWork.of(List.of(device(0, 10), device(3, 12), cpu(0, 5, 8), cpu(1, 6, 9), cpu(0, 10, 30))));
    }
}
