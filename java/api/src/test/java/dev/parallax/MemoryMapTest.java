package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.StringReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

/** What lies where in a session's memory, and the picture of it. */
class MemoryMapTest {
    private static Engine engine;
    private static Model model;

    @BeforeAll
    static void load() {
        engine = Engine.create(EngineOptions.builder().threads(2).build());
        model = TestModels.load(engine, PolicyTest.sixBranches());
    }

    @AfterAll
    static void close() {
        model.close();
        engine.close();
    }

    private static Session ran(int runs) {
        Session session = model.session(SessionOptions.builder()
                .plan(PlanOptions.builder().units(Units.BRANCHES).rule(Rule.RELAXED).build())
                .policy(DataflowPolicy.INSTANCE).build());
        session.input("x");
        for (int i = 0; i < runs; i++) {
            session.run();
        }
        return session;
    }

    @Test
    void isRefusedUntilThereIsALayout() {
        try (Session session = ran(1)) {
            ParallaxException e = assertThrows(ParallaxException.class, session::memoryMap);
            assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
            assertTrue(e.getMessage().contains("run it twice"), e.getMessage());
        }
    }

    @Test
    void theOutputsBytesAreInItsSegment() {
        try (Session session = ran(3)) {
            MemoryMap map = session.memoryMap();
            assertEquals(session.report().plannedBytes(), map.plannedBytes());
            assertEquals(map.plannedBytes(), map.block().byteSize());
            MemoryMap.Buffer y = map.buffers().stream().filter(b -> b.kind() == MemoryMap.Kind.OUTPUT).findFirst()
                    .orElseThrow();
            assertEquals("y", y.name());
            assertEquals(-1, map.segment(y).mismatch(session.output("y").segment()));
            assertEquals(session.output("y").segment().address(), map.segment(y).address());
            assertTrue(map.block().isReadOnly());
        }
    }

    @Test
    void aSegmentEndsWithTheNextRunATrimAndClose() {
        Session session = ran(2);
        MemoryMap first = session.memoryMap();
        MemorySegment block = first.block();
        session.run();
        assertThrows(IllegalStateException.class, () -> block.get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, () -> first.segment(first.buffers().getFirst()));
        MemorySegment second = session.memoryMap().block();
        session.trim();
        assertThrows(IllegalStateException.class, () -> second.get(ValueLayout.JAVA_BYTE, 0));
        MemoryMap trimmed = session.memoryMap();
        assertEquals(0, trimmed.block().byteSize());
        assertThrows(IllegalStateException.class, () -> trimmed.segment(trimmed.buffers().getFirst()));
        session.run();
        MemorySegment third = session.memoryMap().block();
        session.close();
        assertThrows(IllegalStateException.class, () -> third.get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, session::memoryMap);
    }

    @Test
    void branchesHaveArenasThatAreTheWholeTogether() {
        try (Session session = ran(2)) {
            MemoryMap map = session.memoryMap();
            List<MemoryMap.BranchArena> arenas = map.arenas();
            assertTrue(arenas.size() >= 7, arenas::toString);  // six branches and what joins them
            assertEquals(new HashSet<>(map.buffers()),
                    new HashSet<>(arenas.stream().flatMap(a -> a.buffers().stream()).toList()));
            for (MemoryMap.BranchArena arena : arenas) {
                assertTrue(arena.highWaterBytes() > 0 && arena.highWaterBytes() <= arena.capacityBytes(), arena::toString);
                assertTrue(arena.estimatedBytes() > 0, arena::toString);
            }
            assertEquals(map.buffers().stream().mapToLong(MemoryMap.Buffer::bytes).sum(),
                    arenas.stream().mapToLong(MemoryMap.BranchArena::capacityBytes).sum());
            long most = Arrays.stream(map.liveBytes()).max().orElseThrow();
            assertTrue(most > 0 && most <= map.plannedBytes(), () -> most + " of " + map.plannedBytes());
        }
    }

    @Test
    void thePictureHasARectangleForEachBufferWhereItLies() throws Exception {
        try (Session session = ran(2)) {
            MemoryMap map = session.memoryMap();
            Document svg = parse(map.toSvg());
            NodeList groups = svg.getElementsByTagName("g");
            assertEquals(map.buffers().size(), groups.getLength());
            Set<String> colours = new HashSet<>();
            double previousTop = Double.MAX_VALUE;
            for (int i = 0; i < groups.getLength(); i++) {
                MemoryMap.Buffer buffer = map.buffers().get(i);
                Element group = (Element) groups.item(i);
                String title = group.getElementsByTagName("title").item(0).getTextContent();
                assertTrue(title.startsWith(buffer.kind() == MemoryMap.Kind.WINDOW ? "taken" : buffer.name()), title);
                Element rectangle = (Element) group.getElementsByTagName("rect").item(0);
                colours.add(rectangle.getAttribute("fill"));
                double bottom = number(rectangle, "y") + number(rectangle, "height");
                assertTrue(bottom <= previousTop + 0.2, "offsets go up, so rectangles do");
                previousTop = bottom;
                assertEquals(buffer.last() - buffer.first() + 1,
                        Math.round(number(rectangle, "width") / (1172.0 / map.order().size())), title);
            }
            assertTrue(colours.size() >= 7, colours::toString);
        }
    }

    @Test
    void namesThatXmlCannotHoldDoNotBreakThePicture() throws Exception {
        try (Session session = ran(2)) {
            MemoryMap map = session.memoryMap();
            MemoryMap.Buffer odd = new MemoryMap.Buffer(MemoryMap.Kind.TENSOR, "<a&\"\u0000\u001b]]>\uD800", 0, 0, 0, 0, 64);
            MemoryMap changed = new MemoryMap(map.plan(), map.order(), List.of(odd), 64, 64, 64, MemorySegment.NULL);
            String title = parse(changed.toSvg()).getElementsByTagName("title").item(0).getTextContent();
            assertTrue(title.startsWith("<a&\"\uFFFD\uFFFD]]>\uFFFD\n64 B at 0"), title);
            MemoryMap empty = new MemoryMap(map.plan(), List.of(), List.of(), 0, 0, 0, MemorySegment.NULL);
            assertEquals(0, parse(empty.toSvg()).getElementsByTagName("g").getLength());
        }
    }

    @Test
    void gridLinesAreFewAndRound() {
        assertEquals(5_000_000, MemoryPicture.roundStep(16_000_000));
        assertEquals(1, MemoryPicture.roundStep(0));
        assertEquals(20, MemoryPicture.roundStep(139));
        assertFalse(MemoryPicture.roundStep(Long.MAX_VALUE) <= 0);
    }

    private static double number(Element element, String attribute) {
        return Double.parseDouble(element.getAttribute(attribute));
    }

    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(svg)));
    }
}
