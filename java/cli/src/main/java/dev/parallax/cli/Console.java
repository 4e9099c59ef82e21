package dev.parallax.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where a command writes: reports to {@code out}, everything else to {@code err}.
 *
 * @param out for reports
 * @param err for errors and progress
 * @param terminal whether a person watches {@code err}, so that a line may be drawn over
 */
record Console(PrintStream out, PrintStream err, boolean terminal) {
    private static final Gson JSON = new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().serializeNulls()
            .create();

    /** Fails now rather than after the work if a file cannot be written there; null is no file. */
    static void checkWritable(Path file, String option) {
        if (file == null) {
            return;
        }
        Path folder = file.toAbsolutePath().getParent();
        if (Files.isDirectory(file)) {
            throw new BadInputException(option + " " + file + " is a folder; name a file in it");
        }
        if (folder == null || !Files.isDirectory(folder)) {
            throw new BadInputException(option + " " + file + ": there is no folder " + folder + "; make it first");
        }
        if (!Files.isWritable(Files.exists(file) ? file : folder)) {
            throw new BadInputException(option + " " + file + " cannot be written: permission denied");
        }
    }

    /** Makes the folder unless it is there. */
    static void makeFolder(Path folder, String option) {
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new BadInputException(option + " " + folder + " cannot be made: " + Text.reason(e), e);
        }
        if (!Files.isWritable(folder)) {
            throw new BadInputException(option + " " + folder + " cannot be written: permission denied");
        }
    }

    void writeJson(Path file, JsonElement json) {
        writeText(file, JSON.toJson(json) + "\n");
    }

    void writeText(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new BadInputException("cannot write " + file + ": " + Text.reason(e), e);
        }
    }
}
