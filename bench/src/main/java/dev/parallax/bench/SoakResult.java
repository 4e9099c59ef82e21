package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * One way's memory.
 *
 * @param way what was done
 * @param settled cycles before the first look
 * @param cycles all of them
 * @param before resident anonymous memory in bytes then
 * @param after the same at the end
 * @param seconds how long it all took
 */
record SoakResult(SoakWay way, int settled, int cycles, long before, long after, double seconds) {
    /** Most times of the memory at the first look. */
    static final double LIMIT = 1.02;

    double ratio() {
        return (double) after / before;
    }

    /** Bytes that a cycle has left behind, on average. */
    long bytesPerCycle() {
        return (after - before) / (cycles - settled);
    }

    /** One line per target missed. */
    static List<String> misses(List<SoakResult> results) {
        List<String> misses = new ArrayList<>();
        for (SoakResult r : results) {
            if (!(r.ratio() <= LIMIT)) {
                misses.add(String.format(Locale.ROOT, "MISSED: after %d cycles (%s) memory is %.3f times that after %d;"
                        + " at most %.2f", r.cycles, r.way.title, r.ratio(), r.settled, LIMIT));
            }
        }
        return misses;
    }

    static String table(List<SoakResult> results) {
        MarkdownTable table = new MarkdownTable("every cycle", "cycles", "MB at first look", "MB at the end", "ratio",
                "bytes a cycle", "seconds");
        for (SoakResult r : results) {
            table.row(r.way.title, r.settled + " to " + r.cycles, number("%.1f", r.before / 1e6),
                    number("%.1f", r.after / 1e6), number("%.3f", r.ratio()) + (r.ratio() <= LIMIT ? "" : " (!)"),
                    r.bytesPerCycle(), number("%.0f", r.seconds));
        }
        return table.toString();
    }

    /** For the result file. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("way", way.title);
        map.put("settled", settled);
        map.put("cycles", cycles);
        map.put("before_bytes", before);
        map.put("after_bytes", after);
        map.put("ratio", ratio());
        map.put("limit", LIMIT);
        map.put("seconds", seconds);
        return map;
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
