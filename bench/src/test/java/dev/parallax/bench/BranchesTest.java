package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class BranchesTest {
    @Test
    void everyWayIsMeasuredInEveryRound() throws InterruptedException {
        BranchesResult result = Branches.measure(2);
        for (BranchesWay way : BranchesWay.values()) {
            BranchesResult.Entry entry = result.of(way);
            assertEquals(2, entry.nanos().length);
            assertTrue(Arrays.stream(entry.nanos()).allMatch(n -> n > 0));
            assertEquals(way == BranchesWay.WHOLE ? List.of() : List.of(BranchesModel.BRANCHES), entry.together());
            if (!way.sideBySide()) {
                assertEquals(0, Arrays.stream(entry.overlapNs()).sum(), way.title);
            }
        }
        assertEquals(1, result.of(BranchesWay.WHOLE).units());
    }

    @Test
    void oneBitIsADifferenceAndIsNotTimed() {
        Tensor zero = Tensor.of(new float[] {0, 1}, 2);
        Branches.compare(List.of(zero, zero, zero, zero));
        Tensor minusZero = Tensor.of(new float[] {-0f, 1}, 2);
        String message = assertThrows(Branches.DisagreementException.class,
                () -> Branches.compare(List.of(zero, zero, minusZero, zero))).getMessage();
        assertTrue(message.contains("branches, dataflow"), message);
    }
}
