package dev.parallax.cli;

import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.ParallaxException;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Measures ways of running one model with Parallax beside plain ONNX Runtime at its best static setting.
 *
 * <p>One process, the same inputs in the same memory, outputs written to memory allocated before on both sides, all
 * ways by turns, and then each alone: who is disturbed by the others shows as a difference between the two. Every run
 * begins when the process has come to rest: a pool that still spins after its run would slow down the next way, and
 * would speed up its own next run, at the expense of everybody's cores. What it takes until then is counted.
 *
 * <p>Lifetime: a value; each measurement is complete in itself. Threads: one.
 * Example: {@code new Bench(console, 5, 20, tolerance).measure(arguments, engine, model, inputs, ways, null)}.
 *
 * @param console where progress is shown
 * @param warmUps untimed rounds before timed ones
 * @param rounds timed rounds
 * @param tolerance when outputs count as equal
 */
record Bench(Console console, int warmUps, int rounds, Tolerance tolerance) {
    /** Runs in a fresh process before its memory is read: first runs learn shapes, later ones change nothing. */
    static final int FRESH_RUNS = 10;
    /** The search for the best setting only has to tell settings apart. */
    private static final int SEARCH_ROUNDS = 11;

    /**
     * What was taken of one way, by round.
     *
     * @param nanos times of runs
     * @param cpuAfterNanos processor time taken after each run until the process was at rest
     */
    record Samples(double[] nanos, double[] cpuAfterNanos) {}

