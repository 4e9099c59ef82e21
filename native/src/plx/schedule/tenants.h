// What lies in a session's block: its tensors, and what its units take while they run (their *windows*), as a problem for the
// memory planner. What the schedule alone says is found once; sizes come with each set of shapes.
//
// Buffers are numbered: one for each tensor that has a place if it has a size, then one for each window.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/shapes.h"
#include "plx/memory/planner.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/sharing.h"
#include "plx/schedule/steps.h"

namespace plx::schedule {

class Tenants {
 public:
  // Where everything lies at one set of shapes.
  struct Layout {
    std::vector<uint64_t> offsets;  // per buffer
    std::vector<int> windows;       // steps that have one
    Shared shared;
    uint64_t total_bytes = 0;
    uint64_t lower_bound_bytes = 0;  // of tensors lying in one another as they do
    uint64_t naive_bytes = 0;        // with a buffer for each
  };
  // The shape of a slot, null if it is not known or not settled.
  using ShapeOf = std::function<const graph::Shape*(int slot)>;

  // Of steps, which have to outlive this.
  // elsewhere: slots whose bytes lie in a device's memory.
  Tenants(const CompiledPlan& plan, const Steps& order, const Executor& executor, const std::vector<char>& elsewhere);
  Tenants(const Tenants&) = delete;

  const std::vector<int>& slots() const { return slots_; }

  // Sets sizes. taken: per step, what its unit takes while it runs; 0 for those without a window.
  void measure(const ShapeOf& shape_of, std::span<const uint64_t> taken);
  // The problem at these sizes, with tensors lying in one another or each by itself. parted: the executor with more barriers than
  // the schedule's, or null.
  memory::Problem problem(const Executor* parted, bool nested) const;
  // The smaller of the two layouts; if they are equal, the one with tensors lying in one another.
  Result<Layout> plan(const Executor* parted, uint64_t search) const;

 private:
  Result<Layout> plan_so(const memory::Problem& problem, bool nested, uint64_t search) const;
  std::shared_ptr<const memory::Conflicts> all_conflicts(const memory::Conflicts& tensors_alone, const Executor& way) const {
    return with_windows(tensors_alone, way, order_->uses, slots_, windows_, apart_.buffers);
  }

  const CompiledPlan* plan_;
  const Steps* order_;
  const Executor* executor_;
  std::vector<int> slots_;
  std::vector<Nesting> nestings_;
  std::shared_ptr<const memory::Conflicts> of_tensors_;
  std::vector<int> windows_;  // steps whose units take something
  memory::Problem apart_;     // a buffer for each
  Shared shared_;
};

}  // namespace plx::schedule
