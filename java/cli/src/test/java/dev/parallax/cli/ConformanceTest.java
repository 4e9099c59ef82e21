package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.DataflowPolicy;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.PaperPolicy;
import dev.parallax.ParallaxException;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Units;
import dev.parallax.Value;
import dev.parallax.ValueInfo;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * ONNX's own backend tests, models with inputs and expected outputs, as Debian packs them (libonnx-testdata). Each is
 * run by plain ONNX Runtime and by Parallax, cut into single nodes, under every shipped policy, each schedule twice:
 * the first run learns shapes that the second relies on.
 *
 * <p>A test is passed if every output has the expected type and shape, and values within the tolerance of ONNX's own
 * runner, rtol 1e-3 and atol 1e-7. Whatever ONNX Runtime passes Parallax has to pass, without exception. Beyond that
 * its outputs have to be ONNX Runtime's bit for bit, passed or not, for it runs the same optimised graph; and what ONNX
 * Runtime refuses it has to refuse in an orderly way or run. Models whose runs by ONNX Runtime differ draw random
 * numbers: of them type and shape are compared.
 *
 * <p>The long form (see {@link Ways}) has every cut but the measured one. {@code PLX_ONNX_TESTDATA} names another
 * folder of such tests.
 */
class ConformanceTest {
    private static final Path DATA = Path.of(System.getenv().getOrDefault("PLX_ONNX_TESTDATA",
            "/usr/share/libonnx-testdata/data"));
    private static final Path TABLE = Path.of("target/conformance.txt");
    private static final double RTOL = 1e-3;
    private static final double ATOL = 1e-7;
    private static final List<Units> CUTS = Ways.LONG
            ? List.of(Units.WHOLE, Units.LAYERS, Units.BRANCHES, Units.NODES) : List.of(Units.NODES);
    private static final Map<String, SchedulerPolicy> POLICIES = new TreeMap<>(Map.of("paper", new PaperPolicy(),
            "dataflow", DataflowPolicy.INSTANCE, "sequential", SequentialPolicy.INSTANCE));

    /**
     * What became of a test.
     *
     * @param plain why ONNX Runtime does not pass it; "" if it does
     * @param ours what is wrong with Parallax on it; "" if nothing is
     * @param random whether it draws random numbers
     * @param refused whether Parallax refused it, with an error that says why
     * @param units how many units there were
     * @param schedules how many different ones were run
     */
    private record Outcome(String group, String name, String plain, String ours, boolean random, boolean refused,
            int units, int schedules) {}

    /** One set of inputs with the outputs that are expected of them and those that ONNX Runtime gave. */
    private record Sample(List<Value> inputs, List<Value> expected, List<Value> plain) {}

