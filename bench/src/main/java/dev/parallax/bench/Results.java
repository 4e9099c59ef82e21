package dev.parallax.bench;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/** Raw results on disk: every number measured, and all it takes to judge whether two files may be compared. */
final class Results {
    private static final Gson GSON = new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create();

    private Results() {}

    /** What every file begins with: what was measured, when, where, and with which versions. */
    static Map<String, Object> header(String benchmark, Host host, Versions parts, Instant when) {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put("benchmark", benchmark);
        header.put("date", when.truncatedTo(ChronoUnit.SECONDS).toString());
        header.put("machine", host.toMap());
        Map<String, Object> versions = new LinkedHashMap<>();
        versions.put("parallax", parts.parallax());
        versions.put("onnxruntime", parts.onnxRuntime());
        versions.put("compiler", parts.compiler());
        versions.put("java", System.getProperty("java.vm.name") + " " + Runtime.version());
        header.put("versions", versions);
        return header;
    }

    static void write(Path file, Map<String, Object> content) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        Files.createDirectories(folder);
        // Whole or not at all: a result file cut short would be read as a result.
        Path part = Files.createTempFile(folder, file.getFileName().toString(), ".part");
        try {
            Files.writeString(part, GSON.toJson(content) + "\n");
            Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(part);
        }
    }
}
