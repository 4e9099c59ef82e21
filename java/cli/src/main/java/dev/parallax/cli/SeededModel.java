package dev.parallax.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * A model whose weights are noise: a skeleton ({@code NAME.onnx}) and, in the order of its table ({@code NAME.tsv}),
 * its tensors. Each piece of a tensor has its own stream of noise.
 */
record SeededModel(String name, Path skeleton, Path table, List<Row> rows) implements Zoo.Model {
    static final long SEED = 42;
    private static final int PIECE = 1 << 18; // elements, 1 MB

    /** One tensor: a row of the table. */
    record Row(String name, long offset, long elements, boolean constant, float mean, float deviation) {}

    static SeededModel read(Path table) throws IOException {
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
        return new SeededModel(name, skeleton, table, List.copyOf(rows));
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

    @Override
    public long parameters() {
        return rows.stream().mapToLong(Row::elements).sum();
    }

    @Override
    public ModelFiles files() throws IOException {
        List<ModelFiles.Piece> pieces = new ArrayList<>();
        for (Row row : rows) {
            for (long first = 0; first < row.elements; first += PIECE) {
                long from = first;
                int elements = (int) Math.min(PIECE, row.elements - first);
                pieces.add(new ModelFiles.Piece(row.offset + 4 * first, 4 * elements, bytes -> {
                    for (float value : noise(row, from, elements)) {
                        bytes.putFloat(value);
                    }
                }));
            }
        }
        CRC32C recipe = new CRC32C();
        recipe.update(Files.readAllBytes(table));
        return new ModelFiles(name, Files.readAllBytes(skeleton), rows.size(), pieces, recipe.getValue());
    }

    /** The numbers of the tensor called {@code tensor}: those that {@link #files} has written. */
    float[] values(String tensor) {
        Row row = rows.stream().filter(r -> r.name.equals(tensor)).findFirst().orElseThrow(
                () -> new BadInputException(table + " has no row " + tensor));
        float[] values = new float[Math.toIntExact(row.elements)];
        for (int first = 0; first < values.length; first += PIECE) {
            int elements = Math.min(PIECE, values.length - first);
            System.arraycopy(noise(row, first, elements), 0, values, first, elements);
        }
        return values;
    }

    /** Some of a row's numbers, from a multiple of PIECE on. */
    private float[] noise(Row row, long first, int elements) {
        Gaussian noise = new Gaussian(Gaussian.seed(SEED, name + '/' + row.name + '/' + first / PIECE));
        float[] values = new float[elements];
        for (int i = 0; i < elements; i++) {
            values[i] = row.constant ? row.mean : (float) (row.mean + row.deviation * noise.next());
        }
        return values;
    }
}
