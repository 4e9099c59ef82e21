package dev.parallax.cli;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.ModelOptions;
import dev.parallax.PlanOptions;
import dev.parallax.Units;
import dev.parallax.ValueInfo;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What every command on a model understands: the model, the shapes and values of its inputs, and how many threads. */
class ModelInput {
    @Parameters(index = "0", paramLabel = "MODEL", description = "An ONNX file.")
    Path path;

    @Option(names = "--shape", paramLabel = "NAME=1x16",
            description = "Shape of an input; repeatable. Open dimensions that are not given take the size of the same "
                    + "symbol elsewhere, or else a small one: batch 1, height and width 64, any other 16. The output "
                    + "says which.")
    List<String> shapes = new ArrayList<>();

    @Option(names = "--input", paramLabel = "NAME=FILE",
            description = "Values of an input from a .npy file, or a .pb file as ONNX's own tests have them (also "
                    + "sequences, maps and optionals); repeatable. Inputs without a file are made from the "
                    + "seed: normal floats, whole numbers in 0..999, masks 1, type ids 0, positions counting up, "
                    + "single counts 8.")
    List<String> files = new ArrayList<>();

    @Option(names = "--seed", paramLabel = "N", defaultValue = "42",
            description = "Seed of inputs without a file (default: ${DEFAULT-VALUE}).")
    long seed;

    @Option(names = "--threads", paramLabel = "N", defaultValue = "0",
            description = "Threads in all, the caller's included; 0 is one per core (default).")
    int threads;

    @Option(names = "--data-folder", paramLabel = "DIR",
            description = "Where external data may lie if a link in the model's folder leads there, as in a cache of "
                    + "downloads; repeatable. No other link out of that folder is followed.")
    List<Path> dataFolders = new ArrayList<>();

    /** The model, as these arguments want it loaded. */
    Model load(Engine engine) {
        return engine.load(path, options().build());
    }

    ModelOptions.Builder options() {
        ModelOptions.Builder options = ModelOptions.builder();
        dataFolders.forEach(options::dataFolder);
        return options;
    }

    Engine engine() {
        if (threads < 0) {
            throw new BadInputException("--threads " + threads
                    + " is negative; give 0 for one per core, or a number >= 1");
        }
        return Engine.create(EngineOptions.builder().threads(threads).build());
    }

    Inputs inputs(Model model, Arena arena) {
        return Inputs.prepare(model.inputs(), shapes, files, seed, arena);
    }

    /** Plan options with the sizes at which FLOPs and bytes are estimated: those of the inputs. */
    PlanOptions.Builder plan(Units units, List<Shapes.Resolved> resolved) {
        PlanOptions.Builder options = PlanOptions.builder().units(units);
        for (Shapes.Resolved r : resolved) {
            ValueInfo input = r.input();
            if (!input.isStatic()) {
                options.shape(input.name(), r.shape());
            }
        }
        return options;
    }

    /** What a person calls the model: its file without folder and ending. */
    String name() {
        return name(path);
    }

    static String name(Path path) {
        return path.getFileName().toString().replaceFirst("\\.onnx$", "");
    }

    /** The same for another model, whose open dimensions take their usual sizes. */
    ModelInput of(Path other, int otherThreads) {
        ModelInput input = new ModelInput();
        input.path = other;
        input.seed = seed;
        input.dataFolders = dataFolders;
        input.threads = otherThreads;
        return input;
    }
}
