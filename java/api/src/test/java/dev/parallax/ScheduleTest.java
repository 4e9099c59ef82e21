package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ScheduleTest {
    /** Units 0 to 3: 1 and 2 read from 0, 3 reads from both. */
    static final String DIAMOND = """
            {"schema":"parallax-plan","version":2,"graph":"diamond","graph_digest":"abc",
             "options":{"units":"nodes","rule":"relaxed","beta":1.5,"min_nodes":3,"device":null},
             "census":{"nodes":4,"branches":4,"layers":3,"parallel_layers":1,"most_branches":2},"unknown_sizes":0,
             "nodes":[{"name":"r","op":"Relu","class":"splitter"},{"name":"s","op":"Sigmoid","class":"sequential"},
                      {"name":"t","op":"Tanh","class":"sequential"},{"name":"a","op":"m:Add","class":"split-merge"}],
             "regions":[{"nodes":[1],"macs":1.5e9,"border_bytes":64,"device_s":0.1,"cpu_s":0.2,"accepted":false,
                         "reason":"too few"}],
             "branches":[{"nodes":[0],"layer":0,"predecessors":[],"region":-1,"flops":8,"border_bytes":64}],
             "layers":[{"branches":[0],"groups":[],"reason":"one branch"},
                       {"branches":[1,2],"groups":[[1,2]],"reason":""}],
             "units":[{"nodes":[0],"inputs":[0],"input_names":["x"],"outputs":[1],"output_names":["a"],
                       "predecessors":[],"branch":0,"layer":0,"region":-1,"flops":8,"peak_bytes":64,
                       "wide":true,"stretch":-1,"narrow_ns":0,"wide_ns":0},
                      {"nodes":[1],"inputs":[1],"input_names":["a"],"outputs":[2],"output_names":["b"],
                       "predecessors":[0],"branch":1,"layer":1,"region":-1,"flops":8,"peak_bytes":100,
                       "wide":false,"stretch":-1,"narrow_ns":0,"wide_ns":0},
                      {"nodes":[2],"inputs":[1],"input_names":["a"],"outputs":[3],"output_names":["c"],
                       "predecessors":[0],"branch":2,"layer":1,"region":-1,"flops":8,"peak_bytes":60,
                       "wide":false,"stretch":-1,"narrow_ns":0,"wide_ns":0},
                      {"nodes":[3],"inputs":[2,3],"input_names":["b","c"],"outputs":[4],"output_names":["y"],
                       "predecessors":[1,2],"branch":3,"layer":2,"region":-1,"flops":8,"peak_bytes":64,
                       "wide":true,"stretch":-1,"narrow_ns":0,"wide_ns":0}],
             "aliases":[{"node":7,"name":"v","input_name":"y","output_name":"z"}]}""";

    private final Plan plan = new Plan(Parsing.plan(DIAMOND), DIAMOND, "text");
    private final DeviceState state = new DeviceState(2, 1 << 30, 2);

    private static Schedule order(Integer... units) {
        return new Schedule(List.of(units).stream().map(Schedule.Entry::of).toList(), 0);
    }

    private void assertRefused(String part, Schedule schedule) {
        ParallaxException e = assertThrows(ParallaxException.class, () -> schedule.validate(plan));
        assertEquals(ErrorCode.INVALID_PLAN, e.code());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void whatADeviceDoesLeavesTheCoresToTheUnitBesideIt() {
        String beside = DIAMOND.replace("\"branch\":1,\"layer\":1,\"region\":-1", "\"branch\":1,\"layer\":1,\"region\":0");
        assertTrue(threadsOf(2, plan) == 1 && threadsOf(2, new Plan(Parsing.plan(beside), beside, "text")) == 0);
    }

    private int threadsOf(int unit, Plan of) {
        return DataflowPolicy.INSTANCE.schedule(of, state).entries().stream().filter(e -> e.unit() == unit).findFirst()
                .orElseThrow().threads();
    }

    @Test
    void theCoresPlanIsReadInFull() {
        assertEquals(Units.NODES, plan.cut());
        assertEquals(Rule.RELAXED, plan.rule());
        assertEquals("", plan.device());
        assertEquals("abc", plan.graphDigest());
        assertEquals(new Plan.Census(4, 4, 3, 1, 2), plan.census());
        assertEquals(new Plan.Node(3, "a", "m:Add", Plan.NodeClass.SPLIT_MERGE), plan.nodes().get(3));
        assertEquals(new Plan.Region(0, List.of(1), 1.5e9, 64, 0.1, 0.2, null, false, "too few"), plan.regions().getFirst());
        assertEquals(List.of(List.of(1, 2)), plan.layers().get(1).groups());
        assertTrue(plan.layers().get(1).parallel() && !plan.layers().get(0).parallel());
        assertEquals(List.of("b", "c"), plan.units().get(3).inputs());
        assertEquals(List.of(new Plan.Alias(7, "y", "z")), plan.aliases());
        assertEquals(List.of(
                new ValueInfo("x", ValueKind.TENSOR, ElementType.FLOAT32,
                        List.of(Dimension.symbol("n"), Dimension.of(2), Dimension.symbol("2*n+1"), Dimension.UNKNOWN)),
                new ValueInfo("q", ValueKind.TENSOR, ElementType.INT64, List.of()),
                new ValueInfo("s", ValueKind.SEQUENCE, ElementType.UNDEFINED, null),
                new ValueInfo("u", ValueKind.TENSOR, ElementType.UNDEFINED, null)), Parsing.tensors("""
                        {"x":{"type":"float32","shape":["n",2,"2*n+1","?"]},"q":{"type":"int64","shape":[]},
                         "s":{"type":"sequence","shape":null},"u":{"type":"undefined","shape":null}}"""));
        assertEquals(plan, new Plan(Parsing.plan(DIAMOND), DIAMOND, "text"));
        String cut = DIAMOND.replace("\"layers\":3", "\"layers\":2");
        assertNotEquals(plan, new Plan(Parsing.plan(cut), cut, "text"));
    }

    @Test
    void theBlockIsTheHeadersLayout() {
        Schedule schedule = new Schedule(List.of(Schedule.Entry.of(5), new Schedule.Entry(6, 1, 2, true)), 1L << 40);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = schedule.toBlock(arena);
            // magic, version, unit_count, reserved, budget (two words), then unit, device, threads, barrier
            int[] words = block.toArray(ValueLayout.JAVA_INT);
            assertEquals(List.of(0x48435350, 1, 2, 0, 0, 256, 5, 0, 0, 0, 6, 1, 2, 1),
                    IntStream.of(words).boxed().toList());
        }
    }

    @Test
    void everyTopologicalOrderIsAccepted() {
        order(0, 1, 2, 3).validate(plan);
        order(0, 2, 1, 3).validate(plan);
    }

    @Test
    void whatDoesNotFitIsRefusedWithTheReason() {
        assertRefused("starts unit 3 before unit 1", order(3, 2, 1, 0));
        assertRefused("leaves out unit 3 of 4", order(0, 1, 2));
        assertRefused("unit 1 twice", order(0, 1, 1, 2, 3));
        assertRefused("unit 4, but the plan has units 0 to 3", order(0, 1, 2, 3, 4));
        assertRefused("unit -1", order(-1, 0, 1, 2));
        assertRefused("leaves out unit 0", order());
        List<Schedule.Entry> entries = new ArrayList<>(order(0, 1, 2, 3).entries());
        entries.set(0, new Schedule.Entry(0, 1, 0, false));
        assertRefused("unit 0 on device 1", new Schedule(entries, 0));
        entries.set(0, Schedule.Entry.of(0).withThreads(2));
        assertRefused("unit 0 2 threads", new Schedule(entries, 0));
        assertThrows(ParallaxException.class, () -> new Schedule(List.of(), -1));
    }

    @Test
    void sequentialPolicyKeepsThePlansOrder() {
        assertEquals(order(0, 1, 2, 3), Schedule.ask(SequentialPolicy.INSTANCE, plan, state));
    }

    @Test
    void policiesMayUseWhatTheyAreGiven() {
        Schedule schedule = Schedule.ask((p, s) -> {
            assertSame(plan, p);
            return new Schedule(p.units().stream().map(u -> Schedule.Entry.of(u.index()).withThreads(1).withBarrier())
                    .toList(), s.freeMemoryBytes() / 2);
        }, plan, state);
        assertEquals(new Schedule.Entry(2, 0, 1, true), schedule.entries().get(2));
        assertEquals(1 << 29, schedule.memoryBudgetBytes());
    }

    /** Answers in reverse order, against the dependencies. */
    static final class ReversePolicy implements SchedulerPolicy {
        @Override
        public Schedule schedule(Plan plan, DeviceState state) {
            List<Schedule.Entry> entries =
                    new ArrayList<>(SequentialPolicy.INSTANCE.schedule(plan, state).entries());
            Collections.reverse(entries);
            return new Schedule(entries, 0);
        }
    }

    @Test
    void aBadPolicyIsRefusedByName() {
        ParallaxException refused =
                assertThrows(ParallaxException.class, () -> Schedule.ask(new ReversePolicy(), plan, state));
        assertEquals(ErrorCode.INVALID_PLAN, refused.code());
        assertTrue(refused.getMessage().contains(ReversePolicy.class.getName()), refused.getMessage());
        assertTrue(refused.getMessage().contains("before unit"), refused.getMessage());

        ParallaxException absent =
                assertThrows(ParallaxException.class, () -> Schedule.ask((p, s) -> null, plan, state));
        assertTrue(absent.getMessage().contains("returned null"), absent.getMessage());

        RuntimeException mine = new ArithmeticException("mine");
        ParallaxException thrown = assertThrows(ParallaxException.class, () -> Schedule.ask((p, s) -> {
            throw mine;
        }, plan, state));
        assertEquals(ErrorCode.INVALID_PLAN, thrown.code());
        assertSame(mine, thrown.getCause());
        assertTrue(thrown.getMessage().contains("ArithmeticException: mine"), thrown.getMessage());
    }
}
