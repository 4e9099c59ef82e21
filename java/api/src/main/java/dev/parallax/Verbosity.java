package dev.parallax;

/**
 * What ONNX Runtime itself writes to standard error. Its warnings are about its own decisions and seldom of use.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: constants, free to share.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Engine engine = Engine.create(EngineOptions.builder().verbosity(Verbosity.WARNINGS).build());
 * }</pre>
 */
public enum Verbosity {
    /** Nothing but fatal errors; the default. */
    SILENT,
    /** Warnings and errors. */
    WARNINGS,
    /** Everything. */
    ALL
}
