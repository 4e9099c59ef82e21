package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.parallax.Plan;
import dev.parallax.Rule;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * All that a suite measured: what is printed, judged and kept.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code result.misses(1.1)}.
 *
 * @param rule of table 3
 * @param models in their order
 * @param failed why other models have no figures, by name
 */
record SuiteResult(Rule rule, List<ModelResult> models, Map<String, String> failed) {
    /** The setting that sweeps start from. */
    static final String DEFAULT = "beta 1.5, margin 0.4, all threads";

    /**
     * What was measured of one model.
     *
     * @param name its name
     * @param sizes of its open dimensions; empty if there are none
     * @param latency table 3
     * @param layers table 6
     * @param structure table 7
     * @param sweep the default first; empty if the model is not swept
     */
    record ModelResult(String name, String sizes, BenchResult latency, LayerTimes layers, List<Structure> structure,
            List<Swept> sweep) {}

    /**
     * The graph at one stage.
     *
     * @param stage which
     * @param census by rule paper; all but parallel layers are the same by rule relaxed
     * @param relaxed parallel layers by rule relaxed
     * @param regions accepted delegate regions, each one of the nodes
     */
    record Structure(String stage, Plan.Census census, long relaxed, int regions) {}

    /** A setting of a sweep with its times in nanoseconds, by round. */
    record Swept(String setting, long parallelLayers, double[] samples) {}

    /** One line for each model whose best dataflow way takes too long. */
    List<String> misses(double target) {
        return models.stream().flatMap(m -> m.latency.verdict(target).stream().filter(v -> !v.met())
                .map(v -> m.name + ": " + v)).toList();
    }

    // ---- the report --------------------------------------------------------------------------------------------

    void print(PrintStream out) {
        summary(out);
        latency(out);
        costs(out);
        layers(out);
        structure(out);
        sweeps(out);
        if (!failed.isEmpty()) {
            out.println();
            out.println("## Not measured");
            out.println();
            failed.forEach((name, reason) -> out.println("- " + name + ": " + reason.replaceAll("\\R", "; ")));
        }
    }

    private void summary(PrintStream out) {
        out.println("## Summary");
        out.println();
        Text.Table table = new Text.Table("model", "way", ">units", ">parallel layers", ">overlapped",
                ">of baseline", "why nothing overlaps");
        for (ModelResult m : models) {
            for (BenchResult.Entry e : m.latency.ours()) {
                table.row(m.name, e.name(), e.side().units(), e.side().parallelLayers(), e.side().overlap(),
                        ratio(m.latency.ratio(e)), e.side().reason());
            }
        }
        table.printMarkdown(out);
        List<ModelResult> open = models.stream().filter(m -> !m.sizes.isEmpty()).toList();
        if (!open.isEmpty()) {
            out.println();
            out.println("Sizes of open dimensions: " + open.stream().map(m -> m.name + ": " + m.sizes)
                    .collect(Collectors.joining("; ")) + ".");
        }
    }

    private void latency(PrintStream out) {
        out.println();
        out.println("## Table 3: latency");
        out.println();
        List<String> headers = new ArrayList<>(List.of("model", "ONNX Runtime at its best", ">median"));
        List<String> ways = models.stream().findFirst()
                .map(m -> m.latency.ours().stream().map(BenchResult.Entry::name).toList()).orElse(List.of());
        ways.forEach(w -> headers.add(">" + w));
        Text.Table table = new Text.Table(headers.toArray(String[]::new));
        for (ModelResult m : models) {
            List<Object> row = new ArrayList<>(List.of(m.name, m.latency.baseline().name(),
                    Text.nanos(m.latency.baseline().median())));
            m.latency.ours().forEach(e ->
                    row.add(Text.nanos(e.median()) + " (" + ratio(m.latency.ratio(e)) + ")"));
            table.row(row.toArray());
        }
        table.printMarkdown(out);
        out.println();
        out.println("Medians; in brackets the time over ONNX Runtime's, the median of the rounds' ratios. Rule "
                + rule.name().toLowerCase(Locale.ROOT) + ".");
    }

    /** What a latency comparison has to be read with. */
    private void costs(PrintStream out) {
        out.println();
        out.println("## Memory, and times by turns over times alone");
        out.println();
        Text.Table table = new Text.Table("model", "way", ">peak memory", ">anonymous", ">turns/alone", ">CPU after");
        for (ModelResult m : models) {
            for (BenchResult.Entry e : m.latency.entries()) {
                table.row(m.name, e == m.latency.baseline() ? "ONNX Runtime, " + e.name() : e.name(), e.peakMemory(),
                        e.anonymousMemory(), ratio(e.turnsOverAlone()) + (e.disturbed() ? " (!)" : ""),
                        Text.nanos(e.cpuAfter()));
            }
        }
        table.printMarkdown(out);
        out.println();
        out.println("Memory is that of a fresh process each, Java's included. (!): by turns and alone differ by more "
                + "than 3 %, so the machine was busy, or the ways disturb each other.");
    }

