package dev.parallax.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * All runs of the model of {@link BranchesModel}: what is judged, printed and kept.
 *
 * @param entries by {@link BranchesWay#ordinal()}
 */
record BranchesResult(List<Entry> entries) {
    /** Half is the ideal for two threads; the split, the sum and hand-overs come on top. */
    static final double LIMIT = 0.60;

    /**
     * One way's runs.
     *
     * @param units units of its plan
     * @param together how many branches may run together, for each group of them in each parallel layer of its plan
     * @param nanos time of each round's run
     * @param overlapNs likewise, for how long of it at least two units ran
     */
    record Entry(int units, List<Integer> together, double[] nanos, double[] overlapNs) {}

    Entry of(BranchesWay way) {
        return entries.get(way.ordinal());
    }

    /** Time over that of one thread: the median of the rounds' ratios. This is what is judged. */
    double ratio(BranchesWay way) {
        return Statistics.pairedRatio(of(way).nanos, of(BranchesWay.SEQUENTIAL).nanos);
    }

    /** One line per target missed. */
    List<String> misses() {
        List<String> misses = new ArrayList<>();
        for (BranchesWay way : BranchesWay.values()) {
            if (!way.sideBySide()) {
                continue;
            }
            if (!(ratio(way) <= LIMIT)) {
                misses.add(String.format(Locale.ROOT,
                        "MISSED: a run (%s) takes %.2f times the time of one thread; at most %.2f", way.title,
                        ratio(way), LIMIT));
            }
            if (!(Arrays.stream(of(way).overlapNs).max().orElse(0) > 0)) {
                misses.add("MISSED: in no run (" + way.title + ") did two units run at the same time");
            }
            if (!of(way).together.equals(List.of(BranchesModel.BRANCHES))) {
                misses.add("MISSED: the plan (" + way.title + ") has parallel layers of " + of(way).together
                        + " branches; one of " + BranchesModel.BRANCHES + " is expected");
            }
        }
        return misses;
    }

    String table() {
        MarkdownTable table = new MarkdownTable("one run", "ms", "of one thread", "units", "parallel layers",
                "overlapped, ms");
        for (BranchesWay way : BranchesWay.values()) {
            Entry entry = of(way);
            boolean missed = way.sideBySide() && !(ratio(way) <= LIMIT);
            table.row(way.title, number("%.2f", Statistics.median(entry.nanos) / 1e6),
                    number("%.2f", ratio(way)) + (missed ? " (!)" : ""), entry.units, layers(entry.together),
                    number("%.2f", Statistics.median(entry.overlapNs) / 1e6));
        }
        return table.toString();
    }

    /** {@code 1 of 6 branches}, which is the right answer. */
    private static String layers(List<Integer> together) {
        return together.isEmpty() ? "0" : together.size() == 1 ? "1 of " + together.getFirst() + " branches"
                : together.size() + " of " + together + " branches";
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        for (BranchesWay way : BranchesWay.values()) {
            Entry entry = of(way);
            Map<String, Object> content = new LinkedHashMap<>();
            content.put("units", entry.units);
            content.put("branches_together", entry.together);
            content.put("run_ns", entry.nanos);
            content.put("overlap_ns", entry.overlapNs);
            content.put("ratio", ratio(way));
            if (way.sideBySide()) {
                content.put("limit", LIMIT);
            }
            map.put(way.name().toLowerCase(Locale.ROOT), content);
        }
        return map;
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
