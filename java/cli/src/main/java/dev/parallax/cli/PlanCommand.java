package dev.parallax.cli;

import dev.parallax.Dimension;
import dev.parallax.Engine;
import dev.parallax.Model;
import dev.parallax.Plan;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.Units;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code plx plan}: how a model is cut, and why; the paper's table 7 for one's own model. */
@Command(name = "plan", mixinStandardHelpOptions = true,
        description = {"Shows how a model is cut into branches and layers, and why.",
            "N is nodes, F is FLOPs (two to a multiply-accumulate), B is bytes across a border."})
final class PlanCommand implements Callable<Integer> {
    private static final int GIVEN_BACK_SHOWN = 12;

    private final Console console;

    @Mixin
    private ModelArguments model;

    @Option(names = "--units", paramLabel = "CUT", defaultValue = "branches",
            converter = ModelArguments.UnitsConverter.class,
            description = "How fine the cut is: whole, layers, branches (default), nodes or mixed.")
    private Units units;

    @Option(names = "--rule", paramLabel = "RULE", defaultValue = "paper", converter = RuleConverter.class,
            description = "When branches of a layer run together: paper (default), to the letter; or relaxed, which "
                    + "sets short branches aside and groups the rest by F.")
    private Rule rule;

    @Option(names = "--beta", paramLabel = "RATIO", defaultValue = "1.5",
            description = "Largest Fmax / Fmin within a group (default: 1.5, the paper's).")
    private double beta;

    @Option(names = "--min-nodes", paramLabel = "N", defaultValue = "3",
            description = "Fewest nodes of a branch that runs in parallel (default: 3, the paper's N > 2).")
    private int minNodes;

    @Option(names = "--brief", description = "Condense layers of one branch each.")
    private boolean brief;

    @Option(names = "--tensors",
            description = "List the tensors between units, with their shapes in the symbols of the model's inputs.")
    private boolean tensors;

    @Option(names = "--json", paramLabel = "FILE", description = "Write the plan there.")
    private Path json;

    PlanCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Console.checkWritable(json, "--json");
        PrintStream out = console.out();
        try (Engine engine = model.engine(); Model loaded = model.load(engine)) {
            List<Shapes.Resolved> resolved = Shapes.resolve(loaded.inputs(), shapes());
            for (Shapes.Resolved r : resolved) {
                if (!r.chosen().isEmpty()) {
                    out.println("Input " + r.input() + ": not given, so " + String.join(", ", r.chosen()));
                }
            }
            Plan given = loaded.plan(options(model.cpuPlan(Units.WHOLE, resolved)));
            Plan optimised = loaded.plan(options(model.cpuPlan(Units.BRANCHES, resolved)));
            Plan cut = loaded.plan(options(model.plan(units, resolved)));
            Text.Table table = new Text.Table(model.name(), ">nodes", ">branches", ">layers", ">parallel layers",
                    ">most branches");
            row(table, "as given", given);
            row(table, "as optimised", optimised);
            row(table, "as cut", cut);
            table.print(out, "");
            out.println();
            if (brief) {
                out.print(cut.toText());
            } else {
                details(cut);
            }
            if (units == Units.MIXED) {
                out.println();
                stretches(cut);
            }
            if (tensors) {
                out.println();
                tensors(cut);
            }
            if (json != null) {
                console.writeText(json, cut.toJson());
            }
        }
        return 0;
    }

    private Map<String, long[]> shapes() {
        if (!model.files.isEmpty()) {
            throw new BadInputException("a plan needs no values; give --shape instead of --input");
        }
        return Inputs.parseShapes(model.shapes);
    }

    private PlanOptions options(PlanOptions.Builder cut) {
        return cut.rule(rule).beta(beta).minNodes(minNodes).build();
    }

    private static void row(Text.Table table, String name, Plan plan) {
        Plan.Census c = plan.census();
        table.row(name, c.nodes(), c.branches(), c.layers(), c.parallelLayers(), c.mostBranches());
    }

    // ---- every layer and branch --------------------------------------------------------------------------------

    private void details(Plan plan) {
        PrintStream out = console.out();
        out.println("Rule " + plan.rule().name().toLowerCase(Locale.ROOT) + ": N >= " + plan.minNodes()
                + ", Fmax / Fmin <= "
                + plan.beta() + "; units " + ModelArguments.UnitsConverter.text(plan.cut()) + ": "
                + Text.count(plan.units().size(), "unit") + ", " + Text.count(plan.aliases().size(), "view operator")
                + " that cost nothing");
        if (plan.unknownSizes() > 0) {
            out.println(Text.count(plan.unknownSizes(), "node") + " of unknown size count nothing in F");
        }
        if (!plan.device().isEmpty()) {
            regions(plan);
        }
        out.println();
        Text.Table table = new Text.Table(">layer", ">branch", ">N", ">F", ">B", "runs", "operators");
        for (Plan.Layer layer : plan.layers()) {
            boolean first = true;
            for (int index : layer.branches()) {
                Plan.Branch branch = plan.branches().get(index);
                String what = branch.region() >= 0 ? "region " + branch.region() : Runs.operators(plan, branch.nodes());
                table.row(first ? layer.index() : "", index, branch.nodes().size(), si(branch.flops()),
                        Text.bytes(branch.borderBytes()), verdict(layer, index, first), what);
                first = false;
            }
        }
        table.print(out, "");
    }

    /** Regions that are accepted, and the largest of those given back. */
    private void regions(Plan plan) {
        PrintStream out = console.out();
        long accepted = plan.regions().stream().filter(Plan.Region::accepted).count();
        out.println("Regions for " + plan.device() + ": " + accepted + " accepted of " + plan.regions().size());
        List<Plan.Region> shown = plan.regions().stream()
                .sorted(Comparator.comparing(Plan.Region::accepted).thenComparing(Plan.Region::macs).reversed())
                .limit(accepted + GIVEN_BACK_SHOWN).toList();
        Text.Table table = new Text.Table(">region", ">N", ">MACs", ">B", ">time there", ">on the CPU", ">tried there",
                ">on the CPU", "verdict");
        for (Plan.Region r : shown) {
            table.row(r.index(), r.nodes().size(), si(r.macs()), Text.bytes(r.borderBytes()),
                    Text.nanos(r.deviceSeconds() * 1e9), Text.nanos(r.cpuSeconds() * 1e9),
                    tried(r, Plan.Trial::deviceSeconds), tried(r, Plan.Trial::cpuSeconds),
                    r.accepted() ? "accepted" : "given back: " + r.reason());
        }
        if (!shown.isEmpty()) {
            table.print(out, "  ");
        }
        if (plan.regions().size() > shown.size()) {
            out.println("  and " + (plan.regions().size() - shown.size()) + " smaller ones given back");
        }
    }

    private static String tried(Plan.Region region, ToDoubleFunction<Plan.Trial> seconds) {
        boolean tried = region.trial() != null && region.trial().problem().isEmpty();
        return tried ? Text.nanos(seconds.applyAsDouble(region.trial()) * 1e9) : "-";
    }

    /** How a mixed plan was put together: wide units one after the other, or branches side by side. */
    private void stretches(Plan plan) {
        PrintStream out = console.out();
        out.println("Measured node by node, and mixed accordingly:");
        Text.Table table = new Text.Table(">stretch", ">units", "run", ">one thread", ">all threads", "operators");
        plan.units().stream().collect(Collectors.groupingBy(Plan.Unit::stretch, TreeMap::new, Collectors.toList()))
                .forEach((stretch, made) -> table.row(stretch, made.size(),
                        made.getFirst().wide() ? "on all threads" : "side by side, one thread each",
                        Text.nanos(made.stream().mapToDouble(Plan.Unit::narrowNs).sum()),
                        Text.nanos(made.stream().mapToDouble(Plan.Unit::wideNs).sum()),
                        Runs.operators(plan, made.stream().flatMap(u -> u.nodes().stream()).toList())));
        table.print(out, "");
    }

    private void tensors(Plan plan) {
        Text.Table table = new Text.Table("tensor", "type", "shape");
        for (ValueInfo tensor : plan.tensors()) {
            table.row(tensor.name(), tensor.kind() == ValueKind.TENSOR ? tensor.elementType()
                    : tensor.kind().name().toLowerCase(Locale.ROOT), shape(tensor));
        }
        table.print(console.out(), "");
    }

    private static String shape(ValueInfo tensor) {
        return tensor.shape() == null ? "not known"
                : tensor.shape().stream().map(Dimension::toString).collect(Collectors.joining(",", "[", "]"));
    }

    /** Whom a branch runs with; the reason of a layer that is not parallel stands at its first branch. */
    private static String verdict(Plan.Layer layer, int branch, boolean first) {
        if (!layer.parallel()) {
            return first ? "alone: " + layer.reason() : "alone";
        }
        return layer.groups().stream().filter(g -> g.contains(branch)).findFirst()
                .map(g -> "with " + g.stream().filter(b -> b != branch).map(String::valueOf)
                .collect(Collectors.joining(", ")))
                .orElse("alone, set aside");
    }

    /** 1200000 is "1.2 M". */
    private static String si(double value) {
        String unit = "";
        for (String next : List.of("k", "M", "G", "T")) {
            if (value < 999.5) {
                break;
            }
            value /= 1000;
            unit = next;
        }
        return unit.isEmpty() ? String.format(Locale.ROOT, "%.0f", value)
                : String.format(Locale.ROOT, value < 10 ? "%.1f %s" : "%.0f %s", value, unit);
    }

    static final class RuleConverter implements ITypeConverter<Rule> {
        @Override
        public Rule convert(String text) {
            return Arrays.stream(Rule.values()).filter(r -> r.name().toLowerCase(Locale.ROOT).equals(text)).findFirst()
                    .orElseThrow(() -> new BadInputException("--rule " + text + " is not one of paper, relaxed"));
        }
    }
}
