package dev.parallax.cli;

import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.Units;
import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

/** What commands on a model understand that run it in one way: the model with its inputs, and who orders its units. */
final class ModelArguments extends ModelInput {
    @Option(names = "--policy", paramLabel = "NAME", defaultValue = "sequential", converter = PolicyConverter.class,
            description = "Who orders the units: sequential, one by one in the plan's order (default).")
    SchedulerPolicy policy;

    /** whole, layers, branches or nodes. */
    static final class UnitsConverter implements ITypeConverter<Units> {
        @Override
        public Units convert(String text) {
            return Arrays.stream(Units.values()).filter(u -> text(u).equals(text)).findFirst().orElseThrow(
                    () -> new BadInputException("--units " + text + " is not one of whole, layers, branches, nodes"));
        }

        static String text(Units units) {
            return units.name().toLowerCase(Locale.ROOT);
        }
    }

    static final class PolicyConverter implements ITypeConverter<SchedulerPolicy> {
        @Override
        public SchedulerPolicy convert(String text) {
            if (text.equals("sequential")) {
                return SequentialPolicy.INSTANCE;
            }
            throw new BadInputException("--policy " + text + " is not known; there is sequential");
        }
    }
}
