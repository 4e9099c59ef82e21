// A schedule's steps: its units in order, and between them the plan's aliases.
#pragma once

#include <vector>

#include "plx/base/result.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/layout.h"
#include "plx/schedule/schedule.h"

namespace plx::schedule {

struct Steps {
  struct Step {
    bool alias = false;
    int index = 0;  // of the unit or alias
    Width width = Width::kWide;
  };
  std::vector<Step> list;
  std::vector<Task> tasks;  // per step
  std::vector<Use> uses;    // per step
  // Per slot; meaningful for roots, whose bytes others may share.
  std::vector<int> first;       // the step that writes it
  std::vector<int> last;        // the last that reads or writes it; the number of steps for outputs
  std::vector<int> group_size;  // slots that share its bytes, itself included
  std::vector<int> use_count;   // steps that read or write it, and one for ever if it is an output
  std::vector<int> slot_of;     // per value of the graph, -1 without a slot
};

// Of a schedule that fits the plan. workers: 1 makes every unit narrow.
Result<Steps> make_steps(const CompiledPlan& plan, const Schedule& schedule, int workers);

}  // namespace plx::schedule
