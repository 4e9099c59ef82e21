package dev.parallax.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ErrorCode;
import dev.parallax.ParallaxException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibraryCacheTest {
    private static final String ENTRY = "native/here/lib x.so";

    @TempDir
    Path folder;
    private final byte[] bytes = new byte[300_000];
    private Path root;
    private LibraryCache cache;

    @BeforeEach
    void fill() {
        new Random(1).nextBytes(bytes);
        root = folder.resolve("cache");
        cache = new LibraryCache(List.of(root), false);
    }

    /** A jar with the bytes, stored as they are. */
    private URL jar(byte[] content) throws IOException {
        Path jar = folder.resolve("lib.jar");
        CRC32 crc = new CRC32();
        crc.update(content);
        try (OutputStream out = Files.newOutputStream(jar); ZipOutputStream zip = new ZipOutputStream(out)) {
            ZipEntry entry = new ZipEntry(ENTRY);
            entry.setMethod(ZipEntry.STORED);
            entry.setSize(content.length);
            entry.setCrc(crc.getValue());
            zip.putNextEntry(entry);
            zip.write(content);
        }
        return URI.create("jar:" + jar.toUri() + "!/" + ENTRY.replace(" ", "%20")).toURL();
    }

    private static Object inode(Path file) throws IOException {
        return Files.readAttributes(file, BasicFileAttributes.class).fileKey();
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> all = Files.walk(root)) {
            return all.filter(Files::isRegularFile).toList();
        }
    }

    @Test
    void unpacksOnceAndThenFindsIt() throws IOException {
        Path library = cache.unpack(jar(bytes), "libx.so", null);
        assertArrayEquals(bytes, Files.readAllBytes(library));
        assertEquals("libx.so", library.getFileName().toString());
        assertTrue(library.startsWith(root));
        Object inode = inode(library);
        assertEquals(library, cache.unpack(jar(bytes), "libx.so", null));
        assertEquals(inode, inode(library));
        assertEquals(List.of(library), files());
    }

    @Test
    void versionsDoNotMeet() throws IOException {
        Path first = cache.unpack(jar(bytes), "libx.so", null);
        byte[] other = bytes.clone();
        other[7]++;
        Path second = cache.unpack(jar(other), "libx.so", null);
        assertNotEquals(first, second);
        assertArrayEquals(bytes, Files.readAllBytes(first));
        assertArrayEquals(other, Files.readAllBytes(second));
    }

    @Test
    void rebuildsATruncatedCopy() throws IOException {
        Path library = cache.unpack(jar(bytes), "libx.so", null);
        Files.delete(library);
        Files.write(library, new byte[10]);
        Files.setLastModifiedTime(library, LibraryCache.STAMP);
        assertEquals(library, cache.unpack(jar(bytes), "libx.so", null));
        assertArrayEquals(bytes, Files.readAllBytes(library));
    }

    @Test
    void rebuildsACopyOfTheRightSizeThatWasWrittenTo() throws IOException {
        Path library = cache.unpack(jar(bytes), "libx.so", null);
        Files.delete(library);
        Files.write(library, new byte[bytes.length]);
        assertEquals(library, cache.unpack(jar(bytes), "libx.so", null));
        assertArrayEquals(bytes, Files.readAllBytes(library));
    }

    @Test
    void manyAtOnceAgree() throws Exception {
        URL jar = jar(bytes);
        List<Callable<Path>> tasks = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            tasks.add(() -> {
                Path library = new LibraryCache(List.of(root), false).unpack(jar, "libx.so", null);
                assertArrayEquals(bytes, Files.readAllBytes(library));
                return library;
            });
        }
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            for (Future<Path> done : threads.invokeAll(tasks)) {
                assertEquals(files().getFirst(), done.get());
            }
        }
        assertEquals(1, files().size());  // nothing half-written stays behind
    }

    @Test
    void aDamagedJarLeavesNothing() throws IOException {
        URL url = jar(bytes);
        Path jar = folder.resolve("lib.jar");
        byte[] damaged = Files.readAllBytes(jar);
        damaged[1000]++;  // within the stored bytes
        Files.write(jar, damaged);
        ParallaxException e = assertThrows(ParallaxException.class, () -> cache.unpack(url, "libx.so", null));
        assertEquals(ErrorCode.IO, e.code());
        assertTrue(e.getMessage().contains("damaged"), e.getMessage());
        assertEquals(List.of(), files());
    }

    @Test
    void takesTheNextFolderWhenOneCannotBeWritten() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "in the way");
        LibraryCache second = new LibraryCache(List.of(file.resolve("cache"), root), false);
        assertTrue(second.unpack(jar(bytes), "libx.so", null).startsWith(root));
    }

    @Test
    void namesFolderAndPropertyWhenNoneCanBeWritten() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "in the way");
        URL jar = jar(bytes);
        ParallaxException e = assertThrows(ParallaxException.class,
                () -> new LibraryCache(List.of(file), true).unpack(jar, "libx.so", null));
        assertEquals(ErrorCode.IO, e.code());
        assertTrue(e.getMessage().contains(file + ", which -Dparallax.cache.dir names"), e.getMessage());
    }

    @Test
    void distrustsAFolderThatAllCanWriteTo() throws IOException {
        Files.createDirectory(root);
        Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwxrwxrwx"));
        URL jar = jar(bytes);
        ParallaxException e = assertThrows(ParallaxException.class, () -> cache.unpack(jar, "libx.so", null));
        assertTrue(e.getMessage().contains("can be written by all"), e.getMessage());
        // Unless the user named it.
        assertTrue(new LibraryCache(List.of(root), true).unpack(jar, "libx.so", null).startsWith(root));
    }

    @Test
    void ownFoldersAreForTheUserAlone() throws IOException {
        Path library = cache.unpack(jar(bytes), "libx.so", null);
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(library.getParent())));
    }

    @Test
    void filesAreUsedWhereTheyAre() throws IOException {
        Path file = Files.write(folder.resolve("lib y.so"), bytes);
        assertEquals(file, cache.unpack(file.toUri().toURL(), "liby.so", null));
    }
}
