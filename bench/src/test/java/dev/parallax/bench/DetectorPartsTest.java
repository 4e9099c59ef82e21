package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class DetectorPartsTest {
    private final List<String> events = new ArrayList<>();
    private long now;

    private void node(String name, String operator, long micros) {
        events.add("{\"cat\":\"Node\",\"name\":\"" + name + "_kernel_time\",\"ts\":" + now + ",\"dur\":" + micros
                + ",\"args\":{\"op_name\":\"" + operator + "\"}}");
        now += micros;
    }

    private void run(long backbone, long predict, long select) {
        long start = now;
        node("Conv_backbone/stem0_nchwc", "Conv", backbone - 1);
        node("ReorderOutput", "ReorderOutput", 1);
        node("Sigmoid_predict/level0/scores", "Sigmoid", predict);
        node("TopK_select/class3/level1/best_scores", "TopK", select - 1);
        long inside = now;
        node("Gather_select/best", "Gather", 1);
        now = inside;
        node("If_detections", "If", 1);
        events.add("{\"cat\":\"Session\",\"name\":\"model_run\",\"ts\":" + start + ",\"dur\":" + (now - start) + "}");
        now += 5;
    }

    private DetectorParts parts(int warmUps) {
        return DetectorParts.of("[{\"cat\":\"Session\",\"name\":\"model_loading_uri\",\"ts\":0,\"dur\":1},"
                + String.join(",", events) + "]", warmUps);
    }

    @Test
    void addsUpRunByRunWithoutWarmUpsAndCountsNothingTwice() {
        run(1000, 1000, 1000);
        run(40, 20, 60);
        run(30, 20, 50);
        DetectorParts parts = parts(1);
        assertEquals(2, parts.runs().size());
        assertArrayEquals(new long[] {40, 20, 60}, parts.runs().get(0));
        assertArrayEquals(new long[] {30, 20, 50}, parts.runs().get(1));
        assertArrayEquals(new int[] {2, 1, 2}, parts.nodes());
        assertEquals((80 / 120.0 + 70 / 100.0) / 2, parts.heads(), 1e-9);
        assertEquals(List.of(40L, 30L), ((Map<?, ?>) parts.toMap().get("backbone")).get("run_us"));
        assertTrue(parts.table().contains("heads: 0.68 of"), parts.table());
    }

    @Test
    void halfIsEnoughAndLessIsAMiss() {
        run(50, 20, 30);
        assertEquals(List.of(), parts(0).misses());
        events.clear();
        run(51, 20, 29);
        assertEquals(List.of("MISSED: heads take 0.49 of the time of all nodes; at least 0.50"), parts(0).misses());
    }
}
