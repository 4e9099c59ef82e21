#include "plx/memory/budget.h"

namespace plx::memory {

bool Budget::take(uint64_t bytes) noexcept {
  uint64_t taken = taken_bytes_;
  do {
    if (bytes > limit_bytes_ - taken) return false;
  } while (!taken_bytes_.compare_exchange_weak(taken, taken + bytes));
  taken += bytes;
  uint64_t most = high_water_bytes_;
  while (most < taken && !high_water_bytes_.compare_exchange_weak(most, taken)) {
  }
  return true;
}

void Budget::give(uint64_t bytes) noexcept { taken_bytes_ -= bytes; }

}  // namespace plx::memory
