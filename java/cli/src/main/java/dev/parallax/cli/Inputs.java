package dev.parallax.cli;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.Value;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The inputs of a run: read from .npy files, or .pb files of ONNX's own, or made from a seed, the same bytes for the
 * same seed, name, type and shape.
 *
 * <p>Seeded values are such that models can work with them: floats are normal with mean 0 and deviation 1; masks (names
 * with "mask") are ones; types (names with "type", as in token_type_ids) zeros; positions (names with "position") count
 * up; whole numbers of one element and rank 0 are 8, since they are counts such as max_new_tokens; other whole numbers
 * lie in 0 .. 999, or in the type's range where that is smaller, and are never negative; strings are "w0" to "w999".
 *
 * <p>Lifetime: a value whose memory is the arena's. Threads: read by any.
 * Example: {@code Inputs.prepare(model.inputs(), shapes, files, 42, arena).arrays().get("input_ids")}.
 */
record Inputs(Map<String, Value> values, List<Shapes.Resolved> resolved, Map<String, Path> files, long seed) {
    private static final int IDS = 1000;
    private static final int COUNT = 8;

    /**
     * @param shapes the texts of --shape, NAME=1x16
     * @param files the texts of --input, NAME=FILE.npy or NAME=FILE.pb
     */
    static Inputs prepare(List<ValueInfo> inputs, List<String> shapes, List<String> files, long seed, Arena arena) {
        Map<String, long[]> given = parseShapes(shapes);
        Map<String, Value> arrays = new LinkedHashMap<>();
        Map<String, Path> paths = new LinkedHashMap<>();
        for (String text : files) {
            readFile(text, inputs, given, arrays, paths, arena);
        }
        List<Shapes.Resolved> resolved = Shapes.resolve(
                inputs.stream().filter(input -> isTensor(input) || !arrays.containsKey(input.name())).toList(), given);
        Map<String, Value> ordered = new LinkedHashMap<>();
        inputs.forEach(input -> ordered.put(input.name(), arrays.get(input.name())));
        for (Shapes.Resolved r : resolved) {
            ordered.computeIfAbsent(r.input().name(), _ -> generate(r.input(), r.shape(), seed, arena));
        }
        return new Inputs(ordered, resolved, paths, seed);
    }

    private static boolean isTensor(ValueInfo input) {
        return input.kind() == ValueKind.TENSOR || input.kind() == ValueKind.UNKNOWN;
    }

    /** The inputs for those who can only take tensors. */
    Map<String, Tensor> arrays() {
        Map<String, Tensor> arrays = new LinkedHashMap<>();
        values.forEach((name, value) -> {
            if (!(value instanceof Tensor tensor)) {
                throw new BadInputException("input " + name + " is a " + Values.kind(value) + ", which ONNX Runtime's"
                        + " Java API cannot take, so there is nothing to compare with; plx run works");
            }
            arrays.put(name, tensor);
        });
        return arrays;
    }

