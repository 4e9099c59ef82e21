package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.Plan;
import dev.parallax.Rule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The parts of a measurement, without one. */
class BenchTest {
    // ---- turns -------------------------------------------------------------------------------------------------

    @Test
    void everyoneRunsOnceARoundAndWhoBeginsMovesOn() {
        StringBuilder order = new StringBuilder();
        int[] ran = new int[1];
        List<Bench.Samples> samples = Bench.byTurns(List.of(() -> order.append('a'), () -> order.append('b'),
                () -> order.append('c')), 1, 5, () -> ran[0]++);
        assertEquals("abc" + "bac" + "cab" + "acb" + "bca" + "cba", order.toString());
        assertEquals(18, ran[0]);
        assertEquals(3, samples.size());
        for (Bench.Samples way : samples) {
            assertEquals(5, way.nanos().length, "the warm-up is not among them");
            assertEquals(5, way.cpuAfterNanos().length);
        }
    }

    @Test
    void theProcessComesToRestBeforeTheNextRun() throws InterruptedException {
        try (ProcessClock clock = new ProcessClock()) {
            clock.settle();
            // Spins for 30 ms of processor time, however long a busy machine takes for them.
            Thread spinner = new Thread(() -> {
                try (ProcessClock own = new ProcessClock()) {
                    for (long end = own.nanos() + 30_000_000; own.nanos() < end;) {
                        Thread.onSpinWait();
                    }
                }
            });
            long before = clock.nanos();
            spinner.start();
            spinner.join();
            assertTrue(clock.nanos() - before >= 30_000_000, "what other threads take counts");
            assertTrue(clock.settle() >= 0);
        }
    }

    // ---- ways --------------------------------------------------------------------------------------------------

    private static List<String> names(List<String> units, List<String> policies) {
        return BenchWay.choose(units, policies, Rule.PAPER).stream().map(BenchWay::name).toList();
    }

    @Test
    void theDefaultIsWholeOnceAndEveryOtherCutWithEveryPolicy() {
        List<String> names = names(List.of(), List.of());
        assertEquals("whole/sequential", names.getFirst());
        assertTrue(names.contains("branches/sequential"), names::toString);
        assertEquals(1, names.stream().filter(n -> n.startsWith("whole/")).count());
    }

    @Test
    void whatIsNamedNarrowsOrWidensIt() {
        assertEquals(List.of("nodes/sequential", "whole/sequential"),
                names(List.of("nodes", "whole", "nodes"), List.of("sequential")));
        assertThrows(BadInputException.class, () -> names(List.of("halves"), List.of()));
        assertThrows(BadInputException.class, () -> names(List.of(), List.of("random")));
    }

    // ---- settings ----------------------------------------------------------------------------------------------

    @Test
    void settingsAreThoseThatDiffer() {
        assertEquals(List.of("4-sequential-spin", "4-sequential-nospin", "1-sequential", "4-parallel-spin",
                "4-parallel-nospin", "1-parallel-spin", "1-parallel-nospin", "4-streams-spin", "4-streams-nospin",
                "1-streams-spin", "1-streams-nospin"), OrtSetting.all(4).stream().map(OrtSetting::name).toList());
        assertEquals(List.of("1-sequential"), OrtSetting.all(1).stream().map(OrtSetting::name).toList());
        assertEquals("1-parallel-spin", OrtSetting.named("1-parallel-spin", 2).name());
        String said = assertThrows(BadInputException.class, () -> OrtSetting.named("fast", 1)).getMessage();
        assertEquals("--baseline fast is no setting for 1 thread; there are 1-sequential", said);
    }

    @Test
    void theFastestMedianWins() {
        assertEquals("b", BenchBaseline.fastest(List.of(new BenchBaseline.Tried("a", new double[] {1, 5, 5}),
                new BenchBaseline.Tried("b", new double[] {4, 4, 9}))).name());
    }

    // ---- the partition file ------------------------------------------------------------------------------------

    private static Plan.Node node(int index, String name) {
        return new Plan.Node(index, name, "Relu", Plan.NodeClass.SEQUENTIAL);
    }

    private static Plan.Branch branch(int index, int layer, double flops, Integer... nodes) {
        return new Plan.Branch(index, List.of(nodes), layer, List.of(), -1, flops, 0);
    }

    private static Plan.Layer layer(int index, Integer... branches) {
        return new Plan.Layer(index, List.of(branches), List.of(), "");
    }

    @Test
    void theBranchesOfALayerAreDividedByTheirSize() {
        List<Plan.Node> nodes = List.of(node(0, "a"), node(1, "b"), node(2, "c"), node(3, "d"), node(4, "e"));
        List<Plan.Branch> branches = List.of(branch(0, 0, 5, 0), branch(1, 1, 10, 1), branch(2, 1, 30, 2),
                branch(3, 1, 10, 3), branch(4, 2, 5, 4));
        NodePartition partition = NodePartition.of(nodes, branches, List.of(layer(0, 0), layer(1, 1, 2, 3),
                layer(2, 4)));
        assertEquals(List.of(List.of("a", "c", "e"), List.of("b", "d")), partition.streams());
        assertEquals("{\"type\":\"DeviceBasedPartitioner\",\"streams\":[[\"a\",\"c\",\"e\"],[\"b\",\"d\"]],"
                + "\"devices\":[\"0\",\"0\"]}", partition.toJson());
    }

