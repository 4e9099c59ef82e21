package dev.parallax.bench;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Offload;
import dev.parallax.Parallax;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Trace;
import dev.parallax.Units;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/coexecution}: what it is worth that a device and the CPU work at the same time. */
@Command(name = "bench/coexecution", usageHelpWidth = 100,
        description = "What it is worth that a device and the CPU work at the same time, on one request and on a stream:"
                + " the same plan, device and kernels in turn and at once. Devices are emulated, and so is every figure.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed or outputs differ, 2 it could not be run."})
final class CoExecution implements Callable<Integer> {
    /** Fewer rounds decide nothing. */
    private static final int ROUNDS = 11;
    private static final int QUICK_ROUNDS = 5;
    private static final int WARM_UPS = 5;
    private static final int QUICK_WARM_UPS = 3;
    private static final int STREAM_ROUNDS = 3;
    private static final int QUICK_STREAM_ROUNDS = 1;
    /** A stream is as many requests as take so long in turn, from the fewest, of which filling and draining it are a part, to the most. */
    private static final double STREAM_NS = 2e9;
    private static final int LEAST_REQUESTS = 16;
    private static final int MOST_REQUESTS = 32;
    private static final List<Integer> DEPTHS = List.of(2, 3, 4);
    /** Between two runs, so that each one finds the pool's threads asleep, whoever ran before. */
    private static final int REST_MS = 5;
    /** The set of {@link ModelInputs} of which open dimensions are 16. */
    private static final int SIZES = 8;
    private static final long SEED = 42;
    private static final List<String> MODELS = List.of("yolov8n", "distilbert", "clip-text", "whisper-tiny-encoder",
            "whisper-tiny-decoder", "swinv2-tiny");

    private static final List<String> DEVICES = List.of("emulated", "replay:rk3588", "replay:rk3588/dense");

    @Option(names = "--device", paramLabel = "NAME",
            description = "emulated; or replay:PROFILE of bench/profiles.json, which takes what OpenCL devices take; or"
                    + " replay:PROFILE/dense, which takes what emulated takes; @SPEED after it makes it so many times as"
                    + " fast. Repeatable; by default emulated, replay:rk3588 and replay:rk3588/dense.")
    private List<String> devices = DEVICES;

    @Option(names = "--offload", paramLabel = "WHICH", defaultValue = "all",
            description = "Which regions the device runs, all or auto; by default ${DEFAULT-VALUE}.")
    private Offload offload;

    @Option(names = "--threads", paramLabel = "N", defaultValue = "0",
            description = "CPU threads beside the device; by default all cores, but for the one on which emulated computes.")
    private int cpuThreads;

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME", description = "This model only; repeatable. By default the paper's.")
    private List<String> only = MODELS;

    @Option(names = "--trace", paramLabel = "DIR", description = "Keep the last run at once and the last stream of"
            + " each depth there, for each model, device and placement, for ui.perfetto.dev.")
    private Path traces;

    @Option(names = "--quick", description = QUICK_ROUNDS + " rounds in place of " + ROUNDS + "; nothing goes to"
            + " bench/results.")
    private boolean quick;

    @Option(names = "--check", description = "Exit with 1 if a run at once takes more than 1.10 times the least that the"
            + " units' times allow, or if a stream gains less than 1.8 times where device and CPU have as much to do.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/coexecution-MACHINE.json, and nowhere with --only, --device, --offload, --threads or"
            + " --quick.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private CoExecution() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new CoExecution(), args));
    }

