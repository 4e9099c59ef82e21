package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.ParallaxException;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import dev.parallax.Value;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code plx compare}: runs plain ONNX Runtime and Parallax on the same inputs and says how far apart they are.
 *
 * <p>Every cut is made from the graph as ONNX Runtime's own passes leave it (level ALL, its default), and units keep
 * its kernels and prepacking, so on the CPU the outputs have to be the same bits; that is what is judged unless a
 * tolerance is given. Each cut is run at least twice and judged in its first and last run, since a first run learns
 * shapes that later ones rely on.
 */
@Command(name = "compare", mixinStandardHelpOptions = true,
        description = {"Runs plain ONNX Runtime and Parallax on the same inputs and compares the outputs.",
            "With a --device, by a tolerance of 1e-4 + 1e-3 * |theirs| (of what float16 numbers went into, 2e-3 + 4e-3 * |theirs|; "
                + "of what was rounded to int8 on the way, twice what plain ONNX Runtime changes by when its inputs do in "
                + "their last bit) unless another is given, and what was to run there has to.",
            "Exit status 0 if all agree, 1 if not, 2 on bad input."})
final class CompareCommand implements Callable<Integer> {
    private static final int WARM_UPS = 2;
    /** A device has kernels of its own. */
    private static final Tolerance.Bound ON_DEVICE = new Tolerance.Bound(1e-3, 1e-4);
    /**
     * Of outputs that float16 numbers went into, whatever their own type: a Cast to float32 at the end takes no rounding back.
     * Neighbours among those numbers are up to 2^-10 = 9.8e-4 of themselves apart, which the bound above just allows. The two
     * sides round at other places: ONNX Runtime's CPU works out most nodes in float32 and keeps that from node to node, a
     * device keeps float16. So four such steps of the result are allowed, and for results that came of larger numbers, as
     * after a subtraction, two of a number near 1.
     */
    private static final Tolerance.Bound ON_DEVICE_FLOAT16 = new Tolerance.Bound(4e-3, 2e-3);

    private final Console console;

    @Mixin
    private ModelArguments model;

    @Option(names = "--units", paramLabel = "CUT", defaultValue = "all",
            description = "How fine the cut is: whole, layers, branches, nodes, mixed (measured first), or all in "
                    + "turn (default).")
    private String units;

    @Mixin
    private Tolerance tolerance;

    @Option(names = "--runs", paramLabel = "K", defaultValue = "5",
            description = "Timed runs of each, by turns, after 2 warm-ups; 0 for none (default: 5).")
    private int runs;

    @Option(names = "--json", paramLabel = "FILE", description = "Write differences and times there.")
    private Path json;

    CompareCommand(Console console) {
        this.console = console;
    }

    /** What one cut gave. */
    private record Result(Units units, int count, double made, double firstRun, List<Comparison> outputs, Timing timing, OnDevice there) {}

    /** How much of a cut ran on the device in its last run, and what did not although it was to. */
    private record OnDevice(String kind, String name, int nodes, int allNodes, double flops, double allFlops,
            long deviceNs, long predictedNs, boolean measured,
            long copiedBytes, long fallbacks, String problem) {
        static OnDevice of(Session session) {
            RunReport report = session.report();
            if (report.device() == null) {
                return null;
            }
            int nodes = 0;
            double flops = 0;
            long ns = 0;
            long predicted = 0;
            long copied = 0;
            for (RunReport.UnitRun run : report.units()) {
                if (run.device().equals(report.device().kind())) {
                    Plan.Unit unit = session.plan().units().get(run.unit());
                    nodes += unit.nodes().size();
                    flops += unit.flops();
                    ns += run.deviceNs();
                    predicted += run.predictedNs();
                    copied += run.copiedBytes();
                }
            }
            return new OnDevice(report.device().kind(), report.device().name(), nodes, session.plan().nodes().size(), flops,
                    session.plan().units().stream().mapToDouble(Plan.Unit::flops).sum(), ns, predicted, session.plan().measured(), copied,
                    report.device().fallbacks(), report.device().problem());
        }

        boolean fellBack() {
            return fallbacks > 0 || !problem.isEmpty();
        }
    }