    /** The texts of --shape, by name. */
    static Map<String, long[]> parseShapes(List<String> texts) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        for (String text : texts) {
            Map.Entry<String, long[]> shape = Shapes.parse(text);
            if (shapes.put(shape.getKey(), shape.getValue()) != null) {
                throw new BadInputException("--shape gives input " + shape.getKey() + " twice; give it once");
            }
        }
        return shapes;
    }

    private static void readFile(String text, List<ValueInfo> inputs, Map<String, long[]> given,
            Map<String, Value> arrays, Map<String, Path> paths, Arena arena) {
        // The longest name that fits wins, since both names and files may contain '='.
        ValueInfo input = null;
        for (ValueInfo candidate : inputs) {
            if (text.startsWith(candidate.name() + "=")
                    && (input == null || candidate.name().length() > input.name().length())) {
                input = candidate;
            }
        }
        int equals = text.indexOf('=');
        if (equals <= 0 || equals == text.length() - 1) {
            throw new BadInputException("--input " + text + " is not NAME=FILE.npy or NAME=FILE.pb");
        }
        if (input == null) {
            throw Shapes.unknown(text.substring(0, equals), inputs);
        }
        String name = input.name();
        Path file;
        try {
            file = Path.of(text.substring(name.length() + 1));
        } catch (InvalidPathException e) {
            throw new BadInputException("--input " + text + ": " + e.getMessage(), e);
        }
        Value value = file.toString().endsWith(".pb") ? OnnxData.read(file, input.kind()) : Npy.read(file, arena);
        if (paths.put(name, file) != null) {
            throw new BadInputException("--input gives " + name + " twice; give it once");
        }
        if (!isTensor(input)) {
            arrays.put(name, value);
            return;
        }
        Tensor array = (Tensor) value;
        if (input.elementType() != ElementType.UNDEFINED && array.elementType() != input.elementType()) {
            throw new BadInputException("--input " + text + ": the file holds " + array + ", but the input is " + input
                    + "; convert the file with numpy's astype()");
        }
        if (!input.accepts(array.shape())) {
            throw new BadInputException("--input " + text + ": the file holds " + array + ", which does not fit "
                    + input);
        }
        if (given.put(name, array.shape()) != null) {
            throw new BadInputException("--shape and --input both give " + name
                    + "; the file has its own shape, so leave "
                    + "--shape out");
        }
        arrays.put(name, array);
    }

    /** Values for one input; see the class for what they are. */
    static Tensor generate(ValueInfo input, long[] shape, long seed, Arena arena) {
        ElementType type = input.elementType();
        Gaussian random = new Gaussian(Gaussian.seed(seed, input.name()));
        return switch (type) {
            case STRING -> {
                String[] strings = new String[Math.toIntExact(Arrays.stream(shape).reduce(1, Math::multiplyExact))];
                Arrays.setAll(strings, i -> "w" + random.below(IDS));
                yield Tensor.ofStrings(strings, shape);
            }
            case FLOAT32, FLOAT16, BFLOAT16, FLOAT64 -> {
                Tensor tensor = Tensor.allocate(arena, type, shape);
                float[] values = new float[Math.toIntExact(tensor.elementCount())];
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) random.next();
                }
                yield tensor.copyFrom(values);
            }
            case BOOL, INT4, UINT4, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64 -> {
                Tensor tensor = Tensor.allocate(arena, type, shape);
                fill(tensor, input.name().toLowerCase(Locale.ROOT), random);
                yield tensor;
            }
            case UNDEFINED, COMPLEX64, COMPLEX128, FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ ->
                    throw new BadInputException("input " + input
                            + ": there are no seeded values of this type; give a file with "
                            + "--input " + input.name() + "=FILE.npy");
        };
    }

    private static void fill(Tensor tensor, String name, Gaussian random) {
        ElementType type = tensor.elementType();
        int range = switch (type) {
            case BOOL -> 2;
            case INT4 -> 8;
            case UINT4 -> 16;
            case INT8 -> 128;
            case UINT8 -> 256;
            default -> IDS;
        };
        long[] shape = tensor.shape();
        long row = shape.length == 0 ? 1 : Math.max(1, shape[shape.length - 1]);
        boolean count = shape.length == 0 && type != ElementType.BOOL;
        MemorySegment data = tensor.segment();
        for (long i = 0; i < tensor.elementCount(); i++) {
            int value = name.contains("mask") ? 1
                    : name.contains("type") ? 0
                    : name.contains("position") ? (int) (i % row % range)
                    : count ? Math.min(COUNT, range - 1)
                    : random.below(range);
            switch (type.bits()) {
                case 4 -> data.set(JAVA_BYTE, i / 2,
                        (byte) (data.get(JAVA_BYTE, i / 2) | value << (i % 2 == 0 ? 0 : 4)));
                case 8 -> data.set(JAVA_BYTE, i, (byte) value);
                case 16 -> data.setAtIndex(JAVA_SHORT, i, (short) value);
                case 32 -> data.setAtIndex(JAVA_INT, i, value);
                default -> data.setAtIndex(JAVA_LONG, i, value);
            }
        }
    }

    /** Says what each input is and where it came from. */
    void print(PrintStream out) {
        Text.Table table = new Text.Table("input", "type", "shape", "from");
        for (Shapes.Resolved r : resolved) {
            Path file = files.get(r.input().name());
            String from = file != null ? file.toString() : "seed " + seed
                    + (r.chosen().isEmpty() ? "" : "; not given, so " + String.join(", ", r.chosen()));
            table.row(r.input().name(), r.input().elementType(), Text.shape(r.shape()), from);
        }
        List<String> tensors = resolved.stream().map(r -> r.input().name()).toList();
        values.forEach((name, value) -> {
            if (!tensors.contains(name)) {
                table.row(name, Values.brief(value.toString()), "", files.get(name));
            }
        });
        table.print(out, "");
    }
}
