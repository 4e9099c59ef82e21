package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Bad models and inputs: one clear line, status 2, and the process lives on. */
class BadInputTest {
    @TempDir
    Path folder;

    private static OnnxFile relu() {
        return new OnnxFile().input("x", ElementType.FLOAT32, "n", 4).output("y", ElementType.FLOAT32, "n", 4)
                .node("Relu", List.of("x"), List.of("y"));
    }

    private Path write(String name, byte[] bytes) throws IOException {
        return Files.write(folder.resolve(name), bytes);
    }

    private static void assertError(Plx plx, String... parts) {
        for (String part : parts) {
            assertTrue(plx.isOneLineError(part), "'" + part + "' is missing in " + plx);
        }
        assertFalse(plx.err().contains("Exception"), plx::toString);
    }

    /** Whatever was asked for before, the process and its engine still work. */
    @AfterEach
    void theProcessLivesOn() throws IOException {
        Plx plx = Plx.run("run", write("good.onnx", relu().build()), "--units", "nodes");
        assertEquals(0, plx.status(), plx::toString);
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "plan", "compare", "memory", "bench"})
    void filesThatAreNoModelsAreNamed(String command) throws IOException {
        assertError(Plx.run(command, folder.resolve("none.onnx")), "none.onnx");
        assertError(Plx.run(command, folder), folder.toString());
        assertError(Plx.run(command, write("empty.onnx", new byte[0])), "empty.onnx");
        assertError(Plx.run(command, write("text.onnx", "This is not a model.\n".getBytes())), "text.onnx");
        byte[] good = relu().initializer("w", Tensor.allocate(ElementType.FLOAT32, 1000)).build();
        assertError(Plx.run(command, write("cut.onnx", Arrays.copyOf(good, good.length - 900))), "cut.onnx");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "plan", "compare", "memory", "bench"})
    void modelsThatCannotRunAreExplained(String command) throws IOException {
        Path unknown = write("unknown.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 4)
                .output("y", ElementType.FLOAT32, 4).node("Frobnicate", List.of("x"), List.of("y")).build());
        assertError(Plx.run(command, unknown), "Frobnicate");
        assertError(Plx.run(command, write("future.onnx", relu().opset(999).build())), "999");
        Path cycle = write("cycle.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 4)
                .output("y", ElementType.FLOAT32, 4).node("Add", List.of("x", "b"), List.of("a"))
                .node("Relu", List.of("a"), List.of("b")).node("Relu", List.of("b"), List.of("y")).build());
        assertError(Plx.run(command, cycle), "cycle");
        Path dangling = write("dangling.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 4)
                .output("y", ElementType.FLOAT32, 4).node("Add", List.of("x", "nobody"), List.of("y")).build());
        assertError(Plx.run(command, dangling), "nobody");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "compare", "memory", "bench"})
    void wrongInputsAreNamed(String command) throws IOException {
        Path model = write("relu.onnx", relu().build());
        assertError(Plx.run(command, model, "--shape", "z=1x4"), "no input z", "x: float32[n,4]");
        assertError(Plx.run(command, model, "--shape", "x=1x5"), "1x5", "x: float32[n,4]");
        assertError(Plx.run(command, model, "--shape", "x=4"), "x: float32[n,4]");
        assertError(Plx.run(command, model, "--shape", "x=axb"), "--shape x=axb");
        Path longs = folder.resolve("longs.npy");
        Npy.write(longs, Tensor.of(new long[4], 1, 4));
        assertError(Plx.run(command, model, "--input", "x=" + longs), "int64[1,4]", "x: float32[n,4]");
        Path broken = write("broken.npy", new byte[] {1, 2, 3});
        assertError(Plx.run(command, model, "--input", "x=" + broken), "broken.npy");
        assertError(Plx.run(command, model, "--input", "x=" + folder.resolve("none.npy")), "none.npy");
    }

    @Test
    void externalDataThatIsMissingIsNamed() throws IOException {
        Path model = folder.resolve("yolov8n.onnx");
        Files.copy(Plx.zoo().resolve("yolov8n.onnx"), model);
        assertError(Plx.run("run", model), "yolov8n.weights");
    }

    @Test
    void anOperatorThatFailsWhileRunningIsNamed() throws IOException {
        Path model = write("gather.onnx", new OnnxFile().input("x", ElementType.FLOAT32, 3)
                .input("i", ElementType.INT64, 1)
                .output("y", ElementType.FLOAT32, 1).node("Gather", List.of("x", "i"), List.of("y")).build());
        Path index = folder.resolve("i.npy");
        Npy.write(index, Tensor.of(new long[] {7}, 1));
        assertError(Plx.run("run", model, "--input", "i=" + index), "Gather");
    }

    @Test
    void aDamagedDeviceFileIsNamed() throws IOException {
        Path model = write("relu.onnx", relu().build());
        assertError(Plx.run("plan", model, "--device", write("device.json", "{\"name\": 3".getBytes())), "device");
        assertError(Plx.run("plan", model, "--input", "x=y.npy"), "--shape instead of --input");
    }

    @Test
    void outputsThatCannotBeWrittenAreNamed() throws IOException {
        Path model = write("relu.onnx", relu().build());
        Path file = write("file", new byte[1]);
        assertError(Plx.run("run", model, "--output-dir", file), "--output-dir " + file);
        assertError(Plx.run("run", model, "--json", folder.resolve("none/x.json")), "--json");
        assertError(Plx.run("memory", model, "--svg", folder), "--svg " + folder);
        assertError(Plx.run("memory", model, "--json", folder.resolve("none/x.json")), "--json");
        assertError(Plx.run("plan", model, "--json", folder), "is a folder");
    }
}
