/**
 * Measurements that decide something, with raw results kept: what a run costs beside ONNX Runtime's own, how long
 * loading takes, and what running branches side by side is worth. {@code bench/README.md} says how to run and read
 * them. Nothing here is a test: tests never judge time.
 */
package dev.parallax.bench;
