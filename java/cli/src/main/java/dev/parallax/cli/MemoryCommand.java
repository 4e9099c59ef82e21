package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.parallax.Engine;
import dev.parallax.MemoryMap;
import dev.parallax.Model;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code plx memory}: what a model takes, estimated and measured, branch by branch, and a picture of it. */
@Command(name = "memory", mixinStandardHelpOptions = true,
        description = {"Shows what a model takes in memory: estimated and measured, branch by branch and in all, beside a "
            + "buffer for each tensor, the lower bound, and plain ONNX Runtime."})
final class MemoryCommand implements Callable<Integer> {
    /** The layout is made in the second run; from the third on nothing changes any more. */
    private static final int RUNS = 4;
    private static final int SHOWN_BRANCHES = 12;

    private final Console console;

    @Mixin
    private ModelArguments model;

    @Option(names = "--units", paramLabel = "CUT", defaultValue = "branches",
            converter = ModelArguments.UnitsConverter.class,
            description = "How fine the cut is: whole, layers, branches (default), nodes or mixed (measured first).")
    private Units units;

    @Option(names = "--svg", paramLabel = "FILE",
            description = "Draw there what lies where and when: time across, bytes up, a rectangle for each buffer.")
    private Path svg;

    @Option(names = "--all", description = "List every branch, not only the largest " + SHOWN_BRANCHES + ".")
    private boolean all;

    @Option(names = "--no-processes",
            description = "Do not start the two processes that tell what each engine takes as a whole.")
    private boolean noProcesses;

    @Option(names = "--json", paramLabel = "FILE", description = "Write everything there.")
    private Path json;

    @Option(names = "--fresh", hidden = true, description = "Only run, and tell what the process takes.")
    private boolean fresh;

    MemoryCommand(Console console) {
        this.console = console;
    }

    /** A row of the table: units of one branch. */
    private record Row(MemoryMap.BranchArena arena, int units, long measured) {}

    @Override
    public Integer call() {
        Console.checkWritable(svg, "--svg");
        Console.checkWritable(json, "--json");
        Console.checkWritable(model.trace, "--trace");
        Machine machine = new Machine(Path.of("/"));
        try (Arena arena = Arena.ofShared(); Engine engine = model.engine()) {
            long before = machine.processMemory("RssAnon").orElse(0L);
            try (Model loaded = model.load(engine)) {
                Inputs inputs = model.inputs(loaded, arena);
                try (Session session = loaded.session(model.session(model.plan(units, inputs.resolved()).build()))) {
                    Runs.bind(session, inputs.values());
                    for (int i = 0; i < RUNS; i++) {
                        session.run();
                    }
                    if (fresh) {
                        console.out().println(FreshProcess.memoryLine(machine));
                        return 0;
                    }
                    long growth = machine.processMemory("RssAnon").orElse(0L) - before;
                    inputs.print(console.out());
                    report(session, inputs, growth, engine.info().threads());
                }
            }
        }
        return 0;
    }

    private void report(Session session, Inputs inputs, long growth, int threads) {
        PrintStream out = console.out();
        RunReport report = session.report();
        MemoryMap map = session.memoryMap();
        out.println();
        out.println(model.name() + ": " + session.plan().units().size() + " units by "
                + ModelArguments.UnitsConverter.text(units) + ", policy "
                + ModelArguments.PolicyConverter.text(model.policy) + ", " + Text.count(threads, "thread"));
        out.println();
        totals(report, growth).print(out, "");
        out.println();
        List<Row> rows = rows(map, report);
        branches(out, rows);
        Map<String, FreshProcess.Memory> processes = new LinkedHashMap<>();
        if (!noProcesses) {
            out.println();
            processes(out, processes, inputs, threads);
        }
        if (svg != null) {
            console.writeText(svg, map.toSvg());
            out.println();
            out.println("Picture: " + svg);
        }
        model.writeTrace(console, session);
        if (json != null) {
            console.writeJson(json, toJson(report, map, rows, growth, processes, threads));
        }
    }

