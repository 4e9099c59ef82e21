package dev.parallax.cli;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** How numbers and tables look in every report. Stateless but for {@link Table}, which belongs to one thread. */
final class Text {
    private Text() {}

    /** 1536 is "1.5 KB"; KB, MB and GB are powers of 1000, as in the tables of the documentation. */
    static String bytes(long bytes) {
        if (bytes < 1000) {
            return bytes + " B";
        }
        double value = bytes;
        String unit = "";
        for (String next : List.of("KB", "MB", "GB", "TB")) {
            if (value < 999.5) {
                break;
            }
            value /= 1000;
            unit = next;
        }
        return String.format(Locale.ROOT, value < 10 ? "%.1f %s" : "%.0f %s", value, unit);
    }

    /** A duration with three digits: "12.3 ms", "850 us". */
    static String nanos(double nanos) {
        if (nanos < 1e3) {
            return String.format(Locale.ROOT, "%.0f ns", nanos);
        }
        if (nanos < 1e6) {
            return digits(nanos / 1e3) + " us";
        }
        return nanos < 1e9 ? digits(nanos / 1e6) + " ms" : digits(nanos / 1e9) + " s";
    }

    private static String digits(double value) {
        return String.format(Locale.ROOT, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
    }

    /** Differences and values: "0", "1.19e-07", "0.25", "inf", "nan". */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "inf" : "-inf";
        }
        if (value == Math.rint(value) && Math.abs(value) < 1e15) {
            return value == 0 && 1 / value < 0 ? "-0" : Long.toString((long) value);
        }
        double size = Math.abs(value);
        return String.format(Locale.ROOT, size >= 1e-3 && size < 1e6 ? "%.4f" : "%.2e", value);
    }

    /** [1, 3, 640, 640] is "1x3x640x640"; a scalar is "scalar". */
    static String shape(long[] shape) {
        if (shape.length == 0) {
            return "scalar";
        }
        StringBuilder text = new StringBuilder();
        for (long dim : shape) {
            text.append(text.isEmpty() ? "" : "x").append(dim);
        }
        return text.toString();
    }

    /** "1 output", "2 outputs". */
    static String count(long count, String noun) {
        return count(count, noun, noun + "s");
    }

    /** "1 branch", "2 branches". */
    static String count(long count, String one, String many) {
        return count + " " + (count == 1 ? one : many);
    }

    /** What the operating system said, in words: Java's own messages are often no more than the path. */
    static String reason(IOException e) {
        return switch (e) {
            case NoSuchFileException _ -> "no such file or folder";
            case AccessDeniedException _ -> "permission denied";
            case NotDirectoryException _ -> "not a folder";
            case FileAlreadyExistsException _ -> "a file of that name is in the way";
            case FileSystemException f when f.getReason() != null -> f.getReason().toLowerCase(Locale.ROOT);
            default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        };
    }

    /** Columns padded to their widest cell; numbers to the right, the rest to the left. */
    static final class Table {
        private final List<String[]> rows = new ArrayList<>();
        private final boolean[] right;

        /** A header that starts with '>' makes its column right-aligned. */
        Table(String... headers) {
            right = new boolean[headers.length];
            String[] names = new String[headers.length];
            for (int i = 0; i < headers.length; i++) {
                right[i] = headers[i].startsWith(">");
                names[i] = right[i] ? headers[i].substring(1) : headers[i];
            }
            rows.add(names);
        }

        Table row(Object... cells) {
            if (cells.length != right.length) {
                throw new IllegalArgumentException(cells.length + " cells in a table of " + right.length);
            }
            String[] row = new String[cells.length];
            for (int i = 0; i < cells.length; i++) {
                row[i] = String.valueOf(cells[i]);
            }
            rows.add(row);
            return this;
        }

        /** As Markdown, which reads well as plain text too. */
        void printMarkdown(PrintStream out) {
            int[] width = widths(3);
            for (int r = 0; r < rows.size(); r++) {
                StringBuilder line = new StringBuilder("|");
                StringBuilder rule = new StringBuilder("|");
                for (int i = 0; i < width.length; i++) {
                    line.append(' ').append(cell(r, i, width[i])).append(" |");
                    rule.append('-').append("-".repeat(width[i])).append(right[i] ? ":|" : "-|");
                }
                out.println(line);
                if (r == 0) {
                    out.println(rule);
                }
            }
        }

        private int[] widths(int least) {
            int[] width = new int[right.length];
            Arrays.fill(width, least);
            for (String[] row : rows) {
                for (int i = 0; i < row.length; i++) {
                    width[i] = Math.max(width[i], row[i].length());
                }
            }
            return width;
        }

        private String cell(int row, int column, int width) {
            String text = rows.get(row)[column];
            String pad = " ".repeat(width - text.length());
            return right[column] ? pad + text : text + pad;
        }

        void print(PrintStream out, String indent) {
            int[] width = widths(0);
            for (int r = 0; r < rows.size(); r++) {
                StringBuilder line = new StringBuilder(indent);
                for (int i = 0; i < width.length; i++) {
                    line.append(i == 0 ? "" : "  ").append(cell(r, i, width[i]));
                }
                out.println(line.toString().stripTrailing());
            }
        }
    }
}
