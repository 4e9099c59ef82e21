package dev.parallax;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a device and the CPU beside it can do, as {@link Engine#calibrate} measured it: the paper's L, R_acc, B_bw and
 * R_cpu (section 3.1), by class of operators.
 *
 * <p><b>Lifetime</b> and <b>Threads</b>: an immutable value.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Calibration c = engine.calibrate("opencl", false);
 * System.out.println(c.deviceRates().perSecond().get("convolution") / c.cpuRates().perSecond().get("convolution"));
 * }</pre>
 *
 * @param device what was measured, such as {@code opencl}
 * @param latencySeconds L: what a region takes beside its work
 * @param borderBytesPerSecond B_bw: of what crosses a region's border
 * @param deviceRates R_acc, by class
 * @param cpuRates R_cpu, by class: ONNX Runtime with all threads
 * @param kernels what the device's kernels are built for, such as {@code vectors of 4, 8 rows an item}, as trying a few
 *     found it; empty for a device where there is nothing to choose
 * @param kernelsRatio the time of these kernels to that of those that follow from the device's limits, when they were
 *     tried: 1 where nothing was faster, or there was no time to try; 0 for a device where there is nothing to choose
 * @param file that keeps this; empty if it is kept in memory only
 * @param tookSeconds what measuring took; 0 if it was known already
 */
public record Calibration(String device, double latencySeconds, double borderBytesPerSecond, Rates deviceRates,
        Rates cpuRates, String kernels, double kernelsRatio, String file, double tookSeconds) {
    /**
     * How fast operators run.
     *
     * @param launchSeconds what a node takes beside its work
     * @param perSecond multiply-accumulates of {@code convolution} and {@code product}, bytes of {@code thin} (products
     *     with few multiply-accumulates a byte), {@code elementwise}, {@code rows} (softmax, normalisations, reductions)
     *     and {@code movement}
     */
    public record Rates(double launchSeconds, Map<String, Double> perSecond) {
        /** Copies the map, in order. */
        public Rates {
            perSecond = Collections.unmodifiableMap(new LinkedHashMap<>(perSecond));
        }
    }
}
