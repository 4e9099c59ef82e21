package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;

/**
 * All processes that ran one model: what is judged, printed and kept.
 *
 * @param model its name
 * @param samples of each way, by round
 */
record FootprintResult(String model, Map<Engine, List<Sample>> samples) {
    /** Who runs the model in a process. */
    enum Engine {
        /** Plain ONNX Runtime with its defaults: what the others are measured against. */
        ORT("ONNX Runtime"),
        /** Parallax, the whole graph as one unit. */
        WHOLE("whole"),
        /** Parallax, a unit per branch. */
        BRANCHES("branches"),
        /** The same, with packed weights from files that an earlier process has written. */
        CACHED("branches, cached");

        final String title;

        Engine(String title) {
            this.title = title;
        }
    }

    /** Of branches with packed weights from files, each model and the geometric mean over all, in times of plain ONNX Runtime's. */
    static final double MOST_HWM = 1.00;
    static final double MOST_MEAN_HWM = 0.85;
    static final double MOST_ANON = 0.60;
    static final double MOST_MEAN_ANON = 0.35;

    /**
     * One process.
     *
     * @param hwmBytes most resident at once (VmHWM)
     * @param anonPeakBytes most resident at once that no file backs (RssAnon, looked at every millisecond)
     * @param anonBytes RssAnon at the end
     * @param medianMs a run
     * @param readyMs from the start to a session that is ready
     * @param arenaBytes most that the session's arena had mapped
     * @param digest of the outputs
     */
    record Sample(long hwmBytes, long anonPeakBytes, long anonBytes, double medianMs, double readyMs, long arenaBytes,
            String digest) {}

    double median(Engine engine, ToDoubleFunction<Sample> field) {
        return Statistics.median(samples.get(engine).stream().mapToDouble(field).toArray());
    }

    /** Over plain ONNX Runtime's: the median of the rounds' ratios. */
    double ratio(Engine engine, ToDoubleFunction<Sample> field) {
        return Statistics.pairedRatio(samples.get(engine).stream().mapToDouble(field).toArray(),
                samples.get(Engine.ORT).stream().mapToDouble(field).toArray());
    }

    static double mean(List<FootprintResult> results, Engine engine, ToDoubleFunction<Sample> field) {
        return Math.exp(results.stream().mapToDouble(r -> Math.log(r.ratio(engine, field))).average().orElse(0));
    }

    /** Whether all processes made the same of the same inputs. */
    boolean agrees(Engine engine) {
        return samples.get(engine).stream().map(Sample::digest).allMatch(samples.get(Engine.ORT).get(0).digest()::equals);
    }

    static List<String> misses(List<FootprintResult> results) {
        List<String> misses = new ArrayList<>();
        for (FootprintResult r : results) {
            miss(misses, r.model, "VmHWM", r.ratio(Engine.CACHED, Sample::hwmBytes), MOST_HWM);
            miss(misses, r.model, "peak RssAnon", r.ratio(Engine.CACHED, Sample::anonPeakBytes), MOST_ANON);
        }
        miss(misses, "all models, in the geometric mean,", "VmHWM", mean(results, Engine.CACHED, Sample::hwmBytes),
                MOST_MEAN_HWM);
        miss(misses, "all models, in the geometric mean,", "peak RssAnon",
                mean(results, Engine.CACHED, Sample::anonPeakBytes), MOST_MEAN_ANON);
        return misses;
    }

    private static void miss(List<String> misses, String what, String figure, double ratio, double most) {
        if (ratio > most) {
            misses.add(String.format(Locale.ROOT,
                    "MISSED: %s of %s (branches, cached) is %.2f times plain ONNX Runtime's; at most %.2f", figure, what, ratio,
                    most));
        }
    }

    static String table(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "ONNX Runtime: VmHWM, MB", "RssAnon, MB", "whole: VmHWM",
                "RssAnon", "run", "branches: VmHWM", "RssAnon", "run", "cached: VmHWM", "RssAnon", "run", "ready",
                "arena, MB", "outputs");
        for (FootprintResult r : results) {
            List<String> row = new ArrayList<>(List.of(r.model, megabytes(r.median(Engine.ORT, Sample::hwmBytes)),
                    megabytes(r.median(Engine.ORT, Sample::anonPeakBytes))));
            for (Engine engine : List.of(Engine.WHOLE, Engine.BRANCHES, Engine.CACHED)) {
                row.add(number(r.ratio(engine, Sample::hwmBytes)));
                row.add(number(r.ratio(engine, Sample::anonPeakBytes)));
                row.add(number(r.ratio(engine, Sample::medianMs)));
            }
            row.add(number(r.ratio(Engine.CACHED, Sample::readyMs)));
            row.add(megabytes(r.median(Engine.CACHED, Sample::arenaBytes)));
            row.add(Stream.of(Engine.values()).allMatch(r::agrees) ? "equal" : "differ");
            table.row(row.toArray());
        }
        List<String> row = new ArrayList<>(List.of("geometric mean", "", ""));
        for (Engine engine : List.of(Engine.WHOLE, Engine.BRANCHES, Engine.CACHED)) {
            row.add(number(mean(results, engine, Sample::hwmBytes)));
            row.add(number(mean(results, engine, Sample::anonPeakBytes)));
            row.add(number(mean(results, engine, Sample::medianMs)));
        }
        row.add(number(mean(results, Engine.CACHED, Sample::readyMs)));
        row.addAll(List.of("", ""));
        table.row(row.toArray());
        return table.toString();
    }

    private static String megabytes(double bytes) {
        return String.format(Locale.ROOT, "%.0f", bytes / 1e6);
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("model", model);
        for (Engine engine : Engine.values()) {
            Map<String, Object> figures = new LinkedHashMap<>();
            figures.put("vm_hwm_bytes", longs(engine, Sample::hwmBytes));
            figures.put("rss_anon_peak_bytes", longs(engine, Sample::anonPeakBytes));
            figures.put("rss_anon_bytes", longs(engine, Sample::anonBytes));
            figures.put("arena_high_water_bytes", longs(engine, Sample::arenaBytes));
            figures.put("median_ms", samples.get(engine).stream().map(Sample::medianMs).toList());
            figures.put("ready_ms", samples.get(engine).stream().map(Sample::readyMs).toList());
            figures.put("outputs_equal", agrees(engine));
            map.put(engine.name().toLowerCase(Locale.ROOT), figures);
        }
        return map;
    }

    private List<Long> longs(Engine engine, ToLongFunction<Sample> field) {
        return samples.get(engine).stream().map(field::applyAsLong).toList();
    }
}
