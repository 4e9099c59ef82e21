package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoadTimeTest {
    @TempDir
    Path folder;

    private void fill(String... names) throws IOException {
        for (String name : names) {
            Files.writeString(folder.resolve(name), "");
        }
    }

    @Test
    void modelsComeInOrderAndNothingElse() throws IOException {
        fill("b.onnx", "a.onnx", "a.weights", "README.md");
        assertEquals(List.of(folder.resolve("a.onnx"), folder.resolve("b.onnx")), LoadTime.models(folder, List.of()));
        assertEquals(List.of(folder.resolve("b.onnx")), LoadTime.models(folder, List.of("b")));
    }

    @Test
    void emptyOrMissingFolderSaysHowToFillIt() {
        for (Path missing : List.of(folder, folder.resolve("nowhere"))) {
            String message = assertThrows(Commands.BadInput.class,
                    () -> LoadTime.models(missing, List.of())).getMessage();
            assertTrue(message.contains("./plx zoo fill " + missing), message);
        }
    }

    @Test
    void unknownNameListsTheKnownOnes() throws IOException {
        fill("a.onnx", "b.onnx");
        String message = assertThrows(Commands.BadInput.class,
                () -> LoadTime.models(folder, List.of("c"))).getMessage();
        assertTrue(message.contains("'c'") && message.contains("[a, b]"), message);
    }
}
