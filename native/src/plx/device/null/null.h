// A device without hardware, for tests: the CPU device (cpu/cpu.h), which is late, fails, lies or gets lost as told.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plx/device/device.h"
#include "plx/ort/runtime.h"

namespace plx::device::null {

enum class Fault {
  kNone,
  kFails,  // this time
  kLies,   // the outputs are wrong, and nothing says so
  kLost,   // from now on
};

struct Script {
  std::chrono::microseconds delay{0};  // of each submission
  // What becomes of the submissions, counted from 0 over all programs; called by the device's thread.
  std::function<Fault(uint64_t submission)> fault;
  std::function<Status()> on_prepare;           // an error is as if it could not be built
  std::vector<std::string> refused;             // operators that it does not take
  bool shares_memory = true;                    // else what comes and goes is copied, and what is with a lost device is gone
};

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Script script);

}  // namespace plx::device::null
