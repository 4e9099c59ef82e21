package apps;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Model;
import dev.parallax.Schedule;
import dev.parallax.SequentialPolicy;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Units;
import java.nio.file.Path;

/** An application in a JVM of its own that is in the middle of a run, for minutes, when it is told to end. */
public final class Endless {
    private Endless() {}

    /**
     * Runs.
     *
     * @param args the path of the tests' model of two loops, and {@code whole} or {@code side-by-side}
     */
    public static void main(String[] args) {
        boolean whole = args[1].equals("whole");
        SessionOptions options = SessionOptions.builder().units(whole ? Units.WHOLE : Units.NODES)
                .policy(whole ? SequentialPolicy.INSTANCE : (plan, state) -> new Schedule(plan.units().stream()
                        .map(u -> Schedule.Entry.of(u.index()).withThreads(1)).toList(), 0)).build();
        try (Engine engine = Engine.create(EngineOptions.builder().threads(2).build());
                Model model = engine.load(Path.of(args[0])); Session session = model.session(options)) {
            session.input("x");
            session.input("times").copyFrom(new long[] {3});
            session.run();
            session.input("times").copyFrom(new long[] {1L << 27});
            System.out.println("running");
            session.run();
        }
    }
}
