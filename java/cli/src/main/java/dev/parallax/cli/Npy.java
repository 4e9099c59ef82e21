package dev.parallax.cli;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * NumPy's .npy files, versions 1 to 3, either byte order, C or Fortran element order. Arrays come out little-endian and
 * row-major. Types that NumPy lacks are written as the nearest it has: bfloat16 and 8-bit floats as raw bytes
 * ({@code |V2}, {@code |V1}), 4-bit integers one to a byte.
 *
 * <p>Stateless; errors are {@link BadInputException}s that name the file.
 */
final class Npy {
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
    private static final int LONGEST_HEADER = 1 << 16;
    private static final Map<String, ElementType> TYPES = Map.ofEntries(
            Map.entry("f2", ElementType.FLOAT16), Map.entry("f4", ElementType.FLOAT32),
            Map.entry("f8", ElementType.FLOAT64), Map.entry("i1", ElementType.INT8), Map.entry("i2", ElementType.INT16),
            Map.entry("i4", ElementType.INT32), Map.entry("i8", ElementType.INT64), Map.entry("u1", ElementType.UINT8),
            Map.entry("u2", ElementType.UINT16), Map.entry("u4", ElementType.UINT32),
            Map.entry("u8", ElementType.UINT64), Map.entry("b1", ElementType.BOOL),
            Map.entry("c8", ElementType.COMPLEX64), Map.entry("c16", ElementType.COMPLEX128),
            Map.entry("V2", ElementType.BFLOAT16));

    private Npy() {}

    /** What the header says; {@code code} is the type without its byte order, such as {@code f4} or {@code U12}. */
    private record Header(boolean bigEndian, String code, boolean fortran, long[] shape) {}

    /** Reads an array into memory of the arena. */
    static Tensor read(Path file, Arena arena) {
        try (FileChannel channel = FileChannel.open(file)) {
            Header header = header(file, channel);
            boolean text = header.code.startsWith("U") && header.code.length() > 1;
            ElementType type = text ? ElementType.STRING : TYPES.get(header.code);
            if (type == null) {
                throw broken(file, "has elements of type " + header.code
                        + ", which no tensor can hold; convert it with "
                        + "numpy's astype()");
            }
            int width = text ? 4 * number(file, header.code.substring(1)) : (int) type.byteSize(1);
            long count = count(file, header.shape);
            long left = channel.size() - channel.position();
            if (width > 0 && (count > left / width || count * width != left)) {
                throw broken(file, "holds " + left + " bytes of data, but its shape " + Text.shape(header.shape)
                        + " of " + width + "-byte elements takes another number; the file is cut short or damaged");
            }
            MemorySegment data = arena.allocate(left, 64);
            ByteBuffer unread = null;
            for (long at = 0; at < left; at += unread.position()) {
                unread = data.asSlice(at, Math.min(left - at, 1 << 30)).asByteBuffer();
                if (channel.read(unread) < 0) {
                    throw broken(file, "became shorter while it was read");
                }
            }
            int unit = text ? 4 : type == ElementType.COMPLEX64 || type == ElementType.COMPLEX128 ? width / 2 : width;
            if (header.bigEndian) {
                swap(data, unit);
            }
            if (header.fortran && header.shape.length > 1) {
                data = rowMajor(data, header.shape, width, arena);
            }
            return text ? Tensor.ofStrings(strings(data, count, width), header.shape)
                    : Tensor.wrap(data, type, header.shape);
        } catch (IOException e) {
            throw new BadInputException("cannot read " + file + ": " + Text.reason(e), e);
        }
    }

