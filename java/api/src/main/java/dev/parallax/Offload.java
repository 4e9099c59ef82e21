package dev.parallax;

/**
 * Which of a plan's delegate regions run on {@link PlanOptions#device()}.
 */
public enum Offload {
    /** Those that are predicted to be faster there; the rest is the CPU's. */
    AUTO,
    /** All of them, whatever that costs. */
    ALL,
    /** None. */
    NONE
}
