package dev.parallax.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Stands in the list of commands for what the launcher does itself before Java is there. */
@Command(name = "test", mixinStandardHelpOptions = true,
        description = "Runs every test; done by the launcher ./plx of a clone of the project.")
final class TestCommand implements Callable<Integer> {
    @Parameters(arity = "0..*", paramLabel = "STEP", description = "Steps to run, all by default.")
    private List<String> steps = new ArrayList<>();

    @Override
    public Integer call() {
        throw new BadInputException("tests are run by the launcher of a clone of the project: "
                + String.join(" ", Stream.concat(Stream.of("./plx test"), steps.stream()).toList()));
    }
}
