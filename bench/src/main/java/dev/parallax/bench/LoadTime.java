package dev.parallax.bench;

import dev.parallax.Parallax;
import dev.parallax.Versions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/load}: how long it takes from a file to a session that is ready, beside plain ONNX Runtime. */
@Command(name = "bench/load", usageHelpWidth = 100,
        description = "How long it takes from a file to a session that is ready to run: plain ONNX Runtime, Parallax"
                + " with the whole graph as one unit, and with one unit per branch, by turns.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed, 2 it could not be run."})
final class LoadTime implements Callable<Integer> {
    /** Fewer rounds decide nothing. */
    static final int FEWEST_ROUNDS = 11;
    private static final int WARM_UPS = 2;

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME", description = "This model only; repeatable.")
    private List<String> only = List.of();

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "" + FEWEST_ROUNDS,
            description = "Timed rounds after " + WARM_UPS + " untimed ones; by default ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(names = "--fresh",
            description = "Each load in a process of its own, of which it is the first: Java's own warming up counts."
                    + " Without it all loads are in one process, as in a server.")
    private boolean fresh;

    @Option(names = "--check",
            description = "Exit with 1 if a load takes more than 1.1 (whole) or 2.0 (branches) times plain ONNX"
                    + " Runtime's time. Takes " + FEWEST_ROUNDS + " rounds or more.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/load[-fresh]-MACHINE.json, and nowhere with --only.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = "--one", hidden = true,
            description = "What --fresh starts: one load, its times on standard output.")
    private Way one;

    @Option(names = "--threads", hidden = true, description = "With --one: size of the pool.")
    private int threads;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private LoadTime() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new LoadTime(), args));
    }

    @Override
    public Integer call() throws Exception {
        if (one != null) {
            try (Loader loader = Loader.of(one, threads)) {
                Loader.Sample sample = loader.load(one, folder);
                System.out.println(sample.readyNs() + " " + sample.cpuNs() + " " + sample.closeNs());
            }
            return 0;
        }
        if (rounds < 1) {
            throw new Commands.BadInput("--rounds " + rounds + ": give 1 or more");
        }
        if (check && rounds < FEWEST_ROUNDS) {
            throw new Commands.BadInput("--check takes --rounds " + FEWEST_ROUNDS + " or more, not " + rounds);
        }
        List<Path> models = models(folder != null ? folder : root.resolve("target/zoo"), only);
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        List<LoadResult> results = new ArrayList<>();
        if (fresh) {
            for (Path model : models) {
                results.add(measure(model, this::loadInProcess));
            }
        } else {
            try (Loader loader = Loader.ofAll(host.cores())) {
                for (Path model : models) {
                    results.add(measure(model, loader::load));
                }
            }
        }
        System.out.print(LoadResult.table(results));
        System.out.println("\n" + (fresh ? "first load of a process" : "one process for all") + ", " + rounds
                + " rounds; " + host.cpu() + ", " + host.cores() + " cores; " + versions);
        String file = "bench/results/load-" + (fresh ? "fresh-" : "") + host.machineClass() + ".json";
        Path target = json != null ? json : only.isEmpty() ? root.resolve(file) : null;
        if (target != null) {
            Map<String, Object> content = Results.header(fresh ? "load-fresh" : "load", host, versions, start);
            content.put("threads", host.cores());
            content.put("warm_ups", WARM_UPS);
            content.put("rounds", rounds);
            content.put("models", results.stream().map(LoadResult::toMap).toList());
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        List<String> misses = LoadResult.misses(results);
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    /** The models of a folder, or the named ones of them. */
    static List<Path> models(Path folder, List<String> only) throws IOException {
        List<Path> found = List.of();
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                found = files.filter(file -> file.toString().endsWith(".onnx")).sorted().toList();
            }
        }
        if (found.isEmpty()) {
            throw new Commands.BadInput("there are no models in " + folder + "; fill it with ./plx zoo fill " + folder
                    + ", or name another folder with --models");
        }
        List<String> names = found.stream().map(LoadTime::name).toList();
        for (String name : only) {
            if (!names.contains(name)) {
                throw new Commands.BadInput("there is no model '" + name + "' in " + folder + "; there are " + names);
            }
        }
        return found.stream().filter(file -> only.isEmpty() || only.contains(name(file))).toList();
    }

    static String name(Path file) {
        return file.getFileName().toString().replaceFirst("\\.onnx$", "");
    }

    /** Whatever loads once. */
    interface Load {
        Loader.Sample load(Way way, Path file) throws IOException;
    }

    /** All ways by turns; who begins moves on from round to round, so that nobody always follows the same neighbour. */
    private LoadResult measure(Path model, Load load) throws IOException {
        System.err.println(name(model) + " ...");
        Way[] ways = Way.values();
        List<List<Loader.Sample>> samples = new ArrayList<>();
        for (int i = 0; i < ways.length; i++) {
            samples.add(new ArrayList<>());
        }
        for (int round = 0; round < WARM_UPS + rounds; round++) {
            for (int i = 0; i < ways.length; i++) {
                Way way = ways[(round + i) % ways.length];
                Loader.Sample sample = load.load(way, model);
                if (round >= WARM_UPS) {
                    samples.get(way.ordinal()).add(sample);
                }
            }
        }
        return new LoadResult(name(model), samples);
    }

    /** In a new process like this one. */
    private Loader.Sample loadInProcess(Way way, Path model) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), LoadTime.class.getName(),
                "--one", way.name(), "--models", model.toString(),
                "--threads", String.valueOf(Runtime.getRuntime().availableProcessors())));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            if (process.waitFor() != 0) {
                throw new IOException("loading " + model + " (" + way.title + ") failed in its process, see above");
            }
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
        String[] times = output.split(" ");
        return new Loader.Sample(Long.parseLong(times[0]), Long.parseLong(times[1]), Long.parseLong(times[2]));
    }
}