    @Test
    void graphsThatCannotBeDividedAreExplained() {
        List<Plan.Branch> chain = List.of(branch(0, 0, 5, 0), branch(1, 1, 5, 1));
        List<Plan.Branch> pair = List.of(branch(0, 0, 5, 0), branch(1, 0, 5, 1));
        List<Plan.Layer> two = List.of(layer(0, 0), layer(1, 1));
        assertEquals("no layer of the graph has more than one branch", obstacle("a", "b", chain, two));
        assertTrue(obstacle("a", "", pair, List.of(layer(0, 0, 1))).endsWith("some have none"));
        assertTrue(obstacle("a", "a", pair, List.of(layer(0, 0, 1))).endsWith("some share one"));
    }

    private static String obstacle(String first, String second, List<Plan.Branch> branches, List<Plan.Layer> layers) {
        return assertThrows(BadInputException.class, () -> NodePartition.of(List.of(node(0, first), node(1, second)),
                branches, layers)).getMessage();
    }

    // ---- side by side ------------------------------------------------------------------------------------------

    @Test
    void layersThatAreNotParallelAreCounted() {
        // One branch; a short one; none with FLOPs; 4 times apart.
        List<Plan.Branch> branches = List.of(branch(0, 0, 5, 0, 1, 2), branch(1, 1, 5, 3), branch(2, 1, 5, 4, 5, 6),
                branch(3, 2, 0, 7, 8, 9), branch(4, 2, 5, 10, 11, 12), branch(5, 3, 5, 13, 14, 15),
                branch(6, 3, 20, 16, 17, 18), branch(7, 4, 5, 19, 20, 21));
        List<Plan.Layer> layers = List.of(layer(0, 0), layer(1, 1, 2), layer(2, 3, 4), layer(3, 5, 6), layer(4, 7));
        assertEquals("no layer is parallel under rule paper: 2 layers have one branch, 1 has branches of fewer than 3 "
                + "nodes, 1 has branches without counted FLOPs, 1 has branches over 1.5 times apart in FLOPs",
                SideBySide.layers(layers, branches, Rule.PAPER, 3, 1.5));
        assertEquals("no layer is parallel under rule relaxed: 2 layers have one branch, 1 has fewer than two branches "
                + "of at least 3 nodes, 1 has fewer than two of them with counted FLOPs, 1 has no two branches within "
                + "1.5 times of each other in FLOPs", SideBySide.layers(layers, branches, Rule.RELAXED, 3, 1.5));
        assertEquals("no layer is parallel under rule paper: 1 layer has one branch",
                SideBySide.layers(layers.subList(0, 1), branches, Rule.PAPER, 3, 1.5));
    }

    @Test
    void aMixedCutOfWideUnitsTellsWhatWasMeasured() {
        Plan.Unit unit = new Plan.Unit(0, List.of(0), List.of(), List.of(), List.of(), -1, -1, -1, 0, 0, true, 0, 8e6,
                5e6);
        assertEquals("measured: no range of layers is faster side by side (all nodes take 10.0 ms on all threads, "
                + "16.0 ms on one)", SideBySide.measured(List.of(unit, unit)));
    }

    // ---- processes ---------------------------------------------------------------------------------------------

    @Test
    void memoryIsFoundAmongWhatAProcessSays() {
        assertEquals(Optional.of(new FreshProcess.Memory(12, 3)),
                FreshProcess.memory(List.of("WARNING: memory is dear", "memory 12 3")));
        assertEquals(Optional.empty(), FreshProcess.memory(List.of("memory 12", "")));
    }

    @Test
    void aProcessThatFailsSaysWhy() {
        String said = assertThrows(BadInputException.class,
                () -> FreshProcess.run(List.of("bench", "none.onnx", "--fresh", "1"))).getMessage();
        assertTrue(said.startsWith("its process ended with status 2: ") && said.contains("none.onnx"), said);
    }

    @Test
    void nativeOutputIsSilencedAndComesBack() throws IOException {
        Path output = Path.of("/proc/self/fd/1");
        Path before = Files.readSymbolicLink(output);
        assertEquals(Path.of("/dev/null"), Silence.in(() -> {
            try {
                return Files.readSymbolicLink(output);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }));
        assertEquals(before, Files.readSymbolicLink(output));
        assertThrows(IllegalStateException.class, () -> Silence.in(() -> {
            throw new IllegalStateException();
        }));
        assertEquals(before, Files.readSymbolicLink(output));
    }
}
