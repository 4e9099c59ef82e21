package dev.parallax.bench;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.ModelOptions;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Tensor;
import dev.parallax.Units;
import java.nio.file.Path;
import java.util.Map;

/**
 * What packed weights from files cost in time: the same model by branches with and without them, in one process, run by run
 * in turn.
 *
 * @param withMs each run with them, in pairs with the other
 * @param withoutMs each without
 */
record SavingsTime(double[] withMs, double[] withoutMs) {
    private static final int WARM_UPS = 5;

    double ratio() {
        return Statistics.pairedRatio(withMs, withoutMs);
    }

    /** The folder has the files already. */
    static SavingsTime of(Path file, Path folder, int threads, int pairs) {
        double[] with = new double[pairs];
        double[] without = new double[pairs];
        SessionOptions options = SessionOptions.builder().units(Units.BRANCHES).build();
        try (Engine engine = Engine.create(EngineOptions.builder().threads(threads).build());
                Model mapped = engine.load(file, ModelOptions.builder().cacheFolder(folder).build());
                Model packed = engine.load(file);
                Session one = mapped.session(options);
                Session other = packed.session(options)) {
            Map<String, Tensor> inputs = ModelInputs.of(mapped.inputs(), 8, 42);
            for (Session session : new Session[] {one, other}) {
                inputs.forEach(session::bindInput);
            }
            for (int i = -WARM_UPS; i < pairs; i++) {
                // Who begins changes, so that nobody always follows the same neighbour.
                double first = run(i % 2 == 0 ? one : other);
                double second = run(i % 2 == 0 ? other : one);
                if (i >= 0) {
                    with[i] = i % 2 == 0 ? first : second;
                    without[i] = i % 2 == 0 ? second : first;
                }
            }
        }
        return new SavingsTime(with, without);
    }

    private static double run(Session session) {
        long start = System.nanoTime();
        session.run();
        return (System.nanoTime() - start) / 1e6;
    }
}
