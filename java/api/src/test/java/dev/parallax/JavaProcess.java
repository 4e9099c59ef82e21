package dev.parallax;

import com.google.gson.JsonParser;
import dev.parallax.internal.NativeLibrary;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URL;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Another JVM, and where the parts of this build are that it needs: folders or jars. */
final class JavaProcess {
    /** The API's own classes. */
    static final Path API = holder(Engine.class);
    /** Its JSON library. */
    static final Path GSON = holder(JsonParser.class);
    /** The onnxruntime jar. */
    static final Path ORT = holder("ai/onnxruntime/OrtEnvironment.class");
    /** The jar of the core for this machine. */
    static final Path CORE = holder("native/" + NativeLibrary.platform() + "/libparallax.so");

    private JavaProcess() {}

    /** How it ended, and all it wrote. */
    record Ended(int status, String output) {}

    /** What starts a JVM with the arguments. */
    static List<String> command(List<String> arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(arguments);
        return command;
    }

    /** Starts a JVM with the arguments, and waits for its end. */
    static Ended run(List<String> arguments) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command(arguments)).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        return new Ended(process.waitFor(), output);
    }

    /** A class path or module path. */
    static String path(Path... parts) {
        return Stream.of(parts).map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    }

    /** The folder or jar that holds a class. */
    static Path holder(Class<?> type) {
        String name = type.getName().replace('.', '/') + ".class";
        return holder(type.getResource("/" + name), name);
    }

    private static Path holder(String name) {
        return holder(ClassLoader.getSystemResource(name), name);
    }

    private static Path holder(URL url, String name) {
        String text = url.toString();
        String root = text.substring(0, text.length() - name.length());
        return Path.of(URI.create(root.startsWith("jar:") ? root.substring(4, root.length() - 2) : root));
    }
}
