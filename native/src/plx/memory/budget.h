// A limit on what arenas have mapped together, counted in whole regions, as the system counts what they may touch; and a
// limit that follows what the machine has free.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "plx/memory/free_memory.h"

namespace plx::memory {

// All members may be called from any thread.
class Budget {
 public:
  static constexpr uint64_t kNone = UINT64_MAX;

  explicit Budget(uint64_t limit_bytes = kNone) : limit_bytes_(limit_bytes) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // False, and nothing is taken, if that is more than is left.
  bool take(uint64_t bytes) noexcept;
  void give(uint64_t bytes) noexcept;

  // Taken for good, even if that is more than the limit: what is not to be had by arenas.
  void set_aside(uint64_t bytes) noexcept;
  // What is taken already stays taken, even if that is more.
  void set_limit(uint64_t bytes) noexcept { limit_bytes_ = bytes; }

  bool limited() const noexcept { return limit_bytes_ != kNone; }
  uint64_t limit_bytes() const noexcept { return limit_bytes_; }
  uint64_t taken_bytes() const noexcept { return taken_bytes_; }
  uint64_t high_water_bytes() const noexcept { return high_water_bytes_; }
  uint64_t left_bytes() const noexcept {
    const uint64_t limit = limit_bytes_;
    const uint64_t taken = taken_bytes_;
    return taken < limit ? limit - taken : 0;
  }

 private:
  std::atomic<uint64_t> limit_bytes_;
  std::atomic<uint64_t> taken_bytes_{0};
  std::atomic<uint64_t> high_water_bytes_{0};
};

// Keeps a budget's limit at all but a margin of what would be free if the budget had taken nothing: the limit depends on
// others alone, and falls below what is taken when they need more. While tasks wait for memory (pressure), what is free
// counts half: it can be had only by making others wait.
//
// The paper's margin is 0.3 to 0.5 of what is free (section 3.3). Its budget is found once a layer; here the system is
// asked again when the last answer is kEveryNs old. A limit that moves with every breath of the machine would change plans
// all the time: it falls when there is kFall less than it, and rises when there is kRise more.
//
// Threads: look() may be called from any.
class AdaptiveLimit {
 public:
  static constexpr int64_t kEveryNs = 50'000'000;
  static constexpr double kFall = 0.05;
  static constexpr double kRise = 0.25;
  static constexpr double kPressure = 10;  // percent of the last 10 s

  // 0 <= margin < 1. Sets the limit; if the machine does not tell, works() is false and the budget as it was.
  AdaptiveLimit(std::shared_ptr<Budget> budget, double margin, FreeMemory source);

  bool works() const { return works_; }
  double margin() const { return margin_; }
  // Whether the limit was moved.
  bool look(int64_t now_ns) noexcept;

 private:
  uint64_t wanted(const FreeMemory::Reading& reading) const noexcept;

  const std::shared_ptr<Budget> budget_;
  const double margin_;
  const FreeMemory source_;
  bool works_ = false;
  std::atomic<int64_t> next_ns_{0};
};

}  // namespace plx::memory
