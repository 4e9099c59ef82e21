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
 * @param storage where its weights lie
 * @param samples of each way, by round
 * @param cold of each way, with the model's files out of the page cache
 * @param time of runs with and without packed weights from files
 */
record FootprintResult(String model, Storage storage, Map<Engine, List<Sample>> samples, Map<Engine, Sample> cold,
        SavingsTime time) {
    /** What packed weights from files may cost in time. */
    private static final double MOST_TIME = 1.03;

    /** Where a model's weights lie, and what is asked of Parallax then, in times of plain ONNX Runtime's. */
    enum Storage {
        /** In a file beside the model, which ONNX Runtime maps, too. */
        BESIDE("weights beside", 1.00, 0.85, 0.60, 0.35),
        /** In the model's own file, of which ONNX Runtime makes copies. */
        INSIDE("one file", 0.75, 0.65, 0.60, 0.35);

        final String title;
        final double mostHwm;
        final double mostMeanHwm;
        final double mostAnon;
        final double mostMeanAnon;

        Storage(String title, double mostHwm, double mostMeanHwm, double mostAnon, double mostMeanAnon) {
            this.title = title;
            this.mostHwm = mostHwm;
            this.mostMeanHwm = mostMeanHwm;
            this.mostAnon = mostAnon;
            this.mostMeanAnon = mostMeanAnon;
        }
    }

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

    /**
     * One process.
     *
     * @param hwmBytes most resident at once (VmHWM)
     * @param anonPeakBytes most resident at once that no file backs (RssAnon, looked at every millisecond)
     * @param anonBytes RssAnon at the end
     * @param medianMs a run
     * @param readyMs from the start to a session that is ready
     * @param growthBytes the most that RssAnon grew by in the runs
     * @param arenaBytes most that the session's arena had mapped
     * @param plannedBytes of its block
     * @param naiveBytes what that would take with a buffer each
     * @param digest of the outputs
     */
    record Sample(long hwmBytes, long anonPeakBytes, long anonBytes, double medianMs, double readyMs, long growthBytes,
            long arenaBytes, long plannedBytes, long naiveBytes, String digest) {}

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

    /** Of branches with packed weights from files: each model, and the geometric mean over all that lie alike. */
    static List<String> misses(List<FootprintResult> results) {
        List<String> misses = new ArrayList<>();
        for (Storage storage : Storage.values()) {
            List<FootprintResult> alike = results.stream().filter(r -> r.storage == storage).toList();
            if (alike.isEmpty()) {
                continue;
            }
            for (FootprintResult r : alike) {
                String what = r.model + ", " + storage.title;
                miss(misses, what, "VmHWM", r.ratio(Engine.CACHED, Sample::hwmBytes), storage.mostHwm);
                miss(misses, what, "peak RssAnon", r.ratio(Engine.CACHED, Sample::anonPeakBytes), storage.mostAnon);
                if (r.time.ratio() > MOST_TIME) {
                    misses.add(String.format(Locale.ROOT, "MISSED: a run of %s by branches with packed weights from files takes"
                            + " %.3f times one without; at most %.2f", what, r.time.ratio(), MOST_TIME));
                }
            }
            String what = "all models, " + storage.title + ", in the geometric mean";
            miss(misses, what, "VmHWM", mean(alike, Engine.CACHED, Sample::hwmBytes), storage.mostMeanHwm);
            miss(misses, what, "peak RssAnon", mean(alike, Engine.CACHED, Sample::anonPeakBytes), storage.mostMeanAnon);
        }
        return misses;
    }

    private static void miss(List<String> misses, String what, String figure, double ratio, double most) {
        if (ratio > most) {
            misses.add(String.format(Locale.ROOT,
                    "MISSED: %s of %s (branches, cached) is %.2f times plain ONNX Runtime's; at most %.2f", figure, what, ratio,
                    most));
        }
    }

    /** As the paper's table 4: peak memory in MB, and what of plain ONNX Runtime's that is. */
    static String table4(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "ONNX Runtime", "Parallax, whole", "branches", "branches, cached",
                "of ONNX Runtime's");
        for (FootprintResult r : results) {
            table.row(r.model, megabytes(r.median(Engine.ORT, Sample::hwmBytes)),
                    megabytes(r.median(Engine.WHOLE, Sample::hwmBytes)),
                    megabytes(r.median(Engine.BRANCHES, Sample::hwmBytes)),
                    megabytes(r.median(Engine.CACHED, Sample::hwmBytes)), number(r.ratio(Engine.CACHED, Sample::hwmBytes)));
        }
        return table.toString();
    }

    /** As the paper's table 5: arenas in MB. */
    static String table5(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "ONNX Runtime", "a buffer each", "Parallax, whole",
                "branches, planned", "of a buffer each", "of ONNX Runtime's");
        for (FootprintResult r : results) {
            double naive = r.median(Engine.BRANCHES, Sample::naiveBytes);
            double planned = r.median(Engine.BRANCHES, Sample::plannedBytes);
            double theirs = r.median(Engine.ORT, Sample::growthBytes);
            table.row(r.model, tenths(theirs), tenths(naive), tenths(r.median(Engine.WHOLE, Sample::plannedBytes)),
                    tenths(planned), number(naive == 0 ? 1 : planned / naive), number(theirs == 0 ? 1 : planned / theirs));
        }
        return table.toString();
    }

    private static String tenths(double bytes) {
        return String.format(Locale.ROOT, "%.1f", bytes / 1e6);
    }

    static String table(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "weights", "ONNX Runtime: VmHWM, MB", "RssAnon, MB", "whole: VmHWM",
                "RssAnon", "run", "branches: VmHWM", "RssAnon", "run", "cached: VmHWM", "RssAnon", "run", "ready",
                "run beside not cached", "arena, MB", "outputs");
        for (FootprintResult r : results) {
            List<String> row = new ArrayList<>(List.of(r.model, r.storage.title.replaceFirst("^weights ", ""),
                    megabytes(r.median(Engine.ORT, Sample::hwmBytes)),
                    megabytes(r.median(Engine.ORT, Sample::anonPeakBytes))));
            for (Engine engine : List.of(Engine.WHOLE, Engine.BRANCHES, Engine.CACHED)) {
                row.add(number(r.ratio(engine, Sample::hwmBytes)));
                row.add(number(r.ratio(engine, Sample::anonPeakBytes)));
                row.add(number(r.ratio(engine, Sample::medianMs)));
            }
            row.add(number(r.ratio(Engine.CACHED, Sample::readyMs)));
            row.add(String.format(Locale.ROOT, "%.3f", r.time.ratio()));
            row.add(megabytes(r.median(Engine.CACHED, Sample::arenaBytes)));
            row.add(Stream.of(Engine.values()).allMatch(r::agrees) ? "equal" : "differ");
            table.row(row.toArray());
        }
        for (Storage storage : Storage.values()) {
            List<FootprintResult> alike = results.stream().filter(r -> r.storage == storage).toList();
            if (alike.isEmpty()) {
                continue;
            }
            List<String> row = new ArrayList<>(List.of("geometric mean", storage.title.replaceFirst("^weights ", ""), "", ""));
            for (Engine engine : List.of(Engine.WHOLE, Engine.BRANCHES, Engine.CACHED)) {
                row.add(number(mean(alike, engine, Sample::hwmBytes)));
                row.add(number(mean(alike, engine, Sample::anonPeakBytes)));
                row.add(number(mean(alike, engine, Sample::medianMs)));
            }
            row.add(number(mean(alike, Engine.CACHED, Sample::readyMs)));
            row.add(String.format(Locale.ROOT, "%.3f",
                    Math.exp(alike.stream().mapToDouble(r -> Math.log(r.time.ratio())).average().orElse(0))));
            row.addAll(List.of("", ""));
            table.row(row.toArray());
        }
        return table.toString();
    }

    static String coldTable(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "weights", "ONNX Runtime: VmHWM, MB", "RssAnon, MB", "ready, ms",
                "branches: VmHWM", "RssAnon", "ready", "cached: VmHWM", "RssAnon", "ready");
        for (FootprintResult r : results) {
            Sample plain = r.cold.get(Engine.ORT);
            List<String> row = new ArrayList<>(List.of(r.model, r.storage.title.replaceFirst("^weights ", ""),
                    megabytes(plain.hwmBytes), megabytes(plain.anonPeakBytes), String.format(Locale.ROOT, "%.0f", plain.readyMs)));
            for (Engine engine : List.of(Engine.BRANCHES, Engine.CACHED)) {
                Sample ours = r.cold.get(engine);
                row.add(number((double) ours.hwmBytes / plain.hwmBytes));
                row.add(number((double) ours.anonPeakBytes / plain.anonPeakBytes));
                row.add(number(ours.readyMs / plain.readyMs));
            }
            table.row(row.toArray());
        }
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
        map.put("weights", storage.name().toLowerCase(Locale.ROOT));
        for (Engine engine : Engine.values()) {
            Map<String, Object> figures = new LinkedHashMap<>();
            figures.put("vm_hwm_bytes", longs(engine, Sample::hwmBytes));
            figures.put("rss_anon_peak_bytes", longs(engine, Sample::anonPeakBytes));
            figures.put("rss_anon_bytes", longs(engine, Sample::anonBytes));
            figures.put("rss_anon_growth_bytes", longs(engine, Sample::growthBytes));
            figures.put("arena_high_water_bytes", longs(engine, Sample::arenaBytes));
            figures.put("planned_bytes", longs(engine, Sample::plannedBytes));
            figures.put("one_buffer_per_tensor_bytes", longs(engine, Sample::naiveBytes));
            figures.put("median_ms", samples.get(engine).stream().map(Sample::medianMs).toList());
            figures.put("ready_ms", samples.get(engine).stream().map(Sample::readyMs).toList());
            figures.put("outputs_equal", agrees(engine));
            Sample of = cold.get(engine);
            figures.put("cold", Map.of("vm_hwm_bytes", of.hwmBytes, "rss_anon_peak_bytes", of.anonPeakBytes, "median_ms",
                    of.medianMs, "ready_ms", of.readyMs));
            map.put(engine.name().toLowerCase(Locale.ROOT), figures);
        }
        map.put("run_with_files_ms", time.withMs());
        map.put("run_without_files_ms", time.withoutMs());
        return map;
    }

    private List<Long> longs(Engine engine, ToLongFunction<Sample> field) {
        return samples.get(engine).stream().map(field::applyAsLong).toList();
    }
}
