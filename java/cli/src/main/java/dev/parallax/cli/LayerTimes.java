package dev.parallax.cli;

import com.google.gson.JsonObject;
import dev.parallax.Plan;
import dev.parallax.RunReport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The paper's table 6 for one model: how long layers took by policy paper, and the same layers by policy sequential.
 *
 * <p>A layer's time is the time in which at least one of its units ran. For units one after the other that is the sum
 * of their times; the sum of units side by side would count the same moment twice.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code LayerTimes.of(plan, paper, sequential).ratio(Kind.SEVERAL)}.
 *
 * @param layers how many there are, by kind
 * @param paper nanoseconds by kind and round
 * @param sequential likewise
 */
record LayerTimes(Map<Kind, Integer> layers, Map<Kind, double[]> paper, Map<Kind, double[]> sequential) {
    /** Kinds of layers. */
    enum Kind {
        /** Of several branches. */
        SEVERAL("several branches"),
        /** Of several branches that may run together: some of the above. */
        PARALLEL("parallel"),
        /** Of one branch. */
        ONE("one branch");

        private final String text;

        Kind(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    /** From the reports of the same rounds by both policies, for one plan. */
    static LayerTimes of(Plan plan, List<RunReport> paper, List<RunReport> sequential) {
        List<Set<Kind>> kinds = plan.layers().stream().map(LayerTimes::kinds).toList();
        List<Integer> layerOfUnit = plan.units().stream().map(Plan.Unit::layer).toList();
        Map<Kind, Integer> counts = new LinkedHashMap<>();
        for (Kind kind : Kind.values()) {
            counts.put(kind, (int) kinds.stream().filter(k -> k.contains(kind)).count());
        }
        return new LayerTimes(counts, byKind(kinds, layerOfUnit, paper), byKind(kinds, layerOfUnit, sequential));
    }

    static Set<Kind> kinds(Plan.Layer layer) {
        return layer.branches().size() < 2 ? EnumSet.of(Kind.ONE)
                : layer.parallel() ? EnumSet.of(Kind.SEVERAL, Kind.PARALLEL) : EnumSet.of(Kind.SEVERAL);
    }

    private static Map<Kind, double[]> byKind(List<Set<Kind>> kinds, List<Integer> layerOfUnit,
            List<RunReport> reports) {
        Map<Kind, double[]> times = new LinkedHashMap<>();
        for (Kind kind : Kind.values()) {
            times.put(kind, new double[reports.size()]);
        }
        for (int round = 0; round < reports.size(); round++) {
            for (Map.Entry<Integer, Long> layer : busy(reports.get(round).units(), layerOfUnit).entrySet()) {
                for (Kind kind : kinds.get(layer.getKey())) {
                    times.get(kind)[round] += layer.getValue();
                }
            }
        }
        return times;
    }

    /** By layer, how long at least one of its units ran; units of no single layer are left out. */
    static Map<Integer, Long> busy(List<RunReport.UnitRun> runs, List<Integer> layerOfUnit) {
        Map<Integer, List<RunReport.UnitRun>> byLayer = new HashMap<>();
        for (RunReport.UnitRun run : runs) {
            int layer = layerOfUnit.get(run.unit());
            if (layer >= 0) {
                byLayer.computeIfAbsent(layer, _ -> new ArrayList<>()).add(run);
            }
        }
        Map<Integer, Long> busy = new HashMap<>();
        byLayer.forEach((layer, own) -> {
            own.sort(Comparator.comparingLong(RunReport.UnitRun::startNs));
            long sum = 0;
            long until = Long.MIN_VALUE;
            for (RunReport.UnitRun run : own) {
                sum += Math.max(0, run.endNs() - Math.max(until, run.startNs()));
                until = Math.max(until, run.endNs());
            }
            busy.put(layer, sum);
        });
        return busy;
    }

    double paperMedian(Kind kind) {
        return Timing.median(paper.get(kind));
    }

    double sequentialMedian(Kind kind) {
        return Timing.median(sequential.get(kind));
    }

    /** Whether there is any time to compare: there may be no such layers, or nothing but views in them. */
    boolean any(Kind kind) {
        return paperMedian(kind) > 0 && sequentialMedian(kind) > 0;
    }

    /** Paper over sequential, the median of the rounds' ratios. */
    double ratio(Kind kind) {
        return BenchResult.pairedRatio(paper.get(kind), sequential.get(kind));
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        for (Kind kind : Kind.values()) {
            JsonObject one = new JsonObject();
            one.addProperty("layers", layers.get(kind));
            if (any(kind)) {
                one.addProperty("ratio", ratio(kind));
            }
            one.addProperty("paper_median_ns", paperMedian(kind));
            one.addProperty("sequential_median_ns", sequentialMedian(kind));
            one.add("paper_samples_ns", BenchResult.samples(paper.get(kind)));
            one.add("sequential_samples_ns", BenchResult.samples(sequential.get(kind)));
            json.add(kind.text.replace(' ', '_'), one);
        }
        return json;
    }
}