    /** The outputs of some way are not those of the baseline: there is nothing to time. */
    static final class DisagreementException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        DisagreementException(String message) {
            super(message);
        }
    }

    /**
     * Measures.
     *
     * @param arguments what the model and its inputs are
     * @param setting the baseline's setting by its name, or null to search for the best one
     * @throws DisagreementException if outputs differ, in the comparison's words, one line each
     */
    BenchResult measure(ModelInput arguments, Engine engine, Model model, Inputs inputs, List<BenchWay> ways,
            String setting) {
        int threads = engine.info().threads();
        OrtSetting given = setting == null ? null : OrtSetting.named(setting, threads);
        try (BenchBaseline.Candidates candidates = new BenchBaseline.Candidates(arguments.path, threads, inputs,
                freshArguments(arguments, inputs, threads),
                model.plan(arguments.plan(Units.BRANCHES, inputs.resolved()).build()))) {
            BenchBaseline baseline = given != null ? new BenchBaseline(given, List.of(), Map.of())
                    : BenchBaseline.search(candidates, tolerance, this,
                            Math.min(rounds, SEARCH_ROUNDS));
            List<BenchResult.Entry> entries = time(arguments, model, inputs, ways, candidates, baseline.best());
            return new BenchResult(arguments.name(),
                    inputs.arrays().entrySet().stream().map(e -> e.getKey() + ": " + e.getValue()).toList(), baseline,
                    withMemory(entries, ways, candidates, baseline.best()));
        }
    }

    /** The first entry is the baseline's, the others are those of the ways in their order. */
    private List<BenchResult.Entry> time(ModelInput arguments, Model model, Inputs inputs, List<BenchWay> ways,
            BenchBaseline.Candidates candidates, OrtSetting setting) {
        List<Session> sessions = new ArrayList<>();
        try (Reference reference = candidates.load(setting)) {
            Map<String, Tensor> expected = reference.outputs();
            reference.pinOutputs();
            List<String> differences = new ArrayList<>();
            List<Runnable> runs = new ArrayList<>(List.of(reference::run));
            for (BenchWay way : ways) {
                Session session = session(model, way, arguments, inputs);
                sessions.add(session);
                runs.add(session::run);
                differences.addAll(prepare(session, way, inputs, expected));
            }
            if (!differences.isEmpty()) {
                throw new DisagreementException(String.join("\n", differences));
            }
            List<Samples> turns = byTurns("by turns", runs, rounds);
            List<BenchResult.Entry> entries = new ArrayList<>();
            for (int i = 0; i < runs.size(); i++) {
                BenchWay way = i == 0 ? null : ways.get(i - 1);
                String name = way == null ? setting.name() : way.name();
                Samples alone = byTurns(name + " alone", List.of(runs.get(i)), rounds).getFirst();
                entries.add(new BenchResult.Entry(name, way == null ? "" : way.policyName(), way == null ? null
                        : SideBySide.of(sessions.get(i - 1), way, candidates.threads()), turns.get(i), alone, null,
                        ""));
            }
            return entries;
        } finally {
            sessions.forEach(Session::close);
        }
    }

    /** Adds the memory of fresh processes. A process that fails costs no more than its figures. */
    private List<BenchResult.Entry> withMemory(List<BenchResult.Entry> entries, List<BenchWay> ways,
            BenchBaseline.Candidates candidates, OrtSetting setting) {
        List<BenchResult.Entry> complete = new ArrayList<>();
        try (Progress progress = progress("memory", entries.size())) {
            for (int i = 0; i < entries.size(); i++) {
                try {
                    complete.add(entries.get(i).with(i == 0 ? candidates.inFreshProcess(setting, FRESH_RUNS)
                            : candidates.inFreshProcess(ways.get(i - 1), FRESH_RUNS)));
                } catch (BadInputException e) {
                    complete.add(entries.get(i).without(e.getMessage()));
                }
                progress.add(1);
            }
        }
        return complete;
    }

    private static Session session(Model model, BenchWay way, ModelInput arguments, Inputs inputs) {
        try {
            return model.session(SessionOptions.builder().plan(way.plan(arguments, inputs)).policy(way.policy())
                    .build());
        } catch (ParallaxException e) {
            throw new ParallaxException(e.code(), way.name() + ": " + e.getMessage(), e);
        }
    }

    /** A session that runs on the inputs and to memory allocated before. */
    static Session ready(Model model, BenchWay way, ModelInput arguments, Inputs inputs) {
        Session session = session(model, way, arguments, inputs);
        try {
            Runs.bind(session, inputs.arrays());
            session.run();
            Runs.pinOutputs(session);
            session.run();
            return session;
        } catch (RuntimeException | Error e) {
            session.close();
            throw e;
        }
    }

    /** Binds inputs and outputs, and compares: a first run learns shapes that later ones rely on, so both are. */
    private List<String> prepare(Session session, BenchWay way, Inputs inputs, Map<String, Tensor> expected) {
        try {
            Runs.bind(session, inputs.arrays());
            session.run();
            List<Comparison> first = compare(session, expected);
            Runs.pinOutputs(session);
            session.run();
            session.run();
            List<Comparison> last = compare(session, expected);
            List<String> differences = new ArrayList<>();
            for (int i = 0; i < first.size(); i++) {
                Comparison c = first.get(i).worse(last.get(i));
                if (!tolerance.agrees(c)) {
                    differences.add(way.name() + ": output " + c.name() + ", " + c.theirs() + ", "
                            + tolerance.verdict(c));
                }
            }
            return differences;
        } catch (ParallaxException e) {
            throw new ParallaxException(e.code(), way.name() + ": " + e.getMessage(), e);
        }
    }

    private List<Comparison> compare(Session session, Map<String, Tensor> expected) {
        return session.outputs().stream().map(o -> tolerance.compare(o.name(), session.output(o.name()),
                expected.get(o.name()))).toList();
    }

    /**
     * The samples of each way. In each round everyone runs once. Who begins moves on from round to round, and every
     * other round goes backwards, so that nobody always follows the same neighbour.
     */
    static List<Samples> byTurns(List<? extends Runnable> ways, int warmUps, int rounds, Runnable ran) {
        List<Samples> samples = ways.stream().map(_ -> new Samples(new double[rounds], new double[rounds])).toList();
        try (ProcessClock clock = new ProcessClock()) {
            clock.settle();
            for (int round = 0; round < warmUps + rounds; round++) {
                for (int i = 0; i < ways.size(); i++) {
                    int way = Math.floorMod(round + (round % 2 == 0 ? i : -i), ways.size());
                    double time = Timing.time(ways.get(way));
                    double cpuAfter = clock.settle();
                    ran.run();
                    if (round >= warmUps) {
                        samples.get(way).nanos[round - warmUps] = time;
                        samples.get(way).cpuAfterNanos[round - warmUps] = cpuAfter;
                    }
                }
            }
        }
        return samples;
    }

    /** The same, with progress shown. */
    List<Samples> byTurns(String title, List<? extends Runnable> ways, int timed) {
        try (Progress progress = progress(title, (long) ways.size() * (warmUps + timed))) {
            return byTurns(ways, warmUps, timed, () -> progress.add(1));
        }
    }

    private Progress progress(String title, long total) {
        return new Progress(console.terminal() ? console.err() : null, title, total);
    }

    /** What gives a new process the same model and inputs, whichever engine it asks about open dimensions. */
    static List<String> freshArguments(ModelInput arguments, Inputs inputs, int threads) {
        List<String> fresh = new ArrayList<>(List.of("bench", arguments.path.toString(),
                "--threads", String.valueOf(threads), "--seed", String.valueOf(arguments.seed)));
        for (String file : arguments.files) {
            fresh.addAll(List.of("--input", file));
        }
        arguments.dataFolders.forEach(folder -> fresh.addAll(List.of("--data-folder", folder.toString())));
        inputs.arrays().forEach((name, tensor) -> {
            if (!inputs.files().containsKey(name)) {
                fresh.addAll(List.of("--shape", name + "=" + Text.shape(tensor.shape())));
            }
        });
        return fresh;
    }
}
