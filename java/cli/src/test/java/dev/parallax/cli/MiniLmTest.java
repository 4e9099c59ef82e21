package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.parallax.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MiniLmTest {
    @Test
    void sentencesBecomeOnePaddedBatch() {
        try (MiniLm lm = new MiniLm()) {
            Map<String, Tensor> inputs = lm.encode(List.of("Hello world", "Hi"));
            // [CLS] hello world [SEP], [CLS] hi [SEP] [PAD]: ids of BERT's uncased English vocabulary.
            assertArrayEquals(new long[] {101, 7592, 2088, 102, 101, 7632, 102, 0},
                    inputs.get("input_ids").toLongArray());
            assertArrayEquals(new long[] {1, 1, 1, 1, 1, 1, 1, 0}, inputs.get("attention_mask").toLongArray());
            assertArrayEquals(new long[8], inputs.get("token_type_ids").toLongArray());
            assertArrayEquals(new long[] {2, 4}, inputs.get("input_ids").shape());
        }
    }

    @Test
    void thePaddingIsKeptOutOfTheMean() {
        try (MiniLm lm = new MiniLm()) {
            Tensor hidden = Tensor.of(new float[] {3, 0, 0, 4, 100, 100}, 1, 3, 2);
            float[][] vectors = lm.pool(hidden, Map.of("attention_mask", Tensor.of(new long[] {1, 1, 0}, 1, 3)));
            assertArrayEquals(new float[] {0.6f, 0.8f}, vectors[0], 1e-6f);
            assertEquals(1, MiniLm.similarity(vectors[0], vectors[0]), 1e-6);
        }
    }
}
