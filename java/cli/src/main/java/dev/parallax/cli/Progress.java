package dev.parallax.cli;

import java.io.PrintStream;
import java.util.concurrent.atomic.AtomicLong;

/**
 * How far a long piece of work has come: a line that counts up on a terminal, nothing elsewhere.
 *
 * <p>Lifetime: close it to clear its line. Threads: {@link #add} may be called from any.
 */
final class Progress implements AutoCloseable {
    private final PrintStream out;
    private final String title;
    private final long total;
    private final AtomicLong done = new AtomicLong();
    private int shown = -1;

    /** {@code out} is null where there is no terminal. */
    Progress(PrintStream out, String title, long total) {
        this.out = out instanceof PrintableStream printable ? printable.raw() : out;
        this.title = title;
        this.total = Math.max(1, total);
    }

    void add(long amount) {
        int percent = (int) (100 * done.addAndGet(amount) / total);
        if (out != null) {
            synchronized (this) {
                if (percent > shown) {
                    shown = percent;
                    int bars = percent * 30 / 100;
                    out.print("\r" + title + " [" + "#".repeat(bars) + ".".repeat(30 - bars) + "] " + percent + " %");
                    out.flush();
                }
            }
        }
    }

    @Override
    public void close() {
        if (out != null && shown >= 0) {
            out.print("\r" + " ".repeat(title.length() + 40) + "\r");
            out.flush();
        }
    }
}
