package dev.parallax.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code plx zoo}: the models to try things with. */
@Command(name = "zoo", mixinStandardHelpOptions = true, synopsisSubcommandLabel = "COMMAND",
        description = "Models to try things with: real architectures with seeded random weights.")
final class ZooCommand implements Callable<Integer> {
    private final Console console;

    @Spec
    private CommandSpec spec;

    ZooCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /** The folder of skeletons: --from, what the launcher says, or the one of the clone one stands in. */
    private static Zoo open(Path from) {
        return Zoo.open(from != null ? from : Path.of(System.getProperty("parallax.zoo", "bench/zoo")));
    }

    @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the models.")
    int list(@Option(names = "--from", paramLabel = "DIR",
    description = "Folder of NAME.onnx and NAME.tsv.") Path from) {
        Text.Table table = new Text.Table("model", ">parameters", ">weights", ">tensors");
        for (Zoo.Model model : open(from).models()) {
            ModelFiles files = files(model);
            table.row(model.name(), String.format("%.1f M", model.parameters() / 1e6), Text.bytes(files.weightBytes()),
                    files.tensors());
        }
        table.print(console.out(), "");
        return 0;
    }

    @Command(name = "fill", mixinStandardHelpOptions = true,
            description = {"Writes NAME.onnx and NAME.weights into a folder (1.4 GB for all).",
                "Every machine writes the same bytes. What is there already and unharmed is left alone."})
    int fill(@Parameters(index = "0", paramLabel = "DIR", description = "Folder to fill; made if missing.") Path folder,
            @Option(names = "--only", paramLabel = "NAME",
            description = "This model only; repeatable.") List<String> only,
            @Option(names = "--from", paramLabel = "DIR",
            description = "Folder of NAME.onnx and NAME.tsv.") Path from) {
        Zoo zoo = open(from);
        List<Zoo.Model> models = only == null ? zoo.models() : only.stream().map(zoo::model).toList();
        Console.makeFolder(folder, "folder");
        for (Zoo.Model model : models) {
            long start = System.nanoTime();
            ModelFiles files = files(model);
            boolean written = fill(files, folder);
            console.out().println(model.name() + ": " + (written
                    ? Text.bytes(files.weightBytes()) + " written in " + Text.nanos(System.nanoTime() - start)
                    : "already there"));
        }
        return 0;
    }

    private static ModelFiles files(Zoo.Model model) {
        try {
            return model.files();
        } catch (IOException e) {
            throw new BadInputException("cannot read " + model.name() + " in the zoo: " + Text.reason(e), e);
        }
    }

    private boolean fill(ModelFiles files, Path folder) {
        try (Progress progress = new Progress(console.terminal() ? console.err() : null, files.name(),
                files.weightBytes())) {
            return files.fill(folder, progress::add);
        } catch (IOException e) {
            throw new BadInputException("cannot write " + files.name() + " into " + folder + ": " + Text.reason(e)
                    + "; " + Text.bytes(free(folder)) + " are free there", e);
        }
    }

    private static long free(Path folder) {
        try {
            return Files.getFileStore(folder).getUsableSpace();
        } catch (IOException e) {
            return 0;
        }
    }
}