    static void write(Path file, Tensor tensor) {
        ElementType type = tensor.elementType();
        boolean packed = type == ElementType.INT4 || type == ElementType.UINT4;
        List<String> strings = type == ElementType.STRING ? tensor.strings() : List.of();
        int width = 1; // of the longest string, in code points
        for (String s : strings) {
            width = Math.max(width, s.codePointCount(0, s.length()));
        }
        String descr = switch (type) {
            case STRING -> "<U" + width;
            case BFLOAT16 -> "|V2";
            case FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ -> "|V1";
            case INT8, INT4 -> "|i1";
            case UINT8, UINT4 -> "|u1";
            case BOOL -> "|b1";
            default -> "<" + TYPES.entrySet().stream().filter(e -> e.getValue() == type).findFirst().orElseThrow()
                    .getKey();
        };
        // NumPy's own layout: one trailing comma for rank 1 only, padded with blanks to a multiple of 64, newline last.
        long[] shape = tensor.shape();
        String dims = shape.length == 1 ? shape[0] + ","
                : Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(", "));
        String dict = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + dims + "), }";
        int padding = Math.floorMod(-(MAGIC.length + 4 + dict.length() + 1), 64);
        byte[] header = (dict + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
        ByteBuffer start = ByteBuffer.allocate(MAGIC.length + 4 + header.length).order(ByteOrder.LITTLE_ENDIAN);
        start.put(MAGIC).put((byte) 1).put((byte) 0).putShort((short) header.length).put(header).flip();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING)) {
            writeFully(channel, start);
            if (type == ElementType.STRING) {
                writeFully(channel, utf32(strings, width));
            } else {
                MemorySegment data = packed ? unpacked(tensor) : tensor.segment();
                for (long at = 0; at < data.byteSize(); at += 1 << 30) {
                    writeFully(channel, data.asSlice(at, Math.min(data.byteSize() - at, 1 << 30)).asByteBuffer());
                }
            }
        } catch (IOException e) {
            throw new BadInputException("cannot write " + file + ": " + Text.reason(e), e);
        }
    }

    // ---- header ------------------------------------------------------------------------------------------------

    private static Header header(Path file, FileChannel channel) throws IOException {
        ByteBuffer start = readFully(file, channel, MAGIC.length + 2);
        for (byte b : MAGIC) {
            if (start.get() != b) {
                throw broken(file, "is not a .npy file; write it with numpy.save()");
            }
        }
        int version = start.get();
        if (version < 1 || version > 3) {
            throw broken(file, "has .npy version " + version + "; versions 1 to 3 are understood");
        }
        int length = version == 1 ? readFully(file, channel, 2).getShort() & 0xffff
                : readFully(file, channel, 4).getInt();
        if (length < 0 || length > LONGEST_HEADER) {
            throw broken(file, "claims a header of " + Integer.toUnsignedString(length)
                    + " bytes; the file is damaged");
        }
        ByteBuffer bytes = readFully(file, channel, length);
        return new Dict(file, StandardCharsets.UTF_8.decode(bytes).toString()).header();
    }

    /**
     * The part of Python's literal syntax that headers use: {'descr': '<f4', 'fortran_order': False, 'shape': (3,)}.
     */
    private static final class Dict {
        private final Path file;
        private final String text;
        private int at;

        Dict(Path file, String text) {
            this.file = file;
            this.text = text;
        }

        Header header() {
            String descr = null;
            Boolean fortran = null;
            long[] shape = null;
            expect('{');
            while (!take('}')) {
                String key = string();
                expect(':');
                switch (key) {
                    case "descr" -> descr = string();
                    case "fortran_order" -> fortran = bool();
                    case "shape" -> shape = tuple();
                    default -> throw bad("has a header with the unknown key " + key);
                }
                if (!take(',')) {
                    expect('}');
                    break;
                }
            }
            if (descr == null || fortran == null || shape == null) {
                throw bad("has a header without " + (descr == null ? "descr" : fortran == null ? "fortran_order"
                        : "shape"));
            }
            char order = descr.isEmpty() ? '?' : descr.charAt(0);
            boolean marked = "<>|=".indexOf(order) >= 0;
            return new Header(order == '>', marked ? descr.substring(1) : descr, fortran, shape);
        }

        private String string() {
            skip();
            char quote = at < text.length() ? text.charAt(at) : ' ';
            int end = quote == '\'' || quote == '"' ? text.indexOf(quote, at + 1) : -1;
            if (end < 0) {
                throw bad(quote == '[' ? "has elements of several fields; save each field as an array of its own"
                        : "has a header in which a name is missing");
            }
            String value = text.substring(at + 1, end);
            at = end + 1;
            return value;
        }

        private boolean bool() {
            skip();
            for (String word : List.of("True", "False")) {
                if (text.startsWith(word, at)) {
                    at += word.length();
                    return word.equals("True");
                }
            }
            throw bad("has a header whose fortran_order is neither True nor False");
        }

        private long[] tuple() {
            List<Long> dims = new ArrayList<>();
            expect('(');
            while (!take(')')) {
                skip();
                int start = at;
                while (at < text.length() && Character.isDigit(text.charAt(at))) {
                    at++;
                }
                try {
                    dims.add(Long.parseLong(text.substring(start, at)));
                } catch (NumberFormatException e) {
                    throw bad("has a header whose shape is not a tuple of sizes");
                }
                take('L'); // as Python 2 wrote them
                if (!take(',')) {
                    expect(')');
                    break;
                }
            }
            return dims.stream().mapToLong(Long::longValue).toArray();
        }

        private void expect(char c) {
            if (!take(c)) {
                throw bad("has a header that is not understood: " + c + " is missing at character " + at);
            }
        }

        private boolean take(char c) {
            skip();
            boolean there = at < text.length() && text.charAt(at) == c;
            at += there ? 1 : 0;
            return there;
        }

        private void skip() {
            while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
                at++;
            }
        }

        private BadInputException bad(String what) {
            return broken(file, what);
        }
    }

    // ---- data --------------------------------------------------------------------------------------------------

    private static void swap(MemorySegment data, int unit) {
        for (long at = 0; at < data.byteSize(); at += unit) {
            for (int i = 0; i < unit / 2; i++) {
                byte low = data.get(ValueLayout.JAVA_BYTE, at + i);
                data.set(ValueLayout.JAVA_BYTE, at + i, data.get(ValueLayout.JAVA_BYTE, at + unit - 1 - i));
                data.set(ValueLayout.JAVA_BYTE, at + unit - 1 - i, low);
            }
        }
    }

    /** From first index fastest to last index fastest. */
    private static MemorySegment rowMajor(MemorySegment data, long[] shape, int width, Arena arena) {
        MemorySegment target = arena.allocate(data.byteSize(), 64);
        long[] index = new long[shape.length];
        for (long to = 0; to < data.byteSize(); to += width) {
            long from = 0;
            for (int axis = shape.length - 1; axis >= 0; axis--) {
                from = from * shape[axis] + index[axis];
            }
            MemorySegment.copy(data, from * width, target, to, width);
            for (int axis = shape.length - 1; axis >= 0 && ++index[axis] == shape[axis]; axis--) {
                index[axis] = 0;
            }
        }
        return target;
    }

    private static MemorySegment unpacked(Tensor tensor) {
        int[] values = tensor.toIntArray();
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) values[i];
        }
        return MemorySegment.ofArray(bytes);
    }

    private static long count(Path file, long[] shape) {
        long count = 1;
        for (long dim : shape) {
            if (dim == 0) {
                return 0;
            }
        }
        try {
            for (long dim : shape) {
                count = Math.multiplyExact(count, dim);
            }
            return count;
        } catch (ArithmeticException e) {
            throw broken(file, "claims the shape " + Text.shape(shape)
                    + ", which no memory can hold; the file is damaged");
        }
    }

    private static List<String> strings(MemorySegment data, long count, int width) {
        List<String> strings = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            StringBuilder text = new StringBuilder();
            for (int c = 0; c < width; c += 4) {
                int point = data.get(ValueLayout.JAVA_INT_UNALIGNED, i * width + c);
                if (point == 0) {
                    break; // padding
                }
                text.appendCodePoint(Character.isValidCodePoint(point) ? point : 0xfffd);
            }
            strings.add(text.toString());
        }
        return strings;
    }

    private static ByteBuffer utf32(List<String> strings, int width) {
        ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(strings.size(), 4 * width))
                .order(ByteOrder.LITTLE_ENDIAN);
        int at = 0;
        for (String s : strings) {
            bytes.position(at);
            s.codePoints().forEach(bytes::putInt);
            at += 4 * width;
        }
        return bytes.rewind();
    }

    private static int number(Path file, String digits) {
        try {
            int value = Integer.parseInt(digits);
            if (value >= 0 && value <= 1 << 20) {
                return value;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw broken(file, "has strings of the unlikely length " + digits);
    }

    private static ByteBuffer readFully(Path file, FileChannel channel, int size) throws IOException {
        if (channel.size() - channel.position() < size) {
            throw broken(file, Files.size(file) == 0 ? "is empty" : "ends within its header; the file is cut short");
        }
        ByteBuffer buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        while (buffer.hasRemaining() && channel.read(buffer) >= 0) {
            // Reads on.
        }
        return buffer.flip();
    }

    private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    private static BadInputException broken(Path file, String what) {
        return new BadInputException(file + " " + what);
    }
}
