package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ZooTest {
    private static final String TABLE = """
            # name\toffset_bytes\telements\tkind\tmean\tstd
            w\t0\t300000\tnormal\t0.5\t2
            one\t1200000\t3\tconst\t1\t0
            b\t1204224\t1000\tnormal\t-1\t0.25
            """;

    @TempDir
    Path temporary;
    private Path from;
    private Path to;

    @BeforeEach
    void smallZoo() throws IOException {
        from = Files.createDirectory(temporary.resolve("from"));
        to = temporary.resolve("to");
        Files.writeString(from.resolve("small.tsv"), TABLE);
        Files.write(from.resolve("small.onnx"), new byte[] {1, 2, 3});
    }

    private Plx fill() {
        return Plx.run("zoo", "fill", to, "--from", from);
    }

    private Path weights() {
        return to.resolve("small.weights");
    }

    private static double[] floats(byte[] bytes, int offset, int count) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, 4 * count).order(ByteOrder.LITTLE_ENDIAN);
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = buffer.getFloat();
        }
        return values;
    }

    @Test
    void writesWhatTheTableSays() throws IOException {
        Plx plx = fill();
        assertEquals(0, plx.status(), plx::toString);
        byte[] bytes = Files.readAllBytes(weights());
        assertEquals(1208224, bytes.length);
        assertMoments(floats(bytes, 0, 300000), 0.5, 2);
        assertArrayEquals(new double[] {1, 1, 1}, floats(bytes, 1200000, 3));
        assertMoments(floats(bytes, 1204224, 1000), -1, 0.25);
        assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(to.resolve("small.onnx")));
    }

    private static void assertMoments(double[] values, double mean, double deviation) {
        double sum = 0;
        double square = 0;
        for (double v : values) {
            assertTrue(Double.isFinite(v) && Math.abs(v) > 1e-30, "no weight is NaN, infinite or denormal: " + v);
            sum += v - mean;
            square += (v - mean) * (v - mean);
        }
        double n = values.length;
        assertEquals(0, sum / n, 5 * deviation / Math.sqrt(n));
        assertEquals(deviation, Math.sqrt(square / n), 5 * deviation / Math.sqrt(2 * n));
    }

    @Test
    void writesTheSameBytesOnEveryMachine() throws IOException {
        fill();
        CRC32C crc = new CRC32C();
        crc.update(Files.readAllBytes(weights()));
        assertEquals("717f8150", String.format("%08x", crc.getValue()));
    }

    @Test
    void leavesAloneWhatIsThereAndUnharmed() throws IOException {
        fill();
        FileTime longAgo = FileTime.fromMillis(1_000_000);
        Files.setLastModifiedTime(weights(), longAgo);
        Files.setLastModifiedTime(to.resolve("small.onnx"), longAgo);
        Plx plx = fill();
        assertTrue(plx.out().contains("small: already there"), plx::toString);
        assertEquals(longAgo, Files.getLastModifiedTime(weights()));
        assertEquals(longAgo, Files.getLastModifiedTime(to.resolve("small.onnx")));
    }

    @Test
    void makesAnewWhatWasHarmed() throws IOException {
        fill();
        byte[] good = Files.readAllBytes(weights());
        byte[] bad = good.clone();
        bad[777] ^= 1;
        Files.write(weights(), bad);
        assertTrue(fill().out().contains("written in"));
        assertArrayEquals(good, Files.readAllBytes(weights()));

        Files.write(weights(), new byte[10]);
        assertTrue(fill().out().contains("written in"));
        assertArrayEquals(good, Files.readAllBytes(weights()));

        Files.write(to.resolve("small.onnx"), new byte[] {9});
        fill();
        assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(to.resolve("small.onnx")));

        Files.delete(to.resolve("small.weights.stamp"));
        assertTrue(fill().out().contains("written in"));
    }

    @Test
    void followsAChangedTable() throws IOException {
        fill();
        byte[] before = Files.readAllBytes(weights());
        Files.writeString(from.resolve("small.tsv"), TABLE.replace("0.5\t2", "0.5\t3"));
        fill();
        assertNotEquals(List.of(before), List.of(Files.readAllBytes(weights())));
        assertMoments(floats(Files.readAllBytes(weights()), 0, 300000), 0.5, 3);
    }

    @Test
    void anInterruptLeavesNoHalfFile() throws Exception {
        // Large enough to be still at work when the signal comes: 1 GB, most of it never written.
        Files.writeString(from.resolve("small.tsv"), "w\t0\t250000000\tnormal\t0\t1\n");
        String path = Stream.of("java.class.path", "jdk.module.path").map(System::getProperty).filter(Objects::nonNull)
                .collect(Collectors.joining(":"));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(java, "-cp", path, Main.class.getName(), "zoo", "fill", to.toString(),
                "--from", from.toString()).redirectErrorStream(true).start();
        Path part = to.resolve(".small.weights.part");
        for (int i = 0; i < 600 && process.isAlive() && !(Files.exists(part) && Files.size(part) > 0); i++) {
            Thread.sleep(50);
        }
        assertTrue(Files.exists(part), () -> "the fill never began: " + output(process));
        process.destroy(); // SIGTERM, which Java treats as it does SIGINT
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        assertNotEquals(0, process.exitValue());
        try (Stream<Path> left = Files.list(to)) {
            assertEquals(List.of("small.onnx"), left.map(p -> p.getFileName().toString()).toList());
        }
    }

    private static String output(Process process) {
        try {
            return new String(process.getInputStream().readAllBytes());
        } catch (IOException e) {
            return e.toString();
        }
    }

    @Test
    void listsTheModels() {
        Plx plx = Plx.run("zoo", "list", "--from", Plx.zoo());
        assertEquals(0, plx.status(), plx::toString);
        for (String name : List.of("yolov8n", "swinv2-tiny", "swinv2-tiny-fp16", "whisper-tiny-encoder",
                "whisper-tiny-encoder-int8", "whisper-tiny-decoder",
                "whisper-tiny-decoder-past", "whisper-tiny-greedy", "clip-text", "distilbert", "detector")) {
            assertTrue(plx.out().contains(name + " "), plx::toString);
        }
    }

    @Test
    void badTablesAndNamesAreNamed() throws IOException {
        assertTrue(Plx.run("zoo", "fill", to, "--from", from, "--only", "tall").isOneLineError("there are small"));
        assertTrue(Plx.run("zoo", "list", "--from", temporary.resolve("none"))
                .isOneLineError("no such file or folder"));
        assertTrue(Plx.run("zoo", "list", "--from", temporary).isOneLineError("no model tables"));
        for (String row : List.of("w\t0\t5", "w\t0\tx\tnormal\t0\t1", "w\t0\t5\tflat\t0\t1", "w\t-4\t5\tconst\t0\t1")) {
            Files.writeString(from.resolve("small.tsv"), row + "\n");
            Plx plx = fill();
            assertTrue(plx.isOneLineError("small.tsv line 1"), plx::toString);
        }
        Files.delete(from.resolve("small.onnx"));
        assertTrue(fill().isOneLineError("has no small.onnx beside it"));
    }

    @Test
    void placesThatCannotBeWrittenAreNamed() throws IOException {
        Files.writeString(to, "a file");
        Plx plx = fill();
        assertTrue(plx.isOneLineError(to.toString()), plx::toString);
        assertFalse(plx.err().contains("Exception"), plx::toString);
    }
}
