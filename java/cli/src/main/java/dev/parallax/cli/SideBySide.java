package dev.parallax.cli;

import com.google.gson.JsonObject;
import dev.parallax.Plan;
import dev.parallax.Rule;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.Trace;
import dev.parallax.Units;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToLongFunction;

/**
 * How much of a way of running a model is in parallel: what its plan allows, what its runs did, and why there was
 * nothing where there was nothing.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code SideBySide.of(session, way, 2).reason()}.
 *
 * @param units how many there are
 * @param parallelLayers layers of which the plan lets branches run together
 * @param narrowUnits units that ran on one thread though there were more
 * @param overlapNs how long at least two units ran at once: the median of {@link #RUNS} runs
 * @param spanNs from the first start to the last end: the median of the same runs
 * @param reason why nothing overlapped; empty if something did
 * @param trace of the last of these runs
 */
record SideBySide(int units, long parallelLayers, int narrowUnits, double overlapNs, double spanNs, String reason,
        Trace trace) {
    /** One run's overlap is a matter of chance where units are short. */
    static final int RUNS = 5;

    /** Runs the session, which has run before, and reads its reports. */
    static SideBySide of(Session session, BenchWay way, int threads) {
        List<RunReport> reports = new ArrayList<>();
        for (int i = 0; i < RUNS; i++) {
            session.run();
            reports.add(session.report());
        }
        Plan plan = session.plan();
        RunReport last = reports.getLast();
        int narrow = threads < 2 ? 0 : (int) last.units().stream().filter(u -> u.threads() == 1).count();
        double overlap = median(reports, RunReport::overlapNs);
        return new SideBySide(plan.unitCount(), plan.census().parallelLayers(), narrow, overlap,
                median(reports, RunReport::spanNs), overlap > 0 ? "" : reason(plan, way, threads, narrow),
                Trace.of(plan, last));
    }

    private static double median(List<RunReport> reports, ToLongFunction<RunReport> what) {
        return Timing.median(reports.stream().mapToDouble(r -> what.applyAsLong(r)).toArray());
    }

    private static String reason(Plan plan, BenchWay way, int threads, int narrow) {
        if (plan.cut() == Units.WHOLE) {
            return "one unit for the whole graph";
        }
        if (threads < 2) {
            return "there is one thread";
        }
        if (plan.cut() == Units.MIXED && plan.units().stream().allMatch(Plan.Unit::wide)) {
            return measured(plan.units());
        }
        if (plan.unitCount() < 2) {
            return "the cut has one unit";
        }
        if (way.policyName().equals("sequential")) {
            return "policy sequential runs one unit after the other";
        }
        if (way.policyName().equals("paper") && plan.cut() == Units.LAYERS) {
            return "a unit is a whole layer, and layers run one after the other";
        }
        if (way.policyName().equals("paper") && plan.cut() != Units.MIXED && plan.census().parallelLayers() == 0) {
            return layers(plan.layers(), plan.branches(), plan.rule(), plan.minNodes(), plan.beta());
        }
        if (narrow > 0) {
            return Text.count(narrow, "narrow unit") + ", but in most runs no two of them met";
        }
        return way.policyName().equals("paper") ? "the units that may run together do not fit the free memory together"
                : "no unit has enough work beside it: each takes all threads";
    }

    /** What was measured for a mixed cut that has wide units only. */
    static String measured(List<Plan.Unit> units) {
        double wide = units.stream().mapToDouble(Plan.Unit::wideNs).sum();
        double narrow = units.stream().mapToDouble(Plan.Unit::narrowNs).sum();
        return "measured: no range of layers is faster side by side (all nodes take " + Text.nanos(wide)
                + " on all threads, " + Text.nanos(narrow) + " on one)";
    }

    /** Why none of the layers is parallel, counted; each is counted under the first obstacle that the rule names. */
    static String layers(List<Plan.Layer> layers, List<Plan.Branch> branches, Rule rule, int minNodes, double beta) {
        int one = 0;
        int shortOnes = 0;
        int idle = 0;
        int apart = 0;
        for (Plan.Layer layer : layers) {
            List<Plan.Branch> own = layer.branches().stream().map(branches::get).toList();
            long longEnough = own.stream().filter(b -> b.nodes().size() >= minNodes).count();
            long working = own.stream().filter(b -> b.nodes().size() >= minNodes && b.flops() > 0).count();
            // To the letter one short branch spoils its layer; the relaxed rule sets it aside and needs two others.
            long needed = rule == Rule.PAPER ? own.size() : 2;
            if (own.size() == 1) {
                one++;
            } else if (longEnough < needed) {
                shortOnes++;
            } else if (working < needed) {
                idle++;
            } else {
                apart++;
            }
        }
        boolean paper = rule == Rule.PAPER;
        List<String> parts = new ArrayList<>();
        add(parts, one, "one branch");
        add(parts, shortOnes, (paper ? "branches of fewer than " : "fewer than two branches of at least ") + minNodes
                + " nodes");
        add(parts, idle, paper ? "branches without counted FLOPs" : "fewer than two of them with counted FLOPs");
        add(parts, apart, (paper ? "" : "no two ") + "branches " + (paper ? "over " : "within ") + beta
                + (paper ? " times apart in FLOPs" : " times of each other in FLOPs"));
        return "no layer is parallel under rule " + rule.name().toLowerCase(Locale.ROOT) + ": "
                + String.join(", ", parts);
    }

    private static void add(List<String> parts, int count, String what) {
        if (count > 0) {
            parts.add((parts.isEmpty() ? Text.count(count, "layer") : String.valueOf(count))
                    + (count == 1 ? " has " : " have ") + what);
        }
    }

    /** Adds these figures to a way's. */
    void addTo(JsonObject json) {
        json.addProperty("units", units);
        json.addProperty("parallel_layers", parallelLayers);
        json.addProperty("narrow_units", narrowUnits);
        json.addProperty("overlap_ns", overlapNs);
        json.addProperty("span_ns", spanNs);
        if (!reason.isEmpty()) {
            json.addProperty("no_overlap", reason);
        }
    }

    /** Such as "1.2 ms of 8.0 ms"; "never" if nothing overlapped. */
    String overlap() {
        return overlapNs == 0 ? "never" : Text.nanos(overlapNs) + " of " + Text.nanos(spanNs);
    }
}
