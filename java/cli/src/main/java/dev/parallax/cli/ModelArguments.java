package dev.parallax.cli;

import dev.parallax.DataflowPolicy;
import dev.parallax.Engine;
import dev.parallax.MemoryBudget;
import dev.parallax.ModelOptions;
import dev.parallax.Offload;
import dev.parallax.PaperPolicy;
import dev.parallax.ParallaxException;
import dev.parallax.PlanOptions;
import dev.parallax.Prepack;
import dev.parallax.Profile;
import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.Session;
import dev.parallax.SessionOptions;
import dev.parallax.Trace;
import dev.parallax.Units;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

/** What commands on a model understand that run it in one way: the model with its inputs, and who orders its units. */
final class ModelArguments extends ModelInput {
    @Option(names = "--policy", paramLabel = "NAME", defaultValue = "sequential", converter = PolicyConverter.class,
            description = "Who orders the units: sequential, one by one with all threads (default); paper, layer by "
                    + "layer, the parallel branches of each side by side; dataflow, side by side whatever is ready, "
                    + "critical path first.")
    SchedulerPolicy policy;

    @Option(names = "--memory-budget", paramLabel = "BUDGET", defaultValue = "0",
            description = "What the model's tensors and its units' temporaries may take together: bytes, such as "
                    + "50000000 or 50M; adaptive, all but 40 %% of what the machine has free, as it changes; "
                    + "adaptive:0.3 for another margin; 0 is no limit (default). Less runs side by side where that "
                    + "keeps it. Weights are not counted.",
            converter = BudgetConverter.class)
    MemoryBudget memoryBudget;

    @Option(names = "--cache", paramLabel = "DIR",
            description = "Keep packed weights in this folder, from which later runs map them: faster to load, and "
                    + "memory that the system may drop. It takes the weights' bytes twice.")
    Path cache;

