package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.DeviceState;
import dev.parallax.Plan;
import dev.parallax.Schedule;
import dev.parallax.SchedulerPolicy;

/**
 * {@link DataflowPolicy} with units where they are told to be.
 *
 * @param onDevice for each unit whether it is the device's
 * @param inTurn one unit after the other, on the device or on all threads of the CPU: what engines do that hand parts of a
 *     graph to a device and wait
 */
record Placed(boolean[] onDevice, boolean inTurn) implements SchedulerPolicy {
    @Override
    public Schedule schedule(Plan plan, DeviceState state) {
        Schedule dataflow = DataflowPolicy.INSTANCE.schedule(plan, state);
        return new Schedule(dataflow.entries().stream().map(e -> new Schedule.Entry(e.unit(), onDevice[e.unit()] ? 1 : 0,
                inTurn ? 0 : e.threads(), inTurn)).toList(), dataflow.memoryBudgetBytes());
    }

    @Override
    public boolean watchesDevice() {
        return false;
    }
}
