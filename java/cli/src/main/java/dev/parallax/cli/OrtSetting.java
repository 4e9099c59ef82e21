package dev.parallax.cli;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession.SessionOptions;
import ai.onnxruntime.OrtSession.SessionOptions.ExecutionMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * One way to set ONNX Runtime's threads: which of them is fastest depends on the model and the machine.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code OrtSetting.named("2-sequential-spin", 2)}.
 *
 * @param threads that one operator may use
 * @param mode whether operators run side by side
 * @param spinning whether threads without work spin for a while before they sleep
 */
record OrtSetting(int threads, Mode mode, boolean spinning) {
    /** How many streams a partition file has. */
    static final int STREAMS = 2;

    /** In what order nodes run. */
    enum Mode {
        /** One after the other. */
        SEQUENTIAL,
        /** ONNX Runtime's parallel mode. Up to 1.29 it runs a CPU graph as one stream, so still one by one. */
        PARALLEL,
        /** Its parallel mode with a node partition file: what that assigns to different streams runs side by side. */
        STREAMS;

        private String text() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Every setting that differs from the others on so many threads, the default first. */
    static List<OrtSetting> all(int threads) {
        List<OrtSetting> all = new ArrayList<>();
        for (Mode mode : Mode.values()) {
            for (int n : threads == 1 ? List.of(1) : List.of(threads, 1)) {
                // One thread has nobody to wait for, or run beside.
                boolean alone = n == 1 && mode == Mode.SEQUENTIAL;
                if (threads > 1 || alone) {
                    all.add(new OrtSetting(n, mode, !alone));
                }
                if (threads > 1 && !alone) {
                    all.add(new OrtSetting(n, mode, false));
                }
            }
        }
        return all;
    }

    /** The setting of that name among those of so many threads. */
    static OrtSetting named(String name, int threads) {
        return all(threads).stream().filter(s -> s.name().equals(name)).findFirst().orElseThrow(
                () -> new BadInputException("--baseline " + name + " is no setting for " + Text.count(threads, "thread")
                        + "; there are " + all(threads).stream().map(OrtSetting::name)
                                .collect(Collectors.joining(", "))));
    }

    /** Such as "2-sequential-spin"; "1-sequential" has nobody who could spin. */
    String name() {
        String text = threads + "-" + mode.text();
        return threads == 1 && mode == Mode.SEQUENTIAL ? text : text + (spinning ? "-spin" : "-nospin");
    }

    /**
     * Sets the options of a session.
     *
     * @param poolThreads how many nodes may run side by side, where the mode allows it
     * @param partition the node partition file, which streams need
     */
    void apply(SessionOptions options, int poolThreads, String partition) throws OrtException {
        options.setIntraOpNumThreads(threads);
        options.addConfigEntry("session.intra_op.allow_spinning", spinning ? "1" : "0");
        options.addConfigEntry("session.inter_op.allow_spinning", spinning ? "1" : "0");
        if (mode != Mode.SEQUENTIAL) {
            options.setExecutionMode(ExecutionMode.PARALLEL);
            // The caller waits and runs nothing: of n threads n - 1 work, so two streams need three.
            options.setInterOpNumThreads(mode == Mode.STREAMS ? STREAMS + 1 : poolThreads);
        }
        if (mode == Mode.STREAMS) {
            options.addConfigEntry("session.node_partition_config_file", partition);
        }
    }
}
