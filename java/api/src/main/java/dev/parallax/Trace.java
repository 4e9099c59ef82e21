package dev.parallax;

import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.TreeSet;

/**
 * What ran where and when, in one run or in several at the same time, in the form that trace viewers read: Chrome's
 * trace events, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
 *
 * <p>A run is a process, with one line per worker, 0 being the thread that called run and -1 a device. A unit is one
 * slice, named after its first operator; its arguments are unit, nodes, branch, layer, device, threads and bytes of its
 * outputs, and on a device how long that worked and was expected to.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * session.run();
 * Files.writeString(Path.of("trace.json"), Trace.of(session.plan(), session.report()).toChromeJson());
 * }</pre>
 *
 * @param plan the plan that ran
 * @param reports of the runs, which the viewer numbers from 1
 */
public record Trace(Plan plan, List<RunReport> reports) {
    /** Copies the list. */
    public Trace {
        reports = List.copyOf(reports);
    }

    /**
     * The trace of a session's last run.
     *
     * @param plan the session's plan
     * @param report the session's report
     * @return the trace
     */
    public static Trace of(Plan plan, RunReport report) {
        return new Trace(plan, List.of(report));
    }

    /**
     * The trace as Chrome's trace event JSON, times in microseconds with three decimals.
     *
     * @return JSON
     */
    public String toChromeJson() {
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            json.beginObject().name("displayTimeUnit").value("ns").name("traceEvents").beginArray();
            long start = reports.stream().mapToLong(RunReport::startedNs).min().orElse(0);
            for (int i = 0; i < reports.size(); i++) {
                write(json, i + 1, reports.get(i), reports.get(i).startedNs() - start);
            }
            json.endArray().endObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);  // a StringWriter throws none
        }
        return text.toString();
    }

    private void write(JsonWriter json, int pid, RunReport report, long offset) throws IOException {
        TreeSet<Integer> workers = new TreeSet<>();
        report.units().forEach(run -> workers.add(run.worker()));
        for (int worker : workers) {
            json.beginObject().name("ph").value("M").name("name").value("thread_name").name("pid").value(pid)
                    .name("tid").value(worker).name("args").beginObject().name("name")
                    .value(worker == 0 ? "caller" : worker < 0 ? "device" : "pool thread " + worker)
                    .endObject().endObject();
        }
        List<Plan.Unit> units = plan.units();
        for (RunReport.UnitRun run : report.units()) {
            Plan.Unit unit = units.get(run.unit());
            json.beginObject().name("ph").value("X").name("cat").value("unit").name("name").value(name(unit))
                    .name("pid").value(pid).name("tid").value(run.worker())
                    .name("ts").value((offset + run.startNs()) / 1e3)
                    .name("dur").value(run.durationNs() / 1e3);
            json.name("args").beginObject().name("unit").value(run.unit()).name("nodes").beginArray();
            for (int node : unit.nodes()) {
                Plan.Node n = plan.nodes().get(node);
                json.value(n.operator() + (n.name().isEmpty() ? "" : " " + n.name()));
            }
            json.endArray().name("branch").value(unit.branch()).name("layer").value(unit.layer())
                    .name("device").value(run.device()).name("threads").value(run.threads())
                    .name("bytes").value(run.bytes());
            if (run.deviceNs() > 0) {
                json.name("device_ns").value(run.deviceNs()).name("predicted_ns").value(run.predictedNs());
            }
            json.endObject().endObject();
        }
    }

    private String name(Plan.Unit unit) {
        if (unit.nodes().isEmpty()) {
            return "unit " + unit.index();
        }
        String operator = plan.nodes().get(unit.nodes().get(0)).operator();
        int more = unit.nodes().size() - 1;
        return "unit " + unit.index() + ": " + operator + (more > 0 ? " +" + more : "");
    }
}
