#include "plx/schedule/tenants.h"

namespace plx::schedule {

Tenants::Tenants(const CompiledPlan& plan, const Steps& order, const Executor& executor, const std::vector<char>& elsewhere)
    : plan_(&plan), order_(&order), executor_(&executor) {
  for (size_t i = 0; i < plan.slots().size(); ++i) {
    const CompiledPlan::Slot& slot = plan.slots()[i];
    if (slot.unit < 0 || !slot.settled || elsewhere[i]) continue;
    apart_.buffers.push_back({.size_bytes = 0,
                              .first = order.first[i],
                              .last = order.last[i],
                              .name = plan.subject().graph->values[slot.value].name});
    slots_.push_back(static_cast<int>(i));
  }
  for (size_t i = 0; i < order.list.size(); ++i) {
    if (order.list[i].alias || order.tasks[i].device) continue;
    if (auto nesting = nesting_of(plan, static_cast<int>(i), order.list[i].index)) nestings_.push_back(std::move(*nesting));
  }
  of_tensors_ = conflicts(executor, order.uses, slots_, apart_.buffers);
  apart_.conflicts = of_tensors_;
}

void Tenants::measure(const ShapeOf& shape_of, std::span<const uint64_t> taken) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const graph::Shape* shape = shape_of(slots_[i]);
    apart_.buffers[i].size_bytes = shape == nullptr ? 0 : graph::tensor_bytes(shape->element, shape->dims).value_or(0);
  }
  std::vector<int> windows;
  for (size_t i = 0; i < taken.size(); ++i) {
    if (taken[i] != 0) windows.push_back(static_cast<int>(i));
  }
  if (windows != windows_) {
    windows_ = std::move(windows);
    apart_.buffers.resize(slots_.size());
    for (const int step : windows_) apart_.buffers.push_back({.size_bytes = 0, .first = step, .last = step, .name = {}});
    apart_.conflicts = all_conflicts(*of_tensors_, *executor_);
  }
  for (size_t i = 0; i < windows_.size(); ++i) {
    apart_.buffers[slots_.size() + i].size_bytes = taken[static_cast<size_t>(windows_[i])];
  }
  shared_ = share(apart_, nestings_, *executor_, order_->uses, slots_, plan_->slots(), shape_of);
}

memory::Problem Tenants::problem(const Executor* parted, bool nested) const {
  if (parted == nullptr) return nested ? together(apart_, shared_) : apart_;
  const std::span<const memory::Buffer> tensors(apart_.buffers.data(), slots_.size());
  memory::Problem problem{apart_.buffers, all_conflicts(*conflicts(*parted, order_->uses, slots_, tensors), *parted)};
  return nested ? together(problem, shared_) : problem;
}

Result<Tenants::Layout> Tenants::plan(const Executor* parted, uint64_t search) const {
  auto nested = plan_so(problem(parted, true), true, search);
  // Without units side by side, share() has seen to it that lying together takes no more.
  const bool parallel = parted != nullptr ? parted->parallel() : executor_->parallel();
  if (!nested || !shared_.any || (!parallel && nested->total_bytes == nested->lower_bound_bytes)) return nested;
  auto each = plan_so(problem(parted, false), false, search);
  return each && each->total_bytes < nested->total_bytes ? std::move(each) : std::move(nested);
}

Result<Tenants::Layout> Tenants::plan_so(const memory::Problem& problem, bool nested, uint64_t search) const {
  auto solution = memory::plan(problem, search);
  if (!solution) return solution.error();
  Layout layout{.offsets = {},
                .windows = windows_,
                .shared = nested ? shared_ : Shared{},
                .total_bytes = solution->total_bytes,
                .lower_bound_bytes = solution->lower_bound_bytes,
                .naive_bytes = memory::naive_bytes(apart_)};
  layout.offsets = apart(solution.take(), layout.shared).offsets;
  return layout;
}

}  // namespace plx::schedule
