/**
 * Runs ONNX models on Linux boards and PCs, and says what ran where, when and in how many bytes.
 *
 * <p>The way through this package: an {@link dev.parallax.Engine} loads a {@link dev.parallax.Model}, a model is cut
 * into a {@link dev.parallax.Plan}, a plan is compiled into a {@link dev.parallax.Session}, and a session runs on
 * {@link dev.parallax.Tensor}s that are views of off-heap memory.
 *
 * <pre>{@code
 * try (Engine engine = Engine.create();
 *         Model model = engine.load(Path.of("model.onnx"));
 *         Session session = model.session()) {
 *     session.input("x").copyFrom(pixels);
 *     session.run();
 *     float[] scores = session.output("y").toFloatArray();
 * }
 * }</pre>
 *
 * <p><b>Errors.</b> What goes wrong is a {@link dev.parallax.ParallaxException} with a {@link dev.parallax.ErrorCode},
 * whose message names the thing and the fix; wrong arguments are found before native code is entered. The two
 * exceptions to this: use after {@code close()} is an {@link IllegalStateException}, and a null where none is allowed a
 * {@link NullPointerException}. A failed call leaves its object usable.
 *
 * <p><b>Ownership.</b> Engines, models and sessions are closed by whoever made them, in any order: each keeps what it
 * needs alive, so a session still runs after its model and engine were closed. Everything else is a value.
 */
package dev.parallax;