    @Override
    public Integer call() throws Exception {
        if (cpuThreads < 0) {
            throw new Commands.BadInput("--threads " + cpuThreads + ": give 1 or more");
        }
        if (offload == Offload.NONE) {
            throw new Commands.BadInput("--offload none leaves nothing to measure; give all or auto");
        }
        List<Path> models = LoadTime.models(folder != null ? folder : root.resolve("target/zoo"), only);
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        List<EmulatedDevice> emulated = devices.stream().map(EmulatedDevice::of).toList();
        if (traces != null) {
            Files.createDirectories(traces);
        }
        List<CoExecutionResult> results = new ArrayList<>();
        try {
            for (Path file : models) {
                for (EmulatedDevice device : emulated) {
                    results.addAll(measure(file, device, host.cores()));
                }
            }
        } catch (DisagreementException e) {
            System.out.println("MISSED: " + e.getMessage());
            return Commands.MISSED;
        }
        System.out.println(CoExecutionResult.singleTable(results));
        System.out.println("The paper, on its phones: 9 to 46 % saved.\n");
        System.out.println(CoExecutionResult.streamTable(results));
        System.out.println("Every device above is emulated. " + rounds() + " rounds, streams of " + LEAST_REQUESTS + " to " + MOST_REQUESTS + " requests; "
                + host.cpu() + ", " + host.cores() + " cores; " + versions);
        keep(results, host, versions, start);
        List<String> misses = CoExecutionResult.misses(results);
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    private int rounds() {
        return quick ? QUICK_ROUNDS : ROUNDS;
    }

    private int warmUps() {
        return quick ? QUICK_WARM_UPS : WARM_UPS;
    }

    private void keep(List<CoExecutionResult> results, Host host, Versions versions, Instant start) throws IOException {
        boolean usual = !quick && only.equals(MODELS) && devices.equals(DEVICES)
                && offload == Offload.ALL && cpuThreads == 0;
        Path target = json != null ? json
                : usual ? root.resolve("bench/results/coexecution-" + host.machineClass() + ".json") : null;
        if (target == null) {
            return;
        }
        Map<String, Object> content = Results.header("coexecution", host, versions, start);
        content.put("emulated", true);
        content.put("rounds", rounds());
        content.put("results", results.stream().map(CoExecutionResult::toMap).toList());
        Results.write(target, content);
        System.err.println("raw results: " + target);
    }

    /** Outputs differ: there is nothing to time. */
    static final class DisagreementException extends RuntimeException {
        private static final long serialVersionUID = 1;

        DisagreementException(String message) {
            super(message);
        }
    }

    private List<CoExecutionResult> measure(Path file, EmulatedDevice device, int cores)
            throws IOException, InterruptedException {
        String name = LoadTime.name(file);
        System.err.println(name + " on " + device.name() + ", emulated ...");
        int threads = cpuThreads != 0 ? cpuThreads : device.cpuThreads(cores);
        try (Engine engine = Engine.create(EngineOptions.builder().threads(threads).build()); Model model = engine.load(file);
                PlainSession plain = new PlainSession(file, cores);
                EmulatedDevice.Cores _ = device.keepOffItsCore()) {
            Map<String, Tensor> inputs = ModelInputs.of(model.inputs(), SIZES, SEED);
            PlanOptions.Builder cut = PlanOptions.builder().units(Units.BRANCHES).device(device.name()).offload(offload);
            inputs.forEach((input, tensor) -> cut.shape(input, tensor.shape()));
            Plan plan = model.plan(cut.build());
            plain.bind(inputs);
            Subject subject = new Subject(name, device, threads, model, plan, inputs, plain,
                    new Expected(name + " on " + device.name(), plain.outputs()));
            boolean[] regions = new boolean[plan.units().size()];
            plan.units().forEach(unit -> regions[unit.index()] = unit.region() >= 0);
            UnitTimes cpu = alone(subject, new boolean[regions.length]);
            UnitTimes there = alone(subject, regions);
            List<CoExecutionResult> results = new ArrayList<>();
            List<boolean[]> seen = new ArrayList<>();
            for (Placement placement : Placement.values()) {
                boolean[] onDevice = placement.choose(cpu, there);
                if (seen.stream().noneMatch(other -> Arrays.equals(other, onDevice))) {
                    seen.add(onDevice);
                    results.add(measure(subject, placement, onDevice));
                }
            }
            return results;
        }
    }

    /** What is measured; all but the model's name is closed by others. */
    private record Subject(String name, EmulatedDevice device, int threads, Model model, Plan plan,
            Map<String, Tensor> inputs, PlainSession plain, Expected expected) {
        Session session(boolean[] onDevice, boolean inTurn, int depth) {
            Session session = model.session(SessionOptions.builder().plan(plan).policy(new Placed(onDevice, inTurn))
                    .depth(depth).build());
            inputs.forEach(session::bindInput);
            return session;
        }
    }

    /** What each unit takes in turn, where it is told to be. */
    private UnitTimes alone(Subject subject, boolean[] onDevice) {
        List<RunReport> reports = new ArrayList<>();
        try (Session session = subject.session(onDevice, true, 1)) {
            for (int round = -warmUps(); round < QUICK_ROUNDS; round++) {
                session.run();
                if (round >= 0) {
                    reports.add(session.report());
                }
            }
            subject.expected.check(session);
        }
        return UnitTimes.of(subject.plan, onDevice, reports);
    }

    private CoExecutionResult measure(Subject subject, Placement placement, boolean[] onDevice)
            throws IOException, InterruptedException {
        int rounds = rounds();
        double[] plainNs = new double[rounds];
        double[] inTurnNs = new double[rounds];
        double[] dataflowNs = new double[rounds];
        double[] bothNs = new double[rounds];
        List<RunReport> reports = new ArrayList<>();
        Map<Integer, Session> deep = new TreeMap<>();
        try (Session inTurn = subject.session(onDevice, true, 1); Session atOnce = subject.session(onDevice, false, 1)) {
            for (int round = -warmUps(); round < rounds; round++) {
                Thread.sleep(REST_MS);
                double theirs = subject.plain.run();
                Thread.sleep(REST_MS);
                double serial = time(inTurn::run);
                Thread.sleep(REST_MS);
                double dataflow = time(atOnce::run);
                if (round < 0 || round == rounds - 1) {
                    subject.expected.check(inTurn);
                    subject.expected.check(atOnce);
                }
                if (round >= 0) {
                    plainNs[round] = theirs;
                    inTurnNs[round] = serial;
                    dataflowNs[round] = dataflow;
                    bothNs[round] = BothAtWork.of(atOnce.report().units());
                    reports.add(inTurn.report());
                }
            }
            trace(subject, placement, "one", List.of(atOnce.report()));

            int requests = (int) Math.clamp(STREAM_NS / Statistics.median(inTurnNs), LEAST_REQUESTS, MOST_REQUESTS);
            int streamRounds = quick ? QUICK_STREAM_ROUNDS : STREAM_ROUNDS;
            double[] streamInTurn = new double[streamRounds];
            Map<Integer, double[]> streams = new TreeMap<>();
            for (int depth : DEPTHS) {
                deep.put(depth, subject.session(onDevice, false, depth));
                streams.put(depth, new double[streamRounds]);
            }
            for (int round = -1; round < streamRounds; round++) {
                double serial = time(() -> IntStream.range(0, requests).forEach(_ -> inTurn.run()));
                for (int depth : DEPTHS) {
                    double taken = time(() -> stream(deep.get(depth), requests, subject.inputs, _ -> null));
                    if (round >= 0) {
                        streamInTurn[round] = serial;
                        streams.get(depth)[round] = taken;
                    }
                }
            }
            for (int depth : DEPTHS) {
                List<RunReport> reportsOfStream = stream(deep.get(depth), requests, subject.inputs, session -> {
                    subject.expected.check(session);
                    return session.report();
                });
                trace(subject, placement, "depth-" + depth, reportsOfStream);
            }
            return new CoExecutionResult(subject.name, subject.device.name(), placement, subject.threads,
                    (int) subject.plan.units().stream().filter(unit -> unit.region() >= 0).count(), plainNs, inTurnNs,
                    dataflowNs, bothNs, UnitTimes.of(subject.plan, onDevice, reports), requests, streamInTurn, streams);
        } finally {
            deep.values().forEach(Session::close);
        }
    }

    private static double time(Runnable what) {
        long start = System.nanoTime();
        what.run();
        return System.nanoTime() - start;
    }

    /** All requests at once to a session that has so many in progress as its depth says, and what comes back. */
    private static <R> List<R> stream(Session session, int requests, Map<String, Tensor> inputs, Function<Session, R> read) {
        List<CompletableFuture<R>> submitted = new ArrayList<>();
        for (int i = 0; i < requests; i++) {
            submitted.add(session.submit(inputs, read));
        }
        List<R> results = new ArrayList<>();
        submitted.forEach(request -> results.add(request.join()));
        return results;
    }

    private void trace(Subject subject, Placement placement, String what, List<RunReport> reports) throws IOException {
        if (traces != null) {
            Files.writeString(traces.resolve(subject.name + "-" + subject.device.name().replaceAll("[^A-Za-z0-9.]", "-") + "-"
                    + placement.name().toLowerCase(Locale.ROOT) + "-" + what + ".json"),
                    new Trace(subject.plan, reports).toChromeJson());
        }
    }

    /** What plain ONNX Runtime makes of the inputs, and how far others may be from it: as {@code plx compare --device}. */
    private record Expected(String who, Map<String, float[]> outputs) {
        private static final double RELATIVE = 1e-3;
        private static final double ABSOLUTE = 1e-4;

        void check(Session session) {
            RunReport.Device device = session.report().device();
            if (device != null && !device.problem().isEmpty()) {
                throw new DisagreementException(who + ": the CPU ran what was to run on the device: " + device.problem());
            }
            outputs.forEach((name, theirs) -> {
                float[] ours = session.output(name).toFloatArray();
                for (int i = 0; i < Math.max(ours.length, theirs.length); i++) {
                    if (ours.length != theirs.length
                            || !(Math.abs(ours[i] - theirs[i]) <= ABSOLUTE + RELATIVE * Math.abs(theirs[i]))) {
                        throw new DisagreementException(who + ": output " + name + " is not plain ONNX Runtime's: "
                                + (ours.length != theirs.length ? ours.length + " numbers, not " + theirs.length
                                : "number " + i + " is " + ours[i] + ", not " + theirs[i]));
                    }
                }
            });
        }
    }
}
