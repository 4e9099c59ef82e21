package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.PaperPolicy;
import dev.parallax.SchedulerPolicy;
import dev.parallax.SequentialPolicy;
import dev.parallax.Units;

/** How the model is run in {@link Branches}. */
enum BranchesWay {
    /** One branch after the other on the calling thread: what the others are measured against. */
    SEQUENTIAL("branches, sequential, 1 thread", Units.BRANCHES, SequentialPolicy.INSTANCE, 1),
    /** Side by side, with a barrier after each layer. */
    PAPER("branches, paper, 2 threads", Units.BRANCHES, new PaperPolicy(), 0),
    /** Side by side, without barriers. */
    DATAFLOW("branches, dataflow, 2 threads", Units.BRANCHES, DataflowPolicy.INSTANCE, 0),
    /** For orientation: both threads within each operator. */
    WHOLE("whole, 2 threads", Units.WHOLE, SequentialPolicy.INSTANCE, 0);

    final String title;
    final Units units;
    final SchedulerPolicy policy;
    /** As in SessionOptions: 1 = the calling thread, 0 = the pool. */
    final int threads;

    BranchesWay(String title, Units units, SchedulerPolicy policy, int threads) {
        this.title = title;
        this.units = units;
        this.policy = policy;
        this.threads = threads;
    }

    /** Whether it is to run branches side by side, which is what is judged. */
    boolean sideBySide() {
        return this == PAPER || this == DATAFLOW;
    }
}
