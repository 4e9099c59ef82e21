package dev.parallax.cli;

import dev.parallax.Value;
import java.util.Arrays;
import java.util.Map;
import picocli.CommandLine.Option;

/** When outputs count as equal: bit for bit unless a tolerance is given. A mixin of commands that compare. */
final class Tolerance {
    @Option(names = "--rtol", paramLabel = "R",
            description = "Judge by |ours - theirs| <= A + R * |theirs| instead of bit for bit; the one not "
                    + "given is 0.")
    private Double rtol;

    @Option(names = "--atol", paramLabel = "A", description = "See --rtol.")
    private Double atol;

    /** Outputs that have a tolerance of their own. */
    private Map<String, Special> special = Map.of();

    /** A number agrees if |ours - theirs| <= absolute + relative * |theirs|. */
    record Bound(double relative, double absolute) {
        @Override
        public String toString() {
            return Text.number(absolute) + " + " + Text.number(relative) + " * |theirs|";
        }
    }

    /**
     * A bound for one output.
     *
     * @param why what the output is, and where the bound comes from
     */
    record Special(Bound bound, String why) {}

    /** Fails if what was given is no tolerance. */
    void check() {
        check("--rtol", rtol);
        check("--atol", atol);
    }

    private static void check(String option, Double value) {
        if (value != null && !(value >= 0 && value < Double.POSITIVE_INFINITY)) {
            throw new BadInputException(option + " " + value + " is no tolerance; give a number >= 0, such as 1e-4");
        }
    }

    /** What is judged by if nothing was given: outputs, and those of these names. */
    void orElse(Bound others, Map<String, Special> special) {
        if (exact()) {
            rtol = others.relative;
            atol = others.absolute;
            this.special = special;
        }
    }

    /** Null for one that has no tolerance of its own. */
    Special special(String output) {
        return special.get(output);
    }

    /** What an output is judged by, unless it is bits. */
    Bound of(String output) {
        Special own = special.get(output);
        return own != null ? own.bound : new Bound(relative(), absolute());
    }

    boolean exact() {
        return rtol == null && atol == null;
    }

    double relative() {
        return rtol == null ? 0 : rtol;
    }

    double absolute() {
        return atol == null ? 0 : atol;
    }

    Comparison compare(String name, Value ours, Value theirs) {
        Bound bound = of(name);
        return Comparison.of(name, ours, theirs, bound.relative, bound.absolute);
    }

    boolean agrees(Comparison c) {
        return exact() ? c.bitEqual() : c.sameShape() && c.close();
    }

    /** The comparison in words. */
    String verdict(Comparison c) {
        if (!c.sameShape()) {
            return "DIFFERS: ours is " + Values.brief(c.ours());
        }
        String where = c.at() == null ? "" : ", most at " + Arrays.toString(c.at());
        if (c.bitEqual()) {
            return "equal bit for bit";
        }
        if (agrees(c)) {
            return "agrees" + where;
        }
        return exact() ? "DIFFERS in its bits" + where
                : "DIFFERS: " + c.outside() + " of " + c.numbers() + " outside the tolerance" + where;
    }
}
