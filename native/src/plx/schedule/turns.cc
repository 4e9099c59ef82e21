#include "plx/schedule/turns.h"

#include <algorithm>

namespace plx::schedule {

namespace {
constexpr size_t kWaitingExpected = 256;  // a thread each
}

Turns::Turns(int places) : free_(places) { waiting_.reserve(kWaitingExpected); }

Turns::Claim::Claim(Turns& turns) : turns_(turns), run_([&] {
  const std::lock_guard lock(turns.mutex_);
  return ++turns.begun_;
}()) {}

void Turns::Claim::hold(int places) {
  if (held_ == places && !wanted()) return;
  std::unique_lock lock(turns_.mutex_);
  turns_.free_ += held_;
  held_ = 0;
  asked_ = places;
  turns_.waiting_.push_back(this);
  turns_.serve();
  served_.wait(lock, [&] { return held_ == asked_; });
}

void Turns::Claim::rest() {
  if (held_ == 0) return;
  const std::lock_guard lock(turns_.mutex_);
  turns_.free_ += held_;
  held_ = 0;
  turns_.serve();
}

void Turns::serve() {
  while (!waiting_.empty()) {
    const auto first = std::min_element(waiting_.begin(), waiting_.end(), [](const Claim* a, const Claim* b) { return a->run_ < b->run_; });
    Claim& claim = **first;
    oldest_.store(claim.run_, std::memory_order_relaxed);
    if (free_ < claim.asked_) return;
    free_ -= claim.asked_;
    claim.held_ = claim.asked_;
    waiting_.erase(first);
    claim.served_.notify_one();  // under the mutex: it may be gone right after
  }
  oldest_.store(kNone, std::memory_order_relaxed);
}

}  // namespace plx::schedule
