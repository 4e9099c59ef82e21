package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Plans whose regions run on an OpenCL device, of which there is one wherever the tests run: PoCL, on the CPU. */
class DeviceTest {
    private static Engine engine;
    private static Model model;
    private static float[] expected;

    @BeforeAll
    static void load() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        model = TestModels.load(engine, PolicyTest.sixBranches());
        try (Session session = model.session()) {
            expected = run(session);
        }
    }

    @AfterAll
    static void close() {
        model.close();
        engine.close();
    }

    private static float[] run(Session session) {
        float[] x = new float[(int) (session.input("x").segment().byteSize() / Float.BYTES)];
        for (int i = 0; i < x.length; i++) {
            x[i] = (i % 17 - 8) / 8f;
        }
        session.input("x").copyFrom(x);
        session.run();
        return session.output(session.outputs().get(0).name()).toFloatArray();
    }

    private static PlanOptions plan(Offload offload) {
        return PlanOptions.builder().units(Units.BRANCHES).device("opencl").offload(offload).build();
    }

    @Test
    void theMachinesDevicesAreListed() {
        Accelerator.All all = Parallax.accelerators();
        assertFalse(all.devices().isEmpty(), all.problem());
        assertEquals("", all.problem());
        assertEquals("opencl", all.devices().get(0).device());
        assertFalse(all.devices().get(0).name().isEmpty());
        assertTrue(all.devices().get(0).workGroup() > 0);
    }

    @Test
    void regionsRunThereUnderEveryPolicy() {
        for (SchedulerPolicy policy : List.of(SequentialPolicy.INSTANCE, DataflowPolicy.INSTANCE, new PaperPolicy())) {
            try (Session session = model.session(SessionOptions.builder().plan(plan(Offload.ALL)).policy(policy).build())) {
                for (int i = 0; i < 3; i++) {
                    assertArrayEquals(expected, run(session), 1e-3f);
                }
                RunReport report = session.report();
                assertNotNull(report.device());
                assertEquals("opencl", report.device().kind());
                assertEquals(0, report.device().fallbacks(), report.device()::problem);
                assertEquals("", report.device().problem());
                RunReport.UnitRun there = report.units().stream().filter(u -> u.device().equals("opencl")).findFirst()
                        .orElseThrow();
                assertEquals(-1, there.worker());
                assertTrue(there.deviceNs() > 0 && there.fellBack().isEmpty(), there::toString);
            }
        }
    }

    @Test
    void autoLeavesToTheCpuWhatWouldBeSlowerThereAndThePlanSaysWhy() {
        Plan plan = model.plan(plan(Offload.AUTO));
        assertTrue(plan.regions().stream().noneMatch(Plan.Region::accepted));
        assertTrue(plan.toText().contains("the device is this machine's CPU"), plan::toText);
        try (Session session = model.session(SessionOptions.builder().plan(plan(Offload.AUTO)).build())) {
            assertArrayEquals(expected, run(session), 1e-4f);
            assertTrue(session.report().units().stream().allMatch(u -> u.device().equals("cpu")));
        }
    }

    @Test
    void noneIsAsIfThereWereNoDevice() {
        try (Session session = model.session(SessionOptions.builder().plan(plan(Offload.NONE)).build())) {
            assertArrayEquals(expected, run(session));
            assertNull(session.report().device());
        }
    }

    @Test
    void aScheduleMayKeepARegionOnTheCpu() {
        SchedulerPolicy onCpu = (plan, state) -> new Schedule(
                plan.units().stream().map(u -> Schedule.Entry.of(u.index())).toList(), 0);
        try (Session session = model.session(SessionOptions.builder().plan(plan(Offload.ALL)).policy(onCpu).build())) {
            assertArrayEquals(expected, run(session), 1e-4f);
            assertTrue(session.report().units().stream().allMatch(u -> u.device().equals("cpu")));
        }
    }

    @Test
    void aDeviceThatIsNotThereIsAnError() {
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> model.plan(PlanOptions.builder().units(Units.BRANCHES).device("opencl:99").build()));
        assertEquals(ErrorCode.NOT_FOUND, e.code());
        assertTrue(e.getMessage().contains("device 99"), e.getMessage());
        assertThrows(ParallaxException.class, () -> model.plan(PlanOptions.builder().device("opencl").build()));
    }
}
