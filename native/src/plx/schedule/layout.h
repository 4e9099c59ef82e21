// Which of a session's tensors, and of what its units take while they run, may be in use at the same time.
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
  std::vector<int> written;  // slots that its unit makes
  bool alias = false;        // no unit: nothing is written and nothing taken
};

// Of the buffers, each a slot's, by index: those whose steps meet, and those that may be in use at the same time although
// their steps come one after the other, because the executor may run them side by side. A slot that nobody writes, or
// whose last step is none of `uses`, is in use until the end.
std::shared_ptr<const memory::Conflicts> conflicts(const Executor& executor, std::span<const Use> uses,
                                                   std::span<const int> slots, std::span<const memory::Buffer> buffers);

// The same for those buffers and, behind them, one for each of some steps: what its unit takes for itself while it runs.
std::shared_ptr<const memory::Conflicts> with_windows(const memory::Conflicts& conflicts, const Executor& executor,
                                                      std::span<const Use> uses, std::span<const int> slots,
                                                      std::span<const int> windows,
                                                      std::span<const memory::Buffer> buffers);

// The steps before which a barrier would part most bytes that now may be in use at the same time, the best first, at most
// `count`. None if nothing is left to part. Barriers are possible before steps that are no aliases and have none yet.
std::vector<int> best_barriers(const memory::Problem& problem, const std::vector<bool>& possible, size_t count);

}  // namespace plx::schedule
