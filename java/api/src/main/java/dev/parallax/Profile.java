package dev.parallax;

/**
 * What the regions of a {@link PlanOptions#device()} that is there are judged by, with {@link Offload#AUTO}.
 */
public enum Profile {
    /**
     * Rates measured on this machine ({@link Engine#calibrate}), when first needed; and one timed trial of what they
     * promise.
     */
    MEASURED,
    /** The paper's constants and thresholds (section 3.1); nothing is measured. */
    PAPER
}
