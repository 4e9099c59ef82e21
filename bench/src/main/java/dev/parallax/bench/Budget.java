package dev.parallax.bench;

import com.google.gson.JsonObject;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Parallax;
import dev.parallax.ValueInfo;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/budget}: whether memory budgets are kept, as the arenas count and as the system counts, and their price. */
@Command(name = "bench/budget", usageHelpWidth = 100,
        description = "Runs models of the zoo at random shapes and cuts within random memory budgets, a new process"
                + " without a JVM each (plx-run), and looks whether each budget is kept, as the arenas count and as the"
                + " system counts (RssAnon), with the outputs of plain ONNX Runtime. Then a curve: what a run takes as"
                + " the budget shrinks, by turns.",
        footer = {"", "Exit status: 0 all is well, 1 a budget was not kept or outputs differ, 2 it could not be run."})
final class Budget implements Callable<Integer> {
    private static final List<String> UNITS = List.of("whole", "branches", "nodes");
    /** ModelInputs' sets of sizes: open dimensions are 8, 16 and 48. */
    private static final int[] SHAPE_SETS = {0, 8, 40};
    /** A loop runs its 40 s whatever its budget is. */
    private static final String LEFT_OUT = "whisper-tiny-greedy";
    private static final int CURVE_POINTS = 12;
    private static final String SIX_BRANCHES = "six-branches";

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME", description = "This model only; repeatable.")
    private List<String> only = List.of();

