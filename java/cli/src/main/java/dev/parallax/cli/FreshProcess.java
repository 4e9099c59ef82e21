package dev.parallax.cli;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * A command of plx in a process of its own, for what cannot be told within this one: the memory that one engine takes,
 * and whether a setting makes ONNX Runtime end the process.
 *
 * <p>Stateless. Threads: any; the caller waits.
 */
final class FreshProcess {
    private static final long LONGEST_MINUTES = 10;
    private static final String MARK = "memory ";

    private FreshProcess() {}

    /**
     * What a process held in memory.
     *
     * @param peakBytes the most it ever held in memory, pages of mapped files included (VmHWM)
     * @param anonymousBytes what it held at its end that no file backs (RssAnon)
     */
    record Memory(long peakBytes, long anonymousBytes) {}

    /** What the fresh process says at its end, on a line of its own. */
    static String memoryLine(Machine machine) {
        return MARK + machine.processMemory("VmHWM").orElse(0L) + " " + machine.processMemory("RssAnon").orElse(0L);
    }

    /** Finds the memory in what a fresh process said. */
    static Optional<Memory> memory(List<String> lines) {
        return lines.stream().filter(l -> l.matches(MARK + "\\d{1,18} \\d{1,18}")).map(l -> l.split(" "))
                .map(w -> new Memory(Long.parseLong(w[1]), Long.parseLong(w[2]))).findFirst();
    }

    /**
     * Runs plx with these arguments in a new process like this one.
     *
     * @throws BadInputException with the reason if it fails, is ended, or does not come to an end
     */
    static Memory run(List<String> arguments) {
        Process process = null;
        try {
            Path said = Files.createTempFile("plx-bench-", ".txt");
            try {
                process = new ProcessBuilder(command(arguments)).redirectErrorStream(true)
                        .redirectOutput(said.toFile()).start();
                process.getOutputStream().close();
                if (!process.waitFor(LONGEST_MINUTES, TimeUnit.MINUTES)) {
                    throw new BadInputException("its process did not end in " + LONGEST_MINUTES + " minutes");
                }
                List<String> lines = Files.readString(said, StandardCharsets.ISO_8859_1).lines()
                        .toList();
                if (process.exitValue() != 0) {
                    throw new BadInputException("its process ended with status " + process.exitValue()
                            + lines.stream().filter(l -> l.startsWith("plx: ")).map(l -> ": " + l.substring(5))
                                    .findFirst().orElse(""));
                }
                return memory(lines).orElseThrow(() -> new BadInputException("its process did not tell"));
            } finally {
                Files.deleteIfExists(said);
            }
        } catch (IOException e) {
            throw new BadInputException("no process can be started: " + Text.reason(e), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BadInputException("interrupted", e);
        } finally {
            if (process != null) {
                process.destroyForcibly(); // one that ended does not mind
            }
        }
    }

    /** The same Java with the same limits and properties. */
    private static List<String> command(List<String> arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(a -> a.startsWith("-X") || a.startsWith("-D") && !a.startsWith("-Djdk.module."))
                .forEach(command::add);
        // Should ONNX Runtime end the process, nobody needs a report of it in the user's folder.
        command.addAll(List.of("-XX:ErrorFile=/dev/null", "-XX:-CreateCoredumpOnCrash",
                "--enable-native-access=ALL-UNNAMED"));
        // Modules run from the class path as well, and need fewer options there.
        String modules = System.getProperty("jdk.module.path", "");
        command.addAll(List.of("-cp", System.getProperty("java.class.path")
                + (modules.isEmpty() ? "" : File.pathSeparator + modules), Main.class.getName()));
        command.addAll(arguments);
        return command;
    }
}
