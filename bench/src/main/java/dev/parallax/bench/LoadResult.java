package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * All loads of one model: what is judged, printed and kept.
 *
 * @param model its name
 * @param samples by {@link Way#ordinal()}, then by round
 */
record LoadResult(String model, List<List<Loader.Sample>> samples) {
    /** The median time to a ready session, in milliseconds. */
    double medianMillis(Way way) {
        return Statistics.median(values(way, Loader.Sample::readyNs)) / 1e6;
    }

    /** Time to a ready session over plain ONNX Runtime's: the median of the rounds' ratios. This is what is judged. */
    double ratio(Way way) {
        return Statistics.pairedRatio(values(way, Loader.Sample::readyNs), values(Way.ORT, Loader.Sample::readyNs));
    }

    /** The same of processor time, which tells work from waiting for a busy machine, and counts both cores. */
    double cpuRatio(Way way) {
        return Statistics.pairedRatio(values(way, Loader.Sample::cpuNs), values(Way.ORT, Loader.Sample::cpuNs));
    }

    boolean meets(Way way) {
        return ratio(way) <= way.limit;
    }

    /** One line per target missed. */
    static List<String> misses(List<LoadResult> results) {
        List<String> misses = new ArrayList<>();
        for (LoadResult result : results) {
            for (Way way : Way.values()) {
                if (!result.meets(way)) {
                    misses.add(String.format(Locale.ROOT,
                            "MISSED: loading %s (%s) takes %.2f times plain ONNX Runtime's time; at most %.1f",
                            result.model, way.title, result.ratio(way), way.limit));
                }
            }
        }
        return misses;
    }

    static String table(List<LoadResult> results) {
        MarkdownTable table = new MarkdownTable("model", "ONNX Runtime, ms", "whole, ms", "ratio", "of CPU time",
                "branches, ms", "ratio", "of CPU time");
        for (LoadResult r : results) {
            table.row(r.model, number("%.1f", r.medianMillis(Way.ORT)),
                    number("%.1f", r.medianMillis(Way.WHOLE)), mark(r, Way.WHOLE),
                    number("%.2f", r.cpuRatio(Way.WHOLE)),
                    number("%.1f", r.medianMillis(Way.BRANCHES)), mark(r, Way.BRANCHES),
                    number("%.2f", r.cpuRatio(Way.BRANCHES)));
        }
        return table.toString();
    }

    private static String mark(LoadResult result, Way way) {
        return number("%.2f", result.ratio(way)) + (result.meets(way) ? "" : " (!)");
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("model", model);
        for (Way way : Way.values()) {
            Map<String, Object> times = new LinkedHashMap<>();
            times.put("ready_ns", samples.get(way.ordinal()).stream().map(Loader.Sample::readyNs).toList());
            times.put("cpu_ns", samples.get(way.ordinal()).stream().map(Loader.Sample::cpuNs).toList());
            times.put("close_ns", samples.get(way.ordinal()).stream().map(Loader.Sample::closeNs).toList());
            if (way != Way.ORT) {
                times.put("ratio", ratio(way));
                times.put("limit", way.limit);
            }
            map.put(way.name().toLowerCase(Locale.ROOT), times);
        }
        return map;
    }

    private double[] values(Way way, ToLongFunction<Loader.Sample> what) {
        return samples.get(way.ordinal()).stream().mapToDouble(what::applyAsLong).toArray();
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