    private Text.Table totals(RunReport report, long growth) {
        long planned = report.plannedBytes();
        Text.Table table = new Text.Table("tensors and temporaries", ">bytes", "");
        table.row("a buffer each", Text.bytes(report.oneBufferPerTensorBytes()), "");
        table.row("planned", Text.bytes(planned), report.oneBufferPerTensorBytes() == 0 ? ""
                : percent(planned, report.oneBufferPerTensorBytes()) + " of that" + (report.unitsElided() == 0 ? ""
                        : "; " + Text.count(report.unitsElided(), "unit") + " had nothing to copy"));
        table.row("lower bound", Text.bytes(report.lowerBoundBytes()), report.lowerBoundBytes() == 0 ? ""
                : String.format(Locale.ROOT, "planned is %.2f times it", (double) planned / report.lowerBoundBytes()));
        table.row("mapped now", Text.bytes(report.arenaBytes()), Text.bytes(report.budget().highWaterBytes())
                + " at most" + (report.budget().limitBytes() == 0 ? "" : " of a budget of "
                + Text.bytes(report.budget().limitBytes())));
        table.row("", "", "");
        table.row("packed weights", Text.bytes(report.sessionsBytes()), "and what else ONNX Runtime's sessions hold, "
                + "outside the budget"
                + (model.cache == null ? "" : "; " + Text.bytes(report.cache().bytes()) + " more in files"));
        table.row("outside our allocator", Text.bytes(outside(report, growth)),
                "what else the process grew by (RssAnon): ONNX Runtime's small blocks, and Java's");
        return table;
    }

    private static long outside(RunReport report, long growth) {
        return Math.max(0, growth - report.arenaBytes() - report.sessionsBytes());
    }

    private static String percent(long part, long whole) {
        return String.format(Locale.ROOT, "%.1f %%", 100.0 * part / whole);
    }

    /** The largest first. */
    private static List<Row> rows(MemoryMap map, RunReport report) {
        Map<Integer, Long> measured = new HashMap<>();
        Map<Integer, Integer> counts = new HashMap<>();
        for (RunReport.UnitRun run : report.units()) {
            int branch = map.plan().units().get(run.unit()).branch();
            measured.merge(branch, run.bytes() + run.memoryBytes(), Math::max);
            counts.merge(branch, 1, Integer::sum);
        }
        return map.arenas().stream().map(a -> new Row(a, counts.getOrDefault(a.branch(), 0),
                measured.getOrDefault(a.branch(), 0L))).sorted(Comparator.comparingLong(Row::measured).reversed()).toList();
    }

    private void branches(PrintStream out, List<Row> rows) {
        Text.Table table = new Text.Table("arena", ">units", ">buffers", ">estimated", ">measured", ">ratio", ">in use",
                ">a buffer each");
        List<Row> shown = all ? rows : rows.subList(0, Math.min(SHOWN_BRANCHES, rows.size()));
        for (Row row : shown) {
            table.row(row.arena().name(), row.units(), row.arena().buffers().size(),
                    Text.bytes(row.arena().estimatedBytes()), Text.bytes(row.measured()), ratio(row),
                    Text.bytes(row.arena().highWaterBytes()), Text.bytes(row.arena().capacityBytes()));
        }
        table.print(out, "");
        if (shown.size() < rows.size()) {
            out.println("and " + (rows.size() - shown.size()) + " smaller ones; --all lists them");
        }
        out.println("Estimated and measured: the most that one of its units takes while it runs, its outputs included. "
                + "In use: the most of its buffers at one time.");
    }

    private static String ratio(Row row) {
        return row.arena().estimatedBytes() == 0 ? ""
                : String.format(Locale.ROOT, "%.2f", (double) row.measured() / row.arena().estimatedBytes());
    }

