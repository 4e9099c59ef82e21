package dev.parallax.bench;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** The native runner, {@code plx-run}: a model on one engine in a process of its own, without a JVM. */
final class PlxRun {
    /** Its exit status where a memory budget cannot be kept; it has measured all the same. */
    private static final int OVER_BUDGET = 3;

    private final Path program;
    private final Path library;
    private final int threads;

    /** The one that was built in the project's folder. */
    PlxRun(Path root, int threads) throws IOException {
        this.program = root.resolve("native/target/cmake/release/run/plx-run");
        this.library = onnxRuntime(root.resolve("native/target/ort"));
        this.threads = threads;
        if (!Files.isExecutable(program)) {
            throw new Commands.BadInput("there is no " + program + "; the script of that name in bench/ builds it");
        }
    }

    private static Path onnxRuntime(Path unpacked) throws IOException {
        String platform = System.getProperty("os.arch").equals("aarch64") ? "linux-aarch64" : "linux-x64";
        if (Files.isDirectory(unpacked)) {
            try (Stream<Path> files = Files.walk(unpacked)) {
                var found = files.filter(file -> file.endsWith(Path.of(platform, "libonnxruntime.so"))).findFirst();
                if (found.isPresent()) {
                    return found.get();
                }
            }
        }
        throw new Commands.BadInput("there is no ONNX Runtime for " + platform + " in " + unpacked
                + "; the scripts in bench/ unpack it");
    }

    int threads() {
        return threads;
    }

    /** Makes one file of a model and its weights; false where that cannot be, as for graphs inside nodes. */
    boolean toSingleFile(Path model, Path file) throws IOException {
        Process process = new ProcessBuilder(program.resolveSibling("plx-single-file").toString(), model.toString(),
                file.toString()).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try {
            return process.waitFor() == 0;
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    /** What it measured; arguments beside the model, the library and the threads. */
    JsonObject run(Path model, List<String> arguments) throws IOException {
        Outcome outcome = start(command(model, arguments), ProcessBuilder.Redirect.INHERIT).outcome();
        if (outcome.measured() == null) {
            throw new IOException(String.join(" ", command(model, arguments)) + " " + outcome.how() + ", see above");
        }
        return outcome.measured();
    }

    /** The same where it may well fail, and silently. */
    Outcome tryRun(Path model, List<String> arguments, Confinement confinement) throws IOException {
        return start(model, arguments, confinement).outcome();
    }

    Running start(Path model, List<String> arguments, Confinement confinement) throws IOException {
        return start(confinement.inside(command(model, arguments)), ProcessBuilder.Redirect.DISCARD);
    }

    private static Running start(List<String> command, ProcessBuilder.Redirect errors) throws IOException {
        return new Running(new ProcessBuilder(command).redirectError(errors).start());
    }

    private List<String> command(Path model, List<String> arguments) {
        List<String> command = new ArrayList<>(List.of(program.toString(), model.toString(), "--ort-library",
                library.toString(), "--threads", String.valueOf(threads)));
        command.addAll(arguments);
        return command;
    }

    /**
     * How a process ended.
     *
     * @param status its exit status; above 128 a signal
     * @param measured what it told; null if it could not
     */
    record Outcome(int status, JsonObject measured) {
        boolean ran() {
            return status == 0;
        }

        /** For people. */
        String how() {
            return switch (status) {
                case 0 -> "ran";
                case OVER_BUDGET -> "refused its budget";
                case 128 + 9 -> "was killed (out of memory)";
                default -> "failed with status " + status;
            };
        }
    }

    /** A process on its way. */
    record Running(Process process) {
        /** Waits for its end. */
        Outcome outcome() throws IOException {
            try {
                String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                int status = process.waitFor();
                return new Outcome(status, status == 0 || status == OVER_BUDGET
                        ? JsonParser.parseString(output).getAsJsonObject() : null);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            } finally {
                process.destroy();
            }
        }

        void destroy() {
            process.destroyForcibly();
        }
    }
}
