package dev.parallax.cli;

import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Offload;
import dev.parallax.PaperPolicy;
import dev.parallax.Parallax;
import dev.parallax.ParallaxException;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.RunReport;
import dev.parallax.SchedulerPolicy;
import dev.parallax.Session;
import dev.parallax.Units;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The paper's tables 3, 6 and 7 and some sweeps, for a folder of models, one model after the other.
 *
 * <p>Lifetime: a value. Threads: one.
 * Example: {@code new BenchSuite(console, bench, arguments, Rule.PAPER, List.of()).measure(models)}.
 *
 * @param console where progress is said
 * @param bench for latencies and memory
 * @param arguments threads and seed; their path is the folder
 * @param rule when branches of a layer run together, for table 3
 * @param sweeps names of the models to sweep; empty for the first {@link #SWEPT}
 */
record BenchSuite(Console console, Bench bench, ModelInput arguments, Rule rule, List<String> sweeps) {
    /** Rounds of table 6 and of the sweeps, after one untimed. */
    static final int FEW_ROUNDS = 5;
    static final int SWEPT = 3;
    private static final List<Double> BETAS = List.of(1.0, 1.5, 2.0, 4.0);
    private static final List<Double> MARGINS = List.of(0.3, 0.4, 0.5);

    /** The models of a folder by name; all named ones must be there. */
    static List<Path> models(Path folder, List<String> only) {
        List<Path> all;
        try (Stream<Path> files = Files.list(folder)) {
            all = files.filter(f -> f.toString().endsWith(".onnx")).sorted().toList();
        } catch (IOException e) {
            throw new BadInputException("--suite: " + folder + " cannot be listed: " + Text.reason(e), e);
        }
        if (all.isEmpty()) {
            throw new BadInputException("--suite: there is no .onnx file in " + folder + "; plx zoo fill " + folder
                    + " makes some");
        }
        checkNames("--only", only, all);
        return only.isEmpty() ? all : all.stream().filter(f -> only.contains(ModelInput.name(f))).toList();
    }

    static void checkNames(String option, List<String> names, List<Path> models) {
        List<String> known = models.stream().map(ModelInput::name).toList();
        for (String name : names) {
            if (!known.contains(name)) {
                throw new BadInputException(option + " " + name + " is not among the models: "
                        + String.join(", ", known));
            }
        }
    }

    /** A model that fails costs no more than its own figures. */
    SuiteResult measure(List<Path> models) {
        List<String> swept = !sweeps.isEmpty() ? sweeps
                : models.stream().limit(SWEPT).map(ModelInput::name).toList();
        List<SuiteResult.ModelResult> results = new ArrayList<>();
        Map<String, String> failed = new LinkedHashMap<>();
        for (int i = 0; i < models.size(); i++) {
            String name = ModelInput.name(models.get(i));
            console.err().println((i + 1) + "/" + models.size() + " " + name + " ...");
            long start = System.nanoTime();
            String end = "done";
            try {
                results.add(measure(models.get(i), swept.contains(name)));
            } catch (ParallaxException | BadInputException | Bench.DisagreementException e) {
                failed.put(name, e.getMessage());
                end = e.getMessage();
            }
            console.err().println((i + 1) + "/" + models.size() + " " + name + ": " + end + " after "
                    + Text.nanos(System.nanoTime() - start));
        }
        return new SuiteResult(rule, results, failed);
    }

    private SuiteResult.ModelResult measure(Path path, boolean sweep) {
        ModelInput model = arguments.of(path, arguments.threads);
        try (Arena arena = Arena.ofShared(); Engine engine = model.engine(); Model loaded = engine.load(path)) {
            Inputs inputs = model.inputs(loaded, arena);
            List<BenchWay> ways = List.of(BenchWay.of(Units.WHOLE, "sequential", rule),
                    BenchWay.of(Units.BRANCHES, "paper", rule), BenchWay.of(Units.BRANCHES, "dataflow", rule),
                    BenchWay.of(Units.MIXED, "dataflow", rule));
            BenchResult latency = bench.measure(model, engine, loaded, inputs, ways, null);
            return new SuiteResult.ModelResult(model.name(), sizes(inputs), latency,
                    layerTimes(model, loaded, inputs), structure(model, loaded, inputs),
                    sweep ? sweep(model, engine, loaded, inputs) : List.of());
        }
    }

    /** The sizes that nobody gave, such as "batch = 1, sequence = 16". */
    private static String sizes(Inputs inputs) {
        return inputs.resolved().stream().flatMap(r -> r.chosen().stream()).distinct()
                .collect(Collectors.joining(", "));
    }

    private static LayerTimes layerTimes(ModelInput model, Model loaded, Inputs inputs) {
        BenchWay way = BenchWay.of(Units.BRANCHES, "paper", Rule.RELAXED);
        BenchWay other = BenchWay.of(Units.BRANCHES, "sequential", Rule.RELAXED);
        try (Session paper = Bench.ready(loaded, way, model, inputs);
                Session sequential = Bench.ready(loaded, other, model, inputs)) {
            List<RunReport> byPaper = new ArrayList<>();
            List<RunReport> bySequence = new ArrayList<>();
            Bench.byTurns(List.of(() -> byPaper.add(reportOf(paper)), () -> bySequence.add(reportOf(sequential))), 1,
                    FEW_ROUNDS, () -> {});
            return LayerTimes.of(paper.plan(), byPaper.subList(1, byPaper.size()),
                    bySequence.subList(1, bySequence.size()));
        }
    }

    private static RunReport reportOf(Session session) {
        session.run();
        return session.report();
    }

    private static List<SuiteResult.Structure> structure(ModelInput model, Model loaded, Inputs inputs) {
        List<SuiteResult.Structure> stages = new ArrayList<>(List.of(
                structure("as given", loaded, model.plan(Units.WHOLE, inputs.resolved())),
                structure("delegated", loaded, model.plan(Units.BRANCHES, inputs.resolved()).device("gpu")),
                structure("as cut", loaded, model.plan(Units.BRANCHES, inputs.resolved()))));
        if (!Parallax.accelerators().devices().isEmpty()) {
            String device = Parallax.accelerators().devices().getFirst().device();
            stages.add(structure("all on " + device, loaded,
                    model.plan(Units.BRANCHES, inputs.resolved()).device(device).offload(Offload.ALL)));
        }
        return stages;
    }

    private static SuiteResult.Structure structure(String stage, Model loaded, PlanOptions.Builder options) {
        Plan relaxed = loaded.plan(options.rule(Rule.RELAXED).build());
        Plan paper = loaded.plan(options.rule(Rule.PAPER).build());
        return new SuiteResult.Structure(stage, paper.census(), relaxed.census().parallelLayers(),
                (int) paper.regions().stream().filter(Plan.Region::accepted).count());
    }

    // ---- sweeps ------------------------------------------------------------------------------------------------

    /** One value at a time, the others being the default; the default itself is measured once. */
    private List<SuiteResult.Swept> sweep(ModelInput model, Engine engine, Model loaded, Inputs inputs) {
        double beta = PlanOptions.DEFAULT.beta();
        PaperPolicy policy = new PaperPolicy();
        List<String> names = new ArrayList<>(List.of(SuiteResult.DEFAULT));
        List<Session> sessions = new ArrayList<>();
        ModelInput narrow = model.of(model.path, 1);
        try (Engine oneThread = narrow.engine(); Model again = model.load(oneThread)) {
            try {
                sessions.add(Bench.ready(loaded, way(policy, beta), model, inputs));
                for (double value : BETAS) {
                    if (value != beta) {
                        names.add("beta " + value);
                        sessions.add(Bench.ready(loaded, way(policy, value), model, inputs));
                    }
                }
                for (double value : MARGINS) {
                    if (value != policy.margin()) {
                        names.add("margin " + value);
                        sessions.add(Bench.ready(loaded, way(new PaperPolicy(value), beta), model, inputs));
                    }
                }
                if (engine.info().threads() > 1) {
                    names.add("1 thread");
                    sessions.add(Bench.ready(again, way(policy, beta), narrow, inputs));
                }
                List<Bench.Samples> samples = Bench.byTurns(sessions.stream().map(s -> (Runnable) s::run).toList(), 1,
                        FEW_ROUNDS, () -> {});
                List<SuiteResult.Swept> swept = new ArrayList<>();
                for (int i = 0; i < names.size(); i++) {
                    swept.add(new SuiteResult.Swept(names.get(i), sessions.get(i).plan().census().parallelLayers(),
                            samples.get(i).nanos()));
                }
                return swept;
            } finally {
                sessions.forEach(Session::close);
            }
        }
    }

    private static BenchWay way(SchedulerPolicy policy, double beta) {
        return new BenchWay(Units.BRANCHES, "paper", policy, Rule.RELAXED, beta);
    }
}
