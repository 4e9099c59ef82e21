#include "plx/memory/budget.h"

namespace plx::memory {

bool Budget::take(uint64_t bytes) noexcept {
  uint64_t taken = taken_bytes_;
  do {
    const uint64_t limit = limit_bytes_;
    if (taken > limit || bytes > limit - taken) return false;
  } while (!taken_bytes_.compare_exchange_weak(taken, taken + bytes));
  taken += bytes;
  uint64_t most = high_water_bytes_;
  while (most < taken && !high_water_bytes_.compare_exchange_weak(most, taken)) {
  }
  return true;
}

void Budget::set_aside(uint64_t bytes) noexcept {
  const uint64_t taken = taken_bytes_ += bytes;
  uint64_t most = high_water_bytes_;
  while (most < taken && !high_water_bytes_.compare_exchange_weak(most, taken)) {
  }
}

void Budget::give(uint64_t bytes) noexcept { taken_bytes_ -= bytes; }

AdaptiveLimit::AdaptiveLimit(std::shared_ptr<Budget> budget, double margin, FreeMemory source)
    : budget_(std::move(budget)), margin_(margin), source_(std::move(source)) {
  const auto reading = source_.read();
  if (!reading) return;
  works_ = true;
  budget_->set_limit(wanted(*reading));
}

uint64_t AdaptiveLimit::wanted(const FreeMemory::Reading& reading) const noexcept {
  const double free = static_cast<double>(reading.bytes) * (reading.pressure >= kPressure ? 0.5 : 1);
  return static_cast<uint64_t>((static_cast<double>(budget_->taken_bytes()) + free) * (1 - margin_));
}

bool AdaptiveLimit::look(int64_t now_ns) noexcept {
  int64_t next = next_ns_;
  // One thread looks, the others go on.
  if (now_ns < next || !next_ns_.compare_exchange_strong(next, now_ns + kEveryNs)) return false;
  const auto reading = source_.read();
  if (!reading) return false;
  const auto limit = static_cast<double>(budget_->limit_bytes());
  const uint64_t now = wanted(*reading);
  const auto could_be = static_cast<double>(now);
  if (could_be >= limit * (1 - kFall) && could_be <= limit * (1 + kRise)) return false;
  budget_->set_limit(now);
  return true;
}

}  // namespace plx::memory
