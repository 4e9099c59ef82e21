package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/**
 * All processes that ran one model: what is judged, printed and kept.
 *
 * @param model its name
 * @param samples of each way, by round
 */
record FootprintResult(String model, Map<Way, List<Sample>> samples) {
    /** Of branches, each model and the geometric mean over all, in times of plain ONNX Runtime's. */
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

    double median(Way way, ToDoubleFunction<Sample> field) {
        return Statistics.median(samples.get(way).stream().mapToDouble(field).toArray());
    }

    /** Over plain ONNX Runtime's: the median of the rounds' ratios. */
    double ratio(Way way, ToDoubleFunction<Sample> field) {
        return Statistics.pairedRatio(samples.get(way).stream().mapToDouble(field).toArray(),
                samples.get(Way.ORT).stream().mapToDouble(field).toArray());
    }

    static double mean(List<FootprintResult> results, Way way, ToDoubleFunction<Sample> field) {
        return Math.exp(results.stream().mapToDouble(r -> Math.log(r.ratio(way, field))).average().orElse(0));
    }

    /** Whether all processes made the same of the same inputs. */
    boolean agrees(Way way) {
        return samples.get(way).stream().map(Sample::digest).allMatch(samples.get(Way.ORT).get(0).digest()::equals);
    }

    static List<String> misses(List<FootprintResult> results) {
        List<String> misses = new ArrayList<>();
        for (FootprintResult r : results) {
            miss(misses, r.model, "VmHWM", r.ratio(Way.BRANCHES, Sample::hwmBytes), MOST_HWM);
            miss(misses, r.model, "peak RssAnon", r.ratio(Way.BRANCHES, Sample::anonPeakBytes), MOST_ANON);
        }
        miss(misses, "all models, in the geometric mean,", "VmHWM", mean(results, Way.BRANCHES, Sample::hwmBytes),
                MOST_MEAN_HWM);
        miss(misses, "all models, in the geometric mean,", "peak RssAnon",
                mean(results, Way.BRANCHES, Sample::anonPeakBytes), MOST_MEAN_ANON);
        return misses;
    }

    private static void miss(List<String> misses, String what, String figure, double ratio, double most) {
        if (ratio > most) {
            misses.add(String.format(Locale.ROOT,
                    "MISSED: %s of %s (branches) is %.2f times plain ONNX Runtime's; at most %.2f", figure, what, ratio,
                    most));
        }
    }

    static String table(List<FootprintResult> results) {
        MarkdownTable table = new MarkdownTable("model", "ONNX Runtime: VmHWM, MB", "RssAnon", "whole: VmHWM", "RssAnon",
                "run", "branches: VmHWM", "RssAnon", "run", "arena, MB", "outputs");
        for (FootprintResult r : results) {
            table.row(r.model, megabytes(r.median(Way.ORT, Sample::hwmBytes)),
                    megabytes(r.median(Way.ORT, Sample::anonPeakBytes)),
                    number(r.ratio(Way.WHOLE, Sample::hwmBytes)), number(r.ratio(Way.WHOLE, Sample::anonPeakBytes)),
                    number(r.ratio(Way.WHOLE, Sample::medianMs)), number(r.ratio(Way.BRANCHES, Sample::hwmBytes)),
                    number(r.ratio(Way.BRANCHES, Sample::anonPeakBytes)),
                    number(r.ratio(Way.BRANCHES, Sample::medianMs)),
                    megabytes(r.median(Way.BRANCHES, Sample::arenaBytes)),
                    r.agrees(Way.WHOLE) && r.agrees(Way.BRANCHES) ? "equal" : "differ");
        }
        table.row("geometric mean", "", "", number(mean(results, Way.WHOLE, Sample::hwmBytes)),
                number(mean(results, Way.WHOLE, Sample::anonPeakBytes)),
                number(mean(results, Way.WHOLE, Sample::medianMs)),
                number(mean(results, Way.BRANCHES, Sample::hwmBytes)),
                number(mean(results, Way.BRANCHES, Sample::anonPeakBytes)),
                number(mean(results, Way.BRANCHES, Sample::medianMs)), "", "");
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
        for (Way way : Way.values()) {
            Map<String, Object> figures = new LinkedHashMap<>();
            figures.put("vm_hwm_bytes", longs(way, Sample::hwmBytes));
            figures.put("rss_anon_peak_bytes", longs(way, Sample::anonPeakBytes));
            figures.put("rss_anon_bytes", longs(way, Sample::anonBytes));
            figures.put("arena_high_water_bytes", longs(way, Sample::arenaBytes));
            figures.put("median_ms", samples.get(way).stream().map(Sample::medianMs).toList());
            figures.put("ready_ms", samples.get(way).stream().map(Sample::readyMs).toList());
            figures.put("outputs_equal", agrees(way));
            map.put(way.name().toLowerCase(Locale.ROOT), figures);
        }
        return map;
    }

    private List<Long> longs(Way way, ToLongFunction<Sample> field) {
        return samples.get(way).stream().map(field::applyAsLong).toList();
    }
}