    @Override
    public Integer call() {
        List<Units> cuts = units.equals("all") && model.onDevice()
                ? List.of(Units.LAYERS, Units.BRANCHES, Units.NODES) // the others are the CPU's
                : units.equals("all") ? List.of(Units.values()) : List.of(new ModelArguments.UnitsConverter().convert(units));
        tolerance.check();
        if (runs < 0) {
            throw new BadInputException("--runs " + runs + " is negative; give 0 for no timing, or more");
        }
        Console.checkWritable(json, "--json");
        Console.checkWritable(model.trace, "--trace");
        if (model.trace != null && cuts.size() > 1) {
            throw new BadInputException("--trace shows one cut; name it with --units");
        }
        PrintStream out = console.out();
        List<Result> results = new ArrayList<>();
        try (Arena arena = Arena.ofShared(); Engine engine = model.engine(); Model loaded = model.load(engine)) {
            int threads = engine.info().threads();
            Inputs inputs = model.inputs(loaded, arena);
            try (Reference reference = Reference.load(model.path, threads)) {
                reference.bind(inputs.arrays());
                reference.run();
                Map<String, Value> expected = reference.values();
                if (model.onDevice() && tolerance.exact()) {
                    tolerance.orElse(ON_DEVICE, special(loaded, inputs, reference, expected));
                }
                out.println(model.name() + ": Parallax " + engine.info().parallax() + " (on ONNX Runtime "
                        + engine.info().onnxRuntime() + ") against plain ONNX Runtime " + Reference.version() + ", "
                        + Text.count(threads, "thread"));
                inputs.print(out);
                out.println(tolerance.exact()
                        ? "Judged bit for bit: same passes (level ALL), same prepacking, no overrides; each cut is "
                                + "made from that one optimised graph."
                        : "Judged by tolerance: |ours - theirs| <= " + new Tolerance.Bound(tolerance.relative(), tolerance.absolute())
                                + ".");
                loaded.outputs().stream().filter(o -> tolerance.special(o.name()) != null).forEach(o -> out.println(
                        "Of '" + o.name() + "', " + tolerance.special(o.name()).why() + ": " + tolerance.of(o.name()) + "."));
                for (Units cut : cuts) {
                    Result result = compare(loaded, inputs, cut, reference, expected);
                    results.add(result);
                    print(result);
                }
            }
        }
        long all = results.stream().mapToLong(r -> r.outputs.size()).sum();
        long bad = results.stream().flatMap(r -> r.outputs.stream()).filter(c -> !tolerance.agrees(c)).count();
        out.println();
        out.println(bad == 0 ? "All outputs agree." : bad + " of " + Text.count(all, "output") + " "
                + (bad == 1 ? "does" : "do") + " not agree.");
        boolean fellBack = results.stream().anyMatch(r -> r.there != null && r.there.fellBack());
        if (fellBack) {
            out.println("Not all that was to run on the device did.");
        }
        if (json != null) {
            console.writeJson(json, toJson(results, bad == 0));
        }
        return bad == 0 && !fellBack ? 0 : Main.NO;
    }

    /**
     * Outputs that the usual tolerance is too strict for. Runs the reference once more, on other inputs, if some are rounded to
     * int8 on the way; the given ones are bound again afterwards.
     */
    private static Map<String, Tolerance.Special> special(Model loaded, Inputs inputs, Reference reference,
            Map<String, Value> expected) {
        Plan plan = loaded.plan(PlanOptions.builder().units(Units.NODES).build());
        Set<String> halves = new HashSet<>();
        plan.tensors().stream().filter(t -> t.elementType() == ElementType.FLOAT16).forEach(t -> halves.add(t.name()));
        Set<String> ofHalves = reached(plan, halves, _ -> false);
        Set<String> ofInt8 = reached(plan, Set.of(), unit -> unit.nodes().stream()
                .anyMatch(n -> roundsToInt8(plan.nodes().get(n).operator())));
        Map<String, Tolerance.Special> special = new HashMap<>();
        ofHalves.forEach(name -> special.put(name,
                new Tolerance.Special(ON_DEVICE_FLOAT16, "which float16 numbers went into")));
        if (loaded.outputs().stream().anyMatch(o -> ofInt8.contains(o.name()))) {
            reference.bind(nextNumbers(inputs.arrays()));
            reference.run();
            Map<String, Value> other = reference.values();
            for (String name : other.keySet()) {
                Tolerance.Bound usual = ofHalves.contains(name) ? ON_DEVICE_FLOAT16 : ON_DEVICE;
                double change = Comparison.of(name, other.get(name), expected.get(name), 0, 0).maxAbsolute();
                if (ofInt8.contains(name) && Double.isFinite(change)) { // else its shape changes: nothing to allow for
                    special.put(name, new Tolerance.Special(
                            new Tolerance.Bound(usual.relative(), Math.max(usual.absolute(), 2 * change)),
                            "which was rounded to int8 on the way and in ONNX Runtime itself changes by up to "
                                    + Text.number(change) + " when the inputs do in their last bit"));
                }
            }
            reference.bind(inputs.arrays());
        }
        return special;
    }

