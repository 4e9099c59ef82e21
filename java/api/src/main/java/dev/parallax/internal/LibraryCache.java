package dev.parallax.internal;

import dev.parallax.ErrorCode;
import dev.parallax.ParallaxException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.JarURLConnection;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;

/**
 * Native libraries unpacked from jars, once for all processes.
 *
 * <p>A library lies in a folder named after its checksum and size, so versions do not meet. It is written beside its
 * place and renamed into it, so no process sees half a file, and several may unpack at once: the last rename wins, with
 * the same bytes. Every copy carries a fixed time stamp, set before the rename: whoever writes to the file later
 * changes size or stamp, and it is unpacked anew. That check costs one stat, whereas a checksum of ONNX Runtime would
 * cost a read of 28 MB at each start.
 *
 * <p>Libraries that are files already (resources of a build tree) and need no edit are used where they are.
 */
final class LibraryCache {
    static final String PROPERTY = "parallax.cache.dir";
    /** The time stamp of a complete copy; no clock gives it today. */
    static final FileTime STAMP = FileTime.from(Instant.parse("2000-01-01T00:00:00Z"));

    private final List<Path> candidates;
    private final boolean named;

    /**
     * A cache in the first folder that will do.
     *
     * @param candidates the folders, best first; they need not exist
     * @param named whether the user named the folder: then it is trusted whoever owns it
     */
    LibraryCache(List<Path> candidates, boolean named) {
        this.candidates = candidates;
        this.named = named;
    }

    /** The property's folder; without it $XDG_CACHE_HOME/parallax, ~/.cache/parallax, or one for temporary files. */
    static LibraryCache standard() {
        String property = System.getProperty(PROPERTY);
        if (property != null && !property.isBlank()) {
            return new LibraryCache(List.of(Path.of(property).toAbsolutePath()), true);
        }
        List<Path> folders = new ArrayList<>();
        String xdg = System.getenv("XDG_CACHE_HOME");
        if (xdg != null && Path.of(xdg).isAbsolute()) {  // its specification has relative paths ignored
            folders.add(Path.of(xdg, "parallax"));
        }
        Path home = Path.of(System.getProperty("user.home"));  // "?" for a user without one
        if (home.isAbsolute()) {
            folders.add(home.resolve(".cache").resolve("parallax"));
        }
        folders.add(Path.of(System.getProperty("java.io.tmpdir"), "parallax-" + System.getProperty("user.name")));
        return new LibraryCache(folders, false);
    }

    /** What becomes of the bytes on their way into the cache; sizes stay. */
    @FunctionalInterface
    interface Edit {
        void apply(FileChannel file) throws IOException;
    }

    /**
     * The library as a file.
     *
     * @param resource where it is
     * @param file the file name it gets
     * @param edit how the copy differs from the resource; null = not at all
     * @return an existing file with the resource's content
     * @throws ParallaxException IO, naming every folder tried and the property
     */
    Path unpack(URL resource, String file, Edit edit) {
        try {
            if (edit == null && resource.getProtocol().equals("file")) {
                return Path.of(resource.toURI());
            }
            Content content = Content.of(resource);
            String folder = file + String.format("-%08x-%d", content.crc, content.size);
            IOException failure = new IOException("no folder to unpack into");
            for (Path candidate : candidates) {
                Path library = candidate.resolve(folder).resolve(file);
                try {
                    if (!isComplete(library, content)) {
                        createFolder(library.getParent());
                        write(resource, content, library, edit);
                    }
                    checkOwner(library);
                    return library;
                } catch (IOException e) {
                    e.addSuppressed(failure);
                    failure = e;
                }
            }
            throw failure;
        } catch (IOException | URISyntaxException e) {
            throw new ParallaxException(ErrorCode.IO, "cannot unpack " + resource + " into "
                    + (named ? candidates.getFirst() + ", which -D" + PROPERTY + " names" : "any of " + candidates)
                    + ": " + e + "; name a writable folder with -D" + PROPERTY + "=DIR", e);
        }
    }

    /** What the file must hold. */
    private record Content(long size, long crc) {
        static Content of(URL resource) throws IOException {
            URLConnection connection = connect(resource);
            try (InputStream in = connection.getInputStream()) {
                if (connection instanceof JarURLConnection jar) {
                    // The jar's directory knows; nothing has to be read.
                    return new Content(jar.getJarEntry().getSize(), jar.getJarEntry().getCrc());
                }
                CheckedInputStream checked = new CheckedInputStream(in, new CRC32());
                return new Content(checked.transferTo(OutputStream.nullOutputStream()),
                        checked.getChecksum().getValue());
            }
        }
    }

    private static URLConnection connect(URL resource) throws IOException {
        URLConnection connection = resource.openConnection();
        connection.setUseCaches(false);  // or a jar replaced on disk would be read through its old directory
        return connection;
    }

    private static boolean isComplete(Path library, Content content) throws IOException {
        if (!Files.isRegularFile(library)) {
            return false;
        }
        BasicFileAttributes attributes = Files.readAttributes(library, BasicFileAttributes.class);
        return attributes.size() == content.size && attributes.lastModifiedTime().equals(STAMP);
    }

    private void createFolder(Path folder) throws IOException {
        if (named) {
            Files.createDirectories(folder);  // perhaps for several users; their umask decides
        } else {
            Files.createDirectories(folder,
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        }
    }

    /**
     * Refuses what another user could have put there, above all among temporary files: the library and its two folders
     * must belong to this user or to root, and not be writable for all.
     */
    private void checkOwner(Path library) throws IOException {
        if (named) {
            return;
        }
        Object self = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        for (Path path : List.of(library, library.getParent(), library.getParent().getParent())) {
            Object owner = Files.getAttribute(path, "unix:uid");
            if (!owner.equals(self) && !owner.equals(0)
                    || Files.getPosixFilePermissions(path).contains(PosixFilePermission.OTHERS_WRITE)) {
                throw new IOException(path + " belongs to another user or can be written by all");
            }
        }
    }

    private static void write(URL resource, Content content, Path library, Edit edit) throws IOException {
        Path temporary = Files.createTempFile(library.getParent(), "unpacking", ".tmp");
        try {
            try (CheckedInputStream in = new CheckedInputStream(connect(resource).getInputStream(), new CRC32());
                    FileChannel out =
                            FileChannel.open(temporary, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                long size = in.transferTo(Channels.newOutputStream(out));
                if (size != content.size || in.getChecksum().getValue() != content.crc) {
                    throw new IOException(resource + " is damaged: its bytes do not match its checksum");
                }
                if (edit != null) {
                    edit.apply(out);
                }
                out.force(true);  // or a power cut after the rename could leave the right size without the content
            }
            Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("r--r--r--"));
            Files.setLastModifiedTime(temporary, STAMP);
            Files.move(temporary, library, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }
}
