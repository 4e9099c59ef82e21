package dev.parallax.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The model zoo: skeletons and tables of weights in one folder, from which whole models are made in another, some of
 * them in a second precision; and a model that needs no files to be made from.
 *
 * <p>Lifetime: a value, holds no file open. Threads: any.
 * Example: {@code Zoo.open(folder).model("distilbert").files().fill(target, bytes -> {})}.
 */
record Zoo(Path folder, List<Zoo.Model> models) {
    /** One model. */
    sealed interface Model permits SeededModel, DerivedModel, Detector {
        String name();

        long parameters();

        /** What is to be written for it; work, so ask once. */
        ModelFiles files() throws IOException;
    }

    /** Reads the tables of a folder. */
    static Zoo open(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            List<Model> models = new ArrayList<>();
            for (Path table : files.filter(f -> f.getFileName().toString().endsWith(".tsv")).sorted().toList()) {
                SeededModel model = SeededModel.read(table);
                models.add(model);
                derived(model).ifPresent(models::add);
            }
            if (models.isEmpty()) {
                throw new BadInputException("no model tables (*.tsv) in " + folder
                        + "; name the folder that has them with --from");
            }
            models.add(new Detector());
            return new Zoo(folder, List.copyOf(models));
        } catch (IOException e) {
            throw new BadInputException("cannot read the model zoo in " + folder + ": " + Text.reason(e)
                    + "; name the folder that has NAME.onnx and NAME.tsv with --from", e);
        }
    }

    /** The models that the paper runs in another precision than float32. */
    private static Optional<Model> derived(SeededModel source) {
        return Optional.ofNullable(switch (source.name()) {
            case "swinv2-tiny" -> new DerivedModel("swinv2-tiny-fp16", source, DerivedFloat16::derive);
            case "whisper-tiny-encoder" -> new DerivedModel("whisper-tiny-encoder-int8", source, DerivedInt8::derive);
            default -> null;
        });
    }

    Model model(String name) {
        return models.stream().filter(m -> m.name().equals(name)).findFirst().orElseThrow(() -> new BadInputException(
                "no model " + name + " in the zoo; there are "
                        + String.join(", ", models.stream().map(Model::name).toList())));
    }
}
