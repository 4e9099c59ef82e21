package dev.parallax;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * How a model is cut into a {@link Plan}.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value; the builder belongs to one thread.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * PlanOptions options = PlanOptions.builder().units(Units.BRANCHES).rule(Rule.RELAXED).shape("ids", 1, 16).build();
 * }</pre>
 *
 * @param units how finely to cut; {@link Units#WHOLE} by default
 * @param rule when branches are worth running together; {@link Rule#PAPER} by default
 * @param beta largest Fmax / Fmin within a parallel layer; 1.5 by default, the paper's
 * @param minNodes a branch runs in parallel only with so many nodes; 3 by default, the paper's N &gt; 2
 * @param estimate whether FLOPs and bytes are estimated with {@link Units#WHOLE} too, which costs a shape inference;
 *     false by default. Finer cuts always estimate
 * @param device the device whose delegate regions are sought: empty = none; {@code opencl}, or {@code opencl:1} for the
 *     second one, where they then run, at the sizes below; {@code gpu} = the built-in declaration; else the JSON text of a
 *     declaration. A device that is declared need not be present
 * @param offload which regions run there; {@link Offload#AUTO} by default
 * @param profile what a device that is there is judged by; {@link Profile#MEASURED} by default
 * @param placements where operators and regions run whatever that costs, one after the other, later ones before earlier
 *     ones and all of them before {@code offload}: {@code Conv=cpu}, {@code com.microsoft:FusedConv=device},
 *     {@code region 3=cpu}, where regions are numbered as in the plan made with the same operators placed
 * @param shapes sizes at which FLOPs and bytes are estimated, by input; an input not named takes 1 for every open
 *     dimension
 */
public record PlanOptions(Units units, Rule rule, double beta, int minNodes, boolean estimate, String device,
        Offload offload, Profile profile, List<String> placements, Map<String, List<Long>> shapes) {
    /** The whole graph as one unit. */
    public static final PlanOptions DEFAULT = new PlanOptions(Units.WHOLE, Rule.PAPER, 1.5, 3, false, "", Offload.AUTO,
            Profile.MEASURED, List.of(), Map.of());

    /** Copies the shapes and checks the values. */
    public PlanOptions {
        Objects.requireNonNull(units, "units");
        Objects.requireNonNull(rule, "rule");
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(offload, "offload");
        Objects.requireNonNull(profile, "profile");
        placements = List.copyOf(placements);
        if (!(beta >= 1) || beta == Double.POSITIVE_INFINITY) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT,
                    "beta is " + beta + "; it bounds Fmax / Fmin, so it is a number >= 1");
        }
        if (minNodes < 1) {
            throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "minNodes is " + minNodes + "; give 1 or more");
        }
        Map<String, List<Long>> copy = new LinkedHashMap<>();
        shapes.forEach((name, sizes) -> copy.put(name, List.copyOf(sizes)));
        shapes = Collections.unmodifiableMap(copy);
    }

    /**
     * A builder that starts from {@link #DEFAULT}.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Sets one option after the other; what each means says {@link PlanOptions}. */
    public static final class Builder {
        private Units units = DEFAULT.units;
        private Rule rule = DEFAULT.rule;
        private double beta = DEFAULT.beta;
        private int minNodes = DEFAULT.minNodes;
        private boolean estimate = DEFAULT.estimate;
        private String device = DEFAULT.device;
        private Offload offload = DEFAULT.offload;
        private Profile profile = DEFAULT.profile;
        private final List<String> placements = new ArrayList<>();
        private final Map<String, List<Long>> shapes = new LinkedHashMap<>();

        private Builder() {}

        /**
         * Sets {@link PlanOptions#units()}.
         *
         * @param value how finely to cut
         * @return this
         */
        public Builder units(Units value) {
            units = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#rule()}.
         *
         * @param value the rule
         * @return this
         */
        public Builder rule(Rule value) {
            rule = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#beta()}.
         *
         * @param value a ratio, 1 or more
         * @return this
         */
        public Builder beta(double value) {
            beta = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#minNodes()}.
         *
         * @param value 1 or more
         * @return this
         */
        public Builder minNodes(int value) {
            minNodes = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#estimate()}.
         *
         * @param value whether to estimate with {@link Units#WHOLE} too
         * @return this
         */
        public Builder estimate(boolean value) {
            estimate = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#device()}.
         *
         * @param value empty, {@code opencl}, {@code gpu}, or JSON
         * @return this
         */
        public Builder device(String value) {
            device = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#offload()}.
         *
         * @param value which regions run on the device
         * @return this
         */
        public Builder offload(Offload value) {
            offload = value;
            return this;
        }

        /**
         * Sets {@link PlanOptions#profile()}.
         *
         * @param value what a device is judged by
         * @return this
         */
        public Builder profile(Profile value) {
            profile = value;
            return this;
        }

        /**
         * Adds to {@link PlanOptions#placements()}.
         *
         * @param value such as {@code Conv=cpu}
         * @return this
         */
        public Builder place(String value) {
            placements.add(value);
            return this;
        }

        /**
         * Adds to {@link PlanOptions#shapes()}.
         *
         * @param input name of an input
         * @param sizes all its sizes
         * @return this
         */
        public Builder shape(String input, long... sizes) {
            shapes.put(input, Arrays.stream(sizes).boxed().toList());
            return this;
        }

        /**
         * The options.
         *
         * @return a checked value
         */
        public PlanOptions build() {
            return new PlanOptions(units, rule, beta, minNodes, estimate, device, offload, profile, placements,
                    shapes);
        }
    }
}
