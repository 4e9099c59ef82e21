#include "plx/schedule/steps.h"

#include <algorithm>
#include <utility>

namespace plx::schedule {

namespace {

// Units in the schedule's order, and each alias as soon as what it views and what it is told is there. Where a device makes
// that, before the first that reads it: the CPU waits there, and does before what it can.
void put_in_order(const CompiledPlan& plan, const Schedule& schedule, int workers, Steps& steps) {
  const graph::Graph& graph = *plan.subject().graph;
  steps.slot_of.assign(graph.values.size(), -1);
  std::vector<bool> made(plan.slots().size(), false);
  for (size_t i = 0; i < plan.slots().size(); ++i) {
    const CompiledPlan::Slot& slot = plan.slots()[i];
    steps.slot_of[slot.value] = static_cast<int>(i);
    made[i] = slot.unit < 0 && slot.root == static_cast<int>(i);
  }
  std::vector<int> alias_of(plan.slots().size(), -1);  // that makes a slot and is not placed yet
  for (size_t i = 0; i < plan.aliases().size(); ++i) alias_of[plan.aliases()[i].output] = static_cast<int>(i);
  const auto each_input = [&](int alias, const auto& visit) {
    for (const graph::ValueId id : graph.nodes[plan.aliases()[alias].node].inputs) {
      if (id != graph::kNone && steps.slot_of[id] >= 0) visit(steps.slot_of[id]);
    }
  };
  const auto place = [&](int slot, const auto& self) -> void {
    made[slot] = true;
    const int alias = std::exchange(alias_of[slot], -1);
    if (alias < 0) return;
    each_input(alias, [&](int input) { self(input, self); });
    steps.list.push_back({.alias = true, .index = alias});
  };
  const auto place_ready = [&] {
    for (size_t i = 0; i < plan.aliases().size(); ++i) {  // topological, so one pass is enough
      bool ready = true;
      each_input(static_cast<int>(i), [&](int input) { ready = ready && made[input]; });
      if (ready) place(plan.aliases()[i].output, place);
    }
  };
  place_ready();
  for (const ScheduleEntry& entry : schedule.entries) {
    const bool narrow = entry.threads == 1 || workers == 1;
    const int unit = static_cast<int>(entry.unit);
    for (const int input : plan.units()[unit].inputs) place(input, place);
    steps.list.push_back({.index = unit, .width = narrow ? Width::kNarrow : Width::kWide});
    for (const int output : plan.units()[unit].outputs) made[output] = entry.device == 0;
    place_ready();
  }
  for (const CompiledPlan::Alias& alias : plan.aliases()) place(alias.output, place);
}

}  // namespace

Result<Steps> make_steps(const CompiledPlan& plan, const Schedule& schedule, int workers) {
  Steps steps;
  put_in_order(plan, schedule, workers, steps);
  const std::vector<CompiledPlan::Slot>& slots = plan.slots();
  const size_t count = steps.list.size();
  steps.first.assign(slots.size(), 0);
  steps.last.assign(slots.size(), -1);
  steps.group_size.assign(slots.size(), 0);
  steps.use_count.assign(slots.size(), 0);
  for (const CompiledPlan::Slot& slot : slots) {
    ++steps.group_size[slot.root];
    if (!slot.is_output) continue;
    steps.last[slot.root] = static_cast<int>(count);
    ++steps.use_count[slot.root];
  }
  steps.tasks.resize(count);
  steps.uses.resize(count);
  std::vector<int> maker(slots.size(), -1);  // the step that makes a slot
  bool early = false;
  auto entry = schedule.entries.begin();
  for (size_t i = 0; i < count; ++i) {
    const Steps::Step& step = steps.list[i];
    const int at = static_cast<int>(i);
    Task& task = steps.tasks[i];
    Use& use = steps.uses[i];
    const auto touch = [&](int slot) {
      int& last = steps.last[slots[slot].root];
      last = std::max(last, at);
      use.roots.push_back(slots[slot].root);
    };
    const auto read = [&](int slot) {
      touch(slot);
      early = early || (slots[slot].unit >= 0 && maker[slot] < 0);
      if (maker[slot] >= 0) task.predecessors.push_back(maker[slot]);
    };
    if (step.alias) {
      const CompiledPlan::Alias& alias = plan.aliases()[step.index];
      for (const graph::ValueId id : plan.subject().graph->nodes[alias.node].inputs) {
        if (id != graph::kNone && steps.slot_of[id] >= 0) read(steps.slot_of[id]);
      }
      maker[alias.output] = at;
      task.instant = true;
      use.alias = true;
    } else {
      const CompiledPlan::Unit& unit = plan.units()[step.index];
      for (const int slot : unit.inputs) read(slot);
      for (const int slot : unit.outputs) {
        steps.first[slot] = at;
        maker[slot] = at;
        touch(slot);  // what nobody reads still needs its bytes while it is written
      }
      use.written = unit.outputs;
      task.device = entry->device != 0;
      task.wide = step.width == Width::kWide && workers > 1 && !task.device;
      task.barrier = entry->barrier != 0;
      task.bytes = plan.plan().units[entry->unit].peak_bytes;
      ++entry;
    }
    for (std::vector<int>* list : {&use.roots, &task.predecessors}) {
      std::sort(list->begin(), list->end());
      list->erase(std::unique(list->begin(), list->end()), list->end());
    }
    for (const int root : use.roots) ++steps.use_count[root];
  }
  if (early) return fail(Code::kInternal, "a step of the plan comes before what it reads is made");
  return steps;
}

}  // namespace plx::schedule
