package dev.parallax.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;

/**
 * What is written for a model of the zoo: the bytes of {@code NAME.onnx} and the pieces of {@code NAME.weights}.
 *
 * <p>Pieces know where they go and depend on nothing else, so that all cores help and no order of work changes a byte.
 * A file appears under its name only when it is complete and its checksum is in the stamp beside it; both are checked
 * before work is skipped.
 *
 * <p>Lifetime: a value, holds no file open. Threads: two fills of one folder at once are the caller's mistake.
 * Example: {@code zoo.model("yolov8n").files().fill(target, bytes -> {})}.
 *
 * @param tensors how many the weights are
 * @param recipe a checksum of all that decides the weights' bytes, except this program
 */
record ModelFiles(String name, byte[] graph, int tensors, List<Piece> pieces, long recipe) {
    /** Raise this when the bytes that {@code fill} writes change: files of older versions are then made anew. */
    private static final String VERSION = "parallax-zoo-1";

    /** Some neighbouring bytes of the weights; {@code content} puts so many of them, little-endian. */
    record Piece(long offset, int bytes, Consumer<ByteBuffer> content) {}

    long weightBytes() {
        return pieces.stream().mapToLong(p -> p.offset + p.bytes).max().orElse(0);
    }

    /**
     * Puts {@code NAME.onnx}, {@code NAME.weights} and its stamp into the folder.
     *
     * @param progress told how many bytes of weights were written since it was last told; any thread
     * @return false if everything was there already
     */
    boolean fill(Path target, LongConsumer progress) throws IOException {
        Path weights = target.resolve(name + ".weights");
        Path stamp = target.resolve(name + ".weights.stamp");
        Path model = target.resolve(name + ".onnx");
        boolean written = false;
        if (!Files.isRegularFile(model) || Files.size(model) != graph.length
                || !Arrays.equals(Files.readAllBytes(model), graph)) {
            replace(model, temporary -> Files.write(temporary, graph));
            written = true;
        }
        if (Files.isRegularFile(stamp) && Files.isRegularFile(weights) && Files.size(weights) == weightBytes()
                && Files.readString(stamp).equals(stamp(checksum(weights)))) {
            return written;
        }
        Files.deleteIfExists(stamp); // from here until the end the folder holds no promise about the weights
        replace(weights, temporary -> write(temporary, progress));
        String text = stamp(checksum(weights));
        replace(stamp, temporary -> Files.writeString(temporary, text));
        return true;
    }

    /** What the stamp says: how the bytes were made, how many they are, and their checksum. */
    private String stamp(long checksum) {
        return String.format("%s table=%08x bytes=%d crc32c=%08x%n", VERSION, recipe, weightBytes(), checksum);
    }

    private void write(Path file, LongConsumer progress) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING)) {
            pieces.parallelStream().forEach(piece -> {
                ByteBuffer buffer = ByteBuffer.allocate(piece.bytes).order(ByteOrder.LITTLE_ENDIAN);
                piece.content.accept(buffer);
                buffer.flip();
                long at = piece.offset;
                try {
                    while (buffer.hasRemaining()) {
                        at += channel.write(buffer, at);
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
                progress.accept(piece.bytes);
            });
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private static long checksum(Path file) throws IOException {
        CRC32C crc = new CRC32C();
        try (FileChannel channel = FileChannel.open(file)) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
            while (channel.read(buffer.clear()) >= 0) {
                crc.update(buffer.flip());
            }
        }
        return crc.getValue();
    }

    @FunctionalInterface
    private interface Writer {
        void write(Path temporary) throws IOException;
    }

    /**
     * Writes a file so that it is there whole or not at all: into a temporary one beside it, which is then renamed, and
     * deleted if the writing fails or the process is interrupted.
     */
    private static void replace(Path file, Writer writer) throws IOException {
        Path temporary = file.resolveSibling("." + file.getFileName() + ".part");
        Thread cleanup = new Thread(() -> deleteQuietly(temporary));
        Runtime.getRuntime().addShutdownHook(cleanup);
        try {
            writer.write(temporary);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            deleteQuietly(temporary);
            try {
                Runtime.getRuntime().removeShutdownHook(cleanup);
            } catch (IllegalStateException e) {
                // The process is ending: the hook does its work.
            }
        }
    }

    private static void deleteQuietly(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // Nothing more can be done, and the next fill overwrites it.
        }
    }
}
