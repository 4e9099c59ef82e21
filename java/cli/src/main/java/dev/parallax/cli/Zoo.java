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
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/**
 * The model zoo: skeletons ({@code NAME.onnx}) and tables of weights ({@code NAME.tsv}) in one folder, from which whole
 * models are made in another.
 *
 * <p>Weights are written in pieces, each with its own stream of noise, so that all cores help and no order of work
 * changes a byte. A file appears under its name only when it is complete and its checksum is in the stamp beside it;
 * both are checked before work is skipped.
 *
 * <p>Lifetime: a value, holds no file open. Threads: two fills of one folder at once are the caller's mistake.
 * Example: {@code Zoo.open(folder).models().forEach(m -> m.fill(target, bytes -> {}))}.
 */
record Zoo(Path folder, List<Zoo.Model> models) {
    /** Raise this when the bytes that {@code fill} writes change: files of older versions are then made anew. */
    private static final String VERSION = "parallax-zoo-1";

    private static final long SEED = 42;
    private static final int PIECE = 1 << 18; // elements, 1 MB

    /** One tensor: a row of the table. */
    record Row(String name, long offset, long elements, boolean constant, float mean, float deviation) {
        long end() {
            return offset + 4 * elements;
        }
    }

    /** Reads the tables of a folder. */
    static Zoo open(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            List<Model> models = new ArrayList<>();
            for (Path table : files.filter(f -> f.getFileName().toString().endsWith(".tsv")).sorted().toList()) {
                models.add(Model.read(table));
            }
            if (models.isEmpty()) {
                throw new BadInputException("no model tables (*.tsv) in " + folder
                        + "; name the folder that has them with --from");
            }
            return new Zoo(folder, List.copyOf(models));
        } catch (IOException e) {
            throw new BadInputException("cannot read the model zoo in " + folder + ": " + Text.reason(e)
                    + "; name the folder that has NAME.onnx and NAME.tsv with --from", e);
        }
    }

    Model model(String name) {
        return models.stream().filter(m -> m.name.equals(name)).findFirst().orElseThrow(() -> new BadInputException(
                "no model " + name + " in the zoo; there are "
                        + String.join(", ", models.stream().map(Model::name).toList())));
    }

    /** One model: where its skeleton is, and its tensors in the order of the table. */
    record Model(String name, Path skeleton, Path table, List<Row> rows) {
        static Model read(Path table) throws IOException {
            String file = table.getFileName().toString();
            String name = file.substring(0, file.length() - ".tsv".length());
            Path skeleton = table.resolveSibling(name + ".onnx");
            if (!Files.isRegularFile(skeleton)) {
                throw new BadInputException(table + " has no " + skeleton.getFileName() + " beside it");
            }
            List<Row> rows = new ArrayList<>();
            int number = 0;
            for (String line : Files.readAllLines(table)) {
                number++;
                if (line.startsWith("#") || line.isBlank()) {
                    continue;
                }
                rows.add(row(line, table + " line " + number));
            }
            return new Model(name, skeleton, table, List.copyOf(rows));
        }

        private static Row row(String line, String where) {
            String[] cells = line.split("\t", -1);
            try {
                if (cells.length != 6) {
                    throw new NumberFormatException("six columns are needed, not " + cells.length);
                }
                boolean constant = cells[3].equals("const");
                if (!constant && !cells[3].equals("normal")) {
                    throw new NumberFormatException("kind " + cells[3] + " is neither const nor normal");
                }
                Row row = new Row(cells[0], Long.parseLong(cells[1]), Long.parseLong(cells[2]), constant,
                        Float.parseFloat(cells[4]), Float.parseFloat(cells[5]));
                if (row.offset < 0 || row.elements < 0) {
                    throw new NumberFormatException("negative offset or element count");
                }
                return row;
            } catch (NumberFormatException e) {
                throw new BadInputException(where + ": " + e.getMessage(), e);
            }
        }

        long parameters() {
            return rows.stream().mapToLong(Row::elements).sum();
        }

        long weightBytes() {
            return rows.stream().mapToLong(Row::end).max().orElse(0);
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
            Path copy = target.resolve(name + ".onnx");
            boolean copied = false;
            if (!Files.isRegularFile(copy) || Files.mismatch(copy, skeleton) >= 0) {
                replace(copy, temporary -> Files.copy(skeleton, temporary, StandardCopyOption.REPLACE_EXISTING));
                copied = true;
            }
            if (Files.isRegularFile(stamp) && Files.isRegularFile(weights) && Files.size(weights) == weightBytes()
                    && Files.readString(stamp).equals(stamp(checksum(weights)))) {
                return copied;
            }
            Files.deleteIfExists(stamp); // from here until the end the folder holds no promise about the weights
            replace(weights, temporary -> write(temporary, progress));
            String text = stamp(checksum(weights));
            replace(stamp, temporary -> Files.writeString(temporary, text));
            return true;
        }

        /** What the stamp says: how the bytes were made, how many they are, and their checksum. */
        private String stamp(long checksum) throws IOException {
            return String.format("%s table=%08x bytes=%d crc32c=%08x%n", VERSION, checksum(table), weightBytes(),
                    checksum);
        }

        private void write(Path file, LongConsumer progress) throws IOException {
            record Piece(Row row, long first, int elements, long seed) {}
            List<Piece> pieces = new ArrayList<>();
            for (Row row : rows) {
                for (long first = 0; first < row.elements; first += PIECE) {
                    long seed = Gaussian.seed(SEED, name + '/' + row.name + '/' + first / PIECE);
                    pieces.add(new Piece(row, first, (int) Math.min(PIECE, row.elements - first), seed));
                }
            }
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                    StandardOpenOption.TRUNCATE_EXISTING)) {
                ThreadLocal<ByteBuffer> buffers = ThreadLocal.withInitial(
                        () -> ByteBuffer.allocateDirect(4 * PIECE).order(ByteOrder.LITTLE_ENDIAN));
                pieces.parallelStream().forEach(piece -> {
                    ByteBuffer buffer = buffers.get().clear();
                    generate(buffer, piece.row, piece.elements, piece.seed);
                    buffer.flip();
                    long at = piece.row.offset + 4 * piece.first;
                    try {
                        while (buffer.hasRemaining()) {
                            at += channel.write(buffer, at);
                        }
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                    progress.accept(4L * piece.elements);
                });
            } catch (UncheckedIOException e) {
                throw e.getCause();
            }
        }

        private static void generate(ByteBuffer buffer, Row row, int elements, long seed) {
            Gaussian noise = new Gaussian(seed);
            for (int i = 0; i < elements; i++) {
                buffer.putFloat(row.constant ? row.mean : (float) (row.mean + row.deviation * noise.next()));
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
