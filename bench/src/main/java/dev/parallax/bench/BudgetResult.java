package dev.parallax.bench;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * One process that ran a model within a memory budget, or was refused.
 *
 * @param model its name
 * @param units how it was cut
 * @param shapes of its inputs, for people
 * @param budgetBytes the budget; 0 = none
 * @param highWaterBytes the most that the arena had mapped
 * @param outsideBytes what of the budget was set aside for what ONNX Runtime takes by malloc
 * @param growthBytes the most that the process grew by while it ran, as the system counts it (RssAnon)
 * @param barriers that the budget put into the schedule
 * @param medianMs a run; 0 where it was refused
 * @param requestedBytes where it was refused: what it would have taken
 * @param availableBytes and what there was
 * @param digest of the outputs; empty where it was refused
 */
record BudgetResult(String model, String units, String shapes, long budgetBytes, long highWaterBytes, long outsideBytes,
        long growthBytes, int barriers, double medianMs, long requestedBytes, long availableBytes, String digest) {
    static BudgetResult of(String model, String units, String shapes, long budget, JsonObject measured) {
        JsonObject session = measured.getAsJsonObject("session");
        boolean ran = measured.get("refused").isJsonNull();
        JsonObject refused = ran ? new JsonObject() : measured.getAsJsonObject("refused");
        return new BudgetResult(model, units, shapes, budget, session.get("arena_high_water_bytes").getAsLong(),
                session.get("outside_bytes").getAsLong(), measured.get("rss_anon_growth_bytes").getAsLong(),
                session.get("barriers_for_memory").getAsInt(), ran ? measured.get("median_ms").getAsDouble() : 0,
                ran ? 0 : refused.get("requested_bytes").getAsLong(),
                ran ? 0 : refused.get("available_bytes").getAsLong(), measured.get("outputs_digest").getAsString());
    }

    boolean ran() {
        return !digest.isEmpty();
    }

    /**
     * What is wrong about it, empty if nothing is.
     *
     * @param expected digest of plain ONNX Runtime's outputs
     * @param enoughBytes a budget that has to be enough
     */
    List<String> wrongs(String expected, long enoughBytes) {
        List<String> wrongs = new ArrayList<>();
        String what = model + ", " + units + ", " + shapes + ", " + budgetBytes + " bytes: ";
        if (growthBytes > budgetBytes) {
            wrongs.add(what + "the process grew by " + growthBytes);
        }
        if (highWaterBytes > 0 && highWaterBytes + outsideBytes > budgetBytes) {
            wrongs.add(what + "the arena had " + highWaterBytes + " mapped, and " + outsideBytes + " were set aside");
        }
        if (ran() && !digest.equals(expected)) {
            wrongs.add(what + "the outputs are not plain ONNX Runtime's");
        }
        if (!ran() && requestedBytes <= availableBytes) {
            wrongs.add(what + "refused for " + requestedBytes + " bytes, with " + availableBytes + " available");
        }
        if (!ran() && budgetBytes >= enoughBytes) {
            wrongs.add(what + "refused, although " + enoughBytes + " are enough");
        }
        return wrongs;
    }

    /** A line for each model: how many budgets were kept, narrowed, refused. */
    static String table(List<BudgetResult> results) {
        Map<String, List<BudgetResult>> byModel = new LinkedHashMap<>();
        results.forEach(r -> byModel.computeIfAbsent(r.model, m -> new ArrayList<>()).add(r));
        MarkdownTable table = new MarkdownTable("model", "budgets", "kept", "with less side by side", "refused",
                "most of its budget: arena", "process");
        byModel.forEach((model, all) -> table.row(model, all.size(), all.stream().filter(BudgetResult::ran).count(),
                all.stream().filter(r -> r.ran() && r.barriers > 0).count(), all.stream().filter(r -> !r.ran()).count(),
                share(all.stream().filter(r -> r.highWaterBytes > 0)
                        .mapToDouble(r -> (double) (r.highWaterBytes + r.outsideBytes) / r.budgetBytes).max().orElse(0)),
                share(all.stream().mapToDouble(r -> (double) r.growthBytes / r.budgetBytes).max().orElse(0))));
        return table.toString();
    }

    private static String share(double part) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * part);
    }

    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("model", model);
        map.put("units", units);
        map.put("shapes", shapes);
        map.put("budget_bytes", budgetBytes);
        map.put("arena_high_water_bytes", highWaterBytes);
        map.put("outside_bytes", outsideBytes);
        map.put("rss_anon_growth_bytes", growthBytes);
        map.put("barriers", barriers);
        map.put("median_ms", medianMs);
        map.put("requested_bytes", requestedBytes);
        map.put("available_bytes", availableBytes);
        return map;
    }
}
