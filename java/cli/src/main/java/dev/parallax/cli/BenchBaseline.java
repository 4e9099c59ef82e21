package dev.parallax.cli;

import dev.parallax.Plan;
import dev.parallax.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * ONNX Runtime's best static setting for a model on this machine, and how it was found: every setting that can be made
 * to work, each in a session with a pool of its own, all by turns; the fastest median wins.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code BenchBaseline.search(candidates, tolerance, bench, 11).best()}.
 *
 * @param best the setting to compare with
 * @param tried every setting measured; empty if the setting was given
 * @param notTried reasons by the setting's name
 */
record BenchBaseline(OrtSetting best, List<Tried> tried, Map<String, String> notTried) {
    /** A setting with its times in nanoseconds, by round. */
    record Tried(String name, double[] samples) {
        double median() {
            return Timing.median(samples);
        }
    }

    /** The setting with the smallest median. */
    static Tried fastest(List<Tried> tried) {
        return tried.stream().min(Comparator.comparingDouble(Tried::median)).orElseThrow();
    }

    /** Tries all settings; their sessions are in memory together. */
    static BenchBaseline search(Candidates candidates, Tolerance tolerance, Bench bench, int rounds) {
        List<OrtSetting> settings = new ArrayList<>();
        List<Reference> references = new ArrayList<>();
        Map<String, String> notTried = new LinkedHashMap<>();
        Map<Integer, Map<String, Tensor>> expected = new HashMap<>();
        try {
            for (OrtSetting setting : OrtSetting.all(candidates.threads)) {
                String obstacle = candidates.obstacle(setting);
                if (obstacle != null) {
                    notTried.put(setting.name(), obstacle);
                    continue;
                }
                Reference reference = candidates.load(setting);
                references.add(reference);
                Map<String, Tensor> outputs = reference.outputs();
                // Fast and wrong is no baseline. The number of threads may change the order of sums, and so their bits.
                Map<String, Tensor> first = expected.computeIfAbsent(setting.threads(), _ -> outputs);
                if (outputs.entrySet().stream().anyMatch(o -> !tolerance.agrees(
                        tolerance.compare(o.getKey(), o.getValue(), first.get(o.getKey()))))) {
                    references.removeLast().close();
                    notTried.put(setting.name(), "its outputs are not those of other settings");
                    continue;
                }
                reference.pinOutputs();
                settings.add(setting);
            }
            List<Bench.Samples> samples = bench.byTurns("ONNX Runtime's settings",
                    references.stream().map(r -> (Runnable) r::run).toList(), rounds);
            List<Tried> tried = new ArrayList<>();
            for (int i = 0; i < samples.size(); i++) {
                tried.add(new Tried(settings.get(i).name(), samples.get(i).nanos()));
            }
            return new BenchBaseline(OrtSetting.named(fastest(tried).name(), candidates.threads), tried, notTried);
        } finally {
            references.forEach(Reference::close);
        }
    }

    /**
     * Sessions of plain ONNX Runtime with any setting, in this process or in one of their own, on the same inputs.
     *
     * <p>Lifetime: until {@link #close}, which deletes the partition file. Threads: one.
     */
    static final class Candidates implements AutoCloseable {
        private static final int PROBE_RUNS = 2;

        private final Path model;
        private final int threads;
        private final Inputs inputs;
        private final List<String> fresh;
        private final Path partition; // null if there cannot be one
        private String obstacle; // to streams; null if there is none
        private boolean probed;

        /**
         * @param fresh arguments that give a fresh process the model and its inputs
         * @param plan whose branches streams are made of
         */
        Candidates(Path model, int threads, Inputs inputs, List<String> fresh, Plan plan) {
            this.model = model;
            this.threads = threads;
            this.inputs = inputs;
            this.fresh = fresh;
            Path file = null;
            try {
                file = NodePartition.of(plan.nodes(), plan.branches(), plan.layers()).write();
            } catch (BadInputException e) {
                obstacle = e.getMessage();
            }
            partition = file;
        }

        int threads() {
            return threads;
        }

        /** A session that has run once, with its inputs bound. */
        Reference load(OrtSetting setting) {
            String reason = obstacle(setting);
            if (reason != null) {
                throw new BadInputException("--baseline " + setting.name() + " is not possible: " + reason);
            }
            Reference reference = Reference.load(model, setting, threads, partition);
            try {
                reference.bind(inputs.arrays());
                reference.run();
                return reference;
            } catch (RuntimeException | Error e) {
                reference.close();
                throw e;
            }
        }

        /** Why the setting cannot be tried, or null. A partition file that it dislikes may end the process. */
        String obstacle(OrtSetting setting) {
            if (setting.mode() != OrtSetting.Mode.STREAMS) {
                return null;
            }
            if (obstacle == null && !probed) {
                probed = true;
                try {
                    inFreshProcess(setting, PROBE_RUNS);
                } catch (BadInputException e) {
                    obstacle = "with a node partition file, " + e.getMessage();
                }
            }
            return obstacle;
        }

        FreshProcess.Memory inFreshProcess(OrtSetting setting, int runs) {
            List<String> arguments = new ArrayList<>(List.of("--baseline", setting.name()));
            if (setting.mode() == OrtSetting.Mode.STREAMS) {
                arguments.addAll(List.of("--partition", partition.toString()));
            }
            return inFreshProcess(arguments, runs);
        }

        FreshProcess.Memory inFreshProcess(BenchWay way, int runs) {
            return inFreshProcess(List.of("--units", ModelArguments.UnitsConverter.text(way.units()),
                    "--policy", way.policyName(), "--rule", way.rule().name().toLowerCase(Locale.ROOT)), runs);
        }

        private FreshProcess.Memory inFreshProcess(List<String> arguments, int runs) {
            List<String> all = new ArrayList<>(fresh);
            all.addAll(List.of("--fresh", String.valueOf(runs)));
            all.addAll(arguments);
            return FreshProcess.run(all);
        }

        @Override
        public void close() {
            try {
                if (partition != null) {
                    Files.deleteIfExists(partition);
                }
            } catch (IOException e) {
                throw new BadInputException("cannot delete " + partition + ": " + Text.reason(e), e);
            }
        }
    }
}
