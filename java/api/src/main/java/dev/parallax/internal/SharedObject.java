package dev.parallax.internal;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;

/**
 * Gives a shared library a name of its own.
 *
 * <p>Why: the dynamic linker satisfies a dependency with whatever loaded library carries that name (DT_SONAME), even
 * one that was opened privately. If Parallax opened its ONNX Runtime first, the JNI library of {@code ai.onnxruntime}
 * would be bound to that copy, whose environment is Parallax's, and the two would disturb each other. A copy under
 * another name satisfies nobody.
 *
 * <p>ELF, 64 bits, little-endian: what Linux uses on x86-64 and AArch64.
 */
final class SharedObject {
    private static final int PROGRAM_LOAD = 1;
    private static final int PROGRAM_DYNAMIC = 2;
    private static final long TAG_STRING_TABLE = 5;
    private static final long TAG_NAME = 14;

    private final ByteBuffer elf;

    private SharedObject(ByteBuffer elf) {
        this.elf = elf;
    }

    /**
     * Overwrites the start of a library's name: {@code libonnxruntime.so.1} becomes {@code plxonnxruntime.so.1}. Of the
     * same length, so that nothing moves, and the rest stays, since strings may share their ends.
     *
     * @param file the library, open for reading and writing
     * @throws IOException if it is no ELF file of the kind above; a library without a name is left as it is
     */
    static void makePrivate(FileChannel file) throws IOException {
        try {
            ByteBuffer elf = file.map(MapMode.READ_WRITE, 0, file.size()).order(ByteOrder.LITTLE_ENDIAN);
            if (elf.getInt(0) != 0x464c457f || elf.get(4) != 2 || elf.get(5) != 1) {
                throw new IOException("not a 64-bit little-endian ELF file");
            }
            int name = new SharedObject(elf).name();
            if (name >= 0) {
                elf.put(name, "plx".getBytes(StandardCharsets.US_ASCII));
            }
        } catch (IndexOutOfBoundsException | ArithmeticException e) {
            throw new IOException("a damaged ELF file", e);
        }
    }

    /** Where in the file the name stands, or -1. */
    private int name() {
        int dynamic = -1;
        for (int header : programHeaders()) {
            if (elf.getInt(header) == PROGRAM_DYNAMIC) {
                dynamic = Math.toIntExact(elf.getLong(header + 8));
            }
        }
        long strings = -1;
        long name = -1;
        for (int entry = dynamic; dynamic >= 0 && elf.getLong(entry) != 0; entry += 16) {
            strings = elf.getLong(entry) == TAG_STRING_TABLE ? elf.getLong(entry + 8) : strings;
            name = elf.getLong(entry) == TAG_NAME ? elf.getLong(entry + 8) : name;
        }
        return strings < 0 || name < 0 ? -1 : offset(strings + name);
    }

    /** The place in the file of an address in memory. */
    private int offset(long address) {
        for (int header : programHeaders()) {
            long start = elf.getLong(header + 16);
            if (elf.getInt(header) == PROGRAM_LOAD && address >= start && address < start + elf.getLong(header + 32)) {
                return Math.toIntExact(address - start + elf.getLong(header + 8));
            }
        }
        return -1;
    }

    private int[] programHeaders() {
        int[] headers = new int[elf.getShort(56)];
        for (int i = 0; i < headers.length; i++) {
            headers[i] = Math.toIntExact(elf.getLong(32)) + i * elf.getShort(54);
        }
        return headers;
    }
}
