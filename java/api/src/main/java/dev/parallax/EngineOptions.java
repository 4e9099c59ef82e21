package dev.parallax;

import java.nio.file.Path;
import java.util.Objects;

/**
 * How an {@link Engine} is made.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; the builder belongs to one thread.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * EngineOptions options = EngineOptions.builder().threads(4).ortLibrary(Path.of("/opt/ort/libonnxruntime.so")).build();
 * }</pre>
 *
 * @param threads size of the pool all units share, the calling thread included; 0 = one per core. ONNX Runtime has one
 *     pool per process: while an engine lives, a second one must ask for 0, for 1 or for the same number. 1 holds
 *     beside a larger pool, too: this engine's sessions then run on the calling thread alone
 * @param ortLibrary the ONNX Runtime library; null = the one of the property {@code parallax.onnxruntime.path}, or else
 *     a private copy of the one in the onnxruntime jar. One that is named is opened as it is: if {@code ai.onnxruntime}
 *     is used in the same JVM, let it load its own first
 * @param nativeLibrary {@code libparallax.so} or its folder; null = the one of the property
 *     {@code parallax.library.path}, or else of the platform jar. One library per process: the first one named wins,
 *     another one later is an error
 * @param verbosity what ONNX Runtime itself writes to standard error
 */
public record EngineOptions(int threads, Path ortLibrary, Path nativeLibrary, Verbosity verbosity) {
    /** One thread per core, libraries from the jars, silent. */
    public static final EngineOptions DEFAULT = new EngineOptions(0, null, null, Verbosity.SILENT);

    /** Checks the values. */
    public EngineOptions {
        Objects.requireNonNull(verbosity, "verbosity");
        if (threads < 0) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    "threads is " + threads + "; give 0 for one per core, or a number >= 1");
        }
    }

    /**
     * A builder that starts from {@link #DEFAULT}.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Sets one option after the other; what each means says {@link EngineOptions}. */
    public static final class Builder {
        private int threads;
        private Path ortLibrary;
        private Path nativeLibrary;
        private Verbosity verbosity = Verbosity.SILENT;

        private Builder() {}

        /**
         * Sets {@link EngineOptions#threads()}.
         *
         * @param value size of the pool; 0 = one per core
         * @return this
         */
        public Builder threads(int value) {
            threads = value;
            return this;
        }

        /**
         * Sets {@link EngineOptions#ortLibrary()}.
         *
         * @param value the library, or null
         * @return this
         */
        public Builder ortLibrary(Path value) {
            ortLibrary = value;
            return this;
        }

        /**
         * Sets {@link EngineOptions#nativeLibrary()}.
         *
         * @param value the library or its folder, or null
         * @return this
         */
        public Builder nativeLibrary(Path value) {
            nativeLibrary = value;
            return this;
        }

        /**
         * Sets {@link EngineOptions#verbosity()}.
         *
         * @param value what to write
         * @return this
         */
        public Builder verbosity(Verbosity value) {
            verbosity = value;
            return this;
        }

        /**
         * The options.
         *
         * @return a checked value
         */
        public EngineOptions build() {
            return new EngineOptions(threads, ortLibrary, nativeLibrary, verbosity);
        }
    }
}
