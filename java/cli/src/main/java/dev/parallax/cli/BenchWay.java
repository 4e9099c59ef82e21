package dev.parallax.cli;

import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.SchedulerPolicy;
import dev.parallax.Units;
import java.util.ArrayList;
import java.util.List;

/**
 * One way in which Parallax runs a model: how it is cut, and who orders the units.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code BenchWay.choose(List.of("branches"), List.of(), Rule.PAPER)}.
 *
 * @param units how fine the cut is
 * @param policyName the policy as --policy names it
 * @param policy who orders the units
 * @param rule when branches of a layer run together
 * @param beta largest Fmax / Fmin within a group of them
 */
record BenchWay(Units units, String policyName, SchedulerPolicy policy, Rule rule, double beta) {
    private static final String SEQUENTIAL = "sequential";
    private static final List<String> UNITS = List.of("whole", "branches", "mixed");
    private static final List<String> POLICIES = List.of(SEQUENTIAL, "paper", "dataflow");

    /** With the paper's beta, and the policy that the name stands for. */
    static BenchWay of(Units units, String policyName, Rule rule) {
        return new BenchWay(units, policyName, new ModelArguments.PolicyConverter().convert(policyName), rule,
                PlanOptions.DEFAULT.beta());
    }

    /** How this way cuts the model. */
    PlanOptions plan(ModelInput model, Inputs inputs) {
        return model.plan(units, inputs.resolved()).rule(rule).beta(beta).build();
    }

    /** Such as "branches/sequential". */
    String name() {
        return ModelArguments.UnitsConverter.text(units) + "/" + policyName;
    }

    /**
     * Every cut with every policy. An empty list stands for all that are worth a look and exist in this build. One unit
     * has no order, so the whole graph is taken once: sequential, if that is among the policies; it is left out if only
     * the policies were named, and others.
     */
    static List<BenchWay> choose(List<String> units, List<String> policies, Rule rule) {
        List<String> cuts = units.isEmpty() ? existing(UNITS, new ModelArguments.UnitsConverter()::convert)
                : units.stream().distinct().toList();
        List<String> orders = policies.isEmpty() ? existing(POLICIES, new ModelArguments.PolicyConverter()::convert)
                : policies.stream().distinct().toList();
        List<BenchWay> ways = new ArrayList<>();
        for (String cut : cuts) {
            Units converted = new ModelArguments.UnitsConverter().convert(cut);
            List<String> with = converted != Units.WHOLE ? orders
                    : orders.contains(SEQUENTIAL) ? List.of(SEQUENTIAL)
                    : units.isEmpty() ? List.of() : orders.subList(0, 1);
            for (String policy : with) {
                ways.add(BenchWay.of(converted, policy, rule));
            }
        }
        return ways;
    }

    @FunctionalInterface
    private interface Converter {
        Object convert(String text);
    }

    private static List<String> existing(List<String> names, Converter converter) {
        List<String> found = new ArrayList<>();
        for (String name : names) {
            try {
                converter.convert(name);
                found.add(name);
            } catch (BadInputException e) {
                continue; // a name of another version
            }
        }
        return found;
    }
}