    /** These values, and what units make that read from them or are the beginning of more. */
    private static Set<String> reached(Plan plan, Set<String> from, Predicate<Plan.Unit> begins) {
        Set<String> names = new HashSet<>(from);
        for (Plan.Unit unit : plan.units()) { // each after those that it reads from
            if (begins.test(unit) || unit.inputs().stream().anyMatch(names::contains)) {
                names.addAll(unit.outputs());
            }
        }
        return names;
    }

    /** QuantizeLinear and its kind: numbers that hardly differ become neighbours there, 1/255 of the range apart. */
    private static boolean roundsToInt8(String operator) {
        String name = operator.substring(operator.indexOf(':') + 1);
        return name.startsWith("QLinear") || name.startsWith("Quantize") || name.startsWith("DynamicQuantize");
    }

    /** The same with each float32 number's neighbour in its place. */
    private static Map<String, Tensor> nextNumbers(Map<String, Tensor> tensors) {
        Map<String, Tensor> all = new HashMap<>(tensors);
        all.replaceAll((_, tensor) -> {
            if (tensor.elementType() != ElementType.FLOAT32) {
                return tensor;
            }
            float[] numbers = tensor.toFloatArray();
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = Math.nextUp(numbers[i]);
            }
            return Tensor.of(numbers, tensor.shape());
        });
        return all;
    }

    private Result compare(Model loaded, Inputs inputs, Units cut, Reference reference, Map<String, Value> expected) {
        SessionOptions options = model.session(model.plan(cut, inputs.resolved()).build());
        long start = System.nanoTime();
        try (Session session = loaded.session(options)) {
            double made = System.nanoTime() - start;
            Runs.bind(session, inputs.arrays());
            start = System.nanoTime();
            session.run();
            double firstRun = System.nanoTime() - start;
            List<Comparison> first = compare(session, expected);
            Timing timing = null;
            if (runs > 0) {
                timing = Timing.measure(session::run, reference::run, WARM_UPS, runs);
            } else {
                session.run();
            }
            List<Comparison> last = compare(session, expected);
            List<Comparison> worse = new ArrayList<>();
            for (int i = 0; i < first.size(); i++) {
                worse.add(first.get(i).worse(last.get(i)));
            }
            model.writeTrace(console, session);
            return new Result(cut, session.plan().units().size(), made, firstRun, worse, timing, OnDevice.of(session));
        } catch (ParallaxException e) {
            throw new ParallaxException(e.code(), "units " + ModelArguments.UnitsConverter.text(cut) + ": "
                    + e.getMessage(), e);
        }
    }

    private List<Comparison> compare(Session session, Map<String, Value> expected) {
        return session.outputs().stream().map(o -> tolerance.compare(o.name(), session.outputValue(o.name()),
                expected.get(o.name()))).toList();
    }

    private void print(Result result) {
        PrintStream out = console.out();
        out.println();
        out.println("units " + ModelArguments.UnitsConverter.text(result.units) + ": "
                + Text.count(result.count, "unit")
                + ", made in " + Text.nanos(result.made) + ", first run " + Text.nanos(result.firstRun));
        Text.Table table = new Text.Table("output", "type and shape", ">largest absolute", ">largest relative", "");
        for (Comparison c : result.outputs) {
            table.row(c.name(), Values.brief(c.theirs()), Text.number(c.maxAbsolute()), Text.number(c.maxRelative()),
                    tolerance.verdict(c));
        }
        table.print(out, "  ");
        if (result.there != null) {
            OnDevice there = result.there;
            out.println(String.format(Locale.ROOT, "  on %s (%s): %d of %s, %.1f %% of the FLOPs, %s of the last run (predicted%s: %s), %s copied",
                    there.kind, there.name, there.nodes, Text.count(there.allNodes, "node"),
                    there.allFlops == 0 ? 0 : 100 * there.flops / there.allFlops, Text.nanos(there.deviceNs),
                    there.measured ? "" : " by the paper's constants, not by plx calibrate", Text.nanos(there.predictedNs), Text.bytes(there.copiedBytes)));
            if (there.fellBack()) {
                out.println("  the CPU ran what was to run there " + Text.count(there.fallbacks, "time") + ": " + there.problem);
            }
        }
        if (result.timing != null) {
            Timing t = result.timing;
            out.println(String.format(Locale.ROOT,
                    "  %.2f of plain ONNX Runtime's time: %s against %s (medians of %s by turns)",
                    t.ratio(), Text.nanos(t.ours()), Text.nanos(t.theirs()), Text.count(t.runs(), "run")));
        }
    }

    private JsonObject toJson(List<Result> results, boolean agree) {
        JsonObject all = new JsonObject();
        all.addProperty("model", model.path.toString());
        all.addProperty("judged", tolerance.exact() ? "bits" : "tolerance");
        all.addProperty("rtol", tolerance.relative());
        all.addProperty("atol", tolerance.absolute());
        all.addProperty("agree", agree);
        JsonArray cuts = new JsonArray();
        for (Result result : results) {
            JsonObject cut = new JsonObject();
            cut.addProperty("units", ModelArguments.UnitsConverter.text(result.units));
            cut.addProperty("unit_count", result.count);
            cut.addProperty("made_ns", (long) result.made);
            cut.addProperty("first_run_ns", (long) result.firstRun);
            if (result.timing != null) {
                cut.addProperty("parallax_ns", (long) result.timing.ours());
                cut.addProperty("onnxruntime_ns", (long) result.timing.theirs());
            }
            JsonArray outputs = new JsonArray();
            for (Comparison c : result.outputs) {
                JsonObject output = new JsonObject();
                output.addProperty("name", c.name());
                output.addProperty("parallax", c.ours());
                output.addProperty("onnxruntime", c.theirs());
                output.add("max_absolute", json(c.maxAbsolute()));
                output.add("max_relative", json(c.maxRelative()));
                output.addProperty("bit_equal", c.bitEqual());
                output.addProperty("rtol", tolerance.of(c.name()).relative());
                output.addProperty("atol", tolerance.of(c.name()).absolute());
                output.addProperty("agrees", tolerance.agrees(c));
                outputs.add(output);
            }
            if (result.there != null) {
                JsonObject there = new JsonObject();
                there.addProperty("kind", result.there.kind);
                there.addProperty("name", result.there.name);
                there.addProperty("nodes", result.there.nodes);
                there.addProperty("all_nodes", result.there.allNodes);
                there.addProperty("flops", result.there.flops);
                there.addProperty("all_flops", result.there.allFlops);
                there.addProperty("device_ns", result.there.deviceNs);
                there.addProperty("predicted_ns", result.there.predictedNs);
                there.addProperty("predicted_by", result.there.measured ? "measured rates" : "constants");
                there.addProperty("copied_bytes", result.there.copiedBytes);
                there.addProperty("fallbacks", result.there.fallbacks);
                there.addProperty("problem", result.there.problem);
                cut.add("device", there);
            }
            cut.add("outputs", outputs);
            cuts.add(cut);
        }
        all.add("cuts", cuts);
        return all;
    }

    /** JSON has no infinity: null stands for "cannot be said in numbers". */
    private static JsonElement json(double value) {
        return Double.isFinite(value) ? new JsonPrimitive(value) : JsonNull.INSTANCE;
    }
}
