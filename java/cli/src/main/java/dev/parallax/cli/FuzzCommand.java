package dev.parallax.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Stands in the list of commands for what the launcher does itself before Java is there. */
@Command(name = "fuzz", mixinStandardHelpOptions = true,
        description = "Feeds made-up input to what plx reads, and keeps what breaks it; done by the launcher ./plx of "
                + "a clone of the project.")
final class FuzzCommand implements Callable<Integer> {
    @Option(names = "--minutes", paramLabel = "N", description = "How long, 5 by default.")
    private Integer minutes;

    @Option(names = "--target", paramLabel = "NAME",
            description = "import (models) or plan (their plans); both by default.")
    private String target;

    @Override
    public Integer call() {
        List<String> line = new ArrayList<>(List.of("./plx fuzz"));
        if (minutes != null) {
            line.add("--minutes " + minutes);
        }
        if (target != null) {
            line.add("--target " + target);
        }
        throw new BadInputException("fuzzing is done by the launcher of a clone of the project: "
                + String.join(" ", line));
    }
}
