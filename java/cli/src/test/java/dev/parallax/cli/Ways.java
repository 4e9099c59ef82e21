package dev.parallax.cli;

import dev.parallax.DataflowPolicy;
import dev.parallax.PaperPolicy;
import dev.parallax.PlanOptions;
import dev.parallax.Rule;
import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.SessionOptions;
import dev.parallax.Units;
import java.util.ArrayList;
import java.util.List;

/**
 * Ways to run a model that all have to give the same bits: cuts, rules, policies and threads. The long form, with
 * PLX_LONG=1 in the environment ({@code ./plx test --long}), has each with each; the short one what differs most.
 */
final class Ways {
    static final boolean LONG = "1".equals(System.getenv("PLX_LONG"));

    private Ways() {}

    record Way(String name, SessionOptions options) {
        @Override
        public String toString() {
            return name;
        }
    }

    /** The sizes of the inputs are those at which plans are estimated and measured. */
    static List<Way> of(Inputs inputs, boolean measured) {
        List<Way> ways = new ArrayList<>();
        List<SchedulerPolicy> policies = List.of(SequentialPolicy.INSTANCE, new PaperPolicy(),
                DataflowPolicy.INSTANCE);
        for (Units units : Units.values()) {
            if (units == Units.MIXED && !measured && !LONG) {
                continue;
            }
            for (SchedulerPolicy policy : policies) {
                for (int threads : new int[] {0, 1}) {
                    boolean different = switch (units) {
                        case WHOLE, LAYERS -> policy == SequentialPolicy.INSTANCE && threads == 0;
                        case BRANCHES -> policy != SequentialPolicy.INSTANCE && threads == 0;
                        case NODES -> policy == SequentialPolicy.INSTANCE ? threads == 1
                                : policy == DataflowPolicy.INSTANCE && threads == 0;
                        case MIXED -> policy == DataflowPolicy.INSTANCE && threads == 0;
                    };
                    if (LONG || different) {
                        ways.add(way(inputs, units, policy, threads));
                    }
                }
            }
        }
        return ways;
    }

    static Way way(Inputs inputs, Units units, SchedulerPolicy policy, int threads) {
        Rule rule = units == Units.LAYERS ? Rule.PAPER : Rule.RELAXED;
        PlanOptions plan = new ModelArguments().plan(units, inputs.resolved()).rule(rule).build();
        String name = "units " + units + ", policy " + ModelArguments.PolicyConverter.text(policy) + ", threads "
                + threads;
        return new Way(name, SessionOptions.builder().plan(plan).policy(policy).threads(threads).build());
    }
}
