package dev.parallax.bench;

import dev.parallax.ElementType;
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
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/branches}: what running equal branches side by side is worth, on a model made for it. */
@Command(name = "bench/branches", usageHelpWidth = 100,
        description = "What running branches side by side is worth: a generated model of six equal branches of four"
                + " convolutions, one branch after the other on one thread, and with two threads by the policies paper"
                + " and dataflow; and whole on two threads, for orientation. By turns.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed or outputs differ, 2 it could not be run."})
final class Branches implements Callable<Integer> {
    /** Fewer rounds decide nothing. */
    static final int FEWEST_ROUNDS = 20;
    private static final int WARM_UPS = 5;
    private static final int THREADS = 2;
    /** Between two runs, so that each one finds the pool's threads asleep, whoever ran before. */
    private static final int REST_MS = 5;

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "" + FEWEST_ROUNDS,
            description = "Timed rounds after " + WARM_UPS + " untimed ones; by default ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(names = "--check",
            description = "Exit with 1 if paper or dataflow takes more than 0.60 times the time of one thread, if no"
                    + " two units ever ran at the same time, or if the plan has not one parallel layer of six"
                    + " branches. Takes " + FEWEST_ROUNDS + " rounds or more.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/branches-MACHINE.json.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    /** Outputs differ: there is nothing to time. */
    static final class DisagreementException extends RuntimeException {
        private static final long serialVersionUID = 1;

        DisagreementException(String message) {
            super(message);
        }
    }

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Branches(), args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (rounds < 1) {
            throw new Commands.BadInput("--rounds " + rounds + ": give 1 or more");
        }
        if (check && rounds < FEWEST_ROUNDS) {
            throw new Commands.BadInput("--check takes --rounds " + FEWEST_ROUNDS + " or more, not " + rounds);
        }
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        if (host.cores() < THREADS) {
            throw new Commands.BadInput("it takes " + THREADS + " cores to run branches side by side; this process may"
                    + " use " + host.cores());
        }
        BranchesResult result;
        try {
            result = measure(rounds);
        } catch (DisagreementException e) {
            System.out.println("MISSED: " + e.getMessage());
            return Commands.MISSED;
        }
        System.out.print(result.table());
        System.out.println("\n" + rounds + " rounds; " + host.cpu() + ", " + host.cores() + " cores; " + versions);
        Path target = json != null ? json
                : root.resolve("bench/results/branches-" + host.machineClass() + ".json");
        Map<String, Object> content = Results.header("branches", host, versions, start);
        content.put("threads", THREADS);
        content.put("warm_ups", WARM_UPS);
        content.put("rounds", rounds);
        content.put("ways", result.toMap());
        Results.write(target, content);
        System.err.println("raw results: " + target);
        List<String> misses = result.misses();
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    /** All ways by turns; who begins moves on from round to round, so that nobody always follows the same neighbour. */
    static BranchesResult measure(int rounds) throws InterruptedException {
        BranchesWay[] ways = BranchesWay.values();
        List<Session> sessions = new ArrayList<>();
        try (Engine engine = Engine.create(EngineOptions.builder().threads(THREADS).build());
                Model model = engine.load(MemorySegment.ofArray(BranchesModel.bytes()))) {
            Tensor input = Tensor.of(BranchesModel.values(), BranchesModel.shape());
            List<Tensor> outputs = new ArrayList<>();
            for (BranchesWay way : ways) {
                Plan plan = model.plan(PlanOptions.builder().units(way.units).rule(Rule.RELAXED).build());
                Session session = model.session(SessionOptions.builder().plan(plan).policy(way.policy)
                        .threads(way.threads).build());
                sessions.add(session);
                session.bindInput(BranchesModel.INPUT, input);
                Tensor output = Tensor.allocate(ElementType.FLOAT32, BranchesModel.shape());
                session.bindOutput(BranchesModel.OUTPUT, output);
                outputs.add(output);
            }
            double[][] nanos = new double[ways.length][rounds];
            double[][] overlapNs = new double[ways.length][rounds];
            for (int round = -WARM_UPS; round < rounds; round++) {
                for (int i = 0; i < ways.length; i++) {
                    int way = (round + WARM_UPS + i) % ways.length;
                    Thread.sleep(REST_MS);
                    long start = System.nanoTime();
                    sessions.get(way).run();
                    long end = System.nanoTime();
                    if (round >= 0) {
                        nanos[way][round] = end - start;
                        overlapNs[way][round] = sessions.get(way).report().overlapNs();
                    }
                }
                if (round < 0) {
                    compare(outputs);
                }
            }
            List<BranchesResult.Entry> entries = new ArrayList<>();
            for (int way = 0; way < ways.length; way++) {
                Plan plan = sessions.get(way).plan();
                List<Integer> together = plan.layers().stream().flatMap(layer -> layer.groups().stream())
                        .map(List::size).toList();
                entries.add(new BranchesResult.Entry(plan.unitCount(), together, nanos[way], overlapNs[way]));
            }
            return new BranchesResult(entries);
        } finally {
            sessions.forEach(Session::close);
        }
    }

    /** Bit for bit: whoever runs them, and when, they are the same kernels on the same bytes. */
    static void compare(List<Tensor> outputs) {
        MemorySegment expected = outputs.get(BranchesWay.SEQUENTIAL.ordinal()).segment();
        for (BranchesWay way : BranchesWay.values()) {
            if (outputs.get(way.ordinal()).segment().mismatch(expected) != -1) {
                throw new DisagreementException("the output of a run (" + way.title + ") is not that of a run ("
                        + BranchesWay.SEQUENTIAL.title + "), bit for bit");
            }
        }
    }
}
