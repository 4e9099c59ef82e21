// On x86 the smallest integer divided by -1 traps: the quotient does not fit, and ONNX Runtime's Div and Mod, which
// check for zero, do not check for that, so two numbers in an input end the process. On ARM the quotient is the smallest
// integer again and the remainder 0. This makes x86 give the same: a handler of SIGFPE that finishes exactly this
// division, in the given library's code and nowhere else; every other trap goes to whoever handled it before (in a JVM,
// the JVM).
//
// A handler and not a check in front of the operators, since what is divided is known only inside them: scanning both
// operands of each integer Div and Mod, in loops' bodies too, would mean kernels of our own.
#pragma once

namespace plx::ort {

// library: from dlopen, and never closed. Once per library; any thread. Nothing to do but on x86-64.
void finish_overflowing_divisions(void* library);

}  // namespace plx::ort
