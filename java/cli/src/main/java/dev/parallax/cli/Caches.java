package dev.parallax.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Folders in which things are kept between runs; deleting one costs no more than the time to fill it again. */
final class Caches {
    private Caches() {}

    /** Where the engine unpacks native libraries; by the same rule as the engine. */
    static Path libraries() {
        String named = System.getProperty("parallax.cache.dir", "");
        if (!named.isBlank()) {
            return Path.of(named);
        }
        String xdg = System.getenv("XDG_CACHE_HOME");
        return xdg != null && xdg.startsWith("/") ? Path.of(xdg, "parallax")
                : Path.of(System.getProperty("user.home"), ".cache", "parallax");
    }

    /** Where the tokenizer's library unpacks its own native part. */
    static Path tokenizer() {
        return libraries().resolve("tokenizer");
    }

    static Map<String, Path> all() {
        Map<String, Path> caches = new LinkedHashMap<>();
        caches.put("native libraries", libraries());
        caches.put("tokenizer", tokenizer());
        return caches;
    }
}
