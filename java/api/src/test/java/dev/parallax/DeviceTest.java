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
                Plan.Region region = session.plan().regions().get(session.plan().units().get(there.unit()).region());
                assertEquals(region.deviceSeconds() * 1e9, there.predictedNs(), 1);
                assertTrue(there.predictedNs() > 0, there::toString);
                String trace = Trace.of(session.plan(), report).toChromeJson();
                assertTrue(trace.contains("\"device_ns\":" + there.deviceNs() + ",\"predicted_ns\":" + there.predictedNs()), trace);
            }
        }
    }

    @Test
    void autoLeavesToTheCpuWhatWouldBeSlowerThereAndThePlanSaysWhy() {
        Plan plan = model.plan(plan(Offload.AUTO));
        assertTrue(plan.regions().stream().noneMatch(Plan.Region::accepted));
        assertTrue(plan.toText().contains("by measured rates the device would take"), plan::toText);
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

    @Test
    void ratesAreMeasuredOnceAndTellWhyASlowerDeviceIsLeftAlone() {
        Calibration made = engine.calibrate("opencl", false);
        assertEquals(made.deviceRates().perSecond().keySet(), made.cpuRates().perSecond().keySet());
        assertEquals(List.of("convolution", "product", "thin", "elementwise", "rows", "movement"),
                List.copyOf(made.deviceRates().perSecond().keySet()));
        made.deviceRates().perSecond().values().forEach(rate -> assertTrue(rate > 1e6, rate.toString()));
        assertEquals(0, engine.calibrate("opencl", false).tookSeconds());
        assertTrue(made.kernels().startsWith("vectors of "), made.kernels());
        assertTrue(made.kernelsRatio() > 0, made.toString());
        Plan plan = model.plan(plan(Offload.AUTO));
        assertFalse(plan.regions().isEmpty());
        assertTrue(plan.measured());
        assertFalse(model.plan(PlanOptions.builder().units(Units.BRANCHES).device("opencl").profile(Profile.PAPER).build())
                .measured());
        for (Plan.Region region : plan.regions()) {
            assertFalse(region.accepted(), region.toString());
            assertTrue(region.reason().contains("the device"), region.reason());
            assertTrue(region.deviceSeconds() > 0 && region.cpuSeconds() > 0, region.toString());
        }
    }

    @Test
    void placementsCountMoreThanOffload() {
        PlanOptions.Builder options = PlanOptions.builder().units(Units.BRANCHES).device("opencl").profile(Profile.PAPER);
        assertTrue(model.plan(options.build()).regions().stream().noneMatch(Plan.Region::accepted));
        options.place("region 0=device");
        assertTrue(model.plan(options.build()).regions().get(0).accepted());
        options.offload(Offload.ALL).place("region 0=cpu");
        Plan.Region given = model.plan(options.build()).regions().get(0);
        assertEquals("it is placed there: region 0=cpu", given.reason());
        assertMessage("'nonsense' is no placement", options.place("nonsense").build());
        assertMessage("the optimised graph has no such operator", PlanOptions.builder().units(Units.BRANCHES)
                .device("opencl").profile(Profile.PAPER).place("Nonsense=cpu").build());
    }

    private static void assertMessage(String part, PlanOptions options) {
        ParallaxException e = assertThrows(ParallaxException.class, () -> model.plan(options));
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    /** A driver that takes the processor's traps for itself would let these come out as anything. */
    @Test
    void divisionsByZeroAreStillErrorsOfJavas() {
        assertFalse(Parallax.accelerators().devices().isEmpty());
        for (int i = 0; i < 20_000; i++) {
            int divisor = i % 1000 == 999 ? 0 : 1;
            if (divisor == 0) {
                int dividend = i;
                assertThrows(ArithmeticException.class, () -> divide(dividend, divisor));
            } else {
                assertEquals(i, divide(i, divisor));
            }
        }
    }

    private static int divide(int dividend, int divisor) {
        return dividend / divisor;
    }
}
