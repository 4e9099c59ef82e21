#include "plx/schedule/turns.h"

#include <algorithm>

namespace plx::schedule {

namespace {
constexpr size_t kWaitingExpected = 256;  // a thread each
}

Turns::Turns(int places) : free_(places) { waiting_.reserve(kWaitingExpected); }

uint64_t Turns::begin() {
  const std::lock_guard lock(mutex_);
  return ++begun_;
}

void Turns::take(uint64_t run, int places) {
  std::unique_lock lock(mutex_);
  const auto first = [&] { return waiting_.empty() || *std::min_element(waiting_.begin(), waiting_.end()) >= run; };
  if (free_ < places || !first()) {
    waiting_.push_back(run);
    changed_.wait(lock, [&] { return free_ >= places && first(); });
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), run));
    if (!waiting_.empty()) changed_.notify_all();  // who is first now may fit beside this one
  }
  free_ -= places;
}

void Turns::give(int places) {
  const std::lock_guard lock(mutex_);
  free_ += places;
  if (!waiting_.empty()) changed_.notify_all();
}

}  // namespace plx::schedule
