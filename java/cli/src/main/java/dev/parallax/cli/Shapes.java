package dev.parallax.cli;

import dev.parallax.Dimension;
import dev.parallax.ElementType;
import dev.parallax.ValueInfo;
import dev.parallax.ValueKind;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Gives every input of a model a shape: what the user said, then what the same symbol got elsewhere, then a small
 * sensible size.
 *
 * <p>A symbol stands for one size in all inputs. A symbol that occurs twice within one input is not trusted: its second
 * occurrence counts as a symbol of its own, because exporters write [batch, batch] and mean [batch, sequence].
 *
 * <p>Sizes chosen for what is not given: batch 1; height, width and other picture sides 64; everything else that counts
 * (sequence, prompt, past, time ...) 16. Dimensions without a symbol are judged by their place: the first is a batch, a
 * picture's second a channel (3), its last two its sides.
 *
 * <p>Stateless. Example: {@code Shapes.resolve(model.inputs(), Map.of("x", new long[] {1, 16}))}.
 */
final class Shapes {
    private static final int BATCH = 1;
    private static final int CHANNELS = 3;
    private static final int SIDE = 64;
    private static final int LENGTH = 16;

    private Shapes() {}

    /** The shape of one input; {@code chosen} lists the dimensions nobody gave, such as "batch = 1". */
    record Resolved(ValueInfo input, long[] shape, List<String> chosen) {}

    /** Reads {@code NAME=1x16}, also {@code NAME=1,16} and {@code NAME=scalar}; names may contain '='. */
    static Map.Entry<String, long[]> parse(String text) {
        int equals = text.lastIndexOf('=');
        if (equals <= 0 || equals == text.length() - 1) {
            throw new BadInputException("--shape " + text + " is not NAME=SIZES; write it as --shape input_ids=1x16");
        }
        String sizes = text.substring(equals + 1);
        if (sizes.equals("scalar")) {
            return Map.entry(text.substring(0, equals), new long[0]);
        }
        String[] parts = sizes.split("[xX,]", -1);
        long[] shape = new long[parts.length];
        for (int i = 0; i < parts.length; i++) {
            try {
                shape[i] = Long.parseLong(parts[i].strip());
                if (shape[i] < 0) {
                    throw new NumberFormatException("negative");
                }
            } catch (NumberFormatException e) {
                throw new BadInputException("--shape " + text + ": '" + parts[i]
                        + "' is not a size; write whole numbers with x between them, such as 1x16", e);
            }
        }
        return Map.entry(text.substring(0, equals), shape);
    }

    /**
     * Shapes for all inputs, in their order.
     *
     * @param given shapes by input name, from --shape or from the files of --input
     */
    static List<Resolved> resolve(List<ValueInfo> inputs, Map<String, long[]> given) {
        for (String name : given.keySet()) {
            if (inputs.stream().noneMatch(v -> v.name().equals(name))) {
                throw unknown(name, inputs);
            }
        }
        Map<String, Long> sizes = new HashMap<>();
        for (ValueInfo input : inputs) {
            check(input, given.get(input.name()));
            long[] shape = given.get(input.name());
            if (shape != null && input.shape() != null) {
                List<String> symbols = symbols(input);
                for (int axis = 0; axis < shape.length; axis++) {
                    if (symbols.get(axis) != null) {
                        sizes.putIfAbsent(symbols.get(axis), shape[axis]);
                    }
                }
            }
        }
        List<Resolved> resolved = new ArrayList<>();
        for (ValueInfo input : inputs) {
            long[] shape = given.get(input.name());
            List<String> chosen = new ArrayList<>();
            resolved.add(new Resolved(input, shape != null ? shape : choose(input, sizes, chosen), chosen));
        }
        return resolved;
    }

    /** The error for a name that no input has. */
    static BadInputException unknown(String name, List<ValueInfo> inputs) {
        return new BadInputException("the model has no input " + name + "; it has "
                + String.join(", ", inputs.stream().map(ValueInfo::toString).toList()));
    }

    private static void check(ValueInfo input, long[] shape) {
        if (input.kind() != ValueKind.TENSOR && input.kind() != ValueKind.UNKNOWN) {
            String kind = input.kind().name().toLowerCase(Locale.ROOT);
            throw new BadInputException("input " + input.name() + " is " + (kind.startsWith("o") ? "an " : "a ") + kind
                    + ", of which there are no seeded values; give it as a file of ONNX's own, such as --input "
                    + input.name() + "=input_0.pb");
        }
        if (shape == null && input.shape() == null) {
            throw new BadInputException("the model does not say how many dimensions input " + input.name()
                    + " has; give its shape, such as --shape " + input.name() + "=1x16");
        }
        if (shape != null && !input.accepts(shape)) {
            throw new BadInputException("shape " + Text.shape(shape) + " does not fit input " + input
                    + "; sizes with a number are fixed by the model");
        }
    }

    private static long[] choose(ValueInfo input, Map<String, Long> sizes, List<String> chosen) {
        List<String> symbols = symbols(input);
        long[] shape = new long[symbols.size()];
        for (int axis = 0; axis < shape.length; axis++) {
            Dimension dimension = input.shape().get(axis);
            if (!dimension.isOpen()) {
                shape[axis] = dimension.size();
                continue;
            }
            long size = guess(input, dimension.symbol(), axis, axis > 0 && isRepeat(input, axis));
            if (symbols.get(axis) != null) {
                Long known = sizes.putIfAbsent(symbols.get(axis), size);
                if (known != null) {
                    shape[axis] = known;
                    continue;
                }
            }
            shape[axis] = size;
            chosen.add((dimension.symbol() == null ? "dimension " + axis : symbols.get(axis)) + " = " + size);
        }
        return shape;
    }

    private static long guess(ValueInfo input, String symbol, int axis, boolean repeat) {
        String name = symbol == null || repeat ? "" : symbol.toLowerCase(Locale.ROOT);
        boolean picture = input.shape().size() == 4 && input.elementType() != ElementType.INT64
                && input.elementType() != ElementType.INT32;
        if (name.contains("batch") || name.equals("n") || name.equals("b") || name.equals("bs")) {
            return BATCH;
        }
        if (name.contains("height") || name.contains("width") || name.equals("h") || name.equals("w")) {
            return SIDE;
        }
        if (name.contains("channel") || name.equals("c")) {
            return CHANNELS;
        }
        if (name.contains("seq") || name.contains("len") || name.contains("token") || name.contains("prompt")
                || name.contains("past") || name.contains("time") || name.contains("frame")) {
            return LENGTH;
        }
        if (axis == 0) {
            return BATCH;
        }
        return !picture ? LENGTH : axis == 1 ? CHANNELS : SIDE;
    }

    private static boolean isRepeat(ValueInfo input, int axis) {
        String symbol = input.shape().get(axis).symbol();
        return symbol != null && input.shape().subList(0, axis).stream().anyMatch(d -> symbol.equals(d.symbol()));
    }

    /** Per dimension its symbol, "symbol#2" for the second of a name, null for a fixed or nameless one. */
    private static List<String> symbols(ValueInfo input) {
        Map<String, Integer> seen = new LinkedHashMap<>();
        List<String> symbols = new ArrayList<>();
        for (Dimension dimension : input.shape()) {
            String symbol = dimension.symbol();
            int times = symbol == null ? 0 : seen.merge(symbol, 1, Integer::sum);
            symbols.add(times > 1 ? symbol + "#" + times : symbol);
        }
        return symbols;
    }
}
