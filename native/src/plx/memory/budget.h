// A limit on what arenas have mapped together, counted in whole regions, as the system counts what they may touch.
#pragma once

#include <atomic>
#include <cstdint>

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

  bool limited() const noexcept { return limit_bytes_ != kNone; }
  uint64_t limit_bytes() const noexcept { return limit_bytes_; }
  uint64_t taken_bytes() const noexcept { return taken_bytes_; }
  uint64_t high_water_bytes() const noexcept { return high_water_bytes_; }
  uint64_t left_bytes() const noexcept { return limit_bytes_ - taken_bytes_; }

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> taken_bytes_{0};
  std::atomic<uint64_t> high_water_bytes_{0};
};

}  // namespace plx::memory
