// What the executor itself costs on this machine, measured with tasks that do nothing but wait.
#pragma once

#include <memory>

#include "plx/base/result.h"
#include "plx/ort/runtime.h"

namespace plx::schedule {

struct ExecutorCosts {
  double fork_ns = 0;       // to enter the pool for a stretch of two tasks and to leave it
  double hand_over_ns = 0;  // from a task's end to the start of one that waited for it, on a worker that looks for work
  double wake_ns = 0;       // the same on a worker that has gone to sleep
};

// Medians of some 20 repetitions each, about 20 ms in all. All zero for a pool of one thread.
Result<ExecutorCosts> measure_executor(const std::shared_ptr<ort::Runtime>& runtime);

}  // namespace plx::schedule