    private void layers(PrintStream out) {
        out.println();
        out.println("## Table 6: layers, policy paper against sequential");
        out.println();
        Text.Table table = new Text.Table("model", "layers of", ">layers", ">paper", ">sequential", ">ratio");
        for (ModelResult m : models) {
            for (LayerTimes.Kind kind : LayerTimes.Kind.values()) {
                boolean any = m.layers.any(kind);
                table.row(m.name, kind == LayerTimes.Kind.PARALLEL ? "of them parallel" : kind,
                        m.layers.layers().get(kind), any ? Text.nanos(m.layers.paperMedian(kind)) : "-",
                        any ? Text.nanos(m.layers.sequentialMedian(kind)) : "-",
                        any ? ratio(m.layers.ratio(kind)) : "-");
            }
        }
        table.printMarkdown(out);
        out.println();
        out.println("Rule relaxed, cut branches, the same plan by both policies. A layer's time is that in which at "
                + "least one of its units ran; medians of " + BenchSuite.FEW_ROUNDS + " rounds, ratios are medians of "
                + "the rounds' ratios.");
    }

    private void structure(PrintStream out) {
        out.println();
        List<String> names = models.stream().findFirst()
                .map(m -> m.structure.stream().map(Structure::stage).toList()).orElse(List.of());
        out.println("## Table 7: structure, " + String.join(" / ", names));
        out.println();
        Text.Table table = new Text.Table("model", ">nodes", ">layers", ">parallel layers, rule paper",
                ">rule relaxed", ">most branches", ">regions");
        for (ModelResult m : models) {
            table.row(m.name, stages(m, s -> s.census.nodes()), stages(m, s -> s.census.layers()),
                    stages(m, s -> s.census.parallelLayers()), stages(m, Structure::relaxed),
                    stages(m, s -> s.census.mostBranches()), stages(m, s -> (long) s.regions));
        }
        table.printMarkdown(out);
        out.println();
        out.println("Delegated is planned only, for the built-in gpu declaration by the paper's thresholds. All on a "
                + "device is all that the first device here takes, whatever it costs; it is counted, not run. A region "
                + "counts as one node. All stages but the first are cut from the graph as ONNX Runtime optimised it.");
    }

    private interface Figure {
        long of(Structure structure);
    }

    private static String stages(ModelResult model, Figure figure) {
        return model.structure.stream().map(s -> String.valueOf(figure.of(s))).collect(Collectors.joining(" / "));
    }

    private void sweeps(PrintStream out) {
        out.println();
        out.println("## Sweeps: branches/paper by beta, margin and threads");
        out.println();
        Text.Table table = new Text.Table("model", "setting", ">parallel layers", ">median", ">of the default");
        for (ModelResult m : models) {
            for (Swept s : m.sweep) {
                table.row(m.name, s.setting, s.parallelLayers, Text.nanos(Timing.median(s.samples)),
                        ratio(BenchResult.pairedRatio(s.samples, m.sweep.getFirst().samples)));
            }
        }
        table.printMarkdown(out);
        out.println();
        out.println("Rule relaxed, one value at a time; medians of " + BenchSuite.FEW_ROUNDS
                + " rounds by turns after 1 warm-up. The margin decides only where free memory is scarce.");
    }

    private static String ratio(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }

    // ---- what is kept ------------------------------------------------------------------------------------------

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        JsonArray list = new JsonArray();
        for (ModelResult m : models) {
            JsonObject model = new JsonObject();
            model.addProperty("model", m.name);
            model.addProperty("sizes", m.sizes);
            model.add("latency", m.latency.toJson());
            model.add("layers", m.layers.toJson());
            JsonArray stages = new JsonArray();
            m.structure.forEach(s -> stages.add(toJson(s)));
            model.add("structure", stages);
            JsonArray sweep = new JsonArray();
            m.sweep.forEach(s -> sweep.add(toJson(s)));
            model.add("sweep", sweep);
            list.add(model);
        }
        json.add("models", list);
        JsonObject reasons = new JsonObject();
        failed.forEach(reasons::addProperty);
        json.add("failed", reasons);
        return json;
    }

    private static JsonObject toJson(Structure structure) {
        JsonObject json = new JsonObject();
        json.addProperty("stage", structure.stage);
        json.addProperty("nodes", structure.census.nodes());
        json.addProperty("branches", structure.census.branches());
        json.addProperty("layers", structure.census.layers());
        json.addProperty("parallel_layers_paper", structure.census.parallelLayers());
        json.addProperty("parallel_layers_relaxed", structure.relaxed);
        json.addProperty("most_branches", structure.census.mostBranches());
        json.addProperty("regions", structure.regions);
        return json;
    }

    private static JsonObject toJson(Swept swept) {
        JsonObject json = new JsonObject();
        json.addProperty("setting", swept.setting);
        json.addProperty("parallel_layers", swept.parallelLayers);
        json.addProperty("median_ns", Timing.median(swept.samples));
        json.add("samples_ns", BenchResult.samples(swept.samples));
        return json;
    }
}
