package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;

class TextTest {
    @Test
    void sizesTimesAndNumbersReadWell() {
        assertEquals("0 B", Text.bytes(0));
        assertEquals("999 B", Text.bytes(999));
        assertEquals("1.5 KB", Text.bytes(1536));
        assertEquals("268 MB", Text.bytes(267_784_192));
        assertEquals("1.0 GB", Text.bytes(999_900_000));
        assertEquals("850 ns", Text.nanos(850));
        assertEquals("1.50 us", Text.nanos(1500));
        assertEquals("12.3 ms", Text.nanos(12_345_678));
        assertEquals("100 ms", Text.nanos(99_960_000));
        assertEquals("2.00 s", Text.nanos(2e9));
        assertEquals("0", Text.number(0));
        assertEquals("-0", Text.number(-0.0));
        assertEquals("1.19e-07", Text.number(1.1920929e-7));
        assertEquals("0.2500", Text.number(0.25));
        assertEquals("inf", Text.number(Double.POSITIVE_INFINITY));
        assertEquals("-inf", Text.number(Double.NEGATIVE_INFINITY));
        assertEquals("nan", Text.number(Double.NaN));
        assertEquals("1.23e+07", Text.number(12_345_678.5));
        assertEquals("scalar", Text.shape(new long[0]));
        assertEquals("1x3x640", Text.shape(new long[] {1, 3, 640}));
        assertEquals("1 branch", Text.count(1, "branch", "branches"));
        assertEquals("0 runs", Text.count(0, "run"));
    }

    @Test
    void columnsLineUp() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new Text.Table("name", ">n", "what").row("a", 1, "x").row("long", 200, "").print(new PrintStream(bytes), "  ");
        assertEquals("  name    n  what\n  a       1  x\n  long  200\n", bytes.toString());
        assertThrows(IllegalArgumentException.class, () -> new Text.Table("a").row(1, 2));
    }

    @Test
    void tablesAreMarkdownToo() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new Text.Table("name", ">n").row("a", 1).row("long", 2000).printMarkdown(new PrintStream(bytes));
        assertEquals("""
                | name |    n |
                |------|-----:|
                | a    |    1 |
                | long | 2000 |
                """, bytes.toString());
    }

    @Test
    void reasonsAreWords() {
        assertEquals("no such file or folder", Text.reason(new NoSuchFileException("x")));
        assertEquals("permission denied", Text.reason(new AccessDeniedException("x")));
        assertEquals("no space left on device", Text.reason(new FileSystemException("x", null,
                "No space left on device")));
        assertEquals("No space left on device", Text.reason(new IOException("No space left on device")));
        assertEquals("IOException", Text.reason(new IOException()));
    }
}
