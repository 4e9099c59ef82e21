package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * All that was measured of one model: what is printed, judged and kept.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code result.verdict(1.1).map(Verdict::met)}.
 *
 * @param model its name
 * @param inputs name, type and shape of each
 * @param search how the baseline was found
 * @param entries the baseline first, then the ways of Parallax
 */
record BenchResult(String model, List<String> inputs, BenchBaseline search, List<Entry> entries) {
    /** A way whose times by turns and alone are further apart was disturbed, or disturbs itself. */
    static final double DISTURBED = 0.03;
    /** The policy that the target is for. */
    static final String JUDGED = "dataflow";

    /**
     * One way to run the model.
     *
     * @param name of the baseline's setting, or of Parallax' cut and policy
     * @param policy empty for the baseline
     * @param side what ran side by side; null for the baseline
     * @param turns measured by turns with the others
     * @param alone measured by itself
     * @param memory what a fresh process took that ran nothing else, or null
     * @param withoutMemory why there is none
     */
    record Entry(String name, String policy, SideBySide side, Bench.Samples turns, Bench.Samples alone,
            FreshProcess.Memory memory, String withoutMemory) {
        Entry with(FreshProcess.Memory measured) {
            return new Entry(name, policy, side, turns, alone, measured, "");
        }

        Entry without(String reason) {
            return new Entry(name, policy, side, turns, alone, null, reason);
        }

        double median() {
            return Timing.median(turns.nanos());
        }

        double aloneMedian() {
            return Timing.median(alone.nanos());
        }

        /** Processor time after a run until the process is at rest: what a pool spins for the next run's sake. */
        double cpuAfter() {
            return Timing.median(turns.cpuAfterNanos());
        }

        /** Median by turns over median alone. */
        double turnsOverAlone() {
            return median() / aloneMedian();
        }

        String peakMemory() {
            return memory == null ? "?" : Text.bytes(memory.peakBytes());
        }

        String anonymousMemory() {
            return memory == null ? "?" : Text.bytes(memory.anonymousBytes());
        }

        boolean disturbed() {
            return Math.abs(turnsOverAlone() - 1) > DISTURBED;
        }
    }

