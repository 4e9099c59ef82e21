/**
 * Measurements that decide something, with raw results kept: what a run costs beside ONNX Runtime's own, how long
 * loading takes, what running branches side by side is worth, what new input shapes cost, and whether memory grows over
 * thousands of loads. {@code bench/README.md} says how to run and read them. Nothing here is a test: tests never judge
 * time.
 */
package dev.parallax.bench;
