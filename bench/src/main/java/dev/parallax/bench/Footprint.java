package dev.parallax.bench;

import com.google.gson.JsonObject;
import dev.parallax.Parallax;
import dev.parallax.Versions;
import dev.parallax.bench.FootprintResult.Engine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/footprint}: what a process takes that runs a model, beside one that does so on plain ONNX Runtime. */
@Command(name = "bench/footprint", usageHelpWidth = 100,
        description = "What a process takes that loads a model and runs it: plain ONNX Runtime with its defaults,"
                + " Parallax with the whole graph as one unit, with one unit per branch, and the same with packed"
                + " weights from files, on all cores. A new process each, without a JVM (plx-run), by turns; then one"
                + " more each with the model's files out of the page cache; then, in one process, runs by branches with and"
                + " without packed weights from files in turn.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed, 2 it could not be run."})
final class Footprint implements Callable<Integer> {
    static final int FEWEST_ROUNDS = 3;

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME", description = "This model only; repeatable.")
    private List<String> only = List.of();

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "" + FEWEST_ROUNDS,
            description = "Processes of each kind; by default ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(names = "--runs", paramLabel = "N", defaultValue = "10",
            description = "Timed runs in each, after 5 untimed ones; by default ${DEFAULT-VALUE}.")
    private int runs;

    @Option(names = "--pairs", paramLabel = "N", defaultValue = "41",
            description = "Pairs of runs with and without packed weights from files; by default ${DEFAULT-VALUE}.")
    private int pairs;

    @Option(names = "--beside", description = "Only with weights in a file beside the model, as they are in the folder, and"
            + " not in one file with it, too.")
    private boolean beside;

    @Option(names = "--check", description = "Exit with 1 if, by branches with packed weights from files, a"
            + " process takes more than plain ONNX Runtime's VmHWM (0.75 times that if the model is one file), or over"
            + " 0.6 times its memory that no file backs (RssAnon, at its peak); or over 0.85 (0.65) and 0.35 times in the"
            + " geometric mean; or if a run takes more than 1.03 times one without these files. Takes " + FEWEST_ROUNDS
            + " rounds or more.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/footprint-MACHINE.json, and nowhere with --only.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private Footprint() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Footprint(), args));
    }

    @Override
    public Integer call() throws IOException {
        if (rounds < 1 || runs < 1 || pairs < 1) {
            throw new Commands.BadInput("--rounds " + rounds + ", --runs " + runs + ", --pairs " + pairs
                    + ": give 1 or more of each");
        }
        if (check && rounds < FEWEST_ROUNDS) {
            throw new Commands.BadInput("--check takes --rounds " + FEWEST_ROUNDS + " or more, not " + rounds);
        }
        List<Path> models = LoadTime.models(folder != null ? folder : root.resolve("target/zoo"), only);
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        PlxRun program = new PlxRun(root, host.cores());
        List<FootprintResult> results = new ArrayList<>();
        for (Path model : models) {
            System.err.println(LoadTime.name(model) + " ...");
            results.add(measure(program, model, FootprintResult.Storage.BESIDE));
        }
        Path single = root.resolve("target/footprint-single.onnx");
        for (Path model : beside ? List.<Path>of() : models) {
            System.err.println(LoadTime.name(model) + ", one file ...");
            if (program.toSingleFile(model, single)) {
                try {
                    FootprintResult result = measure(program, single, FootprintResult.Storage.INSIDE);
                    results.add(new FootprintResult(LoadTime.name(model), result.storage(), result.samples(),
                            result.cold(), result.time()));
                } finally {
                    Files.deleteIfExists(single);
                }
            }
        }
        System.out.print(FootprintResult.table(results));
        System.out.println("\n" + rounds + " processes each, " + runs + " runs in each; " + host.cpu() + ", "
                + host.cores() + " cores; " + versions);
        System.out.println("\nWith the model's files and the cache folder's out of the page cache, one process each:\n\n"
                + FootprintResult.coldTable(results));
        List<FootprintResult> given = results.stream()
                .filter(r -> r.storage() == FootprintResult.Storage.BESIDE).toList();
        System.out.println("\nThe paper's table 4, peak memory in MB (VmHWM):\n\n" + FootprintResult.table4(given));
        System.out.println("\nThe paper's table 5, arenas in MB (ONNX Runtime's by the growth of RssAnon in its runs; a"
                + " buffer for each tensor between units and for what each unit takes):\n\n" + FootprintResult.table5(given));
        Path target = json != null ? json : only.isEmpty()
                ? root.resolve("bench/results/footprint-" + host.machineClass() + ".json") : null;
        if (target != null) {
            Map<String, Object> content = Results.header("footprint", host, versions, start);
            content.put("threads", host.cores());
            content.put("rounds", rounds);
            content.put("runs", runs);
            content.put("pairs", pairs);
            content.put("models", results.stream().map(FootprintResult::toMap).toList());
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        List<String> misses = FootprintResult.misses(results);
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    /** A folder for packed weights, which is gone with the object. */
    private record Cache(Path folder) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            if (!Files.exists(folder)) {
                return;
            }
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    private FootprintResult measure(PlxRun program, Path model, FootprintResult.Storage storage) throws IOException {
        Map<Engine, List<FootprintResult.Sample>> samples = new EnumMap<>(Engine.class);
        Map<Engine, FootprintResult.Sample> cold = new EnumMap<>(Engine.class);
        SavingsTime time;
        Engine[] engines = Engine.values();
        try (Cache cache = new Cache(root.resolve("target/footprint-cache"))) {
            run(program, model, Engine.CACHED, cache);  // writes the files
            for (int round = 0; round < rounds; round++) {
                for (int i = 0; i < engines.length; i++) {
                    Engine engine = engines[(round + i) % engines.length];
                    samples.computeIfAbsent(engine, e -> new ArrayList<>()).add(run(program, model, engine, cache));
                }
            }
            for (Engine engine : engines) {
                forget(model, cache);
                cold.put(engine, run(program, model, engine, cache));
            }
            time = SavingsTime.of(model, cache.folder(), program.threads(), pairs);
        }
        return new FootprintResult(LoadTime.name(model), storage, samples, cold, time);
    }

    /** Takes what a model's process reads out of the page cache, the libraries apart. */
    private static void forget(Path model, Cache cache) throws IOException {
        List<Path> files = new ArrayList<>(List.of(model));
        Path weights = model.resolveSibling(LoadTime.name(model) + ".weights");
        if (Files.exists(weights)) {
            files.add(weights);
        }
        if (Files.exists(cache.folder())) {
            try (Stream<Path> kept = Files.walk(cache.folder())) {
                files.addAll(kept.filter(Files::isRegularFile).toList());
            }
        }
        for (Path file : files) {
            // Java has no posix_fadvise; of dd this is the documented way to drop a file's pages.
            Process dd = new ProcessBuilder("dd", "if=" + file, "iflag=nocache", "count=0", "status=none").inheritIO().start();
            try {
                if (dd.waitFor() != 0) {
                    throw new IOException("dd cannot take " + file + " out of the page cache");
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
        }
    }

    private FootprintResult.Sample run(PlxRun program, Path model, Engine engine, Cache cache) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("--runs", String.valueOf(runs)));
        arguments.addAll(switch (engine) {
            case ORT -> List.of("--engine", "ort");
            case WHOLE -> List.of("--units", "whole");
            case BRANCHES -> List.of("--units", "branches");
            case CACHED -> List.of("--units", "branches", "--cache", cache.folder().toString());
        });
        return sample(program.run(model, arguments));
    }

    static FootprintResult.Sample sample(JsonObject measured) {
        JsonObject session = measured.getAsJsonObject("session");
        return new FootprintResult.Sample(measured.get("vm_hwm_bytes").getAsLong(),
                measured.get("rss_anon_peak_bytes").getAsLong(), measured.get("rss_anon_bytes").getAsLong(),
                measured.get("median_ms").getAsDouble(), measured.get("ready_ms").getAsDouble(),
                measured.get("rss_anon_growth_bytes").getAsLong(), of(session, "arena_high_water_bytes"),
                of(session, "planned_bytes"), of(session, "one_buffer_per_tensor_bytes"),
                measured.get("outputs_digest").getAsString());
    }

    /** 0 of plain ONNX Runtime, which does not tell. */
    private static long of(JsonObject session, String field) {
        return session.has(field) ? session.get(field).getAsLong() : 0;
    }
}
