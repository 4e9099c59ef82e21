// Which of a session's tensors may be in use at the same time, under one schedule.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plx/memory/planner.h"
#include "plx/schedule/executor.h"

namespace plx::schedule {

// What a step does, as far as memory is concerned.
struct Use {
  std::vector<int> roots;    // root slots that it reads or writes, ascending
  std::vector<int> written;  // slots that its unit makes; none of an alias
};

// Of the buffers, each a slot's, by index: those whose steps meet, and those that may be in use at the same time although
// their steps come one after the other, because the executor may run them side by side. One whose last step is none of
// `uses` is in use until the end.
std::shared_ptr<const memory::Conflicts> conflicts(const Executor& executor, std::span<const Use> uses,
                                                   std::span<const int> slots, std::span<const memory::Buffer> buffers);

}  // namespace plx::schedule
