package dev.parallax.bench;

import com.google.gson.JsonParser;
import dev.parallax.Parallax;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.results.format.ResultFormatType;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/overhead}: runs {@link RunOverhead}, {@link HandOver} and {@link Downcall} with JMH, and judges. */
@Command(name = "bench/overhead", usageHelpWidth = 100,
        description = {"What one run costs on a model of one tiny node: ONNX Runtime's C function Run called directly,",
            "Parallax's session.run(), and ai.onnxruntime; what a call into the core costs; and what a",
            "hand-over between units costs."},
        footer = {"", "Takes some six minutes.",
            "Exit status: 0 all is well, 1 a target is missed, 2 it could not be run."})
final class Overhead implements Callable<Integer> {
    /** What a run may cost beyond ONNX Runtime's C Run. */
    static final double MOST_EXTRA_NS = 3000;
    /** JMH counts what its own threads allocate too, spread over the runs; an object takes 16 bytes or more. */
    static final double MOST_BYTES = 0.5;
    /** The same for runs that take many times as long: fewer fit into an iteration, so each bears more of JMH's own. */
    static final double MOST_BYTES_HAND_OVER = 8;

    static final String C_RUN = "ORT C Run, 1 thread";
    static final String JUDGED = "Parallax whole, 1 thread";

    /**
     * One alternative.
     *
     * @param name as a person reads it
     * @param oneNode whether it is a run of the model of one node, so that the C Run is its yardstick
     * @param nanos median over all iterations of all forks
     * @param bytes Java heap per run, likewise: what JMH allocates at the end of a fork is in its last iteration only
     */
    record Score(String name, boolean oneNode, double nanos, double bytes) {}

    @Option(names = "--check",
            description = "Exit with 1 if a run (whole, 1 thread) costs over 3 microseconds more than the C Run, or"
                    + " if any Parallax run allocates on the Java heap.")
    private boolean check;

