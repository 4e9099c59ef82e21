#include "plx/schedule/schedule.h"

namespace plx::schedule {

Status validate(const partition::Plan& plan, const Schedule& schedule) {
  const size_t count = plan.units.size();
  if (schedule.entries.size() != count) {
    return fail(Code::kInvalidPlan, "the schedule has ", schedule.entries.size(), " entries, and the plan has ", count, " units");
  }
  std::vector<bool> done(count, false);
  for (const ScheduleEntry& entry : schedule.entries) {
    if (entry.unit >= count) return fail(Code::kInvalidPlan, "the schedule names unit ", entry.unit, "; the plan has units 0 to ", count - 1);
    if (done[entry.unit]) return fail(Code::kInvalidPlan, "the schedule has unit ", entry.unit, " twice");
    if (entry.device > 1 || (entry.device == 1 && plan.units[entry.unit].region < 0)) {
      return fail(Code::kInvalidPlan, "the schedule puts unit ", entry.unit, " on device ", entry.device,
                  entry.device == 1 ? "; it is no delegate region, so that only 0, the CPU, will do"
                                    : "; there are only 0, the CPU, and 1, the plan's device");
    }
    if (entry.threads > 1) {
      return fail(Code::kInvalidPlan, "the schedule gives unit ", entry.unit, " ", entry.threads, " threads; a unit runs on 1 or on all (0)");
    }
    if (entry.barrier > 1) return fail(Code::kInvalidPlan, "the schedule has the barrier flag ", entry.barrier, " at unit ", entry.unit, "; it must be 0 or 1");
    for (const int before : plan.units[entry.unit].predecessors) {
      if (!done[before]) {
        return fail(Code::kInvalidPlan, "the schedule starts unit ", entry.unit, " before unit ", before, ", whose output it reads");
      }
    }
    done[entry.unit] = true;
  }
  return {};
}

}  // namespace plx::schedule
