package dev.parallax.bench;

import com.google.gson.JsonObject;
import dev.parallax.Parallax;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/confined}: models where there is too little memory for plain ONNX Runtime, and beside one who eats it. */
@Command(name = "bench/confined", usageHelpWidth = 100,
        description = "Runs models in too little memory for plain ONNX Runtime: in a control group, or under RLIMIT_DATA where"
                + " none can be made. Then, in a control group, with an adaptive budget beside a process that eats"
                + " memory meanwhile.",
        footer = {"", "Exit status: 0 all is well, 1 something did not go as promised, 2 it could not be run."})
final class Confined implements Callable<Integer> {
    /** Between what each of them needs alone. */
    private static final int TRIES = 4;
    /** Of the six branches' tensors, so that they weigh more than the rest of the process. */
    private static final int EATEN_SIZE = 320;

    @Option(names = "--models", paramLabel = "DIR",
            description = "Folder of ONNX models; by default target/zoo of the project, which ./plx zoo fill fills.")
    private Path folder;

    @Option(names = "--only", paramLabel = "NAME",
            description = "This model only; repeatable, by default yolov8n and whisper-tiny-encoder.")
    private List<String> only = List.of("yolov8n", "whisper-tiny-encoder");

    @Option(names = "--limit-data", description = "By RLIMIT_DATA even where a control group can be made; then nobody eats"
            + " memory beside, and nothing is written to bench/results unless --json says so.")
    private boolean limitData;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/confined-MACHINE.json.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private PlxRun program;
    private final List<String> misses = new ArrayList<>();
    private final List<Object> kept = new ArrayList<>();

