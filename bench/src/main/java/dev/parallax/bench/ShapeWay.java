package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.Schedule;
import dev.parallax.SchedulerPolicy;
import dev.parallax.Units;

/** What {@link ShapeCost} runs beside plain ONNX Runtime. */
enum ShapeWay {
    /** A unit per branch, side by side where the plan says so. */
    BRANCHES("branches", Units.BRANCHES, DataflowPolicy.INSTANCE),
    /** A unit per node: the most tensors between units that there can be. */
    NODES("nodes", Units.NODES, DataflowPolicy.INSTANCE),
    /** The same, and any two units that may run side by side: the most pairs of tensors that must keep apart. */
    NARROW("nodes, all narrow", Units.NODES, (plan, state) -> new Schedule(plan.units().stream()
            .map(unit -> Schedule.Entry.of(unit.index()).withThreads(1)).toList(), 0));

    final String title;
    final Units units;
    final SchedulerPolicy policy;

    ShapeWay(String title, Units units, SchedulerPolicy policy) {
        this.title = title;
        this.units = units;
        this.policy = policy;
    }
}
