package apps;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.ParallaxException;
import dev.parallax.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** An application in a JVM of its own: loads the model named, runs it once and prints the result, or the error. */
public final class Child {
    private Child() {}

    /**
     * Runs.
     *
     * @param args the model's path
     */
    public static void main(String[] args) {
        try (Engine engine = Engine.create(EngineOptions.builder().threads(1).build());
                Model model = engine.load(Path.of(args[0]))) {
            Tensor x = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
            System.out.println("sum " + model.run(Map.of("x", x, "y", x)).get("z").toFloatArray()[5]);
            System.out.println("module " + Engine.class.getModule().getName());
        } catch (ParallaxException e) {
            System.out.println(e.code() + ": " + e.getMessage());
        }
    }
}
