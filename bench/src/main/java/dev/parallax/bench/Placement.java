package dev.parallax.bench;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Which of a plan's regions its device runs, given what units take on either side. */
enum Placement {
    /** All. */
    ALL("all") {
        @Override
        boolean[] choose(UnitTimes cpu, UnitTimes device) {
            return device.onDevice().clone();
        }
    },
    /**
     * So that one run should end early: each unit, those first from which the way to the end is longest, where it ends
     * first (Topcuoglu, Hariri and Wu, 2002, "HEFT", without filling gaps).
     */
    SHORTEST("for one request") {
        @Override
        boolean[] choose(UnitTimes cpu, UnitTimes device) {
            int units = cpu.nanos().length;
            List<List<Integer>> predecessors = cpu.predecessors();
            double[] rank = new double[units];
            for (int u = units - 1; u >= 0; u--) {
                rank[u] += device.onDevice()[u] ? Math.min(cpu.nanos()[u], device.nanos()[u]) : cpu.nanos()[u];
                for (int before : predecessors.get(u)) {
                    rank[before] = Math.max(rank[before], rank[u]);
                }
            }
            boolean[] chosen = new boolean[units];
            double[] end = new double[units];
            double cpuFree = 0;
            double deviceFree = 0;
            // No unit ranks above those it depends on, which are earlier ones.
            for (int u : IntStream.range(0, units).boxed().sorted(Comparator.comparingDouble(u -> -rank[u])).toList()) {
                double ready = predecessors.get(u).stream().mapToDouble(before -> end[before]).max().orElse(0);
                double work = device.workNs()[u];
                double onCpu = Math.max(ready, cpuFree) + cpu.nanos()[u];
                double onDevice = Math.max(ready + device.nanos()[u] - work, deviceFree) + work;
                chosen[u] = device.onDevice()[u] && onDevice < onCpu;
                end[u] = chosen[u] ? onDevice : onCpu;
                if (chosen[u]) {
                    deviceFree = end[u];
                } else {
                    cpuFree = end[u];
                }
            }
            return chosen;
        }
    },
    /**
     * So that both have as much to do: the CPU's share first and then the device's. One request is in its first part while
     * the one before it is in its second, whose few units for the CPU go before the younger one's.
     */
    BALANCED("for streams") {
        @Override
        boolean[] choose(UnitTimes cpu, UnitTimes device) {
            int units = cpu.nanos().length;
            double onCpu = device.cpuNs();
            double onDevice = device.deviceNs();
            double least = Math.max(onCpu, onDevice);
            int first = 0;
            for (int u = 0; u < units; u++) {
                if (device.onDevice()[u]) {
                    onCpu += cpu.workNs()[u];
                    onDevice -= device.workNs()[u];
                }
                if (Math.max(onCpu, onDevice) < least) {
                    least = Math.max(onCpu, onDevice);
                    first = u + 1;
                }
            }
            boolean[] chosen = device.onDevice().clone();
            Arrays.fill(chosen, 0, first, false);
            return chosen;
        }
    };

    final String title;

    Placement(String title) {
        this.title = title;
    }

    /**
     * For each unit whether it goes to the device.
     *
     * @param cpu what units take if the CPU runs all
     * @param device what they take if the device runs all that it can
     */
    abstract boolean[] choose(UnitTimes cpu, UnitTimes device);
}
