package dev.parallax.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * One model on one emulated device and the CPU.
 *
 * @param model its name
 * @param device the device's
 * @param placement which of its regions the device runs
 * @param cpuThreads the CPU's beside it
 * @param regions how many could be the device's
 * @param plain each round's run of plain ONNX Runtime on all cores
 * @param inTurn each round's run with device and CPU in turn, in pairs with the others
 * @param dataflow each round's run with both at once
 * @param both how long both were at work in each of these
 * @param units what units take in turn
 * @param requests of a stream
 * @param streamInTurn each round's stream, one request after the other, in turn
 * @param streams each round's stream with so many requests in progress, by that number
 */
record CoExecutionResult(String model, String device, Placement placement, int cpuThreads, int regions, double[] plain,
        double[] inTurn, double[] dataflow, double[] both, UnitTimes units, int requests, double[] streamInTurn,
        Map<Integer, double[]> streams) {
    /** A run may take so many times the least that the units' times allow. */
    static final double OVER_BOUND = 1.10;
    /** What a stream has to gain where both sides have as much to do. */
    static final double STREAM = 1.8;

    /** What part of the time is saved by working at once. */
    double reduction() {
        return 1 - Statistics.pairedRatio(dataflow, inTurn);
    }

    /** The most that could be. */
    double mostReduction() {
        return 1 - units.boundNs() / Statistics.median(inTurn);
    }

    double overBound() {
        return Statistics.median(dataflow) / units.boundNs();
    }

    /** How many times as many requests, with so many in progress. */
    double gain(int depth) {
        return Statistics.pairedRatio(streamInTurn, streams.get(depth));
    }

    double bestGain() {
        return streams.keySet().stream().mapToDouble(this::gain).max().orElse(Double.NaN);
    }

    double mostGain() {
        return Statistics.median(streamInTurn) / requests / units.streamBoundNs();
    }

    List<String> misses() {
        List<String> misses = new ArrayList<>();
        String who = "MISSED: " + model + " on " + device + ", emulated, placed " + placement.title + ", ";
        if (!(overBound() <= OVER_BOUND)) {
            misses.add(who + number("takes %.2f times", overBound()) + number(" the least possible; at most %.2f", OVER_BOUND));
        }
        if (units.balanced() && !(bestGain() >= STREAM)) {
            misses.add(who + number("is balanced, and a stream gains %.2f times;", bestGain())
                    + number(" at least %.2f", STREAM));
        }
        return misses;
    }

    /** Of all; where nothing was balanced, what streams gain has not been shown. */
    static List<String> misses(List<CoExecutionResult> results) {
        List<String> misses = new ArrayList<>(results.stream().flatMap(r -> r.misses().stream()).toList());
        if (results.stream().noneMatch(r -> r.units.balanced())) {
            misses.add("MISSED: no device was as busy as the CPU, so that nothing says what a stream gains");
        }
        return misses;
    }

    static String singleTable(List<CoExecutionResult> results) {
        MarkdownTable table = new MarkdownTable("one request, emulated", "device", "placed", "regions there", "plain ORT, ms",
                "device busy, ms", "CPU busy, ms", "in turn, ms", "at once, ms", "saved", "most possible",
                "of the bound", "both at work, ms");
        for (CoExecutionResult r : results) {
            table.row(r.model, r.device, r.placement.title, r.units.deviceUnits() + " of " + r.regions, ms(Statistics.median(r.plain)), ms(r.units.deviceNs()),
                    ms(r.units.cpuNs()), ms(Statistics.median(r.inTurn)), ms(Statistics.median(r.dataflow)),
                    percent(r.reduction()), percent(r.mostReduction()),
                    number("%.2f", r.overBound()) + (r.overBound() <= OVER_BOUND ? "" : " (!)"),
                    ms(Statistics.median(r.both)));
        }
        return table.toString();
    }

    static String streamTable(List<CoExecutionResult> results) {
        List<String> headers = new ArrayList<>(List.of("a stream, emulated", "device", "placed", "in turn, ms a request"));
        List<Integer> depths = List.copyOf(results.getFirst().streams.keySet());
        depths.forEach(depth -> headers.addAll(List.of("depth " + depth + ", ms", "times")));
        headers.addAll(List.of("most possible", "balanced"));
        MarkdownTable table = new MarkdownTable(headers.toArray(String[]::new));
        for (CoExecutionResult r : results) {
            List<Object> cells = new ArrayList<>(List.of(r.model, r.device, r.placement.title,
                    ms(Statistics.median(r.streamInTurn) / r.requests)));
            for (int depth : depths) {
                cells.add(ms(Statistics.median(r.streams.get(depth)) / r.requests));
                cells.add(number("%.2f", r.gain(depth)));
            }
            boolean missed = r.units.balanced() && !(r.bestGain() >= STREAM);
            cells.add(number("%.2f", r.mostGain()));
            cells.add((r.units.balanced() ? "yes" : "no") + (missed ? " (!)" : ""));
            table.row(cells.toArray());
        }
        return table.toString();
    }

    /** For the result file: every sample. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("model", model);
        map.put("device", device);
        map.put("emulated", true);
        map.put("placement", placement.name().toLowerCase(Locale.ROOT));
        map.put("cpu_threads", cpuThreads);
        map.put("regions", regions);
        map.put("plain_ns", plain);
        map.put("in_turn_ns", inTurn);
        map.put("dataflow_ns", dataflow);
        map.put("both_at_work_ns", both);
        map.put("unit_ns", units.nanos());
        map.put("unit_on_device", units.onDevice());
        map.put("device_busy_ns", units.deviceNs());
        map.put("cpu_busy_ns", units.cpuNs());
        map.put("bound_ns", units.boundNs());
        map.put("reduction", reduction());
        map.put("of_bound", overBound());
        map.put("requests", requests);
        map.put("stream_in_turn_ns", streamInTurn);
        Map<String, Object> byDepth = new LinkedHashMap<>();
        streams.forEach((depth, nanos) -> byDepth.put(String.valueOf(depth), Map.of("ns", nanos, "gain", gain(depth))));
        map.put("streams", byDepth);
        map.put("balanced", units.balanced());
        return map;
    }

    private static String ms(double nanos) {
        return number("%.2f", nanos / 1e6);
    }

    private static String percent(double share) {
        return number("%.0f %%", 100 * share);
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
