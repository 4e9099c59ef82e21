package dev.parallax.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A run of the command within the test's process: its status and what it said. */
record Plx(int status, String out, String err) {
    static Plx run(Object... args) {
        String[] texts = new String[args.length];
        for (int i = 0; i < args.length; i++) {
            texts[i] = args[i].toString();
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int status = Main.run(texts, new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8));
        return new Plx(status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /** The zoo's skeletons and tables. */
    static Path zoo() {
        return Path.of(System.getProperty("parallax.zoo", "../../bench/zoo"));
    }

    /** Whether it said one line, with the part, and ended with status 2. */
    boolean isOneLineError(String part) {
        return status == 2 && err.startsWith("plx: ") && err.strip().lines().count() == 1 && err.contains(part);
    }

    @Override
    public String toString() {
        return "status " + status + "\n--- out\n" + out + "--- err\n" + err;
    }
}