    @Option(names = "--prepack", paramLabel = "WHAT", defaultValue = "all", converter = PrepackConverter.class,
            description = "Which weights ONNX Runtime packs, a second copy of each in memory: all (default); heavy, of "
                    + "units with a megabyte of weights or more; none. The last bits of outputs depend on it.")
    Prepack prepack;

    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "none",
            description = "Whose delegate regions to look for: none (default); opencl, or opencl:1 for the second one of "
                    + "doctor's list, where they then run; gpu, or a JSON file that declares a device, which need not be "
                    + "there: then they are the CPU's.")
    String device = "none";

    @Option(names = "--offload", paramLabel = "WHICH", defaultValue = "auto", converter = OffloadConverter.class,
            description = "Which of them run on the device: auto, those that are predicted to be faster there (default); "
                    + "all; none.")
    Offload offload = Offload.AUTO;

    @Option(names = "--profile", paramLabel = "NAME", defaultValue = "measured", converter = ProfileConverter.class,
            description = "What --offload auto judges by: measured, rates of plx calibrate and one timed trial (default); "
                    + "paper, the paper's constants and thresholds.")
    Profile profile = Profile.MEASURED;

    @Option(names = "--place", paramLabel = "WHAT=WHERE",
            description = "Where an operator's nodes or a region run whatever that costs: Conv=cpu, "
                    + "com.microsoft:FusedConv=device, 'region 3=cpu' (of the plan with the same operators placed). May be "
                    + "repeated; later ones count more.")
    List<String> placements = new ArrayList<>();

    @Option(names = "--trace", paramLabel = "FILE",
            description = "Write when the units of the last run ran, and where, as Chrome trace events (for Perfetto).")
    Path trace;

    @Override
    ModelOptions.Builder options() {
        return super.options().cacheFolder(cache).prepack(prepack);
    }

    @Override
    Engine engine() {
        declaration();  // a wrong one is told before anything is loaded
        return super.engine();
    }

    @Override
    PlanOptions.Builder plan(Units units, List<Shapes.Resolved> resolved) {
        if (units == Units.WHOLE && onDevice()) {
            throw new BadInputException("--units whole is one unit of the CPU's; with --device " + device
                    + " give --units branches, layers or nodes");
        }
        PlanOptions.Builder plan = super.plan(units, resolved).device(declaration()).offload(offload).profile(profile);
        placements.forEach(plan::place);
        return plan;
    }

    /** The same without a device. */
    PlanOptions.Builder cpuPlan(Units units, List<Shapes.Resolved> resolved) {
        return super.plan(units, resolved);
    }

    /** Whether regions run on a device. */
    boolean onDevice() {
        return device.startsWith("opencl") && offload != Offload.NONE;
    }

    private String declaration() {
        if (device.equals("none")) {
            return "";
        }
        if (device.equals("gpu") || device.startsWith("opencl")) {
            return device;
        }
        try {
            return Files.readString(Path.of(device));
        } catch (IOException e) {
            throw new BadInputException("--device " + device
                    + " is neither none, opencl nor gpu, and as a file it cannot be read: " + Text.reason(e), e);
        }
    }

    /** Session options of these arguments for a plan. */
    SessionOptions session(PlanOptions plan) {
        return SessionOptions.builder().plan(plan).policy(policy).memoryBudget(memoryBudget).build();
    }

    /** Writes the trace of a session's last run, if one is wanted. */
    void writeTrace(Console console, Session session) {
        if (trace != null) {
            console.writeText(trace, Trace.of(session.plan(), session.report()).toChromeJson());
        }
    }

    /** whole, layers, branches, nodes or mixed. */
    static final class UnitsConverter implements ITypeConverter<Units> {
        @Override
        public Units convert(String text) {
            return Arrays.stream(Units.values()).filter(u -> text(u).equals(text)).findFirst().orElseThrow(
                    () -> new BadInputException("--units " + text + " is not one of whole, layers, branches, nodes, "
                            + "mixed"));
        }

        static String text(Units units) {
            return units.name().toLowerCase(Locale.ROOT);
        }
    }

    /** auto, all or none. */
    static final class OffloadConverter implements ITypeConverter<Offload> {
        @Override
        public Offload convert(String text) {
            return Arrays.stream(Offload.values()).filter(o -> o.name().toLowerCase(Locale.ROOT).equals(text)).findFirst()
                    .orElseThrow(() -> new BadInputException("--offload " + text + " is not one of auto, all, none"));
        }
    }

    /** measured or paper. */
    static final class ProfileConverter implements ITypeConverter<Profile> {
        @Override
        public Profile convert(String text) {
            return switch (text) {
                case "measured" -> Profile.MEASURED;
                case "paper" -> Profile.PAPER;
                default -> throw new BadInputException("--profile " + text + " is not one of measured, paper");
            };
        }
    }

    /** all, heavy or none. */
    static final class PrepackConverter implements ITypeConverter<Prepack> {
        @Override
        public Prepack convert(String text) {
            return Arrays.stream(Prepack.values()).filter(p -> text(p).equals(text)).findFirst().orElseThrow(
                    () -> new BadInputException("--prepack " + text + " is not one of all, heavy, none"));
        }

        static String text(Prepack prepack) {
            return prepack.name().toLowerCase(Locale.ROOT);
        }
    }

    /** sequential, paper or dataflow. */
    static final class PolicyConverter implements ITypeConverter<SchedulerPolicy> {
        @Override
        public SchedulerPolicy convert(String text) {
            return switch (text) {
                case "sequential" -> SequentialPolicy.INSTANCE;
                case "paper" -> new PaperPolicy();
                case "dataflow" -> DataflowPolicy.INSTANCE;
                default -> throw new BadInputException("--policy " + text
                        + " is not one of sequential, paper, dataflow");
            };
        }

        static String text(SchedulerPolicy policy) {
            return policy == SequentialPolicy.INSTANCE ? "sequential"
                    : policy == DataflowPolicy.INSTANCE ? "dataflow" : "paper";
        }
    }

    /** Bytes with an optional K, M or G, which are powers of 1000, as board makers count; adaptive, or adaptive:MARGIN. */
    static final class BudgetConverter implements ITypeConverter<MemoryBudget> {
        private static final String ADAPTIVE = "adaptive";

        @Override
        public MemoryBudget convert(String text) {
            try {
                if (text.equals(ADAPTIVE)) {
                    return MemoryBudget.adaptive();
                }
                if (text.startsWith(ADAPTIVE + ":")) {
                    return MemoryBudget.adaptive(Double.parseDouble(text.substring(ADAPTIVE.length() + 1)));
                }
                char last = text.isEmpty() ? '0' : Character.toUpperCase(text.charAt(text.length() - 1));
                long unit = last == 'K' ? 1_000L : last == 'M' ? 1_000_000L : last == 'G' ? 1_000_000_000L : 1;
                String digits = unit == 1 ? text : text.substring(0, text.length() - 1);
                long bytes = Math.multiplyExact(Long.parseLong(digits), unit);
                return bytes == 0 ? MemoryBudget.NONE : MemoryBudget.fixed(bytes);
            } catch (ArithmeticException | NumberFormatException | ParallaxException e) {
                throw new BadInputException("--memory-budget " + text + " is no budget; give bytes, such as 50000000, "
                        + "50M or 1G, or adaptive, or adaptive:0.3 with a margin above 0 and below 1", e);
            }
        }

        /** What {@link #convert} takes back. */
        static String text(MemoryBudget budget) {
            return switch (budget) {
                case MemoryBudget.None _ -> "0";
                case MemoryBudget.Fixed fixed -> String.valueOf(fixed.bytes());
                case MemoryBudget.Adaptive adaptive -> ADAPTIVE + ":" + adaptive.margin();
            };
        }
    }
}
