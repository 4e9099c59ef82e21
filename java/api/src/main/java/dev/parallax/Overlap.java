package dev.parallax;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** How long units ran side by side. */
final class Overlap {
    private Overlap() {}

    private record Edge(long ns, int change) {}

    static long of(List<RunReport.UnitRun> units) {
        List<Edge> edges = new ArrayList<>();
        for (RunReport.UnitRun unit : units) {
            edges.add(new Edge(unit.startNs(), 1));
            edges.add(new Edge(unit.endNs(), -1));
        }
        // Where one ends when another starts, the two do not overlap.
        edges.sort(Comparator.comparingLong(Edge::ns).thenComparingInt(Edge::change));
        long overlap = 0;
        int running = 0;
        long last = 0;
        for (Edge edge : edges) {
            if (running > 1) {
                overlap += edge.ns() - last;
            }
            running += edge.change();
            last = edge.ns();
        }
        return overlap;
    }
}
