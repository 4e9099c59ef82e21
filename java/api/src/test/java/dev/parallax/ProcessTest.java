package dev.parallax;

import static dev.parallax.JavaProcess.API;
import static dev.parallax.JavaProcess.CORE;
import static dev.parallax.JavaProcess.GSON;
import static dev.parallax.JavaProcess.ORT;
import static dev.parallax.JavaProcess.path;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import apps.Child;
import dev.parallax.JavaProcess.Ended;
import dev.parallax.internal.NativeLibrary;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How Parallax starts and fails to start, each time in a new JVM. */
class ProcessTest {
    private static final Path APPLICATION = JavaProcess.holder(Child.class);
    private static final String ALLOW = "--enable-native-access=ALL-UNNAMED";

    @TempDir
    Path folder;
    private Path model;

    @BeforeEach
    void write() throws IOException {
        model = Files.write(folder.resolve("add.onnx"), TestModels.add());
    }

    private Ended java(String... arguments) throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.addAll(List.of("-Dparallax.cache.dir=" + folder.resolve("cache"), "apps.Child", model.toString()));
        return JavaProcess.run(all);
    }

    private List<Path> unpacked() throws IOException {
        try (Stream<Path> files = Files.walk(folder.resolve("cache"))) {
            return files.filter(Files::isRegularFile).sorted().toList();
        }
    }

    private static void assertSays(Ended ended, String... parts) {
        for (String part : parts) {
            assertTrue(ended.output().contains(part), () -> "no \"" + part + "\" in:\n" + ended.output());
        }
        assertFalse(ended.output().contains("sum"), ended.output());
        assertFalse(ended.output().contains("\tat "), ended.output());
    }

    @Test
    void startsOnTheClassPathAndUnpacksOnce() throws Exception {
        String classPath = path(APPLICATION, API, GSON, ORT, CORE);
        Ended first = java(ALLOW, "-cp", classPath);
        assertEquals(new Ended(0, "sum 12.0\nmodule null\n"), first);
        List<Path> files = unpacked();
        assertTrue(files.stream().anyMatch(file -> file.endsWith("libonnxruntime-private.so")), files.toString());
        assertEquals(first, java(ALLOW, "-cp", classPath));
        assertEquals(files, unpacked());
    }

    @Test
    void startsOnTheModulePath() throws Exception {
        Ended ended = java("--enable-native-access=dev.parallax", "-p", path(API, GSON, ORT, CORE),
                "--add-modules", "ALL-MODULE-PATH", "-cp", APPLICATION.toString());
        assertEquals(new Ended(0, "sum 12.0\nmodule dev.parallax\n"), ended);
    }

    /** Java 22 and 23 deny access to those not named once somebody is named, later ones when told to. */
    private static String deny() {
        return Runtime.version().feature() < 24 ? "--enable-native-access=java.logging"
                : "--illegal-native-access=deny";
    }

    @Test
    void namesTheFlagWhenNativeAccessIsDenied() throws Exception {
        assertSays(java(deny(), "-cp", path(APPLICATION, API, GSON, ORT, CORE)),
                "LIBRARY: ", "--enable-native-access=ALL-UNNAMED");
        assertSays(java(deny(), "-p", path(API, GSON, ORT, CORE), "--add-modules", "ALL-MODULE-PATH", "-cp",
                APPLICATION.toString()), "LIBRARY: ", "--enable-native-access=dev.parallax");
    }

    @Test
    void namesTheJarThatIsMissing() throws Exception {
        assertSays(java(ALLOW, "-cp", path(APPLICATION, API, GSON, ORT)),
                "LIBRARY: no library for " + NativeLibrary.platform(), "parallax-native", "-Dparallax.library.path");
        assertSays(java(ALLOW, "-cp", path(APPLICATION, API, GSON, CORE)),
                "LIBRARY: ", "com.microsoft.onnxruntime:onnxruntime", "-Dparallax.onnxruntime.path");
    }

    @Test
    void takesTheLibrariesThatPropertiesName() throws Exception {
        Versions versions = Parallax.version();
        Ended ended = java(ALLOW, "-Dparallax.library.path=" + versions.nativeLibrary().getParent(),
                "-Dparallax.onnxruntime.path=" + versions.ortLibrary(), "-cp", path(APPLICATION, API, GSON));
        assertEquals(new Ended(0, "sum 12.0\nmodule null\n"), ended);
        assertFalse(Files.exists(folder.resolve("cache")));
    }

    @Test
    void namesALibraryThatIsNotTheCore() throws Exception {
        String classPath = path(APPLICATION, API, GSON);
        Path other = Parallax.version().ortLibrary();  // loads, but has no function of ours
        assertSays(java(ALLOW, "-Dparallax.library.path=" + other, "-cp", classPath),
                "LIBRARY: " + other + " is not Parallax's core");
        Path text = Files.writeString(folder.resolve("text.so"), "no library");
        assertSays(java(ALLOW, "-Dparallax.library.path=" + text, "-cp", classPath), "LIBRARY: cannot load " + text);
        Path missing = folder.resolve("missing.so");
        assertSays(java(ALLOW, "-Dparallax.library.path=" + missing, "-cp", classPath),
                "NOT_FOUND: there is no library " + missing);
    }

    /** The JVM does not wait for a run in progress, on whatever threads it is, and nothing crashes on the way out. */
    @ParameterizedTest
    @CsvSource({"INT, 130, side-by-side", "TERM, 143, whole"})
    void endsWhenToldToInTheMiddleOfARun(String signal, int status, String units) throws Exception {
        Path loops = Files.write(folder.resolve("loops.onnx"), TestModels.loops());
        for (int round = 0; round < ("1".equals(System.getenv("PLX_LONG")) ? 50 : 1); round++) {
            // Whoever started the tests in the background had SIGINT ignored, which processes inherit.
            List<String> command = new ArrayList<>(List.of("env", "--default-signal=INT,TERM"));
            command.addAll(JavaProcess.command(List.of(ALLOW, "-Dparallax.cache.dir=" + folder.resolve("cache"), "-cp",
                    path(APPLICATION, API, GSON, ORT, CORE), "apps.Endless", loops.toString(), units)));
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            try (BufferedReader output = process.inputReader()) {
                assertEquals("running", output.readLine());
                Thread.sleep(100);  // now it is in the run
                assertEquals(0, new ProcessBuilder("kill", "-" + signal, "" + process.pid()).start().waitFor());
                long start = System.nanoTime();
                assertTrue(process.waitFor(30, TimeUnit.SECONDS), "it goes on");
                double seconds = (System.nanoTime() - start) / 1e9;
                assertEquals("", output.lines().collect(Collectors.joining("\n")));
                assertEquals(status, process.exitValue());
                assertTrue(seconds < 10, seconds + " s");  // a third of one, where nothing else is to do
            } finally {
                process.destroyForcibly();
            }
        }
    }

    /** Whichever opens its library first must not become the other's. */
    @ParameterizedTest
    @ValueSource(strings = {"parallax", "onnxruntime"})
    void worksBesideOnnxRuntimesOwnApi(String first) throws Exception {
        Path diamond = Files.write(folder.resolve("diamond.onnx"), TestModels.diamond());
        Ended ended = JavaProcess.run(List.of(ALLOW, "-Dparallax.cache.dir=" + folder.resolve("cache"), "-cp",
                path(APPLICATION, API, GSON, ORT, CORE), "apps.Beside", first, diamond.toString()));
        assertEquals(new Ended(0, "equal\nequal\nequal\nequal\nequal\nequal\n"), ended);
    }
}
