package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Parallax;
import dev.parallax.Rule;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Versions;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code plx bench}: how fast a model runs with Parallax, beside plain ONNX Runtime at its best static setting, and in
 * how much memory.
 */
@Command(name = "bench", mixinStandardHelpOptions = true,
        description = {"Measures Parallax beside plain ONNX Runtime at its best setting on this machine.",
            "Exit status 0, 1 if outputs differ, --check finds the target missed or a suite cannot measure a model, "
            + "2 on bad input."})
final class BenchCommand implements Callable<Integer> {
    /** Fewer rounds decide nothing. */
    static final int FEWEST_ROUNDS = 20;

    private final Console console;

    @Mixin
    private ModelInput model;

    @Option(names = "--units", paramLabel = "CUT", split = ",",
            description = "Cuts to measure; repeatable (default: whole, branches, and mixed where there is "
                    + "such a cut).")
    private List<String> units = new ArrayList<>();

    @Option(names = "--policy", paramLabel = "NAME", split = ",",
            description = "Policies to measure them with; repeatable (default: sequential, paper and dataflow, those "
                    + "that there are; whole runs with one).")
    private List<String> policies = new ArrayList<>();

    @Option(names = "--rule", paramLabel = "RULE", defaultValue = "paper",
            converter = PlanCommand.RuleConverter.class,
            description = "When branches of a layer run together: paper (default), to the letter; or relaxed.")
    private Rule rule;

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "" + FEWEST_ROUNDS,
            description = "Timed rounds (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(names = "--warm-ups", paramLabel = "N", defaultValue = "5",
            description = "Untimed rounds before them (default: ${DEFAULT-VALUE}).")
    private int warmUps;

    @Option(names = "--baseline", paramLabel = "SETTING",
            description = "Take this setting of ONNX Runtime, such as 2-sequential-spin, instead of searching for the "
                    + "best one.")
    private String setting;

    @Mixin
    private Tolerance tolerance;

    @Option(names = "--check",
            description = "Exit with 1 if the best way with the policy " + BenchResult.JUDGED + " misses the target. "
                    + "Takes " + FEWEST_ROUNDS + " rounds or more.")
    private boolean check;

    @Option(names = "--target", paramLabel = "RATIO", defaultValue = "1.10",
            description = "The most time it may take, the baseline's being 1 (default: ${DEFAULT-VALUE}).")
    private double target;

    @Option(names = "--suite", paramLabel = "NAME",
            description = "paper: MODEL is a folder; writes the paper's tables 3, 6 and 7, sweeps and a summary for "
                    + "all its models as Markdown; --check judges each model. memory: likewise tables 4 and 5, from a "
                    + "clone of the project only (bench/footprint, which has options of its own).")
    private String suite;

    @Option(names = "--only", paramLabel = "NAME",
            description = "With --suite: this model of the folder; repeatable (default: all).")
    private List<String> only = new ArrayList<>();

    @Option(names = "--sweep", paramLabel = "NAME",
            description = "With --suite: sweep this model; repeatable (default: the first " + BenchSuite.SWEPT + ").")
    private List<String> sweeps = new ArrayList<>();

    @Option(names = "--json", paramLabel = "FILE", description = "Write every sample there.")
    private Path json;

    @Option(names = "--trace", paramLabel = "FILE",
            description = "Write when the units of a last run ran, and where, as Chrome trace events: of the best way "
                    + "with the policy " + BenchResult.JUDGED + ", or of the only way.")
    private Path trace;

    @Option(names = "--fresh", hidden = true,
            description = "What the command starts to measure memory: so many runs in one way, and nothing else.")
    private int fresh;

    @Option(names = "--partition", hidden = true, description = "With --fresh: the node partition file.")
    private Path partition;

    BenchCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        if (rounds < 1) {
            throw new BadInputException("--rounds " + rounds + " is too few; give 1 or more");
        }
        if (warmUps < 0) {
            throw new BadInputException("--warm-ups " + warmUps + " is negative; give 0 or more");
        }
        if (check && rounds < FEWEST_ROUNDS) {
            throw new BadInputException("--check takes --rounds " + FEWEST_ROUNDS + " or more, not " + rounds);
        }
        if (!(target > 0 && target < Double.POSITIVE_INFINITY)) {
            throw new BadInputException("--target " + target + " is no ratio; give a number > 0, such as 1.1");
        }
        tolerance.check();
        Console.checkWritable(json, "--json");
        Console.checkWritable(trace, "--trace");
        if (suite != null) {
            return measureSuite();
        }
        if (!only.isEmpty() || !sweeps.isEmpty()) {
            throw new BadInputException("--only and --sweep choose models of a suite; add --suite paper");
        }
        List<BenchWay> ways = BenchWay.choose(units, policies, rule);
        if (fresh > 0) {
            return runOnly(ways);
        }
        boolean anyJudged = ways.stream().anyMatch(w -> w.policyName().equals(BenchResult.JUDGED));
        if (check && !anyJudged) {
            throw new BadInputException("--check judges the policy " + BenchResult.JUDGED
                    + ", which is not among those to measure");
        }
        if (trace != null && ways.size() != 1 && !anyJudged) {
            throw new BadInputException("--trace takes the best way with the policy " + BenchResult.JUDGED
                    + ", which is not among those to measure, or the only way");
        }
        return measure(ways);
    }

    private int measure(List<BenchWay> ways) {
        PrintStream out = console.out();
        Machine machine = new Machine(Path.of("/"));
        Instant start = Instant.now();
        List<Double> load = machine.loadAverage(); // before we add to it
        BenchResult result;
        try (Arena arena = Arena.ofShared(); Engine engine = model.engine(); Model loaded = model.load(engine)) {
            Inputs inputs = model.inputs(loaded, arena);
            int threads = engine.info().threads();
            out.println(model.name() + ": Parallax beside plain ONNX Runtime " + Reference.version() + ", "
                    + Text.count(threads, "thread"));
            inputs.print(out);
            out.println();
            result = new Bench(console, warmUps, rounds, tolerance).measure(model, engine, loaded, inputs,
                    ways, setting);
        } catch (Bench.DisagreementException e) {
            out.println(e.getMessage());
            out.println("Nothing was timed: outputs are not those of plain ONNX Runtime.");
            return Main.NO;
        }
        result.print(out);
        Versions versions = Parallax.version();
        out.println();
        out.println("Medians of " + Text.count(rounds, "round") + " by turns after " + Text.count(warmUps, "warm-up")
                + "; ratios are medians of the rounds' ratios. Overlapped: how long two units or more ran at once, of "
                + "the time from the first start to the last end, medians of " + SideBySide.RUNS + " runs after "
                + "the rounds. Memory is that of a fresh process each, Java's included.");
        out.println(place(machine, load, versions));
        Optional<BenchResult.Verdict> verdict = result.verdict(target);
        verdict.ifPresent(v -> out.println("Target " + v + "."));
        if (trace != null) {
            BenchResult.Entry traced = result.best().orElseGet(() -> result.ours().getFirst());
            console.writeText(trace, traced.side().trace().toChromeJson());
            out.println("Trace of " + traced.name() + " in " + trace);
        }
        if (json != null) {
            JsonObject all = header(start, machine, load, versions);
            all.add("options", options(ways));
            all.add("result", result.toJson());
            console.writeJson(json, all);
        }
        return check && !verdict.orElseThrow().met() ? Main.NO : 0;
    }

    private static String place(Machine machine, List<Double> load, Versions versions) {
        return machine.processor() + ", " + Text.count(Runtime.getRuntime().availableProcessors(), "core")
                + ", load average " + load.stream().map(Object::toString).collect(Collectors.joining(" ")) + "; "
                + versions;
    }

    /** Many models in the same ways. */
    private int measureSuite() {
        if (!suite.equals("paper")) {
            throw new BadInputException("--suite " + suite + (suite.equals("memory")
                    ? " measures processes without a JVM: run ./plx bench --suite memory in a clone of the project"
                    : " is not known; there are paper and memory"));
        }
        if (!units.isEmpty() || !policies.isEmpty() || setting != null || trace != null || fresh > 0
                || !model.shapes.isEmpty() || !model.files.isEmpty()) {
            throw new BadInputException("--suite chooses cuts, policies, baseline and inputs itself, and writes no "
                    + "trace; leave --units, --policy, --baseline, --shape, --input and --trace out");
        }
        List<Path> models = BenchSuite.models(model.path, only);
        BenchSuite.checkNames("--sweep", sweeps, models);
        PrintStream out = console.out();
        Machine machine = new Machine(Path.of("/"));
        Instant start = Instant.now();
        List<Double> load = machine.loadAverage(); // before we add to it
        SuiteResult result = new BenchSuite(console, new Bench(console, warmUps, rounds, tolerance), model,
                rule, sweeps).measure(models);
        Versions versions = Parallax.version();
        out.println("# The paper's tables on this machine");
        out.println();
        out.println(place(machine, load, versions));
        out.println();
        out.println("Table 3 and the summary: " + Text.count(rounds, "round") + " by turns after "
                + Text.count(warmUps, "warm-up") + ", beside plain ONNX Runtime " + Reference.version()
                + " at the fastest of its settings; overlapped: medians of " + SideBySide.RUNS + " runs after them.");
        out.println();
        result.print(out);
        out.println();
        List<String> misses = result.misses(target);
        misses.forEach(m -> out.println("Target " + m + "."));
        if (misses.isEmpty() && !result.models().isEmpty()) {
            out.println("Target met by every model measured: the best way with the policy " + BenchResult.JUDGED
                    + " takes at most " + target + " times the baseline's time.");
        }
        if (json != null) {
            JsonObject all = header(start, machine, load, versions);
            all.addProperty("suite", suite);
            all.add("options", options(null));
            all.add("result", result.toJson());
            console.writeJson(json, all);
        }
        return !result.failed().isEmpty() || check && !misses.isEmpty() ? Main.NO : 0;
    }

    /** Runs in one way and tells the memory; for the baseline, nothing of Parallax's core is in the process. */
    private int runOnly(List<BenchWay> ways) {
        try (Arena arena = Arena.ofShared()) {
            if (setting != null) {
                OrtSetting chosen = OrtSetting.named(setting, model.threads);
                try (Reference reference = Reference.load(model.path, chosen, model.threads, partition)) {
                    reference.bind(Inputs.prepare(reference.inputs(), model.shapes, model.files, model.seed, arena)
                            .arrays());
                    reference.run();
                    reference.pinOutputs();
                    runAndTell(reference::run);
                }
            } else {
                try (Engine engine = model.engine(); Model loaded = model.load(engine)) {
                    Inputs inputs = model.inputs(loaded, arena);
                    try (Session session = loaded.session(SessionOptions.builder()
                            .plan(ways.getFirst().plan(model, inputs))
                            .policy(ways.getFirst().policy()).build())) {
                        Runs.bind(session, inputs.arrays());
                        session.run();
                        Runs.pinOutputs(session);
                        runAndTell(session::run);
                    }
                }
            }
        }
        return 0;
    }

    private void runAndTell(Runnable run) {
        for (int i = 1; i < fresh; i++) {
            run.run();
        }
        console.out().println(FreshProcess.memoryLine(new Machine(Path.of("/"))));
    }

    /** What every result file begins with: when and where it was measured, and with which versions. */
    static JsonObject header(Instant when, Machine machine, List<Double> load, Versions parts) {
        JsonObject header = new JsonObject();
        header.addProperty("benchmark", "bench");
        header.addProperty("date", when.truncatedTo(ChronoUnit.SECONDS).toString());
        JsonObject place = new JsonObject();
        place.addProperty("cpu", machine.processor());
        place.addProperty("cores", Runtime.getRuntime().availableProcessors());
        place.addProperty("platform", parts.platform());
        place.addProperty("kernel", machine.kernel());
        machine.governor().ifPresent(g -> place.addProperty("governor", g));
        place.addProperty("memory_bytes", machine.memory("MemTotal").orElse(0L));
        JsonArray averages = new JsonArray();
        load.forEach(averages::add);
        place.add("load_average", averages);
        header.add("machine", place);
        JsonObject versions = new JsonObject();
        versions.addProperty("parallax", parts.parallax());
        versions.addProperty("onnxruntime", parts.onnxRuntime());
        versions.addProperty("onnxruntime_baseline", Reference.version());
        versions.addProperty("compiler", parts.compiler());
        versions.addProperty("java", parts.java());
        header.add("versions", versions);
        return header;
    }

    private JsonObject options(List<BenchWay> ways) {
        JsonObject options = new JsonObject();
        options.addProperty("file", model.path.toString());
        options.addProperty("rounds", rounds);
        options.addProperty("warm_ups", warmUps);
        options.addProperty("threads", model.threads);
        options.addProperty("seed", model.seed);
        options.addProperty("baseline", setting == null ? "search" : setting);
        if (ways != null) { // a suite has its own
            options.addProperty("ways", ways.stream().map(BenchWay::name).collect(Collectors.joining(",")));
        }
        options.addProperty("rule", rule.name().toLowerCase(Locale.ROOT));
        options.addProperty("rtol", tolerance.relative());
        options.addProperty("atol", tolerance.absolute());
        options.addProperty("target", target);
        options.addProperty("check", check);
        return options;
    }
}
