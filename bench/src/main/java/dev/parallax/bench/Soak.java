package dev.parallax.bench;

import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Parallax;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code bench/soak}, also {@code ./plx test --soak}: whether memory grows over thousands of cycles of everything. */
@Command(name = "bench/soak", usageHelpWidth = 100,
        description = "Whether memory grows over thousands of cycles: loads, sessions, failing loads, cancelled runs,"
                + " new shapes, engines; each in a process of its own with a small Java heap.",
        footer = {"", "Exit status: 0 all is well, 1 a target is missed, 2 it could not be run."})
final class Soak implements Callable<Integer> {
    private static final int CYCLES = 10_000;
    private static final int SETTLED = 500;
    /**
     * What keeps Java's own memory from growing meanwhile: a heap that is there from the start, the simplest collector,
     * and no compiler, which has work for thousands of cycles.
     */
    private static final List<String> FIXED =
            List.of("-Xms32m", "-Xmx32m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-Xint");
    private static final MethodHandle MALLOC_TRIM = Linker.nativeLinker().downcallHandle(
            Linker.nativeLinker().defaultLookup().find("malloc_trim").orElseThrow(),
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));

    @Option(names = "--only", paramLabel = "WAY", description = "This only; repeatable: ${COMPLETION-CANDIDATES}.")
    private List<SoakWay> only = List.of();

    @Option(names = "--cycles", paramLabel = "N", defaultValue = "" + CYCLES,
            description = "How many cycles; by default ${DEFAULT-VALUE}.")
    private int cycles;

    @Option(names = "--settled", paramLabel = "N", defaultValue = "" + SETTLED,
            description = "After how many the first look is; by default ${DEFAULT-VALUE}.")
    private int settled;

    @Option(names = "--check",
            description = "Exit with 1 if memory at the end is more than 1.02 times that at the first look.")
    private boolean check;

    @Option(names = "--json", paramLabel = "FILE", description = "Where raw results go; by default"
            + " bench/results/soak-MACHINE.json, and nowhere with --only or --cycles.")
    private Path json;

    @Option(names = "--root", hidden = true, description = "The project's folder.")
    private Path root = Path.of("");

    @Option(names = "--one", hidden = true, description = "What is started for each: the cycles themselves.")
    private SoakWay one;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this.")
    private boolean help;

    private Soak() {}

    /**
     * Runs the command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(Commands.run(new Soak(), args));
    }

    @Override
    public Integer call() throws IOException {
        if (settled < 1 || cycles <= settled) {
            throw new Commands.BadInput("--settled " + settled + " --cycles " + cycles + ": give 1 or more, and then"
                    + " more than that");
        }
        if (one != null) {
            soak(one);
            return 0;
        }
        Instant start = Instant.now();
        Host host = Host.of(Path.of("/"));
        List<SoakResult> results = new ArrayList<>();
        for (SoakWay way : only.isEmpty() ? List.of(SoakWay.values()) : only) {
            System.err.println(way.title + " ...");
            results.add(inProcess(way, settled, cycles));
        }
        System.out.print(SoakResult.table(results));
        System.out.println("\nresident anonymous memory (RssAnon); " + host.cpu() + ", " + host.cores() + " cores; "
                + Parallax.version());
        Path target = json != null ? json : only.isEmpty() && cycles == CYCLES && settled == SETTLED
                ? root.resolve("bench/results/soak-" + host.machineClass() + ".json") : null;
        if (target != null) {
            Map<String, Object> content = Results.header("soak", host, Parallax.version(), start);
            content.put("ways", results.stream().map(SoakResult::toMap).toList());
            Results.write(target, content);
            System.err.println("raw results: " + target);
        }
        List<String> misses = SoakResult.misses(results);
        misses.forEach(System.out::println);
        return check && !misses.isEmpty() ? Commands.MISSED : 0;
    }

    /** In a process of its own: memory that one way leaves behind is none of the next one's. */
    static SoakResult inProcess(SoakWay way, int settled, int cycles) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(FIXED);
        command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                Soak.class.getName(), "--one", way.name(), "--settled", "" + settled, "--cycles", "" + cycles));
        System.getProperties().forEach((key, value) -> {
            if (key.toString().startsWith("parallax.")) {
                command.add(1, "-D" + key + "=" + value);
            }
        });
        long start = System.nanoTime();
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            if (process.waitFor() != 0) {
                throw new IOException("the cycles (" + way.title + ") failed in their process, see above");
            }
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
        String[] looks = output.split(" ");
        return new SoakResult(way, settled, cycles, Long.parseLong(looks[0]), Long.parseLong(looks[1]),
                (System.nanoTime() - start) / 1e9);
    }

    private void soak(SoakWay way) throws IOException {
        Path folder = Files.createTempDirectory("parallax-soak");
        try (Engine engine = Engine.create(EngineOptions.builder().threads(2).build())) {
            SoakWay.Cycle cycle = way.begin(engine, folder, cycles);
            for (int i = 0; i < cycles; i++) {
                cycle.run(i);
                if (i + 1 == settled) {
                    System.out.print(residentBytes() + " ");
                }
            }
            System.out.println(residentBytes());
        } finally {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    /** RssAnon once garbage, the natives behind it, and free blocks of malloc's have gone. */
    private static long residentBytes() throws IOException {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 5; i++) {
            System.gc();
            try {
                Thread.sleep(50);  // the cleaner's thread releases plans
                int ignored = (int) MALLOC_TRIM.invokeExact(0L);
            } catch (InterruptedException e) {
                throw new IOException("interrupted", e);
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError(e);  // a C function throws nothing
            }
            least = Math.min(least, Files.readAllLines(Path.of("/proc/self/status")).stream()
                    .filter(line -> line.startsWith("RssAnon:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElseThrow());
        }
        return least;
    }
}
