package dev.parallax;

import java.nio.file.Path;

/**
 * What an engine is made of.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * System.out.println("ONNX Runtime " + engine.info().onnxRuntime() + " on " + engine.info().threads() + " threads");
 * }</pre>
 *
 * @param parallax version of the native core
 * @param abi version of its C interface
 * @param onnxRuntime version of the ONNX Runtime library
 * @param ortApi version of ONNX Runtime's C API that is asked of it
 * @param threads threads its sessions run on at most, the calling one included: the size of the pool, or 1 for an
 *     engine that asked for 1, whatever the pool's size
 * @param ortLibrary the ONNX Runtime library in use
 * @param nativeLibrary the core in use
 * @param compiler what compiled the core
 */
public record EngineInfo(String parallax, int abi, String onnxRuntime, int ortApi, int threads, Path ortLibrary,
        Path nativeLibrary, String compiler) {}