    private void processes(PrintStream out, Map<String, FreshProcess.Memory> processes, Inputs inputs, int threads) {
        if (inputs.values().values().stream().anyMatch(v -> !(v instanceof Tensor))) {
            out.println("No processes were started: plain ONNX Runtime is only given tensors here.");
            return;
        }
        List<String> common = Bench.freshArguments(model, inputs, threads);
        List<String> theirs = new ArrayList<>(common);
        theirs.addAll(List.of("--fresh", String.valueOf(RUNS), "--baseline", OrtSetting.all(threads).getFirst().name()));
        List<String> ours = new ArrayList<>(common);
        ours.set(0, "memory");
        ours.addAll(List.of("--fresh", "--units", ModelArguments.UnitsConverter.text(units), "--policy",
                ModelArguments.PolicyConverter.text(model.policy), "--memory-budget",
                ModelArguments.BudgetConverter.text(model.memoryBudget)));
        ours.addAll(List.of("--prepack", ModelArguments.PrepackConverter.text(model.prepack)));
        if (model.cache != null) {
            ours.addAll(List.of("--cache", model.cache.toString()));
        }
        Text.Table table = new Text.Table("a process each, Java's memory included", ">VmHWM", ">RssAnon");
        Map<String, List<String>> asked = new LinkedHashMap<>();
        asked.put("plain ONNX Runtime", theirs);
        asked.put("Parallax", ours);
        asked.forEach((name, arguments) -> {
            try {
                FreshProcess.Memory memory = FreshProcess.run(arguments);
                processes.put(name, memory);
                table.row(name, Text.bytes(memory.peakBytes()), Text.bytes(memory.anonymousBytes()));
            } catch (BadInputException e) {
                table.row(name + ": " + e.getMessage(), "", "");
            }
        });
        table.print(out, "");
        out.println("VmHWM: the most it held, pages of mapped files included; RssAnon: what no file backs, at its end.");
    }

    private JsonObject toJson(RunReport report, MemoryMap map, List<Row> rows, long growth,
            Map<String, FreshProcess.Memory> processes, int threads) {
        JsonObject o = new JsonObject();
        o.addProperty("model", model.path.toString());
        o.addProperty("units", ModelArguments.UnitsConverter.text(units));
        o.addProperty("policy", ModelArguments.PolicyConverter.text(model.policy));
        o.addProperty("threads", threads);
        o.addProperty("one_buffer_per_tensor_bytes", report.oneBufferPerTensorBytes());
        o.addProperty("planned_bytes", report.plannedBytes());
        o.addProperty("lower_bound_bytes", report.lowerBoundBytes());
        o.addProperty("units_elided", report.unitsElided());
        o.addProperty("mapped_bytes", report.arenaBytes());
        o.addProperty("most_mapped_bytes", report.budget().highWaterBytes());
        o.addProperty("memory_budget_bytes", report.budget().limitBytes());
        o.addProperty("sessions_bytes", report.sessionsBytes());
        o.addProperty("packed_weights_in_files_bytes", report.cache().bytes());
        o.addProperty("rss_anon_growth_bytes", growth);
        o.addProperty("outside_our_allocator_bytes", outside(report, growth));
        JsonArray arenas = new JsonArray();
        for (Row row : rows) {
            JsonObject arena = new JsonObject();
            arena.addProperty("branch", row.arena().branch());
            arena.addProperty("units", row.units());
            arena.addProperty("estimated_bytes", row.arena().estimatedBytes());
            arena.addProperty("measured_bytes", row.measured());
            arena.addProperty("in_use_bytes", row.arena().highWaterBytes());
            arena.addProperty("one_buffer_each_bytes", row.arena().capacityBytes());
            arenas.add(arena);
        }
        o.add("arenas", arenas);
        JsonArray buffers = new JsonArray();
        for (MemoryMap.Buffer buffer : map.buffers()) {
            JsonObject b = new JsonObject();
            b.addProperty("kind", buffer.kind().name().toLowerCase(Locale.ROOT));
            b.addProperty("name", buffer.name());
            b.addProperty("unit", buffer.unit());
            b.addProperty("first", buffer.first());
            b.addProperty("last", buffer.last());
            b.addProperty("offset", buffer.offset());
            b.addProperty("bytes", buffer.bytes());
            buffers.add(b);
        }
        o.add("buffers", buffers);
        JsonObject measured = new JsonObject();
        processes.forEach((name, memory) -> {
            JsonObject m = new JsonObject();
            m.addProperty("vm_hwm_bytes", memory.peakBytes());
            m.addProperty("rss_anon_bytes", memory.anonymousBytes());
            measured.add(name.equals("Parallax") ? "parallax" : "onnxruntime", m);
        });
        o.add("processes", measured);
        return o;
    }
}