    private Confined() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Confined(), args));
    }

    @Override
    public Integer call() throws IOException {
        List<Path> models = LoadTime.models(folder != null ? folder : root.resolve("target/zoo"), only);
        Instant start = Instant.now();
        Versions versions = Parallax.version();
        Host host = Host.of(Path.of("/"));
        program = new PlxRun(root, host.cores());
        MarkdownTable table = new MarkdownTable("model", "limit, MB", "by", "plain ONNX Runtime", "Parallax", "budget, MB",
                "a run, ms", "outputs");
        for (Path model : models) {
            System.err.println(LoadTime.name(model) + " ...");
            small(model, table);
        }
        System.out.print(table);
        if (!limitData) {
            eaters(models);
        }
        System.out.println("\n" + host.cpu() + ", " + host.cores() + " cores; " + versions);
        Path target = json != null ? json
                : limitData ? null : root.resolve("bench/results/confined-" + host.machineClass() + ".json");
        if (target != null) {
            Map<String, Object> content = Results.header("confined", host, versions, start);
            content.put("threads", host.cores());
            content.put("rows", kept);
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        misses.forEach(m -> System.out.println("MISSED: " + m));
        return misses.isEmpty() ? 0 : Commands.MISSED;
    }

    private void eaters(List<Path> models) throws IOException {
        Path six = root.resolve("target/six-branches.onnx");
        Files.write(six, BranchesModel.bytes(EATEN_SIZE));
        MarkdownTable beside = new MarkdownTable("model", "limit, MB", "eaten, MB", "budget before, MB", "after", "arena before, MB",
                "after", "moves", "reruns", "outputs");
        for (Path model : Stream.concat(Stream.of(six), models.stream()).toList()) {
            System.err.println(LoadTime.name(model) + " beside an eater ...");
            beside(model, beside);
        }
        System.out.println();
        System.out.print(beside);
    }

    /** The smallest budget that was found to do, twice, and half way between what the engines need: the limit. */
    private void small(Path model, MarkdownTable table) throws IOException {
        String name = LoadTime.name(model);
        JsonObject plain = program.run(model, List.of("--engine", "ort", "--runs", "3"));
        JsonObject free = program.run(model, List.of("--units", "branches", "--memory-budget", "1000GB", "--runs", "3"));
        // One unit at a time from the start takes what the plan takes.
        long budget = bytes(free.getAsJsonObject("session"), "planned_bytes") * 21 / 20
                + bytes(free.getAsJsonObject("session"), "outside_bytes");
        List<String> ours = List.of("--units", "branches", "--memory-budget", String.valueOf(budget), "--runs", "3");
        long low = bytes(program.run(model, ours), "rss_anon_peak_bytes");
        long high = bytes(plain, "rss_anon_peak_bytes");
        for (int i = 0; i < TRIES; i++) {
            // The kernel's own pages count, too, so that the limit that parts them is looked for.
            long limit = low + (high - low) * (i + 1) / (TRIES + 1);
            try (Confinement confinement = limitData ? Confinement.ofData(limit) : Confinement.of(limit)) {
                PlxRun.Outcome theirs = program.tryRun(model, List.of("--engine", "ort", "--runs", "3"), confinement);
                PlxRun.Outcome mine = program.tryRun(model, ours, confinement);
                if (theirs.ran() || !mine.ran()) {
                    continue;
                }
                boolean equal = mine.measured().get("outputs_digest").equals(plain.get("outputs_digest"));
                if (!equal) {
                    misses.add(name + " in " + limit + " bytes: outputs differ from plain ONNX Runtime's outside");
                }
                table.row(name, megabytes(limit), confinement.kind(), theirs.how(), mine.how(), megabytes(budget),
                        String.format(Locale.ROOT, "%.1f", mine.measured().get("median_ms").getAsDouble()),
                        equal ? "equal" : "differ");
                Map<String, Object> row = new LinkedHashMap<>();
                row.put("model", name);
                row.put("limit_bytes", limit);
                row.put("by", confinement.kind());
                row.put("onnxruntime", theirs.how());
                row.put("parallax", mine.how());
                row.put("budget_bytes", budget);
                row.put("onnxruntime_rss_anon_peak_bytes", high);
                row.put("parallax_rss_anon_peak_bytes", low);
                row.put("median_ms", mine.measured().get("median_ms").getAsDouble());
                row.put("outputs_equal", equal);
                kept.add(row);
                return;
            }
        }
        misses.add(name + ": no limit between " + low + " and " + high + " bytes was found that plain ONNX Runtime does not"
                + " run in and Parallax does");
    }

    /** One who eats memory in the same group: the budget follows, and nobody is killed. */
    private void beside(Path model, MarkdownTable table) throws IOException {
        String name = LoadTime.name(model);
        JsonObject free = program.run(model, List.of("--units", "branches", "--memory-budget", "1000GB", "--runs", "3"));
        JsonObject session = free.getAsJsonObject("session");
        long most = bytes(session, "arena_bytes") + bytes(session, "outside_bytes");
        long least = least(model, bytes(session, "planned_bytes"), bytes(session, "outside_bytes"));
        // Free without the session, so that 0.6 of it is the budget: twice what it takes, and then just enough.
        long others = bytes(free, "rss_anon_peak_bytes") - most;
        long limit = others + 2 * most * 10 / 6 + bytes(free, "rss_file_peak_bytes");
        try (Confinement confinement = Confinement.of(limit)) {
            if (!confinement.isGroup()) {
                table.row(name, "", "not run: no control group can be made here", "", "", "", "", "", "", "");
                return;
            }
            List<String> arguments = List.of("--units", "branches", "--memory-margin", "0.4", "--runs");
            JsonObject before = program.tryRun(model, with(arguments, "3"), confinement).measured();
            if (before == null) {
                misses.add(name + " with an adaptive budget in " + limit + " bytes: did not run");
                return;
            }
            JsonObject calm = before.getAsJsonObject("session");
            long eaten = (bytes(calm, "memory_budget_bytes") - least * 21 / 20) * 10 / 6;
            int runs = (int) Math.max(20, 8000 / before.get("median_ms").getAsDouble());
            Process eater = null;
            PlxRun.Running running = program.start(model, with(arguments, String.valueOf(runs)), confinement);
            try {
                TimeUnit.MILLISECONDS.sleep(2500 + (long) before.get("ready_ms").getAsDouble());
                eater = confinement.eater(eaten);
                PlxRun.Outcome outcome = running.outcome();
                JsonObject after = outcome.measured() == null ? null : outcome.measured().getAsJsonObject("session");
                boolean equal = outcome.ran()
                        && outcome.measured().get("outputs_digest").equals(free.get("outputs_digest"));
                if (!equal) {
                    misses.add(name + " beside an eater of " + eaten + " bytes: " + outcome.how());
                }
                if (after == null) {
                    return;
                }
                long budget = bytes(after, "memory_budget_bytes");
                if (bytes(after, "arena_bytes") + bytes(after, "outside_bytes") > budget) {
                    misses.add(name + " beside an eater: holds more than its budget of " + budget);
                }
                if (bytes(after, "limits_followed") == 0) {
                    misses.add(name + " beside an eater: the budget did not move");
                }
                table.row(name, megabytes(limit), megabytes(eaten), megabytes(bytes(calm, "memory_budget_bytes")),
                        megabytes(budget), megabytes(bytes(calm, "arena_bytes")), megabytes(bytes(after, "arena_bytes")),
                        bytes(after, "limits_followed"), bytes(after, "reruns_for_memory"), equal ? "equal" : "differ");
                Map<String, Object> row = new LinkedHashMap<>();
                row.put("model", name);
                row.put("limit_bytes", limit);
                row.put("eaten_bytes", eaten);
                row.put("budget_before_bytes", bytes(calm, "memory_budget_bytes"));
                row.put("budget_after_bytes", budget);
                row.put("arena_before_bytes", bytes(calm, "arena_bytes"));
                row.put("arena_after_bytes", bytes(after, "arena_bytes"));
                row.put("moves", bytes(after, "limits_followed"));
                row.put("reruns", bytes(after, "reruns_for_memory"));
                row.put("outputs_equal", equal);
                kept.add(row);
            } finally {
                running.destroy();
                if (eater != null) {
                    eater.descendants().forEach(ProcessHandle::destroyForcibly);
                    eater.destroyForcibly();
                    eater.waitFor();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    /** The smallest budget that does, in steps of a tenth of what the plan takes. */
    private long least(Path model, long planned, long outside) throws IOException {
        long least = planned * 21 / 20 + outside;
        for (int tenths = 9; tenths > 1; tenths--) {
            long budget = planned * tenths / 10 + outside;
            JsonObject measured = program.run(model, List.of("--units", "branches", "--memory-budget",
                    String.valueOf(budget), "--runs", "1"));
            if (!measured.get("refused").isJsonNull()) {
                break;
            }
            least = budget;
        }
        return least;
    }

    private static List<String> with(List<String> arguments, String last) {
        List<String> all = new ArrayList<>(arguments);
        all.add(last);
        return all;
    }

    private static long bytes(JsonObject object, String field) {
        return object.get(field).getAsLong();
    }

    private static String megabytes(long bytes) {
        return String.format(Locale.ROOT, "%.0f", bytes / 1e6);
    }
}
