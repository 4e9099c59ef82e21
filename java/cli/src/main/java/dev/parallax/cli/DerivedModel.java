package dev.parallax.cli;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.function.BiFunction;
import java.util.zip.CRC32C;

/**
 * A model in another precision than the one it is made from: our own code changes its source's graph, and the numbers
 * that the source's table stands for, so it needs no files in the zoo.
 *
 * @param derivation the new graph from the source's, with the new weights
 */
record DerivedModel(String name, SeededModel source, BiFunction<Message, DerivedWeights, Message> derivation)
        implements Zoo.Model {
    @Override
    public long parameters() {
        return source.parameters();
    }

    @Override
    public ModelFiles files() throws IOException {
        ByteString skeleton = ByteString.copyFrom(Files.readAllBytes(source.skeleton()));
        DerivedWeights weights = new DerivedWeights(source, name + ".weights");
        byte[] graph;
        try {
            Message model = Message.parse(skeleton);
            graph = model.with(Onnx.MODEL_GRAPH, derivation.apply(model.message(Onnx.MODEL_GRAPH), weights))
                    .toByteArray();
        } catch (UncheckedIOException e) {
            throw new BadInputException(source.skeleton() + " is no ONNX model: " + e.getCause().getMessage(), e);
        }
        CRC32C recipe = new CRC32C();
        recipe.update(Files.readAllBytes(source.table()));
        recipe.update(graph); // which says where each tensor lies
        return new ModelFiles(name, graph, weights.pieces().size(), weights.pieces(), recipe.getValue());
    }
}
