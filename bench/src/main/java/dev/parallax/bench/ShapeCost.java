package dev.parallax.bench;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Parallax;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/shapes}: what input shapes cost that were never seen, and those that were. */
@Command(name = "bench/shapes", usageHelpWidth = 100,
        description = "What input shapes that were never seen cost, and those that were: for every model, cut into"
                + " branches and into nodes, by turns with plain ONNX Runtime.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed, 2 it could not be run."})
final class ShapeCost implements Callable<Integer> {
    private static final int ROUNDS = 11;
    private static final int QUICK_ROUNDS = 3;
    /** Shapes between which a session goes to and fro. */
    private static final int SEEN = 2;

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME", description = "This model only; repeatable.")
    private List<String> only = List.of();

    @Option(names = "--quick", description = "Fewer rounds: " + QUICK_ROUNDS + " new shapes in place of " + ROUNDS
            + ". Shows the order of magnitude.")
    private boolean quick;

    @Option(names = "--check", description = "Exit with 1 if sizing for a new shape takes more than 2 ms, or a shape"
            + " seen before more than 0.1 ms, or the run there more than 1.1 times one without a change of shape.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/shapes-MACHINE.json, and nowhere with --only or --quick.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private ShapeCost() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new ShapeCost(), args));
    }

    @Override
    public Integer call() throws IOException {
        List<Path> models = LoadTime.models(folder != null ? folder : root.resolve("target/zoo"), only);
        int rounds = quick ? QUICK_ROUNDS : ROUNDS;
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        List<ShapeResult> results = new ArrayList<>();
        try (Engine engine = Engine.create(EngineOptions.builder().threads(host.cores()).build())) {
            for (Path file : models) {
                String name = LoadTime.name(file);
                System.err.println(name + " ...");
                try (Model model = engine.load(file)) {
                    for (ShapeWay way : ShapeWay.values()) {
                        results.add(measure(name, file, model, way, rounds, host.cores()));
                    }
                }
            }
        }
        System.out.print(ShapeResult.table(results));
        System.out.println("\n" + rounds + " new shapes each; " + host.cpu() + ", " + host.cores() + " cores; "
                + versions);
        Path target = json != null ? json : only.isEmpty() && !quick
                ? root.resolve("bench/results/shapes-" + host.machineClass() + ".json") : null;
        if (target != null) {
            Map<String, Object> content = Results.header("shapes", host, versions, start);
            content.put("threads", host.cores());
            content.put("rounds", rounds);
            content.put("models", results.stream().map(ShapeResult::toMap).toList());
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        List<String> misses = ShapeResult.misses(results);
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    static ShapeResult measure(String name, Path file, Model model, ShapeWay way, int rounds, int threads)
            throws IOException {
        Plan plan = model.plan(PlanOptions.builder().units(way.units).rule(Rule.RELAXED).build());
        SessionOptions options = SessionOptions.builder().plan(plan).policy(way.policy).build();
        boolean vary = ModelInputs.vary(model.inputs());
        double[] sizing = new double[rounds];
        double[][] ours = new double[rounds][];
        double[][] plain = new double[rounds][];
        Session session = model.session(options);
        PlainSession reference = new PlainSession(file, threads);
        try {
            // The first set warms up code and kernels, and is not counted. A model of one shape meets it anew in each
            // new session.
            for (int round = -1; round < rounds; round++) {
                if (!vary) {
                    session.close();
                    session = model.session(options);
                    reference.close();
                    reference = new PlainSession(file, threads);
                }
                Map<String, Tensor> inputs = ModelInputs.of(model.inputs(), vary ? round + 1 : 0, round);
                inputs.forEach(session::bindInput);
                reference.bind(inputs);
                double[] times = new double[3];
                double[] reference3 = new double[3];
                long before = session.report().shapes().sizingNs();
                for (int run = 0; run < 3; run++) {
                    if (round % 2 != 0) {
                        reference3[run] = reference.run();
                    }
                    long start = System.nanoTime();
                    session.run();
                    times[run] = System.nanoTime() - start;
                    if (round % 2 == 0) {
                        reference3[run] = reference.run();
                    }
                }
                if (round >= 0) {
                    sizing[round] = session.report().shapes().sizingNs() - before;
                    ours[round] = times;
                    plain[round] = reference3;
                }
            }
            double[][] seen = vary ? toAndFro(session, model, rounds) : new double[3][0];
            return new ShapeResult(name, way, plan.unitCount(), sizing, ours, plain, seen[0], seen[1], seen[2]);
        } finally {
            session.close();
            reference.close();
        }
    }

    /** Sizing and time of a run after a change to a shape seen before, and the time of the next one there. */
    private static double[][] toAndFro(Session session, Model model, int rounds) {
        List<List<Map<String, Tensor>>> inputs = new ArrayList<>();
        for (int shape = 0; shape < SEEN; shape++) {
            // Two tensors of each shape: both runs are after a binding, and find their inputs elsewhere.
            inputs.add(List.of(ModelInputs.of(model.inputs(), shape, 1), ModelInputs.of(model.inputs(), shape, 2)));
        }
        int turns = 2 * rounds;
        double[][] result = new double[3][turns];
        for (int turn = -2 * SEEN; turn < turns; turn++) {
            List<Map<String, Tensor>> pair = inputs.get(Math.floorMod(turn, SEEN));
            long before = session.report().shapes().sizingNs();
            pair.get(0).forEach(session::bindInput);
            long start = System.nanoTime();
            session.run();
            long end = System.nanoTime();
            long sized = session.report().shapes().sizingNs();
            pair.get(1).forEach(session::bindInput);
            long again = System.nanoTime();
            session.run();
            long last = System.nanoTime();
            if (turn >= 0) {
                result[0][turn] = sized - before;
                result[1][turn] = end - start;
                result[2][turn] = last - again;
            }
        }
        return result;
    }
}
