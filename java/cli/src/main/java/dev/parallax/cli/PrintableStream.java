package dev.parallax.cli;

import java.io.PrintStream;
import java.util.Locale;

/**
 * Prints what a person may see: names come out of model files, and a terminal must not obey them. Characters that would
 * act instead of showing (control characters, but for tabs and the ends of lines; marks that turn the direction of
 * writing) are printed as their code, such as \\u001B.
 *
 * <p>Lifetime: as long as the stream it prints to, which it leaves open. Threads: any.
 */
final class PrintableStream extends PrintStream {
    private final PrintStream raw;

    PrintableStream(PrintStream raw) {
        super(raw, false, raw.charset());
        this.raw = raw;
    }

    /** For those who draw on purpose. */
    PrintStream raw() {
        return raw;
    }

    /** All printing of texts comes through here. */
    @Override
    public void print(String text) {
        super.print(printable(String.valueOf(text)));
    }

    static String printable(String text) {
        if (text.chars().noneMatch(PrintableStream::acts)) {
            return text;
        }
        StringBuilder safe = new StringBuilder();
        text.chars().forEach(c -> {
            if (acts(c)) {
                safe.append(String.format(Locale.ROOT, "\\u%04X", c));
            } else {
                safe.append((char) c);
            }
        });
        return safe.toString();
    }

    private static boolean acts(int c) {
        return c < 0x20 && c != '\n' && c != '\t' || c >= 0x7F && c < 0xA0 || c == 0x061C || c == 0x200E || c == 0x200F
                || c >= 0x2028 && c <= 0x202E || c >= 0x2066 && c <= 0x2069;
    }
}