    @Test
    void whatOnnxRuntimePassesParallaxPasses() throws Exception {
        assertTrue(Files.isDirectory(DATA), DATA + " is not there: install Debian's libonnx-testdata");
        List<Path> models;
        try (Stream<Path> files = Files.walk(DATA)) {
            models = files.filter(f -> f.endsWith("model.onnx")).sorted().toList();
        }
        assertTrue(models.size() > 1000, "only " + models.size() + " models in " + DATA);
        List<Outcome> outcomes = new ArrayList<>();
        String version;
        try (Engine engine = Engine.create();
                ExecutorService threads = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())) {
            version = engine.info().onnxRuntime();
            PlainOrt plain = new PlainOrt(engine.info().ortLibrary());
            List<Future<Outcome>> pending = models.stream()
                    .map(model -> threads.submit(() -> judge(engine, plain, model))).toList();
            for (Future<Outcome> outcome : pending) {
                outcomes.add(outcome.get());
            }
        }
        String table = table(outcomes, version);
        System.out.println(table);
        Files.writeString(TABLE, table + "\n" + String.join("\n", outcomes.stream().filter(o -> !o.plain.isEmpty())
                .map(o -> o.group + "/" + o.name + ": ONNX Runtime: " + o.plain).toList()) + "\n");
        List<String> wrong = outcomes.stream().filter(o -> !o.ours.isEmpty())
                .map(o -> o.group + "/" + o.name + ": " + o.ours).toList();
        assertTrue(wrong.isEmpty(), wrong.size() + " models:\n" + String.join("\n", wrong));
    }

    private static Outcome judge(Engine engine, PlainOrt plain, Path path) throws IOException {
        Path folder = path.getParent();
        String group = folder.getParent().getFileName().toString();
        String name = folder.getFileName().toString();
        List<Sample> samples = new ArrayList<>();
        String verdict = "";
        boolean random = false;
        try (Model model = engine.load(path)) {
            try (PlainOrt.Session session = plain.load(Files.readAllBytes(path))) {
                for (Path set : sets(folder)) {
                    List<Value> inputs = read(set, "input", model.inputs());
                    List<Value> outputs = session.run(inputs);
                    // Twice more: a generator seeded with 0 gives the same numbers in its first two runs.
                    for (int again = 0; again < 2; again++) {
                        random |= !difference(model, outputs, session.run(inputs), 0, 0, true).isEmpty();
                    }
                    Sample sample = new Sample(inputs, read(set, "output", model.outputs()), outputs);
                    samples.add(sample);
                    if (verdict.isEmpty()) {
                        verdict = difference(model, outputs, sample.expected, RTOL, ATOL, false);
                    }
                }
            } catch (PlainOrt.Refusal e) {
                verdict = "refused: " + e.getMessage().lines().findFirst().orElse("");
            }
            if (samples.isEmpty() && verdict.isEmpty()) {
                verdict = "no data";
            }
            return ours(model, samples, new Outcome(group, name, verdict, "", random, false, 0, 0), sets(folder));
        } catch (ParallaxException e) {
            // Not even loaded. The same of ONNX Runtime?
            try (PlainOrt.Session session = plain.load(Files.readAllBytes(path))) {
                return new Outcome(group, name, "", "refused: " + e.getMessage(), false, true, 0, 0);
            } catch (PlainOrt.Refusal refusal) {
                return new Outcome(group, name, "refused: " + refusal.getMessage(), "", false, true, 0, 0);
            }
        }
    }

    private static Outcome ours(Model model, List<Sample> samples, Outcome plain, List<Path> sets) throws IOException {
        boolean refusedByOrt = plain.plain.startsWith("refused");
        String wrong = "";
        boolean refused = false;
        int units = 0;
        int schedules = 0;
        try {
            for (Units cut : CUTS) {
                Plan plan = model.plan(PlanOptions.builder().units(cut).build());
                units = Math.max(units, plan.units().size());
                List<Session> sessions = new ArrayList<>();  // open until the end: they share the plan's compiled units
                try {
                    for (Map.Entry<String, SchedulerPolicy> policy : POLICIES.entrySet()) {
                        Session session = model.session(
                                SessionOptions.builder().plan(plan).policy(policy.getValue()).build());
                        boolean known = sessions.stream().anyMatch(s -> s.schedule().equals(session.schedule()));
                        sessions.add(session);
                        if (known) {
                            continue;
                        }
                        schedules++;
                        for (Path set : refusedByOrt ? sets : List.<Path>of()) {
                            bind(session, read(set, "input", model.inputs()));
                            session.run();
                        }
                        for (Sample sample : samples) {
                            String difference = difference(model, session, sample, plain);
                            if (!difference.isEmpty() && wrong.isEmpty()) {
                                wrong = "units " + ModelArguments.UnitsConverter.text(cut) + ", " + policy.getKey() + ", "
                                        + difference;
                            }
                        }
                    }
                } finally {
                    sessions.forEach(Session::close);
                }
            }
        } catch (ParallaxException e) {
            refused = true;
            wrong = refusedByOrt ? "" : "refused: " + e.code() + ": " + e.getMessage();
        }
        return new Outcome(plain.group, plain.name, plain.plain, wrong, plain.random, refused, units, schedules);
    }

    /** What is wrong with a sample's outputs in either of two runs; "" if nothing is. */
    private static String difference(Model model, Session session, Sample sample, Outcome plain) {
        bind(session, sample.inputs);
        for (String time : List.of("first", "second")) {
            session.run();
            List<Value> outputs = model.outputs().stream().map(o -> session.outputValue(o.name())).toList();
            String difference = difference(model, outputs, sample.plain, 0, 0, !plain.random);
            if (difference.isEmpty() && plain.plain.isEmpty()) {
                difference = difference(model, outputs, sample.expected, RTOL, ATOL, false);
            }
            if (!difference.isEmpty()) {
                return time + " run: " + difference;
            }
        }
        return "";
    }

    private static void bind(Session session, List<Value> inputs) {
        for (int i = 0; i < inputs.size(); i++) {
            session.bindInput(session.inputs().get(i).name(), inputs.get(i));
        }
    }

    /**
     * What sets outputs apart from others, in words; "" if nothing does.
     *
     * @param bits whether they have to be the same bits; else type and shape, and values if rtol or atol is not 0
     */
    private static String difference(Model model, List<Value> ours, List<Value> theirs, double rtol, double atol,
            boolean bits) {
        for (int i = 0; i < theirs.size(); i++) {
            Comparison c = Comparison.of(model.outputs().get(i).name(), ours.get(i), theirs.get(i), rtol, atol);
            boolean same = bits ? c.bitEqual() : c.sameShape() && (rtol + atol == 0 || c.close());
            if (!same) {
                return c.sameShape() ? "other values of " + c.name() + ", off by " + Text.number(c.maxAbsolute())
                        : "output " + c.name() + " is " + Values.brief(c.ours()) + ", not " + Values.brief(c.theirs());
            }
        }
        return "";
    }

    private static List<Path> sets(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isDirectory).sorted().toList();
        }
    }

    /** The values of the first inputs or outputs, as many as there are files. */
    private static List<Value> read(Path set, String what, List<ValueInfo> infos) throws IOException {
        List<Value> values = new ArrayList<>();
        for (int i = 0; Files.exists(set.resolve(what + "_" + i + ".pb")); i++) {
            values.add(OnnxData.read(set.resolve(what + "_" + i + ".pb"), infos.get(i).kind()));
        }
        return values;
    }

    // ---- the table ------------------------------------------------------------------------------------------------

    private static String table(List<Outcome> outcomes, String version) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        out.println("ONNX's backend tests: " + outcomes.size() + " models of " + DATA);
        out.println("ONNX Runtime " + version + " plain, and Parallax cut into "
                + String.join(", ", CUTS.stream().map(ModelArguments.UnitsConverter::text).toList())
                + " under the policies " + String.join(", ", POLICIES.keySet()));
        out.println("Passed: expected type and shape, and values within rtol " + RTOL + ", atol " + ATOL);
        Text.Table groups = new Text.Table("group", ">models", ">passed by ONNX Runtime", ">of them by Parallax");
        Map<String, int[]> counts = new TreeMap<>();
        for (Outcome o : outcomes) {
            for (String group : List.of(o.group, "total")) {
                int[] count = counts.computeIfAbsent(group, _ -> new int[3]);
                count[0]++;
                count[1] += o.plain.isEmpty() ? 1 : 0;
                count[2] += o.plain.isEmpty() && o.ours.isEmpty() ? 1 : 0;
            }
        }
        counts.forEach((group, count) -> {
            if (!group.equals("total")) {
                groups.row(group, count[0], count[1], count[2]);
            }
        });
        int[] total = counts.getOrDefault("total", new int[3]);
        groups.row("total", total[0], total[1], total[2]).print(out, "  ");

        out.println("What ONNX Runtime does not pass, and Parallax on it:");
        Text.Table reasons = new Text.Table("ONNX Runtime", ">models", ">Parallax the same", ">refuses too",
                ">runs", ">wrong");
        Map<String, int[]> byReason = new TreeMap<>();
        outcomes.stream().filter(o -> !o.plain.isEmpty()).forEach(o -> {
            int[] count = byReason.computeIfAbsent(o.random ? "draws random numbers" : o.plain.startsWith("refused")
                    ? "refuses it" : o.plain.startsWith("output") ? "gives another type or shape"
                            : "gives other values", _ -> new int[5]);
            boolean refusedByOrt = o.plain.startsWith("refused");
            count[0]++;
            count[!o.ours.isEmpty() ? 4 : o.refused ? 2 : refusedByOrt ? 3 : 1]++;
        });
        byReason.forEach((reason, c) -> reasons.row(reason, c[0], c[1], c[2], c[3], c[4]));
        reasons.print(out, "  ");
        out.println("Bit for bit ONNX Runtime's, in two runs of each schedule: "
                + outcomes.stream().filter(o -> o.ours.isEmpty() && !o.random && !o.plain.startsWith("refused")).count()
                + " models; " + outcomes.stream().filter(o -> o.random).count() + " more draw random numbers. "
                + outcomes.stream().mapToInt(Outcome::schedules).sum() + " schedules, "
                + outcomes.stream().filter(o -> o.units > 1).count() + " models of more than one unit, at most "
                + IntStream.concat(IntStream.of(0), outcomes.stream().mapToInt(Outcome::units)).max().getAsInt()
                + " units.");
        return bytes.toString(StandardCharsets.UTF_8);
    }
}
