package dev.parallax.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ErrorCode;
import dev.parallax.ParallaxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibraryTest {
    private static final String PROPERTY = "parallax.test.path";

    @TempDir
    Path folder;

    @AfterEach
    void clear() {
        System.clearProperty(PROPERTY);
    }

    private static Path chosen(Path option) {
        return NativeLibrary.chosen(option, "EngineOptions.test", PROPERTY, "libtest.so");
    }

    @Test
    void knowsItsPlatforms() {
        assertEquals("linux-x86_64", NativeLibrary.platform("Linux", "amd64"));
        assertEquals("linux-aarch64", NativeLibrary.platform("Linux", "aarch64"));
        for (String[] machine : new String[][] {{"Linux", "riscv64"}, {"Mac OS X", "aarch64"}, {"Linux", "arm"}}) {
            ParallaxException e = assertThrows(ParallaxException.class,
                    () -> NativeLibrary.platform(machine[0], machine[1]));
            assertEquals(ErrorCode.LIBRARY, e.code());
            assertTrue(e.getMessage().contains(machine[0] + " " + machine[1]), e.getMessage());
        }
    }

    @Test
    void optionComesBeforeProperty() throws IOException {
        assertNull(chosen(null));
        Path byProperty = Files.createFile(folder.resolve("libtest.so"));
        System.setProperty(PROPERTY, folder.toString());  // a folder stands for the file in it
        assertEquals(byProperty, chosen(null));
        Path byOption = Files.createFile(folder.resolve("other.so"));
        assertEquals(byOption, chosen(byOption));
    }

    @Test
    void whatIsNamedMustExist() {
        Path missing = folder.resolve("none.so");
        ParallaxException option = assertThrows(ParallaxException.class, () -> chosen(missing));
        assertEquals(ErrorCode.NOT_FOUND, option.code());
        assertTrue(option.getMessage().contains(missing + ", which EngineOptions.test names"), option.getMessage());
        System.setProperty(PROPERTY, folder.toString());
        ParallaxException property = assertThrows(ParallaxException.class, () -> chosen(null));
        assertTrue(property.getMessage().contains(folder.resolve("libtest.so") + ", which -D" + PROPERTY + " names"),
                property.getMessage());
    }

    @Test
    void aMissingResourceIsNamedWithTheFix() {
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> NativeLibrary.unpack("/native/none/libtest.so", "libtest.so", null, "do this"));
        assertEquals(ErrorCode.LIBRARY, e.code());
        assertTrue(e.getMessage().contains("/native/none/libtest.so; do this"), e.getMessage());
    }

    @Test
    void theFlagFitsHowParallaxWasStarted() {
        assertTrue(NativeLibrary.accessMessage(Object.class.getModule())
                .endsWith("--enable-native-access=java.base"));
        assertTrue(NativeLibrary.accessMessage(ClassLoader.getSystemClassLoader().getUnnamedModule())
                .endsWith("--enable-native-access=ALL-UNNAMED"));
    }

    @Test
    void findsOnnxRuntimeInItsJar() throws IOException {
        Path library = NativeLibrary.ortLibrary(null);
        assertEquals("libonnxruntime-private.so", library.getFileName().toString());
        assertTrue(Files.size(library) > 1 << 20, library.toString());
        assertEquals(library, NativeLibrary.ortLibrary(null));
    }
}
