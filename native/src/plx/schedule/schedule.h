// A schedule: in which order, where and how wide the units of a plan start.
#pragma once

#include <cstdint>
#include <vector>

#include "plx/base/result.h"
#include "plx/partition/plan.h"

namespace plx::schedule {

// See plx_schedule_entry.
struct ScheduleEntry {
  uint32_t unit = 0;
  uint32_t device = 0;
  uint32_t threads = 0;  // 1 = narrow: one thread, beside others; 0 = wide: the whole pool, alone
  uint32_t barrier = 0;
};
struct Schedule {
  std::vector<ScheduleEntry> entries;
  uint64_t memory_budget_bytes = 0;  // 0 = none
};

// kInvalidPlan unless every unit comes exactly once, after all units it depends on, on a device and with a thread
// count that exist.
Status validate(const partition::Plan& plan, const Schedule& schedule);

}  // namespace plx::schedule
