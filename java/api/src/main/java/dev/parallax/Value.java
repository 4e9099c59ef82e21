package dev.parallax;

import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Anything a model takes or gives: a {@link Tensor}, a {@link Sequence}, a {@link Mapping}, or {@link None}, an
 * optional without content. An optional that has content is that content, as in ONNX Runtime.
 *
 * <p><b>Lifetime</b>: a tensor's is its memory's, everything else lives as long as what it is made of. A session copies
 * sequences and mappings when they are bound, and hands out copies of them; only tensors are shared with it.
 *
 * <p><b>Threads</b>: immutable but for the content of tensors.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * session.bindInput("boxes", Value.sequence(Tensor.of(a, 4), Tensor.of(b, 4)));
 * session.bindInput("mask", Value.none());
 * session.run();
 * switch (session.outputValue("scores")) {
 *     case Tensor tensor -> use(tensor.toFloatArray());
 *     case Value.Sequence sequence -> sequence.elements().forEach(...);
 *     case Value.Mapping mapping -> use(mapping.keys().strings(), mapping.values().toFloatArray());
 *     case Value.None none -> useDefault();
 * }
 * }</pre>
 */
public sealed interface Value permits Tensor, Value.Sequence, Value.Mapping, Value.None {
    /**
     * Values of one type, one after the other; possibly none.
     *
     * @param elements in their order, none null
     */
    record Sequence(List<Value> elements) implements Value {
        /** Copies the list. */
        public Sequence {
            elements = List.copyOf(elements);
        }

        @Override
        public Sequence copy() {
            return new Sequence(elements.stream().map(Value::copy).toList());
        }

        /** {@code sequence[float32[2], float32[3]]}. */
        @Override
        public String toString() {
            return elements.stream().map(Value::toString).collect(Collectors.joining(", ", "sequence[", "]"));
        }
    }

    /**
     * A map: value i belongs to key i. ONNX knows keys that are strings or integers.
     *
     * @param keys a tensor of one dimension
     * @param values a tensor of the same shape
     */
    record Mapping(Tensor keys, Tensor values) implements Value {
        /** Checks the shapes. */
        public Mapping {
            Objects.requireNonNull(keys, "keys");
            Objects.requireNonNull(values, "values");
            if (keys.sizes().length != 1 || values.sizes().length != 1 || keys.sizes()[0] != values.sizes()[0]) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "a map from " + keys + " to " + values
                        + " cannot be: keys and values are tensors of one dimension and the same size");
            }
        }

        @Override
        public Mapping copy() {
            return new Mapping(keys.copy(), values.copy());
        }

        /** {@code map[int64[3] -> float32[3]]}. */
        @Override
        public String toString() {
            return "map[" + keys + " -> " + values + "]";
        }
    }

    /** An optional without content. */
    record None() implements Value {
        @Override
        public None copy() {
            return this;
        }

        /** {@code none}. */
        @Override
        public String toString() {
            return "none";
        }
    }

    /**
     * The same content in memory of its own, which lives as long as anybody refers to it.
     *
     * @return a new value
     */
    Value copy();

    /**
     * A sequence.
     *
     * @param elements in their order, none null
     * @return a new value
     */
    static Sequence sequence(Value... elements) {
        return new Sequence(List.of(elements));
    }

    /**
     * A sequence.
     *
     * @param elements in their order, none null
     * @return a new value
     */
    static Sequence sequence(List<? extends Value> elements) {
        return new Sequence(List.copyOf(elements));
    }

    /**
     * A map.
     *
     * @param keys a tensor of one dimension
     * @param values a tensor of the same shape
     * @return a new value
     */
    static Mapping mapping(Tensor keys, Tensor values) {
        return new Mapping(keys, values);
    }

    /**
     * An optional without content.
     *
     * @return the value
     */
    static None none() {
        return new None();
    }
}
