package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class MarkdownTableTest {
    @Test
    void columnsLineUp() {
        assertEquals("""
                | model |   ms |
                |-------|-----:|
                | a     |  1.5 |
                | long  | 12.5 |
                """,
                new MarkdownTable("model", "ms").row("a", "1.5").row("long", 12.5).toString());
    }

    @Test
    void missingCellsAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> new MarkdownTable("a", "b").row(1));
    }
}
