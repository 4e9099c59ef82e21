package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class PrintableStreamTest {
    @Test
    void whatActsIsPrintedAsItsCode() {
        assertEquals("a\\u001B[2Jb\\u000D\\u0000", PrintableStream.printable("a\u001B[2Jb\r\0"));
        assertEquals("\\u009B31m\\u007F\\u202E\\u2066\\u2028", PrintableStream.printable("\u009B31m\u007F\u202E\u2066\u2028"));
        assertEquals("line\n\ttab ä € 😀", PrintableStream.printable("line\n\ttab ä € 😀"));
    }

    @Test
    void everyWayOfPrintingIsCovered() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream stream = new PrintableStream(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        stream.print("\u0001");
        stream.println("\u0002");
        stream.println((Object) new StringBuilder("\u0003"));
        stream.printf("%s%n", "\u0004");
        stream.format("%s%n", "\u0005").append("\u0006").append("x\u0007", 1, 2);
        stream.flush();
        assertEquals("\\u0001\\u0002\n\\u0003\n\\u0004\n\\u0005\n\\u0006\\u0007", bytes.toString(StandardCharsets.UTF_8));
    }
}
