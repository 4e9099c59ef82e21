package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What counts as a budget that is not kept. */
class BudgetResultTest {
    private static BudgetResult ran(long budget, long arena, long growth, String digest) {
        return new BudgetResult("m", "nodes", "x=1", budget, arena, 100, growth, 0, 1, 0, 0, digest);
    }

    private static BudgetResult refused(long budget, long requested, long available) {
        return new BudgetResult("m", "nodes", "x=1", budget, 0, 100, 0, 0, 0, requested, available, "");
    }

    private static void assertWrong(BudgetResult result, String part) {
        List<String> wrongs = result.wrongs("good", 2000);
        assertEquals(1, wrongs.size(), wrongs::toString);
        assertTrue(wrongs.getFirst().contains(part) && wrongs.getFirst().startsWith("m, nodes, x=1, "), wrongs::toString);
    }

    @Test
    void whatIsKeptIsNotWrong() {
        assertEquals(List.of(), ran(1000, 900, 1000, "good").wrongs("good", 2000));
        assertEquals(List.of(), refused(1000, 901, 900).wrongs("good", 2000));
    }

    @Test
    void eachPromiseIsJudged() {
        assertWrong(ran(1000, 900, 1001, "good"), "grew by 1001");
        assertWrong(ran(1000, 901, 900, "good"), "901 mapped");
        assertWrong(ran(1000, 900, 900, "bad"), "not plain ONNX Runtime's");
        assertWrong(refused(1000, 900, 900), "refused for 900");
        assertWrong(refused(2000, 2001, 1900), "2000 are enough");
    }

    @Test
    void theRunnersJsonIsRead() {
        String session = "\"session\":{\"arena_high_water_bytes\":5,\"outside_bytes\":6,\"barriers_for_memory\":7}";
        BudgetResult ran = BudgetResult.of("m", "whole", "", 9, JsonParser.parseString("{\"refused\":null,"
                + "\"median_ms\":1.5,\"rss_anon_growth_bytes\":8,\"outputs_digest\":\"d\"," + session + "}")
                .getAsJsonObject());
        assertEquals(new BudgetResult("m", "whole", "", 9, 5, 6, 8, 7, 1.5, 0, 0, "d"), ran);
        BudgetResult refused = BudgetResult.of("m", "whole", "", 9, JsonParser.parseString("{\"refused\":"
                + "{\"requested_bytes\":3,\"available_bytes\":2},\"median_ms\":null,\"rss_anon_growth_bytes\":8,"
                + "\"outputs_digest\":\"\"," + session + "}").getAsJsonObject());
        assertFalse(refused.ran());
        assertEquals(3, refused.requestedBytes());
        assertEquals(2, refused.availableBytes());
    }

    @Test
    void theTableCountsByModel() {
        String table = BudgetResult.table(List.of(ran(1000, 900, 500, "good"), refused(1000, 901, 900)));
        assertTrue(table.contains("100.0 %") && table.contains("50.0 %"), table);
    }
}
