package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResultsTest {
    private static final Host BOARD = new Host("Some Board", 4, "aarch64", "6.12.1", 8L << 30);
    private static final Versions PARTS = new Versions("1.2.3", 1, "1.29.0", 21, "25", "linux-aarch64", "gcc 12",
            Path.of("a.so"), Path.of("b.so"));

    @TempDir
    Path folder;

    @Test
    void fileSaysWhatWasMeasuredWhenWhereAndWithWhat() throws IOException {
        Map<String, Object> content = Results.header("load", BOARD, PARTS, Instant.parse("2025-03-04T05:06:07.89Z"));
        content.put("times", List.of(1L, 9_007_199_254_740_993L));
        Path file = folder.resolve("new/result.json");
        Results.write(file, content);
        JsonObject json = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
        assertEquals("load", json.get("benchmark").getAsString());
        assertEquals("2025-03-04T05:06:07Z", json.get("date").getAsString());
        assertEquals("Some Board", json.getAsJsonObject("machine").get("cpu").getAsString());
        assertEquals(4, json.getAsJsonObject("machine").get("cores").getAsInt());
        assertEquals("6.12.1", json.getAsJsonObject("machine").get("kernel").getAsString());
        assertEquals("1.2.3", json.getAsJsonObject("versions").get("parallax").getAsString());
        assertEquals("1.29.0", json.getAsJsonObject("versions").get("onnxruntime").getAsString());
        assertTrue(json.getAsJsonObject("versions").get("java").getAsString().contains(Runtime.version().toString()));
        assertEquals(9_007_199_254_740_993L, json.getAsJsonArray("times").get(1).getAsLong(), "a double would round");
    }

    @Test
    void formerFileIsReplacedAndNothingElseIsLeft() throws IOException {
        Path file = Files.writeString(folder.resolve("result.json"), "old");
        Results.write(file, Map.of("new", 1));
        assertTrue(Files.readString(file).contains("\"new\": 1"));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList());
        }
    }
}
