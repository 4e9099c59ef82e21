package dev.parallax;

/**
 * One dimension of a declared shape: a size, a symbol that stands for one, or nothing known.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * for (Dimension d : model.inputs().getFirst().shape()) {
 *     System.out.println(d.isOpen() ? d + " is free" : d.size() + " fixed");
 * }
 * }</pre>
 *
 * @param size the size, or -1 when open
 * @param symbol the symbol's name when the dimension is open and has one, otherwise null
 */
public record Dimension(long size, String symbol) {
    /** Nothing known: neither size nor symbol. */
    public static final Dimension UNKNOWN = new Dimension(-1, null);

    /** Checks that an open dimension has no size and a fixed one no symbol. */
    public Dimension {
        if (size < -1 || size >= 0 && symbol != null) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    "a dimension has either a size >= 0 or a symbol, not size " + size + " and symbol " + symbol);
        }
    }

    /**
     * A dimension of known size.
     *
     * @param size the size, not negative
     * @return the dimension
     */
    public static Dimension of(long size) {
        return new Dimension(size, null);
    }

    /**
     * An open dimension with a name.
     *
     * @param name the symbol
     * @return the dimension
     */
    public static Dimension symbol(String name) {
        return new Dimension(-1, name);
    }

    /**
     * Whether the size is left open by the model.
     *
     * @return true without a size
     */
    public boolean isOpen() {
        return size < 0;
    }

    /** The size, the symbol, or {@code ?}. */
    @Override
    public String toString() {
        return size >= 0 ? Long.toString(size) : symbol != null ? symbol : "?";
    }
}
