/**
 * The command {@code plx}. The launcher runs it from the class path; as a module it needs
 * {@code --enable-native-access=dev.parallax,dev.parallax.cli,com.microsoft.onnxruntime,ai.djl.tokenizers}.
 */
module dev.parallax.cli {
    requires ai.djl.api;
    requires ai.djl.tokenizers;
    requires com.google.gson;
    requires com.google.protobuf;
    requires com.microsoft.onnxruntime;
    requires dev.parallax;
    requires info.picocli;
    requires java.management;

    opens dev.parallax.cli to info.picocli;
}
