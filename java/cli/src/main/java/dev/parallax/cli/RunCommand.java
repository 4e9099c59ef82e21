package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.parallax.ElementType;
import dev.parallax.Engine;
import dev.parallax.MemoryBudget;
import dev.parallax.Model;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.Tensor;
import dev.parallax.Units;
import dev.parallax.Value;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code plx run}: runs a model once or more and shows what came out. */
@Command(name = "run", mixinStandardHelpOptions = true, description = "Runs a model and shows what came out.")
final class RunCommand implements Callable<Integer> {
    private static final int SHOWN_VALUES = 4;
    private static final int SHOWN_UNITS = 8;

    private final Console console;

    @Mixin
    private ModelArguments model;

    @Option(names = "--units", paramLabel = "CUT", defaultValue = "whole",
            converter = ModelArguments.UnitsConverter.class,
            description = "How fine the cut is: whole (default), layers, branches, nodes, or mixed (measured first).")
    private Units units;

    @Option(names = "--runs", paramLabel = "K", defaultValue = "1", description = "How often to run (default: 1).")
    private int runs;

    @Option(names = "--output-dir", paramLabel = "DIR", description = "Write each output there as NAME.npy.")
    private Path outputDir;

    @Option(names = "--json", paramLabel = "FILE", description = "Write shapes, times and what ran there.")
    private Path json;

    RunCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        if (runs < 1) {
            throw new BadInputException("--runs " + runs + " is too few; give 1 or more");
        }
        if (outputDir != null) {
            Console.makeFolder(outputDir, "--output-dir");
        }
        Console.checkWritable(json, "--json");
        Console.checkWritable(model.trace, "--trace");
        try (Arena arena = Arena.ofShared(); Engine engine = model.engine(); Model loaded = model.load(engine)) {
            Inputs inputs = model.inputs(loaded, arena);
            inputs.print(console.out());
            try (Session session = loaded.session(model.session(model.plan(units, inputs.resolved()).build()))) {
                Runs.bind(session, inputs.values());
                double first = Timing.time(session::run);
                double[] times = new double[runs - 1];
                for (int i = 0; i < times.length; i++) {
                    times[i] = Timing.time(session::run);
                }
                report(session, first, times, engine.info().threads());
            }
        }
        return 0;
    }

    private void report(Session session, double first, double[] times, int threads) {
        Map<String, Value> outputs = Runs.values(session);
        console.out().println();
        Text.Table table = new Text.Table("output", "type", "shape", ">min", ">max", "first values");
        outputs.forEach((name, value) -> row(table, name, value));
        table.print(console.out(), "");
        console.out().println();
        String median = times.length == 0 ? "" : ", then " + Text.nanos(Timing.median(times)) + " (median of "
                + times.length + ")";
        console.out().println("Time: " + Text.nanos(first) + " for the first run" + median + ", "
                + Text.count(threads, "thread"));
        Runs.printReport(console.out(), session, SHOWN_UNITS, threads);
        if (model.memoryBudget != MemoryBudget.NONE) {
            RunReport.Budget budget = session.report().budget();
            console.out().println("Memory budget: " + Text.bytes(budget.highWaterBytes()) + " at most of "
                    + Text.bytes(budget.limitBytes())
                    + (budget.barriers() == 0 ? "" : ", kept by " + Text.count(budget.barriers(), "barrier"))
                    + (budget.reruns() == 0 ? "" : "; started over " + Text.count(budget.reruns(), "time"))
                    + (budget.moves() == 0 ? "" : "; moved " + Text.count(budget.moves(), "time")));
        }
        if (model.cache != null) {
            RunReport.Cache cache = session.report().cache();
            console.out().println("Packed weights: " + Text.count(cache.loaded(), "unit") + " from " + model.cache + ", "
                    + cache.stored() + " written there, " + Text.bytes(cache.bytes())
                    + (cache.problem().isEmpty() ? "" : "; the rest in memory: " + cache.problem()));
        }
        model.writeTrace(console, session);
        if (outputDir != null) {
            write(outputs);
        }
        if (json != null) {
            console.writeJson(json, toJson(session, outputs, first, times, threads));
        }
    }

    /** A line for a value, and one for each of the first tensors in it. */
    private static void row(Text.Table table, String name, Value value) {
        if (value instanceof Tensor tensor) {
            double[] range = range(tensor);
            table.row(name, tensor.elementType(), Text.shape(tensor.shape()),
                    range == null ? "" : Text.number(range[0]), range == null ? "" : Text.number(range[1]),
                    values(tensor));
            return;
        }
        Map<String, Tensor> parts = Values.tensors(name, value);
        String size = switch (value) {
            case Value.Sequence sequence -> Text.count(sequence.elements().size(), "element");
            case Value.Mapping map -> Text.count(map.keys().elementCount(), "key");
            default -> "";
        };
        table.row(name, Values.kind(value), size, "", "", parts.size() > SHOWN_VALUES ? "the first "
                + SHOWN_VALUES + " of " + parts.size() + " tensors below" : "");
        parts.entrySet().stream().limit(SHOWN_VALUES).forEach(part -> row(table, part.getKey(), part.getValue()));
    }

    /** Smallest and largest value, NaN if there is one; null if there is no such thing. */
    private static double[] range(Tensor tensor) {
        if (tensor.elementType() == ElementType.STRING || tensor.elementCount() == 0) {
            return null;
        }
        double[] values = tensor.toDoubleArray();
        return new double[] {Arrays.stream(values).min().orElseThrow(), Arrays.stream(values).max().orElseThrow()};
    }

    private static String values(Tensor tensor) {
        StringBuilder text = new StringBuilder();
        boolean strings = tensor.elementType() == ElementType.STRING;
        double[] numbers = strings ? new double[0] : tensor.toDoubleArray();
        int count = strings ? tensor.strings().size() : numbers.length;
        for (int i = 0; i < Math.min(count, SHOWN_VALUES); i++) {
            text.append(i > 0 ? " " : "").append(strings ? '"' + tensor.strings().get(i) + '"'
                    : Text.number(numbers[i]));
        }
        return text + (count > SHOWN_VALUES ? " ..." : count == 0 ? "(empty)" : "");
    }

    private void write(Map<String, Value> outputs) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        outputs.forEach((name, value) -> tensors.putAll(Values.tensors(name, value)));
        int number = 0;
        for (Map.Entry<String, Tensor> output : tensors.entrySet()) {
            // Names are the model's: only what is safe in a file name is kept, and the number keeps them apart.
            String safe = output.getKey().replaceAll("[^A-Za-z0-9._-]", "_").replaceFirst("^\\.", "_");
            boolean changed = !safe.equals(output.getKey()) || safe.isEmpty();
            Path file = outputDir.resolve((changed ? number + "-" : "") + safe + ".npy");
            Npy.write(file, output.getValue());
            console.out().println("Wrote " + file);
            number++;
        }
    }

    private static JsonObject toJson(String name, Value value) {
        JsonObject output = new JsonObject();
        output.addProperty("name", name);
        output.addProperty("type", Values.kind(value));
        if (value instanceof Tensor tensor) {
            JsonArray shape = new JsonArray();
            Arrays.stream(tensor.shape()).forEach(shape::add);
            output.add("shape", shape);
        } else {
            JsonArray tensors = new JsonArray();
            Values.tensors(name, value).forEach((part, tensor) -> tensors.add(toJson(part, tensor)));
            output.add("tensors", tensors);
        }
        return output;
    }

    private JsonObject toJson(Session session, Map<String, Value> outputs, double first, double[] times, int threads) {
        JsonObject all = new JsonObject();
        all.addProperty("model", model.path.toString());
        all.addProperty("units", ModelArguments.UnitsConverter.text(units));
        all.addProperty("threads", threads);
        all.addProperty("first_run_ns", (long) first);
        JsonArray later = new JsonArray();
        Arrays.stream(times).forEach(t -> later.add((long) t));
        all.add("later_runs_ns", later);
        JsonArray list = new JsonArray();
        outputs.forEach((name, value) -> list.add(toJson(name, value)));
        all.add("outputs", list);
        RunReport report = session.report();
        JsonArray ran = new JsonArray();
        for (RunReport.UnitRun run : report.units()) {
            JsonObject unit = new JsonObject();
            unit.addProperty("unit", run.unit());
            unit.addProperty("device", run.device());
            unit.addProperty("threads", run.threads() == 0 ? threads : run.threads());
            unit.addProperty("worker", run.worker());
            unit.addProperty("start_ns", run.startNs());
            unit.addProperty("end_ns", run.endNs());
            unit.addProperty("bytes", run.bytes());
            ran.add(unit);
        }
        all.add("ran", ran);
        all.addProperty("arena_bytes", report.arenaBytes());
        all.addProperty("planned_bytes", report.plannedBytes());
        all.addProperty("one_buffer_per_tensor_bytes", report.oneBufferPerTensorBytes());
        return all;
    }
}
