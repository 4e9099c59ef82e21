package dev.parallax.bench;

import dev.parallax.RunReport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** For how long device and CPU worked at the same time. Stateless. */
final class BothAtWork {
    /** The worker of units that ran on a device. */
    private static final int DEVICE = -1;

    private BothAtWork() {}

    private record Edge(long ns, boolean device, int change) {}

    /** Nanoseconds in which at least one of the units was on its way on a device, and one on the CPU. */
    static long of(List<RunReport.UnitRun> units) {
        List<Edge> edges = new ArrayList<>();
        for (RunReport.UnitRun unit : units) {
            edges.add(new Edge(unit.startNs(), unit.worker() == DEVICE, 1));
            edges.add(new Edge(unit.endNs(), unit.worker() == DEVICE, -1));
        }
        edges.sort(Comparator.comparingLong(Edge::ns));
        long both = 0;
        int onDevice = 0;
        int onCpu = 0;
        long last = 0;
        for (Edge edge : edges) {
            both += onDevice > 0 && onCpu > 0 ? edge.ns() - last : 0;
            onDevice += edge.device() ? edge.change() : 0;
            onCpu += edge.device() ? 0 : edge.change();
            last = edge.ns();
        }
        return both;
    }
}
