package dev.parallax;

import java.nio.file.Path;

/**
 * Every version involved in a run.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * System.out.println(Parallax.version());
 * }</pre>
 *
 * @param parallax version of the native core
 * @param abi version of its C interface
 * @param onnxRuntime version of the ONNX Runtime library
 * @param ortApi version of ONNX Runtime's C API that is asked of it
 * @param java version of the running Java, as in the property {@code java.vm.version}
 * @param platform such as {@code linux-aarch64}
 * @param compiler what compiled the core
 * @param nativeLibrary the core in use
 * @param ortLibrary the ONNX Runtime library in use
 */
public record Versions(String parallax, int abi, String onnxRuntime, int ortApi, String java, String platform,
        String compiler, Path nativeLibrary, Path ortLibrary) {
    /** One line a person can put into a report. */
    @Override
    public String toString() {
        return "parallax " + parallax + " (abi " + abi + ", " + compiler + "), onnxruntime " + onnxRuntime + " (api "
                + ortApi + "), java " + java + ", " + platform;
    }
}
