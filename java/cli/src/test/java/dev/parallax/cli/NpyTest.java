package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class NpyTest {
    @TempDir
    Path folder;

    private Path file() {
        return folder.resolve("a.npy");
    }

    private Tensor read() {
        return Npy.read(file(), Arena.ofAuto());
    }

    /** A file as NumPy lays it out, with any header. */
    private void write(int version, String dict, byte[] data) throws IOException {
        byte[] header = (dict + "\n").getBytes(StandardCharsets.UTF_8);
        ByteBuffer length = ByteBuffer.allocate(version == 1 ? 2 : 4).order(ByteOrder.LITTLE_ENDIAN);
        if (version == 1) {
            length.putShort((short) header.length);
        } else {
            length.putInt(header.length);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', (byte) version, 0});
        bytes.write(length.array());
        bytes.write(header);
        bytes.write(data);
        Files.write(file(), bytes.toByteArray());
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT64", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32",
            "UINT32", "INT64", "UINT64", "BOOL", "COMPLEX64", "COMPLEX128"})
    void everyTypeComesBackAsItWas(ElementType type) {
        byte[] bytes = new byte[(int) type.byteSize(6)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (type == ElementType.BOOL ? i % 2 : 37 * i + 1);
        }
        Npy.write(file(), Tensor.ofBytes(type, bytes, 2, 3));
        Tensor back = read();
        assertEquals(type, back.elementType());
        assertArrayEquals(new long[] {2, 3}, back.shape());
        assertArrayEquals(bytes, back.segment().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
    }

    @Test
    void scalarsRowsAndEmptyArraysComeBackAsTheyWere() {
        for (long[] shape : new long[][] {{}, {5}, {0}, {3, 0, 2}, {1, 1, 1, 1}}) {
            Tensor tensor = Tensor.allocate(ElementType.FLOAT32, shape);
            Npy.write(file(), tensor);
            assertArrayEquals(shape, read().shape());
        }
    }

    @Test
    void stringsComeBackAsTheyWere() {
        List<String> strings = List.of("", "plain", "gr\u00fc\u00dfe", "\ud83d\ude00 two units");
        Npy.write(file(), Tensor.ofStrings(strings, 2, 2));
        Tensor back = read();
        assertEquals(strings, back.strings());
        assertArrayEquals(new long[] {2, 2}, back.shape());
    }

    @Test
    void fourBitNumbersAreWrittenOneToAByte() {
        Npy.write(file(), Tensor.ofBytes(ElementType.INT4, new byte[] {(byte) 0xf7, 0x08}, 3));
        assertEquals(ElementType.INT8, read().elementType());
        assertArrayEquals(new long[] {7, -1, -8}, read().toLongArray());
    }

    @Test
    void writesTheVeryBytesNumPyWrites() throws IOException {
        // numpy.save of array([[1.5, -2.0]], dtype='float32')
        byte[] numpy = Base64.getDecoder()
                .decode("k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIpLC"
                + "B9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAMA/AAAA"
                + "wA==");
        Npy.write(file(), Tensor.of(new float[] {1.5f, -2}, 1, 2));
        assertArrayEquals(numpy, Files.readAllBytes(file()));
    }

    @ParameterizedTest
    @CsvSource({"1", "2", "3"})
    void readsAllVersions(int version) throws IOException {
        write(version, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }", new byte[] {1, 0, 2, 0});
        assertArrayEquals(new long[] {1, 2}, read().toLongArray());
    }

    @Test
    void readsFortranOrder() throws IOException {
        write(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", new byte[] {1, 4, 2, 5, 3, 6});
        assertArrayEquals(new long[] {1, 2, 3, 4, 5, 6}, read().toLongArray());
        write(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1, 2), }", new byte[] {1, 3, 2, 4});
        assertArrayEquals(new long[] {1, 2, 3, 4}, read().toLongArray());
    }

    @Test
    void readsBigEndian() throws IOException {
        write(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }", new byte[] {0, 0, 1, 2});
        assertArrayEquals(new long[] {0x102}, read().toLongArray());
        byte[] one = {0x3f, (byte) 0x80, 0, 0, 0x40, 0, 0, 0}; // 1 + 2i
        write(1, "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", one);
        assertArrayEquals(new float[] {1, 2}, read().toFloatArray());
    }

    @Test
    void readsHeadersAsOtherProgramsWriteThem() throws IOException {
        write(1, "{ \"shape\":(1L ,2L,) ,\"descr\":\"|i1\",'fortran_order':False}", new byte[] {1, 2});
        assertArrayEquals(new long[] {1, 2}, read().shape());
        write(1, "{'descr': '=f4', 'fortran_order': False, 'shape': ()}", new byte[] {0, 0, (byte) 0x80, 0x3f});
        assertEquals(1, read().toFloatArray()[0]);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
            {'descr': '<f4', 'fortran_order': False, 'shape': (3,), }; 8 bytes of data, but its shape 3
            {'descr': '<f4', 'fortran_order': False, 'shape': (1,), }; 8 bytes of data, but its shape 1
            {'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }; which no memory can hold
            {'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }; shape is not a tuple of sizes
            {'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }; shape is not a tuple of sizes
            {'descr': '<f4', 'fortran_order': False, 'shape': 2, }; header that is not understood
            {'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }; neither True nor False
            {'descr': '<f4', 'shape': (2,), }; header without fortran_order
            {'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }; elements of type M8[ns]
            {'descr': '|O', 'fortran_order': False, 'shape': (1,), }; elements of type O
            {'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }; several fields
            {'descr': '<U99999999', 'fortran_order': False, 'shape': (1,), }; unlikely length
            {'descr': '<f4', 'colour': 'red', 'fortran_order': False, 'shape': (2,), }; unknown key colour
            {'descr': '<f4'; header that is not understood
            nonsense; header that is not understood
            """)
    void brokenHeadersAreNamed(String dict, String message) throws IOException {
        write(1, dict, new byte[8]);
        String said = assertThrows(BadInputException.class, this::read).getMessage();
        assertTrue(said.contains(message), said);
        assertTrue(said.contains(file().toString()), said);
    }

    @Test
    void filesThatAreNoArraysAreNamed() throws IOException {
        Files.write(file(), new byte[0]);
        assertMessage("is empty");
        Files.writeString(file(), "x,y\n1,2\n");
        assertMessage("not a .npy file");
        Files.write(file(), new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 100, 0, '{'});
        assertMessage("ends within its header");
        Files.write(file(), new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, -1, -1, -1, -1});
        assertMessage("claims a header of 4294967295 bytes");
        Files.write(file(), new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 9, 0, 0, 0});
        assertMessage("version 9");
        Files.delete(file());
        assertMessage("no such file");
        Files.createDirectory(file());
        assertMessage("directory");
    }

    private void assertMessage(String part) {
        String said = assertThrows(BadInputException.class, this::read).getMessage();
        assertTrue(said.contains(part) && said.contains(file().toString()), said);
    }

    @Test
    void placesThatCannotBeWrittenAreNamed() {
        Path nowhere = folder.resolve("none/a.npy");
        String said = assertThrows(BadInputException.class, () -> Npy.write(nowhere, Tensor.of(new float[1], 1)))
                .getMessage();
        assertEquals("cannot write " + nowhere + ": no such file or folder", said);
    }
}
