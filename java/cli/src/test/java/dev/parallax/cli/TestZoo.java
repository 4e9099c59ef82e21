package dev.parallax.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Whole models for tests: the zoo, filled when first needed into a folder that later runs find again, MiniLM from its
 * jars, 1.5 GB in all; and those that the set-up fetched.
 */
final class TestZoo {
    private static final Path FOLDER = Path.of(System.getProperty("parallax.test.zoo", "target/zoo"));

    private static final Path FETCHED = Path.of(System.getProperty("parallax.test.models", "../../target/models"));

    private TestZoo() {}

    /** A model of the zoo. */
    static synchronized Path model(String name) {
        try {
            Files.createDirectories(FOLDER);
            Zoo.open(Plx.zoo()).model(name).files().fill(FOLDER, _ -> {});
            return FOLDER.resolve(name + ".onnx");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** all-MiniLM-L6-v2 in fp32, or "-q" in int8, as a file. */
    static synchronized Path miniLm(String suffix) {
        String name = "all-minilm-l6-v2" + suffix + ".onnx";
        Path file = FOLDER.resolve(name);
        try (InputStream stream = TestZoo.class.getClassLoader().getResourceAsStream(name)) {
            if (!Files.exists(file)) {
                Files.createDirectories(FOLDER);
                Path part = FOLDER.resolve("." + name + ".part");
                Files.copy(stream, part, StandardCopyOption.REPLACE_EXISTING);
                Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
            }
            return file;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A model that {@code ./plx test} fetches before it begins, such as "silero_vad_v5". */
    static Path fetched(String name) {
        Path file = FETCHED.resolve(name + ".onnx");
        if (!Files.isRegularFile(file)) {
            throw new IllegalStateException(file.toAbsolutePath().normalize()
                    + " is missing: run cmake/setup/models.sh, which takes npm, once");
        }
        return file;
    }
}
