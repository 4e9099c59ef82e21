package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * All runs of one model in one way: what is judged, printed and kept.
 *
 * @param model its name
 * @param way how it was cut and scheduled
 * @param units units of its plan
 * @param sizing per new shape, nanoseconds of bookkeeping in its first two runs
 * @param ours per new shape, its first, second and third run
 * @param plain the same runs of plain ONNX Runtime
 * @param back per return to a shape seen before, nanoseconds of bookkeeping; empty if the model has but one shape
 * @param changed likewise, the run
 * @param same likewise, the next run: at the same shape, but in other memory too
 */
record ShapeResult(String model, ShapeWay way, int units, double[] sizing, double[][] ours, double[][] plain,
        double[] back, double[] changed, double[] same) {
    /** Most milliseconds of bookkeeping for a new shape. */
    static final double NEW_LIMIT_MS = 2;
    /** Most milliseconds of bookkeeping for a shape seen before: as much as nothing beside a run. */
    static final double SEEN_LIMIT_MS = 0.1;
    /** Most times of a run at the same shape that a run at another known one may take; noise is some hundredths. */
    static final double SEEN_LIMIT = 1.1;

    double newMillis() {
        return Statistics.median(sizing) / 1e6;
    }

    double seenMillis() {
        return back.length == 0 ? 0 : Statistics.median(back) / 1e6;
    }

    double seenRatio() {
        return back.length == 0 ? 1 : Statistics.pairedRatio(changed, same);
    }

    /** One line per target missed. */
    static List<String> misses(List<ShapeResult> results) {
        List<String> misses = new ArrayList<>();
        for (ShapeResult r : results) {
            String of = r.model + " (" + r.way.title + ")";
            if (!(r.newMillis() <= NEW_LIMIT_MS)) {
                misses.add(String.format(Locale.ROOT, "MISSED: a new shape of %s takes %.2f ms to size; at most %.1f",
                        of, r.newMillis(), NEW_LIMIT_MS));
            }
            if (!(r.seenMillis() <= SEEN_LIMIT_MS)) {
                misses.add(String.format(Locale.ROOT,
                        "MISSED: a shape of %s seen before takes %.2f ms of bookkeeping; at most %.1f", of,
                        r.seenMillis(), SEEN_LIMIT_MS));
            }
            if (!(r.seenRatio() <= SEEN_LIMIT)) {
                misses.add(String.format(Locale.ROOT, "MISSED: a run of %s after a change to a shape seen before takes"
                        + " %.2f times a run without; at most %.1f", of, r.seenRatio(), SEEN_LIMIT));
            }
        }
        return misses;
    }

    static String table(List<ShapeResult> results) {
        MarkdownTable table = new MarkdownTable("model, cut", "units", "sizing, ms", "first run, ms", "second", "third",
                "ONNX Runtime: first", "second", "third", "seen before, ms", "run there");
        for (ShapeResult r : results) {
            table.row(r.model + ", " + r.way.title, r.units,
                    number("%.2f", r.newMillis()) + (r.newMillis() <= NEW_LIMIT_MS ? "" : " (!)"),
                    run(r.ours, 0), run(r.ours, 1), run(r.ours, 2), run(r.plain, 0), run(r.plain, 1), run(r.plain, 2),
                    r.back.length == 0 ? "-" : number("%.3f", r.seenMillis())
                            + (r.seenMillis() <= SEEN_LIMIT_MS ? "" : " (!)"),
                    r.back.length == 0 ? "-" : number("%.2f", r.seenRatio())
                            + (r.seenRatio() <= SEEN_LIMIT ? "" : " (!)"));
        }
        return table.toString();
    }

    private static String run(double[][] runs, int which) {
        double[] nanos = new double[runs.length];
        for (int i = 0; i < nanos.length; i++) {
            nanos[i] = runs[i][which];
        }
        return number("%.1f", Statistics.median(nanos) / 1e6);
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("model", model);
        map.put("way", way.title);
        map.put("units", units);
        map.put("sizing_ns", sizing);
        map.put("run_ns", ours);
        map.put("onnxruntime_run_ns", plain);
        map.put("seen_sizing_ns", back);
        map.put("seen_run_ns", changed);
        map.put("same_run_ns", same);
        return map;
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
