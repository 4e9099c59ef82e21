/**
 * Parallax: ONNX models from Java over a native core, without copies.
 *
 * <p>Exported is {@code dev.parallax} alone. Native access is needed:
 * {@code --enable-native-access=dev.parallax} on the module path, {@code ALL-UNNAMED} on the class path.
 */
module dev.parallax {
    requires com.google.gson;
    requires java.xml;

    exports dev.parallax;
}
