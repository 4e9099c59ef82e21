package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models made to hurt: one clear line, status 2, no stack trace, nothing a terminal obeys, and the process lives on. */
class HostileModelTest {
    @TempDir
    Path top;

    private Path folder;

    @BeforeEach
    void folders() throws IOException {
        folder = Files.createDirectories(top.resolve("model"));
        ByteBuffer weights = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(3).putFloat(4);
        Files.write(Files.createDirectories(top.resolve("blobs")).resolve("abc"), weights.array());
        Files.writeString(top.resolve("secret.bin"), "SECRETS!");
    }

    @AfterEach
    void theProcessLivesOn() throws IOException {
        Plx plx = Plx.run("run", write(relu("x")), "--units", "nodes");
        assertEquals(0, plx.status(), plx::toString);
    }

    private static OnnxFile relu(String name) {
        return new OnnxFile().input(name, ElementType.FLOAT32, 2).output("y", ElementType.FLOAT32, 2)
                .node("Relu", List.of(name), List.of("y"));
    }

    private static OnnxFile adding(String file, long... dims) {
        return new OnnxFile().input("x", ElementType.FLOAT32, 2).output("y", ElementType.FLOAT32, 2)
                .external("w", file, 0, dims).node("Add", List.of("x", "w"), List.of("y"));
    }

    private Path write(OnnxFile model) throws IOException {
        return Files.write(folder.resolve("model.onnx"), model.build());
    }

    private void assertRefused(String command, Path model, String... parts) {
        Plx plx = Plx.run(command, model);
        for (String part : parts) {
            assertTrue(plx.isOneLineError(part), "'" + part + "' is missing in " + plx);
        }
        assertFalse(plx.err().contains("Exception"), plx::toString);
        assertFalse((plx.out() + plx.err()).contains("SECRETS!"), plx::toString);
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "plan", "compare", "memory", "bench"})
    void externalDataStaysInTheModelsFolder(String command) throws IOException {
        assertRefused(command, write(adding("../secret.bin", 2)), "outside the model's folder", "../secret.bin");
        assertRefused(command, write(adding("/etc/passwd", 2)), "outside the model's folder", "/etc/passwd");
        Path link = folder.resolve("w.bin");
        Files.createSymbolicLink(link, Path.of("../secret.bin"));
        assertRefused(command, write(adding("w.bin", 2)), "outside the model's folder", "--data-folder");
        Files.delete(link);
        Files.createSymbolicLink(folder.resolve("up"), Path.of(".."));
        assertRefused(command, write(adding("up/secret.bin", 2)), "outside the model's folder");
    }

    @Test
    void linksLeadToDataFoldersIfTheUserSaysSo() throws IOException {
        Files.createSymbolicLink(folder.resolve("w.bin"), Path.of("../blobs/abc"));
        Path model = write(adding("w.bin", 2));
        for (String units : List.of("whole", "nodes")) {
            Plx plx = Plx.run("run", model, "--units", units, "--data-folder", top.resolve("blobs"));
            assertEquals(0, plx.status(), plx::toString);
        }
        Plx other = Plx.run("run", model, "--data-folder", folder);
        assertTrue(other.isOneLineError("outside the model's folder"), other::toString);
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "plan", "memory"})
    void sizesThatCannotBeAreNamed(String command) throws IOException {
        Files.write(folder.resolve("w.bin"), new byte[8]);
        assertRefused(command, write(adding("w.bin", -1)), "'w'", "negative or overflowing");
        assertRefused(command, write(adding("w.bin", 1L << 62, 1L << 62)), "'w'", "negative or overflowing");
        assertRefused(command, write(adding("w.bin", 1L << 40)), "max_weight_bytes");
        assertRefused(command, write(adding("w.bin", 3)), "'w'", "which has 8");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "compare", "memory"})
    void constantsOfTerabytesAreNotComputed(String command) throws IOException {
        OnnxFile bomb = relu("x").initializer("shape", Tensor.of(new long[] {1 << 20, 1 << 20}, 2))
                .node("ConstantOfShape", List.of("shape"), List.of("c")).output("c", ElementType.FLOAT32, "a", "b");
        assertRefused(command, write(bomb), "ConstantOfShape", "max_constant_bytes");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "memory", "bench"})
    void pipesAreNotWaitedFor(String command) throws Exception {
        Path pipe = top.resolve("pipe");
        assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
        assertRefused(command, pipe, "not a regular file");
        Files.createSymbolicLink(folder.resolve("w.bin"), Path.of("pipe"));
        Files.move(pipe, folder.resolve("pipe"));
        assertRefused(command, write(adding("w.bin", 2)), "not a regular file");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "plan", "memory"})
    void inputsOfTerabytesAreNotMade(String command) throws IOException {
        for (long[] dims : new long[][] {{1L << 45}, {1L << 62, 1L << 62}}) {
            Object[] sizes = java.util.Arrays.stream(dims).boxed().toArray();
            Path model = write(new OnnxFile().input("x", ElementType.FLOAT32, sizes)
                    .output("y", ElementType.FLOAT32, sizes).node("Relu", List.of("x"), List.of("y")));
            Plx plx = Plx.run(command, model, "--units", "mixed");
            assertTrue(plx.isOneLineError("x"), plx::toString);
        }
    }

    @Test
    void namesCannotDriveATerminal() throws IOException {
        String name = "\u001B]0;owned\u0007\u001B[2J\r\u009B31m\u202E";
        Plx bad = Plx.run("run", write(adding("w.bin", 2).node(name, List.of("nobody"), List.of("z"))));
        assertEquals(2, bad.status(), bad::toString);
        Path model = write(relu(name));
        assertTrue(Plx.run("plan", model, "--tensors").out().contains("\\u001B]0;owned\\u0007"));
        for (Object[] command : new Object[][] {{"plan", model, "--tensors"}, {"compare", model},
            {"run", model, "--shape", name + "=7"}}) {
            Plx plx = Plx.run(command);
            String all = plx.out() + plx.err();
            assertTrue(all.chars().allMatch(c -> c == '\n' || c >= 0x20 && (c < 0x7F || c > 0x9F) && c != 0x202E),
                    plx::toString);
        }
    }
}
