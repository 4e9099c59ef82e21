package dev.parallax.cli;

import dev.parallax.Plan;
import dev.parallax.RunReport;
import dev.parallax.Session;
import dev.parallax.Tensor;
import dev.parallax.Value;
import dev.parallax.ValueKind;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** What commands that run a session have in common. Stateless. */
final class Runs {
    private Runs() {}

    static void bind(Session session, Map<String, ? extends Value> inputs) {
        inputs.forEach(session::bindInput);
    }

    /**
     * Has the next runs write their outputs to memory that is allocated here, in the shapes of the last run; the same
     * outputs as {@link Reference#pinOutputs()}.
     */
    static void pinOutputs(Session session) {
        Map<String, Tensor> memory = new LinkedHashMap<>();
        session.outputs().forEach(o -> {
            if (o.kind() == ValueKind.TENSOR && session.outputValue(o.name()) instanceof Tensor last
                    && Reference.canPin(last.elementType())) {
                memory.put(o.name(), Tensor.allocate(last.elementType(), last.shape()));
            }
        });
        memory.forEach(session::bindOutput);
    }

    /** Copies of the last run's outputs, by name, in the model's order; all of them must be tensors. */
    static Map<String, Tensor> outputs(Session session) {
        Map<String, Tensor> copies = new LinkedHashMap<>();
        session.outputs().forEach(o -> copies.put(o.name(), session.output(o.name()).copy()));
        return copies;
    }

    /** The same for outputs of any kind. */
    static Map<String, Value> values(Session session) {
        Map<String, Value> copies = new LinkedHashMap<>();
        session.outputs().forEach(o -> copies.put(o.name(), session.outputValue(o.name()).copy()));
        return copies;
    }

    /** What ran where in the last run: the whole in figures, and the units that took longest. */
    static void printReport(PrintStream out, Session session, int shown, int poolThreads) {
        Plan plan = session.plan();
        RunReport report = session.report();
        if (report.units().isEmpty()) {
            out.println("What ran: nothing; every output is a constant");
            return;
        }
        Map<String, Long> devices = new TreeMap<>();
        report.units().forEach(u -> devices.merge(u.device(), u.durationNs(), Long::sum));
        out.println("What ran: " + Text.count(report.units().size(), "unit") + " on "
                + devices.entrySet().stream().map(d -> d.getKey() + " (" + Text.nanos(d.getValue()) + ")")
                        .collect(Collectors.joining(", "))
                + (report.aliases() > 0 ? "; " + Text.count(report.aliases(), "view operator") + " cost nothing" : ""));
        long overlap = report.overlapNs();
        if (report.units().size() > 1) {
            out.println("Side by side: " + (overlap == 0 ? "never" : Text.nanos(overlap) + " of "
                    + Text.nanos(report.spanNs())));
        }
        boolean onDevice = report.units().stream().anyMatch(u -> u.deviceNs() > 0);
        Text.Table table = onDevice
                ? new Text.Table("unit", "device", ">threads", ">worker", ">time", ">of the device", ">predicted", ">nodes", "operators")
                : new Text.Table("unit", "device", ">threads", ">worker", ">time", ">nodes", "operators");
        List<RunReport.UnitRun> longest = report.units().stream()
                .sorted(Comparator.comparingLong(RunReport.UnitRun::durationNs).reversed()).limit(shown).toList();
        for (RunReport.UnitRun run : longest) {
            Plan.Unit unit = plan.units().get(run.unit());
            List<Object> row = new ArrayList<>(List.of(run.unit(), run.device(),
                    run.threads() == 0 ? poolThreads : run.threads(), run.worker(), Text.nanos(run.durationNs())));
            if (onDevice) {
                row.add(run.deviceNs() > 0 ? Text.nanos(run.deviceNs()) : "");
                row.add(run.deviceNs() > 0 ? Text.nanos(run.predictedNs()) : "");
            }
            row.add(unit.nodes().size());
            row.add(operators(plan, unit.nodes()));
            table.row(row.toArray());
        }
        table.print(out, "  ");
        if (report.units().size() > longest.size()) {
            out.println("  and " + (report.units().size() - longest.size()) + " shorter ones");
        }
        out.println("Tensors and temporaries: " + Text.bytes(report.arenaBytes()) + " held, "
                + Text.bytes(report.plannedBytes())
                + " planned; with a buffer each they would take " + Text.bytes(report.oneBufferPerTensorBytes()));
    }

    /** The operators of some nodes, the most frequent first: "MatMul x4, Add x4, Softmax". */
    static String operators(Plan plan, List<Integer> nodes) {
        Map<String, Long> counts = nodes.stream().collect(
                Collectors.groupingBy(n -> plan.nodes().get(n).operator(), TreeMap::new, Collectors.counting()));
        List<String> texts = counts.entrySet().stream()
                .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .map(e -> e.getKey() + (e.getValue() > 1 ? " x" + e.getValue() : "")).toList();
        int most = 4;
        return String.join(", ", texts.subList(0, Math.min(most, texts.size()))) + (texts.size() > most ? ", ..." : "");
    }
}