    @Option(names = "--triples", paramLabel = "N", defaultValue = "500",
            description = "How many of model, shape and budget; by default ${DEFAULT-VALUE}.")
    private int triples;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "1", description = "Of what is random.")
    private long seed;

    @Option(names = "--curve", paramLabel = "NAME",
            description = "Models to draw the curve of; repeatable, by default yolov8n and " + SIX_BRANCHES
                    + ", six equal branches that can all run side by side.")
    private List<String> curves = List.of(SIX_BRANCHES, "yolov8n");

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "5",
            description = "Processes for each point of a curve; by default ${DEFAULT-VALUE}, 0 draws none.")
    private int rounds;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/budget-MACHINE.json, and nowhere with --only.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private PlxRun program;

    private Budget() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Budget(), args));
    }

    /** A model at one set of shapes. */
    private record Subject(Path path, String name, List<String> arguments, String shapes) {}

    /** How a subject behaves that nothing limits. */
    private record Unlimited(String digest, long enoughBytes) {}

    @Override
    public Integer call() throws IOException {
        if (triples < 0 || rounds < 0) {
            throw new Commands.BadInput("--triples " + triples + ", --rounds " + rounds + ": give 0 or more of both");
        }
        Path from = folder != null ? folder : root.resolve("target/zoo");
        List<Path> models = LoadTime.models(from, only).stream()
                .filter(m -> !only.isEmpty() || !LoadTime.name(m).equals(LEFT_OUT)).toList();
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        program = new PlxRun(root, host.cores());
        List<BudgetResult> results = new ArrayList<>();
        List<String> wrongs = new ArrayList<>();
        run(models, results, wrongs);
        if (triples > 0) {
            System.out.print(BudgetResult.table(results));
            System.out.println("\n" + results.size() + " budgets, a process each. Arena: what it had mapped, and what is set"
                    + " aside for ONNX Runtime's own blocks; process: growth of RssAnon while it ran; the most of all"
                    + " budgets.");
        }
        List<Object> points = new ArrayList<>();
        for (String name : rounds > 0 ? curves : List.<String>of()) {
            Path made = root.resolve("target/" + SIX_BRANCHES + ".onnx");
            if (name.equals(SIX_BRANCHES)) {
                Files.write(made, BranchesModel.bytes());
            }
            curve(name.equals(SIX_BRANCHES) ? made : LoadTime.models(from, List.of(name)).getFirst(), points);
        }
        System.out.println("\n" + host.cpu() + ", " + host.cores() + " cores; " + versions);
        Path target = json != null ? json : only.isEmpty()
                ? root.resolve("bench/results/budget-" + host.machineClass() + ".json") : null;
        if (target != null) {
            Map<String, Object> content = Results.header("budget", host, versions, start);
            content.put("threads", host.cores());
            content.put("seed", seed);
            content.put("budgets", results.stream().map(BudgetResult::toMap).toList());
            content.put("curve", points);
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        wrongs.forEach(w -> System.out.println("NOT KEPT: " + w));
        return wrongs.isEmpty() ? 0 : Commands.MISSED;
    }

    private void run(List<Path> models, List<BudgetResult> results, List<String> wrongs) throws IOException {
        Random random = new Random(seed);
        Map<String, Unlimited> known = new HashMap<>();
        for (int i = 0; i < triples; i++) {
            Path model = models.get(i % models.size());
            Subject subject = subject(model, SHAPE_SETS[random.nextInt(SHAPE_SETS.length)]);
            String units = UNITS.get(random.nextInt(UNITS.size()));
            Unlimited unlimited = unlimited(known, subject, units);
            // From a quarter to one and a half times what is enough, small ones as often as large ones.
            long budget = (long) (unlimited.enoughBytes() * 0.25 * Math.pow(6, random.nextDouble()));
            BudgetResult result = measure(subject, units, budget, 2, 3);
            results.add(result);
            wrongs.addAll(result.wrongs(unlimited.digest(), unlimited.enoughBytes()));
            if ((i + 1) % 25 == 0) {
                System.err.println((i + 1) + " of " + triples + " budgets, " + wrongs.size() + " not kept ...");
            }
        }
        results.sort((a, b) -> a.model().compareTo(b.model()));
    }

    private static Subject subject(Path path, int set) {
        try (Engine engine = Engine.create(); Model model = engine.load(path)) {
            List<String> arguments = new ArrayList<>();
            for (ValueInfo input : model.inputs()) {
                if (!input.isStatic()) {
                    arguments.add("--shape");
                    arguments.add(input.name() + "=" + Arrays.stream(ModelInputs.sizes(input, set))
                            .mapToObj(Long::toString).collect(Collectors.joining("x")));
                }
            }
            return new Subject(path, LoadTime.name(path), arguments, arguments.isEmpty() ? "fixed shapes"
                    : arguments.stream().filter(a -> !a.equals("--shape")).collect(Collectors.joining(" ")));
        }
    }

    private Unlimited unlimited(Map<String, Unlimited> known, Subject subject, String units) throws IOException {
        String key = subject.name() + subject.shapes() + units;
        Unlimited before = known.get(key);
        if (before != null) {
            return before;
        }
        List<String> plain = new ArrayList<>(subject.arguments());
        plain.addAll(List.of("--engine", "ort", "--warm-ups", "0", "--runs", "1"));
        String digest = program.run(subject.path(), plain).get("outputs_digest").getAsString();
        // With a budget that is no bound, so that what is set aside is known, and runs before there is a layout go one unit
        // at a time, too.
        BudgetResult all = measure(subject, units, 1L << 40, 2, 3);
        Unlimited unlimited = new Unlimited(digest, all.highWaterBytes() + all.outsideBytes());
        known.put(key, unlimited);
        return unlimited;
    }

    private BudgetResult measure(Subject subject, String units, long budget, int warmUps, int runs) throws IOException {
        List<String> arguments = new ArrayList<>(subject.arguments());
        arguments.addAll(List.of("--units", units, "--memory-budget", String.valueOf(budget), "--warm-ups",
                String.valueOf(warmUps), "--runs", String.valueOf(runs)));
        JsonObject measured = program.run(subject.path(), arguments);
        return BudgetResult.of(subject.name(), units, subject.shapes(), budget, measured);
    }

    /** From all that branches side by side take down to what is refused. */
    private void curve(Path model, List<Object> points) throws IOException {
        Subject subject = subject(model, SHAPE_SETS[1]);
        BudgetResult most = measure(subject, "branches", 1L << 40, 3, 1);
        long all = most.highWaterBytes() + most.outsideBytes();
        List<Long> budgets = new ArrayList<>(List.of(1L << 40));
        for (int i = 0; i < CURVE_POINTS; i++) {
            budgets.add(all * (CURVE_POINTS + 4 - i) / (CURVE_POINTS + 4));
        }
        Map<Long, List<BudgetResult>> runs = new HashMap<>();
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < budgets.size(); i++) {
                long budget = budgets.get((i + round) % budgets.size());
                runs.computeIfAbsent(budget, b -> new ArrayList<>()).add(measure(subject, "branches", budget, 5, 10));
            }
        }
        MarkdownTable table = new MarkdownTable("budget, MB", "barriers", "arena, MB", "a run, ms", "of no budget's");
        double[] base = runs.get(budgets.getFirst()).stream().mapToDouble(BudgetResult::medianMs).toArray();
        for (long budget : budgets) {
            List<BudgetResult> of = runs.get(budget);
            boolean ran = of.stream().allMatch(BudgetResult::ran);
            double[] times = of.stream().mapToDouble(BudgetResult::medianMs).toArray();
            table.row(budget == budgets.getFirst() ? "none" : megabytes(budget), of.getFirst().barriers(),
                    megabytes(of.getFirst().highWaterBytes()),
                    ran ? String.format(Locale.ROOT, "%.2f", Statistics.median(times)) : "refused",
                    ran ? String.format(Locale.ROOT, "%.2f", Statistics.pairedRatio(times, base)) : "");
            of.forEach(r -> points.add(r.toMap()));
        }
        System.out.println("\n" + subject.name() + " by branches, " + subject.shapes() + ", " + rounds
                + " processes each by turns:\n");
        System.out.print(table);
    }

    private static String megabytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f", bytes / 1e6);
    }
}
