package dev.parallax.bench;

import dev.parallax.DataflowPolicy;
import dev.parallax.DeviceState;
import dev.parallax.Plan;
import dev.parallax.Schedule;
import dev.parallax.SchedulerPolicy;

/**
 * What engines do that hand parts of a graph to a device and wait: the order of {@link DataflowPolicy}, one unit after the
 * other, on the device or on all threads of the CPU. Stateless.
 */
final class InTurn implements SchedulerPolicy {
    @Override
    public Schedule schedule(Plan plan, DeviceState state) {
        Schedule dataflow = DataflowPolicy.INSTANCE.schedule(plan, state);
        return new Schedule(dataflow.entries().stream().map(e -> e.withThreads(0).withBarrier()).toList(),
                dataflow.memoryBudgetBytes());
    }

    @Override
    public boolean watchesDevice() {
        return false;
    }
}