    @Option(names = "--quick",
            description = "One short fork each: to see that it works. Writes no result file by itself.")
    private boolean quick;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/overhead-MACHINE.json.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private Overhead() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Overhead(), args));
    }

    @Override
    public Integer call() throws IOException, RunnerException {
        Instant start = Instant.now();
        Versions versions = Parallax.version(); // says what is missing before the long part
        Host host = Host.of(Path.of("/"));
        Path raw = Files.createTempFile("parallax-jmh-", ".json");
        try {
            ChainedOptionsBuilder options = new OptionsBuilder().include(RunOverhead.class.getName() + "\\.")
                    .include(HandOver.class.getName() + "\\.").include(Downcall.class.getName() + "\\.")
                    .addProfiler(GCProfiler.class).shouldFailOnError(true).verbosity(VerboseMode.SILENT)
                    .jvmArgsAppend("--enable-native-access=ALL-UNNAMED")
                    .resultFormat(ResultFormatType.JSON).result(raw.toString());
            if (quick) {
                options.forks(1).warmupIterations(2).warmupTime(TimeValue.milliseconds(300)).measurementIterations(3)
                        .measurementTime(TimeValue.milliseconds(300));
            }
            System.err.println(quick ? "measuring, some 40 seconds ..." : "measuring, some six minutes ...");
            Collection<RunResult> results = new Runner(options.build()).run();
            List<Score> scores = results.stream().map(Overhead::score)
                    .sorted(Comparator.comparing(Score::oneNode).reversed()).toList();
            System.out.print(table(scores) + "\n" + handOverTable(scores));
            System.out.println("\n" + host.cpu() + ", " + host.cores() + " cores; " + versions);
            Path target = json != null ? json
                    : quick ? null : root.resolve("bench/results/overhead-" + host.machineClass() + ".json");
            if (target != null) {
                Map<String, Object> content = Results.header("overhead", host, versions, start);
                content.put("hand_over", handOver(scores));
                content.put("jmh", JsonParser.parseString(Files.readString(raw)));
                Results.write(target, content);
                System.err.println("raw results: " + target);
            }
            List<String> misses = misses(scores);
            misses.forEach(System.out::println);
            return check && !misses.isEmpty() ? Commands.MISSED : 0;
        } finally {
            Files.deleteIfExists(raw);
        }
    }

    private static Score score(RunResult result) {
        List<IterationResult> iterations = result.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream()).toList();
        return new Score(name(result.getParams()), result.getParams().getBenchmark().startsWith(
                RunOverhead.class.getName() + "."),
                Statistics.median(iterations.stream().mapToDouble(i -> i.getPrimaryResult().getScore()).toArray()),
                Statistics.median(iterations.stream()
                        .mapToDouble(i -> i.getSecondaryResults().get("gc.alloc.rate.norm").getScore()).toArray()));
    }

    private static String name(BenchmarkParams params) {
        String method = params.getBenchmark().substring(params.getBenchmark().lastIndexOf('.') + 1);
        return switch (method) {
            case "cRun" -> C_RUN;
            case "onnxruntimeJava" -> "ai.onnxruntime run, 1 thread";
            case "abiVersion" -> "plx_abi_version(), a call that does nothing";
            case "chains" -> HandOver.Way.valueOf(params.getParam("way")).title;
            case "parallax" -> "Parallax " + params.getParam("units").toLowerCase(Locale.ROOT) + ", "
                    + (params.getParam("threads").equals("1") ? "1 thread" : "pool");
            default -> throw new IllegalStateException("no name for benchmark " + method);
        };
    }

    static String table(List<Score> scores) {
        double yardstick = find(scores, C_RUN).nanos();
        MarkdownTable table = new MarkdownTable("one run", "ns", "us", "us over C Run", "bytes on the Java heap");
        for (Score score : scores) {
            table.row(score.name(), number("%.0f", score.nanos()), number("%.2f", score.nanos() / 1000),
                    score.oneNode() ? number("%+.2f", (score.nanos() - yardstick) / 1000) : "",
                    number("%.2f", score.bytes()));
        }
        return table.toString();
    }

    /**
     * What hand-overs cost, in nanoseconds: differences of medians, taken in processes of their own, so on a busy
     * machine they may come out as anything.
     */
    static Map<String, Double> handOver(List<Score> scores) {
        Map<String, Double> costs = new LinkedHashMap<>();
        costs.put("one_more_unit_ns", (nanos(scores, HandOver.Way.NODES) - nanos(scores, HandOver.Way.WHOLE))
                / (HandOver.LENGTH - 1));
        costs.put("two_units_on_the_pool_ns",
                nanos(scores, HandOver.Way.DATAFLOW) - nanos(scores, HandOver.Way.SEQUENTIAL));
        return costs;
    }

    static String handOverTable(List<Score> scores) {
        Map<String, Double> costs = handOver(scores);
        return new MarkdownTable("hand-over between units", "us")
                .row("one more unit in a run: (nodes - whole) / " + (HandOver.LENGTH - 1),
                        number("%+.2f", costs.get("one_more_unit_ns") / 1000))
                .row("two units offered to the pool: dataflow - sequential",
                        number("%+.2f", costs.get("two_units_on_the_pool_ns") / 1000)).toString();
    }

    private static double nanos(List<Score> scores, HandOver.Way way) {
        return find(scores, way.title).nanos();
    }

    /** One line per target missed. */
    static List<String> misses(List<Score> scores) {
        List<String> misses = new ArrayList<>();
        double extra = find(scores, JUDGED).nanos() - find(scores, C_RUN).nanos();
        if (!(extra <= MOST_EXTRA_NS)) {
            misses.add(String.format(Locale.ROOT, "MISSED: a run (%s) costs %.2f us more than %s; at most %.2f", JUDGED,
                    extra / 1000, C_RUN, MOST_EXTRA_NS / 1000));
        }
        for (Score score : scores) {
            double most = score.oneNode() ? MOST_BYTES : MOST_BYTES_HAND_OVER;
            if (score.name().startsWith("Parallax") && !(score.bytes() < most)) {
                misses.add(String.format(Locale.ROOT,
                        "MISSED: a run (%s) allocates %.2f bytes on the Java heap; none is allowed", score.name(),
                        score.bytes()));
            }
        }
        return misses;
    }

    private static Score find(List<Score> scores, String name) {
        return scores.stream().filter(score -> score.name().equals(name)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no score of " + name));
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
