package dev.parallax.cli;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code plx demo}: which sentences mean the same, by a real model, beside plain ONNX Runtime. */
@Command(name = "demo", mixinStandardHelpOptions = true,
        description = {"Finds out which sentences are alike, with a real model beside plain ONNX Runtime.",
            "The model is all-MiniLM-L6-v2. Shows the similarities, the plan in brief, what ran where, and how long it "
                    + "took."})
final class DemoCommand implements Callable<Integer> {
    private static final int WARM_UPS = 5;
    private static final int RUNS = 20;
    private static final int SHOWN_UNITS = 5;

    /** Three ways to say each thing. */
    private static final Map<String, List<String>> TOPICS = topics();

    private final Console console;

    @Option(names = "--units", paramLabel = "CUT", defaultValue = "branches",
            converter = ModelArguments.UnitsConverter.class,
            description = "How fine the cut is: whole, layers, branches (default), nodes or mixed.")
    private Units units;

    @Option(names = "--threads", paramLabel = "N", defaultValue = "0",
            description = "Threads in all, the caller's included; 0 is one per core (default).")
    private int threads;

    DemoCommand(Console console) {
        this.console = console;
    }

    private static Map<String, List<String>> topics() {
        Map<String, List<String>> topics = new LinkedHashMap<>();
        topics.put("cat", List.of("The cat sleeps on the warm windowsill.", "A kitten is napping by the sunny window.",
                "Our old tabby dozes all day long in the sun."));
        topics.put("soup", List.of("Simmer the tomato soup for twenty minutes.",
                "Let the soup cook slowly with fresh basil.",
                "She stirred the pot and tasted the broth."));
        topics.put("moon", List.of("The rocket left its launch pad for the moon.",
                "Astronauts will walk on the lunar surface again.",
                "The spacecraft entered an orbit around the moon."));
        topics.put("train", List.of("My train to work was forty minutes late.",
                "The morning commuter rail is delayed again.",
                "I missed my meeting because the railway was not on time."));
        return topics;
    }

    @Override
    public Integer call() {
        if (threads < 0) {
            throw new BadInputException("--threads " + threads
                    + " is negative; give 0 for one per core, or a number >= 1");
        }
        PrintStream out = console.out();
        List<String> sentences = new ArrayList<>();
        TOPICS.values().forEach(sentences::addAll);
        byte[] bytes = MiniLm.model();
        try (MiniLm lm = new MiniLm();
                Engine engine = Engine.create(EngineOptions.builder().threads(threads).build());
                Model model = engine.load(MemorySegment.ofArray(bytes))) {
            Map<String, Tensor> inputs = lm.encode(sentences);
            PlanOptions.Builder options = PlanOptions.builder().units(units).rule(Rule.RELAXED);
            inputs.forEach((name, tensor) -> options.shape(name, tensor.shape()));
            Plan plan = model.plan(options.build());
            try (Session session = model.session(SessionOptions.builder().plan(plan).build())) {
                Runs.bind(session, inputs);
                session.run();
                String output = session.outputs().getFirst().name();
                out.println("Which of these sentences are alike? all-MiniLM-L6-v2 says, 1 is the same:");
                out.println();
                printSimilarities(sentences, lm.pool(session.output(output), inputs));
                out.println();
                Plan.Census census = plan.census();
                out.println("The plan: " + Text.count(census.nodes(), "node") + " after optimisation, in "
                        + Text.count(census.branches(), "branch", "branches") + " and "
                        + Text.count(census.layers(), "layer") + "; "
                        + census.parallelLayers() + " of them with branches that may run together, at most "
                        + census.mostBranches() + " in one. Cut by " + ModelArguments.UnitsConverter.text(units) + ".");
                try (Reference reference = Reference.load(bytes, engine.info().threads())) {
                    beside(session, reference, inputs, engine);
                }
            }
        }
        return 0;
    }

    private void printSimilarities(List<String> sentences, float[][] vectors) {
        PrintStream out = console.out();
        int width = sentences.stream().mapToInt(String::length).max().orElse(0);
        List<String> labels = new ArrayList<>();
        TOPICS.forEach((topic, list) -> {
            for (int i = 1; i <= list.size(); i++) {
                labels.add(topic.charAt(0) + String.valueOf(i));
            }
        });
        int topic = TOPICS.values().iterator().next().size();
        StringBuilder head = new StringBuilder(" ".repeat(width + 5));
        for (int i = 0; i < labels.size(); i++) {
            head.append(i > 0 && i % topic == 0 ? "  " : "").append(String.format("  %3s", labels.get(i)));
        }
        out.println(head);
        int right = 0;
        for (int i = 0; i < vectors.length; i++) {
            if (i > 0 && i % topic == 0) {
                out.println();
            }
            StringBuilder line = new StringBuilder(String.format("  %s %-" + width + "s", labels.get(i),
                    sentences.get(i)));
            int nearest = -1;
            for (int j = 0; j < vectors.length; j++) {
                double similarity = MiniLm.similarity(vectors[i], vectors[j]);
                line.append(j > 0 && j % topic == 0 ? "  " : "").append(i == j ? "    ." : cell(similarity));
                if (j != i && (nearest < 0 || similarity > MiniLm.similarity(vectors[i], vectors[nearest]))) {
                    nearest = j;
                }
            }
            right += nearest / topic == i / topic ? 1 : 0;
            out.println(line);
        }
        out.println();
        out.println("For " + right + " of " + vectors.length
                + " sentences the nearest other one is about the same thing.");
    }

    private static String cell(double similarity) {
        String text = String.format(Locale.ROOT, "%.2f", similarity);
        return String.format("%5s", text.replaceFirst("^(-?)0\\.", "$1."));
    }

    private void beside(Session session, Reference reference, Map<String, Tensor> inputs, Engine engine) {
        PrintStream out = console.out();
        reference.bind(inputs);
        Timing timing = Timing.measure(session::run, reference::run, WARM_UPS, RUNS);
        Runs.printReport(out, session, SHOWN_UNITS, engine.info().threads());
        out.println();
        Map<String, Tensor> expected = reference.outputs();
        double largest = 0;
        boolean equal = true;
        for (Map.Entry<String, Tensor> output : Runs.outputs(session).entrySet()) {
            Comparison c = Comparison.of(output.getKey(), output.getValue(), expected.get(output.getKey()), 0, 0);
            largest = Math.max(largest, c.maxAbsolute());
            equal &= c.bitEqual();
        }
        out.println("Beside plain ONNX Runtime " + Reference.version() + " in this process, " + Text.shape(
                inputs.get("input_ids").shape()) + " tokens, " + Text.count(engine.info().threads(), "thread") + ":");
        new Text.Table("", ">time")
                .row("Parallax", Text.nanos(timing.ours()))
                .row("ONNX Runtime", Text.nanos(timing.theirs()))
                .print(out, "  ");
        out.println("  ratio " + String.format(Locale.ROOT, "%.2f", timing.ratio()) + ", medians of " + RUNS
                + " runs by turns after " + WARM_UPS + " warm-ups");
        out.println("  largest difference of any output: "
                + (equal ? "none, equal bit for bit" : Text.number(largest)));
    }
}
