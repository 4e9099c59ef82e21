package dev.parallax.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SharedObjectTest {
    @TempDir
    Path folder;

    private byte[] makePrivate(byte[] bytes) throws IOException {
        Path file = Files.write(folder.resolve("file"), bytes);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            SharedObject.makePrivate(channel);
        }
        return Files.readAllBytes(file);
    }

    @Test
    void changesTheNameOfOnnxRuntimeAndNothingElse() throws IOException {
        for (String platform : new String[] {"linux-x64", "linux-aarch64"}) {
            byte[] before;
            try (InputStream in = ClassLoader.getSystemResourceAsStream(
                    "ai/onnxruntime/native/" + platform + "/libonnxruntime.so")) {
                before = in.readAllBytes();
            }
            byte[] after = makePrivate(before);
            int at = Arrays.mismatch(before, after);
            assertEquals("plxonnxruntime.so.1\0", new String(after, at, 20, StandardCharsets.US_ASCII));
            assertEquals("\0libonnxruntime.so.1\0", new String(before, at - 1, 21, StandardCharsets.US_ASCII));
            assertEquals(-1, Arrays.mismatch(before, at + 3, before.length, after, at + 3, after.length));
        }
    }

    @Test
    void refusesWhatIsNoLibrary() {
        assertThrows(IOException.class, () -> makePrivate(new byte[0]));
        assertThrows(IOException.class, () -> makePrivate("certainly no library".getBytes()));
        byte[] header = Arrays.copyOf(new byte[] {0x7f, 'E', 'L', 'F', 2, 1}, 64);
        header[56] = 1;  // one program header, which is not there
        header[32] = 64;
        assertThrows(IOException.class, () -> makePrivate(header));
    }

    @Test
    void leavesALibraryWithoutANameAlone() throws IOException {
        byte[] header = Arrays.copyOf(new byte[] {0x7f, 'E', 'L', 'F', 2, 1}, 64);
        assertArrayEquals(header, makePrivate(header));
    }
}
