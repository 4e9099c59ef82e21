package dev.parallax.bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.parallax.Parallax;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/detector}: whether the zoo's detector is what it was made for, a model whose heads take the time. */
@Command(name = "bench/detector", usageHelpWidth = 100,
        description = "Where the time of the zoo's detector goes on one thread: into its backbone, into predicting, or"
                + " into picking boxes, by plain ONNX Runtime's own profile of its nodes.",
        footer = {"", "Exit status: 0 all is well, 1 the target is missed, 2 it could not be run."})
final class DetectorTime implements Callable<Integer> {
    /** Fewer runs decide nothing. */
    static final int FEWEST_RUNS = 20;
    private static final int WARM_UPS = 5;
    private static final int SIDE = 320;

    @Option(names = "--model", paramLabel = "FILE",
            description = "The detector; by default target/zoo/detector.onnx of the project, which ./plx zoo fill"
                    + " target/zoo --only detector makes.")
    private Path model;

    @Option(names = "--runs", paramLabel = "N", defaultValue = "" + FEWEST_RUNS,
            description = "Profiled runs after " + WARM_UPS + " that are not; by default ${DEFAULT-VALUE}.")
    private int runs;

    @Option(names = "--check",
            description = "Exit with 1 if heads, all that is not the backbone, take less than half of the time. Takes "
                    + FEWEST_RUNS + " runs or more.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/detector-MACHINE.json.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private DetectorTime() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new DetectorTime(), args));
    }

    @Override
    public Integer call() throws IOException {
        if (runs < 1) {
            throw new Commands.BadInput("--runs " + runs + ": give 1 or more");
        }
        if (check && runs < FEWEST_RUNS) {
            throw new Commands.BadInput("--check takes --runs " + FEWEST_RUNS + " or more, not " + runs);
        }
        Path file = model != null ? model : root.resolve("target/zoo/detector.onnx");
        if (!Files.isRegularFile(file)) {
            throw new Commands.BadInput("there is no detector at " + file + "; make it with ./plx zoo fill "
                    + root.resolve("target/zoo") + " --only detector, or name another with --model");
        }
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        DetectorParts result = DetectorParts.of(profile(file), WARM_UPS);
        System.out.print(result.table());
        System.out.println("\n" + runs + " runs, 1 thread; " + host.cpu() + ", " + host.cores() + " cores; "
                + versions);
        Path target = json != null ? json
                : root.resolve("bench/results/detector-" + host.machineClass() + ".json");
        Map<String, Object> content = Results.header("detector", host, versions, start);
        content.put("threads", 1);
        content.put("warm_ups", WARM_UPS);
        content.put("runs", runs);
        content.putAll(result.toMap());
        Results.write(target, content);
        System.err.println("raw results: " + target);
        List<String> misses = result.misses();
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    /** ONNX Runtime's profile, JSON, of runs on noise, in which there is something to find. */
    private String profile(Path file) throws IOException {
        Random random = new Random(1);
        ByteBuffer pixels = ByteBuffer.allocateDirect(3 * SIDE * SIDE * Float.BYTES).order(ByteOrder.nativeOrder());
        while (pixels.hasRemaining()) {
            pixels.putFloat((float) random.nextGaussian());
        }
        Path folder = Files.createTempDirectory("parallax-bench-");
        OrtEnvironment environment = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "bench");
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions();
                OnnxTensor images = OnnxTensor.createTensor(environment, pixels.flip().asFloatBuffer(),
                        new long[] {1, 3, SIDE, SIDE})) {
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            options.setIntraOpNumThreads(1);
            options.enableProfiling(folder.resolve("profile").toString());
            try (OrtSession session = environment.createSession(file.toString(), options)) {
                for (int run = 0; run < WARM_UPS + runs; run++) {
                    session.run(Map.of("images", images)).close();
                }
                return Files.readString(Path.of(session.endProfiling()));
            }
        } catch (OrtException e) {
            throw new IOException("ONNX Runtime cannot run " + file + ": " + e.getMessage(), e);
        } finally {
            try (Stream<Path> left = Files.list(folder)) {
                for (Path path : left.toList()) {
                    Files.delete(path);
                }
            }
            Files.delete(folder);
        }
    }
}
