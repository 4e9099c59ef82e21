package dev.parallax;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * How a {@link Model} is loaded.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; the builder belongs to one thread.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * ModelOptions options = ModelOptions.builder().dimension("batch", 1).customOpLibrary(Path.of("libops.so")).build();
 * }</pre>
 *
 * @param customOpLibraries shared libraries with custom operators
 * @param config ONNX Runtime session config entries, such as {@code session.disable_prepacking=1}
 * @param dimensions sizes for symbolic dimensions, by name, fixed before the graph is optimised
 * @param baseDirectory where a model loaded from memory finds its external data; null = such data is an error. A model
 *     loaded from a file looks in that file's folder and nowhere else
 * @param dataFolders further folders in which external data may lie where a symbolic link in the model's folder leads
 *     there, as in caches that keep files by their checksums; elsewhere no link is followed
 * @param limits how much the model may ask for
 * @param cacheFolder a folder for units with weights that ONNX Runtime has packed, and for the graph they are cut from:
 *     written by the first session, mapped by all later ones of any process, which load faster and take no memory for
 *     packed weights that the system could not drop. As large as the weights twice, or thrice where they stand in the
 *     model's own file; nobody else may have the right to write to it. None by default; not for models in memory
 * @param prepack which weights ONNX Runtime packs; {@link Prepack#ALL} by default
 */
public record ModelOptions(List<Path> customOpLibraries, Map<String, String> config, Map<String, Long> dimensions,
        Path baseDirectory, List<Path> dataFolders, ModelLimits limits, Path cacheFolder,
        Prepack prepack) {
    /** Nothing special. */
    public static final ModelOptions DEFAULT = new ModelOptions(List.of(), Map.of(), Map.of(), null,
            List.of(), ModelLimits.DEFAULT, null, Prepack.ALL);

    /** Copies the collections and checks the values. */
    public ModelOptions {
        customOpLibraries = List.copyOf(customOpLibraries);
        dataFolders = List.copyOf(dataFolders);
        Objects.requireNonNull(limits, "limits");
        Objects.requireNonNull(prepack, "prepack");
        config = Collections.unmodifiableMap(new LinkedHashMap<>(config));
        dimensions = Collections.unmodifiableMap(new LinkedHashMap<>(dimensions));
        dimensions.forEach((name, size) -> {
            if (size < 0) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                        "dimension " + name + " is fixed to " + size + "; a size is 0 or more");
            }
        });
    }

    /**
     * A builder that starts from {@link #DEFAULT}.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Sets one option after the other; what each means says {@link ModelOptions}. */
    public static final class Builder {
        private final List<Path> customOpLibraries = new ArrayList<>();
        private final Map<String, String> config = new LinkedHashMap<>();
        private final Map<String, Long> dimensions = new LinkedHashMap<>();
        private Path baseDirectory;
        private final List<Path> dataFolders = new ArrayList<>();
        private ModelLimits limits = ModelLimits.DEFAULT;
        private Path cacheFolder;
        private Prepack prepack = Prepack.ALL;

        private Builder() {}

        /**
         * Sets {@link ModelOptions#prepack()}.
         *
         * @param value which weights to pack
         * @return this
         */
        public Builder prepack(Prepack value) {
            prepack = value;
            return this;
        }

        /**
         * Adds to {@link ModelOptions#customOpLibraries()}.
         *
         * @param library a shared library
         * @return this
         */
        public Builder customOpLibrary(Path library) {
            customOpLibraries.add(library);
            return this;
        }

        /**
         * Adds to {@link ModelOptions#config()}.
         *
         * @param key an ONNX Runtime session config key
         * @param value its value
         * @return this
         */
        public Builder config(String key, String value) {
            config.put(key, value);
            return this;
        }

        /**
         * Adds to {@link ModelOptions#dimensions()}.
         *
         * @param symbol the dimension's name
         * @param size its size
         * @return this
         */
        public Builder dimension(String symbol, long size) {
            dimensions.put(symbol, size);
            return this;
        }

        /**
         * Sets {@link ModelOptions#baseDirectory()}.
         *
         * @param folder where external data lies, or null
         * @return this
         */
        public Builder baseDirectory(Path folder) {
            baseDirectory = folder;
            return this;
        }

        /**
         * Adds to {@link ModelOptions#dataFolders()}.
         *
         * @param folder a folder that links to external data may lead to
         * @return this
         */
        public Builder dataFolder(Path folder) {
            dataFolders.add(folder);
            return this;
        }

        /**
         * Sets {@link ModelOptions#limits()}.
         *
         * @param value how much the model may ask for
         * @return this
         */
        public Builder limits(ModelLimits value) {
            limits = value;
            return this;
        }

        /**
         * Sets {@link ModelOptions#cacheFolder()}.
         *
         * @param folder where packed weights are kept, or null
         * @return this
         */
        public Builder cacheFolder(Path folder) {
            cacheFolder = folder;
            return this;
        }

        /**
         * The options.
         *
         * @return a checked value
         */
        public ModelOptions build() {
            return new ModelOptions(customOpLibraries, config, dimensions, baseDirectory, dataFolders, limits,
                    cacheFolder, prepack);
        }
    }
}
