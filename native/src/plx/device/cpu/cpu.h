// The CPU as a device: ONNX Runtime's kernels on a thread of the device's own.
//
// It is for tests: it takes whatever ONNX Runtime takes, with the bits that ONNX Runtime makes, so that what differs
// is the fault of whoever drives it; and null/null.h makes of it a device that fails. No plan can ask for it by name:
// in reports, "cpu" is where units run that no device has.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "plx/device/device.h"
#include "plx/ort/runtime.h"

namespace plx::device::cpu {

struct Options {
  // As if the device's memory were not the CPU's: it works in memory of its own, and what comes and goes is copied.
  bool shares_memory = true;
  // Asked before each of these copies; an error is that of the copy.
  std::function<Status()> copying;
  // Called on the device's thread in place of a submission's work, which it does or leaves undone; the result is the
  // submission's outcome.
  std::function<Status(const std::function<Status()>& work, std::span<std::byte* const> outputs)> around;
};

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Options options = {});

}  // namespace plx::device::cpu