    /**
     * Whether the best way of {@link #JUDGED} is fast enough.
     *
     * @param name of that way
     * @param ratio its time over the baseline's
     * @param target the largest ratio that meets it
     */
    record Verdict(String name, double ratio, double target) {
        boolean met() {
            return ratio <= target;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%s: %s takes %.3f times the baseline's time; at most %s",
                    met() ? "met" : "MISSED", name, ratio, target);
        }
    }

    Entry baseline() {
        return entries.getFirst();
    }

    List<Entry> ours() {
        return entries.subList(1, entries.size());
    }

    /**
     * An entry's time over the baseline's: the median of the rounds' ratios. Both times of a round were taken shortly
     * one after the other, so what slows the machine for a while cancels out.
     */
    double ratio(Entry entry) {
        return pairedRatio(entry.turns.nanos(), baseline().turns.nanos());
    }

    static double pairedRatio(double[] ours, double[] theirs) {
        if (ours.length != theirs.length) {
            throw new IllegalArgumentException(ours.length + " times against " + theirs.length + ": not in pairs");
        }
        double[] ratios = new double[ours.length];
        Arrays.setAll(ratios, i -> ours[i] / theirs[i]);
        return Timing.median(ratios);
    }

    /** The best way with the policy that the target is for; empty if none was measured. */
    Optional<Entry> best() {
        return ours().stream().filter(e -> e.policy.equals(JUDGED)).min(Comparator.comparingDouble(this::ratio));
    }

    /** Of the best way; empty if there is none. */
    Optional<Verdict> verdict(double target) {
        return best().map(e -> new Verdict(e.name, ratio(e), target));
    }

    void print(PrintStream out) {
        if (!search.tried().isEmpty()) {
            BenchBaseline.Tried best = BenchBaseline.fastest(search.tried());
            Text.Table table = new Text.Table("ONNX Runtime's setting", ">median", ">of the fastest");
            search.tried().stream().sorted(Comparator.comparingDouble(BenchBaseline.Tried::median)).forEach(t ->
                    table.row(t.name(), Text.nanos(t.median()), ratio(pairedRatio(t.samples(), best.samples()))));
            table.printMarkdown(out);
            search.notTried().entrySet().stream().collect(Collectors.groupingBy(Map.Entry::getValue, LinkedHashMap::new,
                    Collectors.mapping(Map.Entry::getKey, Collectors.joining(", ")))).forEach((reason, names) ->
                            out.println("Not tried: " + names + ": " + reason));
        } else {
            out.println("The baseline's setting was given, not searched.");
        }
        out.println();
        Text.Table table = new Text.Table("way", ">units", ">parallel layers", ">narrow units", ">overlapped",
                ">median", ">of baseline", ">alone", ">turns/alone", ">CPU after", ">peak memory", ">anonymous");
        for (Entry e : entries) {
            boolean base = e == baseline();
            table.row(base ? "baseline: ONNX Runtime, " + e.name : e.name, base ? "" : e.side.units(),
                    base ? "" : e.side.parallelLayers(), base ? "" : e.side.narrowUnits(),
                    base ? "" : e.side.overlap(), Text.nanos(e.median()),
                    ratio(ratio(e)), Text.nanos(e.aloneMedian()),
                    ratio(e.turnsOverAlone()) + (e.disturbed() ? " (!)" : ""), Text.nanos(e.cpuAfter()),
                    e.peakMemory(), e.anonymousMemory());
        }
        table.printMarkdown(out);
        if (entries.stream().anyMatch(Entry::disturbed)) {
            out.println("(!) Times by turns and alone differ by more than 3 %: the machine was busy, or the ways "
                    + "disturb each other. Measure again on a quiet machine.");
        }
        ours().stream().map(e -> e.side.reason()).filter(r -> !r.isEmpty()).distinct().forEach(reason ->
                out.println("Nothing overlaps in " + ours().stream().filter(e -> e.side.reason().equals(reason))
                        .map(Entry::name).collect(Collectors.joining(", ")) + ": " + reason + "."));
        entries.stream().filter(e -> e.memory == null).forEach(e ->
                out.println("Memory of " + e.name + " is not known: " + e.withoutMemory));
    }

    private static String ratio(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }

    /** Every sample, and what was made of them. */
    JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("model", model);
        JsonArray shapes = new JsonArray();
        inputs.forEach(shapes::add);
        json.add("inputs", shapes);
        JsonObject found = new JsonObject();
        found.addProperty("setting", search.best().name());
        JsonArray tried = new JsonArray();
        for (BenchBaseline.Tried t : search.tried()) {
            JsonObject setting = new JsonObject();
            setting.addProperty("setting", t.name());
            setting.addProperty("median_ns", t.median());
            setting.add("samples_ns", samples(t.samples()));
            tried.add(setting);
        }
        found.add("tried", tried);
        JsonObject reasons = new JsonObject();
        search.notTried().forEach(reasons::addProperty);
        found.add("not_tried", reasons);
        json.add("search", found);
        json.add("baseline", toJson(baseline()));
        JsonArray ways = new JsonArray();
        ours().forEach(e -> ways.add(toJson(e)));
        json.add("ways", ways);
        return json;
    }

    private JsonObject toJson(Entry entry) {
        JsonObject json = new JsonObject();
        json.addProperty("name", entry.name);
        if (entry != baseline()) {
            entry.side.addTo(json);
            json.addProperty("ratio", ratio(entry));
        }
        json.addProperty("median_ns", entry.median());
        json.addProperty("alone_median_ns", entry.aloneMedian());
        json.addProperty("turns_over_alone", entry.turnsOverAlone());
        json.addProperty("disturbed", entry.disturbed());
        json.add("alone_samples_ns", samples(entry.alone.nanos()));
        json.addProperty("cpu_after_median_ns", entry.cpuAfter());
        if (entry.memory == null) {
            json.addProperty("memory_not_known", entry.withoutMemory);
        } else {
            json.addProperty("vm_hwm_bytes", entry.memory.peakBytes());
            json.addProperty("rss_anon_bytes", entry.memory.anonymousBytes());
        }
        json.add("samples_ns", samples(entry.turns.nanos()));
        json.add("cpu_after_samples_ns", samples(entry.turns.cpuAfterNanos()));
        return json;
    }

    static JsonArray samples(double[] samples) {
        JsonArray array = new JsonArray();
        Arrays.stream(samples).forEach(s -> array.add(new JsonPrimitive((long) s)));
        return array;
    }
}
