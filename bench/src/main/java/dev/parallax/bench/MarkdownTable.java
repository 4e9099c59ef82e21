package dev.parallax.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A table that reads well as plain text and pastes into a document. Belongs to one thread. */
final class MarkdownTable {
    private final List<List<String>> rows = new ArrayList<>();

    MarkdownTable(String... headers) {
        rows.add(List.of(headers));
    }

    MarkdownTable row(Object... cells) {
        if (cells.length != rows.get(0).size()) {
            throw new IllegalArgumentException(cells.length + " cells in a table of " + rows.get(0).size());
        }
        rows.add(Arrays.stream(cells).map(String::valueOf).toList());
        return this;
    }

    /** The first column to the left, numbers to the right. */
    @Override
    public String toString() {
        int[] widths = new int[rows.get(0).size()];
        for (List<String> row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], Math.max(3, row.get(i).length()));
            }
        }
        StringBuilder text = new StringBuilder();
        for (int r = 0; r < rows.size(); r++) {
            for (int i = 0; i < widths.length; i++) {
                String cell = rows.get(r).get(i);
                String pad = " ".repeat(widths[i] - cell.length());
                text.append(i == 0 ? "| " + cell + pad : " | " + pad + cell);
            }
            text.append(" |\n");
            if (r == 0) {
                for (int i = 0; i < widths.length; i++) {
                    text.append(i == 0 ? "|-" + "-".repeat(widths[i]) + "-" : "|-" + "-".repeat(widths[i]) + ":");
                }
                text.append("|\n");
            }
        }
        return text.toString();
    }
}
