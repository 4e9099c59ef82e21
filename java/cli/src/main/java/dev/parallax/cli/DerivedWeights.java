package dev.parallax.cli;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The weights of a model that is being derived, made from those of its source, of which no file is needed. */
final class DerivedWeights extends NewWeights {
    private final SeededModel source;

    DerivedWeights(SeededModel source, String location) {
        super(location);
        this.source = source;
    }

    /** The numbers of one of the source's float32 tensors, wherever it keeps them. */
    float[] read(Message tensor) {
        if (tensor.number(Onnx.TENSOR_LOCATION) == Onnx.LOCATION_EXTERNAL) {
            return source.values(tensor.text(Onnx.TENSOR_NAME));
        }
        float[] values = new float[Math.toIntExact(elements(tensor.numbers(Onnx.TENSOR_DIMS)))];
        byte[] raw = tensor.bytes(Onnx.TENSOR_RAW).stream().findFirst().map(b -> b.toByteArray()).orElse(new byte[0]);
        if (raw.length != 4 * values.length) {
            throw new BadInputException("tensor " + tensor.text(Onnx.TENSOR_NAME) + " has " + raw.length
                    + " raw bytes for " + values.length + " elements");
        }
        ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
        return values;
    }
}
