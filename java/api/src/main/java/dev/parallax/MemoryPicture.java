package dev.parallax;

import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/** Draws a {@link MemoryMap} as SVG. Lifetime: one drawing. Threads: one. */
final class MemoryPicture {
    private static final double WIDTH = 1280;
    private static final double HEIGHT = 640;
    private static final double LEFT = 84;
    private static final double RIGHT = WIDTH - 24;
    private static final double TOP = 88;
    private static final double BOTTOM = HEIGHT - 56;
    private static final double GLYPH = 6.1;  // width of a letter of 10 px
    private static final int GRID_LINES = 6;
    private static final int TICKS = 24;
    private static final String INK = "#24292f";

    private final MemoryMap map;
    private final int times;
    private final StringWriter text = new StringWriter();
    private XMLStreamWriter xml;

    MemoryPicture(MemoryMap map) {
        this.map = map;
        this.times = Math.max(1, map.order().size());
    }

    String draw() {
        try {
            xml = XMLOutputFactory.newFactory().createXMLStreamWriter(text);
            xml.writeStartElement("svg");
            xml.writeDefaultNamespace("http://www.w3.org/2000/svg");
            attributes("viewBox", "0 0 " + number(WIDTH) + " " + number(HEIGHT), "width", number(WIDTH), "height",
                    number(HEIGHT), "font-family", "system-ui, sans-serif", "font-size", "12", "fill", INK);
            empty("rect", "width", "100%", "height", "100%", "fill", "#ffffff");
            heading();
            grid();
            for (MemoryMap.Buffer buffer : map.buffers()) {
                rectangle(buffer);
            }
            inUse();
            line(map.lowerBoundBytes(), "#cf222e", "6 4");
            timeAxis();
            xml.writeEndElement();
            xml.close();
        } catch (XMLStreamException e) {
            throw new IllegalStateException(e);  // a StringWriter throws none
        }
        return text.toString();
    }

    private void heading() throws XMLStreamException {
        label(LEFT, 28, "start", 16, count(map.buffers().size(), "buffer") + " in " + bytes(map.plannedBytes())
                + "; with one each " + bytes(map.oneBufferPerTensorBytes()));
        double x = LEFT;
        x = sample(x, "tensor between units", "fill", colour(0), "fill-opacity", "0.75");
        x = sample(x, "output of the model", "fill", colour(0), "fill-opacity", "0.75", "stroke", INK, "stroke-width",
                "2");
        x = sample(x, "what a unit takes while it runs", "fill", colour(0), "fill-opacity", "0.25", "stroke", colour(0),
                "stroke-dasharray", "2 2");
        empty("line", "x1", number(x), "x2", number(x + 14), "y1", "52", "y2", "52", "stroke", "#cf222e",
                "stroke-dasharray", "6 4");
        label(x + 20, 56, "start", 12, "lower bound, " + bytes(map.lowerBoundBytes()));
        x += 20 + 7 * ("lower bound, " + bytes(map.lowerBoundBytes())).length() + 16;
        empty("line", "x1", number(x), "x2", number(x + 14), "y1", "52", "y2", "52", "stroke", INK);
        label(x + 20, 56, "start", 12, "bytes in use");
        label(LEFT, 76, "start", 11, "One colour a branch; point at a rectangle for its name.");
    }

    private double sample(double x, String what, String... style) throws XMLStreamException {
        xml.writeEmptyElement("rect");
        attributes("x", number(x), "y", "46", "width", "14", "height", "12");
        attributes(style);
        label(x + 20, 56, "start", 12, what);
        return x + 20 + 7 * what.length() + 8;
    }

    private void grid() throws XMLStreamException {
        long step = roundStep(map.plannedBytes());
        for (long at = 0; at <= map.plannedBytes(); at += step) {
            empty("line", "x1", number(LEFT), "x2", number(RIGHT), "y1", number(y(at)), "y2", number(y(at)), "stroke",
                    "#d0d7de");
            label(LEFT - 8, y(at) + 4, "end", 11, bytes(at));
        }
    }

    /** 1, 2 or 5 times a power of ten, so that there are at most {@link #GRID_LINES} steps. */
    static long roundStep(long all) {
        for (long power = 1; ; power *= 10) {
            for (long step : new long[] {power, 2 * power, 5 * power}) {
                if (all / step <= GRID_LINES) {
                    return step;
                }
            }
        }
    }

    private void rectangle(MemoryMap.Buffer buffer) throws XMLStreamException {
        double x = x(buffer.first());
        double width = x(buffer.last() + 1) - x;
        double top = y(buffer.offset() + buffer.bytes());
        double height = y(buffer.offset()) - top;
        Plan.Unit unit = map.plan().units().get(buffer.unit());
        String fill = colour(unit.branch());
        xml.writeStartElement("g");
        xml.writeStartElement("title");
        xml.writeCharacters(printable(title(buffer, unit)));
        xml.writeEndElement();
        xml.writeEmptyElement("rect");
        attributes("x", number(x), "y", number(top), "width", number(width), "height", number(height), "fill", fill);
        switch (buffer.kind()) {
            case TENSOR -> attributes("fill-opacity", "0.75", "stroke", "#ffffff", "stroke-width", "0.5");
            case OUTPUT -> attributes("fill-opacity", "0.75", "stroke", INK, "stroke-width", "2");
            case WINDOW -> attributes("fill-opacity", "0.25", "stroke", fill, "stroke-dasharray", "2 2");
        }
        String name = buffer.kind() == MemoryMap.Kind.WINDOW ? "unit " + buffer.unit() : buffer.name();
        int fits = (int) ((width - 6) / GLYPH);
        if (height >= 12 && (name.length() <= fits || fits >= 8)) {
            label(x + 3, top + 10, "start", 10, name.length() <= fits ? name : name.substring(0, fits - 1) + "…");
        }
        xml.writeEndElement();
    }

