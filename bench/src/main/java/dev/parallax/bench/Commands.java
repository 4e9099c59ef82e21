package dev.parallax.bench;

import dev.parallax.ParallaxException;
import java.io.IOException;
import picocli.CommandLine;

/** What the commands here have in common: status 1 for a missed target, 2 with one line for what cannot be done. */
final class Commands {
    static final int MISSED = 1;
    static final int IMPOSSIBLE = 2;

    private Commands() {}

    /** Something the user can put right; the message says how. */
    static final class BadInput extends RuntimeException {
        private static final long serialVersionUID = 1;

        BadInput(String message) {
            super(message);
        }
    }

    static int run(Object command, String... args) {
        return new CommandLine(command).setCaseInsensitiveEnumValuesAllowed(true).setExecutionExceptionHandler((e, line, parsed) -> {
            boolean foreseen = e instanceof BadInput || e instanceof ParallaxException || e instanceof IOException;
            line.getErr().println(line.getCommandName() + ": " + (foreseen ? e.getMessage() : e.toString()));
            if (!foreseen) {
                e.printStackTrace(line.getErr()); // a defect: whoever reports it needs the place
            }
            return IMPOSSIBLE;
        }).execute(args);
    }
}
