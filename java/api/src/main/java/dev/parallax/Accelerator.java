package dev.parallax;

import java.util.List;

/**
 * A device of this machine, as its driver describes it.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * for (Accelerator a : Parallax.accelerators().devices()) {
 *     System.out.println(a.device() + ": " + a.name());
 * }
 * }</pre>
 *
 * @param device what {@link PlanOptions#device()} knows it by, such as {@code opencl} or {@code opencl:1}
 * @param name the driver's name for it
 * @param driver the driver and its version
 * @param sharesMemory whether it reaches the CPU's memory in place
 * @param workGroup the most invocations in a group
 * @param localBytes bytes that a group shares
 * @param memoryBytes bytes of its memory
 */
public record Accelerator(String device, String name, String driver, boolean sharesMemory, long workGroup,
        long localBytes, long memoryBytes) {
    /**
     * All of a machine's.
     *
     * @param devices in the order of the drivers' loader
     * @param problem why there are none, and what to install; empty if there are
     */
    public record All(List<Accelerator> devices, String problem) {
        /** Copies the list. */
        public All {
            devices = List.copyOf(devices);
        }
    }
}
