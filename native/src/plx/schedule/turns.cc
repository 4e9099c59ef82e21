#include "plx/schedule/turns.h"

#include <algorithm>
#include <utility>

namespace plx::schedule {

namespace {
constexpr size_t kClaimsExpected = 256;
}

Turns::Turns(int places) : places_(places) { claims_.reserve(kClaimsExpected); }

Turns::Claim::Claim(Turns& turns, uint64_t run) : turns_(turns), run_(run) {
  const std::lock_guard lock(turns_.mutex_);
  if (run_ == 0) run_ = ++turns_.begun_;
  auto& claims = turns_.claims_;
  claims.insert(std::upper_bound(claims.begin(), claims.end(), run_, [](uint64_t run, const Claim* claim) { return run < claim->run_; }), this);
}

Turns::Claim::~Claim() {
  const std::lock_guard lock(turns_.mutex_);
  turns_.claims_.erase(std::find(turns_.claims_.begin(), turns_.claims_.end(), this));
  turns_.settle();
}

void Turns::Claim::hold(int places) {
  if (held_ == places && !wanted()) return;
  std::unique_lock lock(turns_.mutex_);
  held_ = 0;
  asked_ = places;
  turns_.settle();
  served_.wait(lock, [&] { return asked_ == 0; });
}

void Turns::Claim::rest() {
  if (held_ == 0) return;
  const std::lock_guard lock(turns_.mutex_);
  held_ = 0;
  back_ = true;
  turns_.settle();
}

// From the oldest on: who waits is served if there is enough beside what the others hold, or the older ones if it is back.
void Turns::settle() {
  int left = places_;  // beside older ones
  int free = places_;
  for (const Claim* claim : claims_) free -= claim->held_;
  bool waits = false;  // an older one
  for (Claim* claim : claims_) {
    if (claim->asked_ != 0 && !waits && claim->asked_ <= (claim->back_ ? left : free)) {
      claim->held_ = std::exchange(claim->asked_, 0);
      claim->back_ = false;
      free -= claim->held_;
      claim->served_.notify_one();  // under the mutex: it may be gone right after
    }
    waits = waits || claim->asked_ != 0;
    claim->wanted_.store(claim->held_ != 0 && (waits || claim->held_ > left), std::memory_order_relaxed);
    left -= claim->held_;
  }
}

}  // namespace plx::schedule