    private String title(MemoryMap.Buffer buffer, Plan.Unit unit) {
        String what = switch (buffer.kind()) {
            case TENSOR -> buffer.name();
            case OUTPUT -> buffer.name() + ", output of the model";
            case WINDOW -> "taken while unit " + unit.index() + " runs";
        };
        String operators = unit.nodes().stream().limit(4).map(n -> map.plan().nodes().get(n).operator())
                .collect(Collectors.joining(", "));
        return what + "\n" + bytes(buffer.bytes()) + " at " + buffer.offset() + ", times " + buffer.first() + " to "
                + buffer.last() + "\nunit " + unit.index() + (unit.branch() < 0 ? "" : ", branch " + unit.branch()) + ": "
                + operators + (unit.nodes().size() > 4 ? ", and " + (unit.nodes().size() - 4) + " more nodes" : "");
    }

    private void inUse() throws XMLStreamException {
        StringBuilder path = new StringBuilder();
        long[] live = map.liveBytes();
        for (int time = 0; time < live.length; time++) {
            path.append(time == 0 ? "M" : "L").append(number(x(time))).append(' ').append(number(y(live[time])))
                    .append("H").append(number(x(time + 1)));
        }
        if (!path.isEmpty()) {
            empty("path", "d", path.toString(), "fill", "none", "stroke", INK, "stroke-width", "1.2");
        }
    }

    private void line(long at, String stroke, String dashes) throws XMLStreamException {
        empty("line", "x1", number(LEFT), "x2", number(RIGHT), "y1", number(y(at)), "y2", number(y(at)), "stroke",
                stroke, "stroke-dasharray", dashes);
    }

    private void timeAxis() throws XMLStreamException {
        List<Integer> order = map.order();
        int step = Math.max(1, (times + TICKS - 1) / TICKS);
        for (int time = 0; time < order.size(); time += step) {
            label((x(time) + x(time + 1)) / 2, BOTTOM + 16, "middle", 11, String.valueOf(order.get(time)));
        }
        label((LEFT + RIGHT) / 2, BOTTOM + 38, "middle", 12, "units in the order in which they start");
    }

    private double x(int time) {
        return LEFT + (RIGHT - LEFT) * time / times;
    }

    private double y(long bytes) {
        return BOTTOM - (BOTTOM - TOP) * bytes / Math.max(1, map.plannedBytes());
    }

    /** Neighbouring numbers get hues far apart: by the golden angle. */
    private static String colour(int branch) {
        return branch < 0 ? "#8c959f" : "hsl(" + number(branch * 137.508 % 360) + ", 62%, 55%)";
    }

    // ---- writing --------------------------------------------------------------------------------------------------

    private void label(double x, double y, String anchor, int size, String content) throws XMLStreamException {
        xml.writeStartElement("text");
        attributes("x", number(x), "y", number(y), "text-anchor", anchor, "font-size", String.valueOf(size));
        xml.writeCharacters(printable(content));
        xml.writeEndElement();
    }

    private void empty(String element, String... attributes) throws XMLStreamException {
        xml.writeEmptyElement(element);
        attributes(attributes);
    }

    private void attributes(String... namesAndValues) throws XMLStreamException {
        for (int i = 0; i < namesAndValues.length; i += 2) {
            xml.writeAttribute(namesAndValues[i], namesAndValues[i + 1]);
        }
    }

    /** Names are the model's: what XML cannot hold becomes a replacement character. */
    private static String printable(String name) {
        StringBuilder safe = new StringBuilder(name.length());
        name.codePoints().map(c -> c == '\n' || c >= 0x20 && c < 0xD800 || c > 0xDFFF && c < 0xFFFE || c > 0xFFFF
                ? c : 0xFFFD).forEach(safe::appendCodePoint);
        return safe.toString();
    }

    private static String number(double value) {
        String text = String.format(Locale.ROOT, "%.1f", value);
        return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
    }

    private static String count(int count, String noun) {
        return count + " " + noun + (count == 1 ? "" : "s");
    }

    /** Powers of 1000, as everywhere in Parallax's reports. */
    private static String bytes(long bytes) {
        if (bytes < 1000) {
            return bytes + " B";
        }
        double value = bytes / 1e3;
        int unit = 0;
        while (value >= 999.5 && unit < 3) {
            value /= 1000;
            unit++;
        }
        return String.format(Locale.ROOT, value < 10 ? "%.1f %s" : "%.0f %s", value, List.of("KB", "MB", "GB", "TB").get(unit));
    }
}
