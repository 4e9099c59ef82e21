package dev.parallax;

import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * An input or output of a model, as the model declares it, or a tensor of a {@link Plan}.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * model.inputs().forEach(System.out::println);  // images: float32[1,3,640,640]
 * }</pre>
 *
 * @param name its name
 * @param kind what it is
 * @param elementType of a tensor; otherwise, or when the model does not say, {@link ElementType#UNDEFINED}
 * @param shape its dimensions, outermost first; null when even the rank is not known
 */
public record ValueInfo(String name, ValueKind kind, ElementType elementType, List<Dimension> shape) {
    /** Copies the shape. */
    public ValueInfo {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(elementType, "elementType");
        shape = shape == null ? null : List.copyOf(shape);
    }

    /**
     * Whether every dimension has a size, so that memory can be had without being told a shape.
     *
     * @return true for a tensor of known rank without open dimensions
     */
    public boolean isStatic() {
        return kind == ValueKind.TENSOR && shape != null && shape.stream().noneMatch(Dimension::isOpen);
    }

    /**
     * The sizes of a static shape.
     *
     * @return one size per dimension; a new array
     * @throws ParallaxException INVALID_ARGUMENT if a dimension is open
     */
    public long[] fixedShape() {
        if (!isStatic()) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, this + " has no fixed shape");
        }
        return shape.stream().mapToLong(Dimension::size).toArray();
    }

    /**
     * Whether a tensor of this shape can be this value: same rank, same sizes wherever they are fixed.
     *
     * @param sizes the sizes in question
     * @return true if so; always true when the rank is not known
     */
    public boolean accepts(long... sizes) {
        if (shape == null) {
            return true;
        }
        if (shape.size() != sizes.length) {
            return false;
        }
        for (int i = 0; i < sizes.length; i++) {
            Dimension d = shape.get(i);
            if (sizes[i] < 0 || !d.isOpen() && d.size() != sizes[i]) {
                return false;
            }
        }
        return true;
    }

    /** {@code name: float32[batch,384]}, with {@code ?} for what is not known. */
    @Override
    public String toString() {
        return name + ": "
                + (kind == ValueKind.TENSOR ? elementType + shapeText() : kind.name().toLowerCase(Locale.ROOT));
    }

    /** {@code [batch,384]}, or {@code [...]} without a rank. */
    String shapeText() {
        return shape == null ? "[...]"
                : shape.stream().map(Dimension::toString).collect(Collectors.joining(",", "[", "]"));
    }
}
