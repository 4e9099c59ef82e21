#include "plx/schedule/offload.h"

#include <algorithm>
#include <new>
#include <nlohmann/json.hpp>

#include "plx/ort/tensor.h"

namespace plx::schedule {

void Offload::leave_out(Schedule& schedule) {
  for (ScheduleEntry& entry : schedule.entries) {
    if (entry.device == 0) continue;
    const CompiledPlan::Region& region = plan_->region(static_cast<int>(entry.unit));
    if (region.program != nullptr) continue;
    entry.device = 0;
    const std::lock_guard lock(mutex_);
    problem_ = region.problem;
  }
}

void Offload::set_up(const Steps& order, const Executor& executor) {
  regions_.clear();
  for (size_t i = 0; i < order.list.size(); ++i) {
    std::unique_ptr<Submission>& region = regions_.emplace_back();
    if (!order.tasks[i].device) continue;
    region = std::make_unique<Submission>();
    region->owner = this;
    region->step = static_cast<int>(i);
    region->prepared = &plan_->region(order.list[i].index);
    region->unit = &plan_->units()[static_cast<size_t>(order.list[i].index)];
    region->inputs.resize(region->unit->inputs.size());
    region->outputs.resize(region->unit->outputs.size());
    region->places.resize(region->unit->outputs.size());
  }
  resting_ = memory_lost_.exchange(false);
  take_back();
  uint64_t bytes = 0;
  if (Status lending = lend_all(uses(order, executor), bytes); !lending) {
    bytes = 0;
    take_back();
    const std::lock_guard lock(mutex_);
    if (!resting_) problem_ = lending.error().message;  // else it is known what came before
  }
  bytes_ = bytes;
}

void Offload::take_back() {
  lent_value_.clear();
  lent_value_.resize(plan_->slots().size());
  lent_to_.assign(plan_->slots().size(), 0);
  lent_.clear();
  lent_.resize(plan_->slots().size());
}

// Per root slot, what it is lent for if it is.
std::vector<device::Use> Offload::uses(const Steps& order, const Executor& executor) const {
  const auto& slots = plan_->slots();
  const auto root_of = [&](int slot) { return static_cast<size_t>(slots[static_cast<size_t>(slot)].root); };
  std::vector<std::vector<int>> by_cpu(slots.size());  // steps that read or make it
  std::vector<std::vector<int>> by_regions(slots.size());
  for (size_t i = 0; i < order.list.size(); ++i) {
    const auto index = static_cast<size_t>(order.list[i].index);
    if (order.list[i].alias) {
      // What it views it does not look at, but at what it is told.
      const auto& told = plan_->subject().graph->nodes[static_cast<size_t>(plan_->aliases()[index].node)].inputs;
      for (size_t input = 1; input < told.size(); ++input) {
        const int slot = told[input] == graph::kNone ? -1 : order.slot_of[static_cast<size_t>(told[input])];
        if (slot >= 0) by_cpu[root_of(slot)].push_back(static_cast<int>(i));
      }
      continue;
    }
    auto& users = regions_[i] != nullptr ? by_regions : by_cpu;
    for (const auto* list : {&plan_->units()[index].inputs, &plan_->units()[index].outputs}) {
      for (const int slot : *list) users[root_of(slot)].push_back(static_cast<int>(i));
    }
  }
  std::vector<char> is_output(slots.size());
  for (const int slot : plan_->outputs()) is_output[root_of(slot)] = 1;
  std::vector<device::Use> list(slots.size(), device::Use::kInTurn);
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool beside = std::any_of(by_regions[i].begin(), by_regions[i].end(), [&](int region) {
      return std::any_of(by_cpu[i].begin(), by_cpu[i].end(), [&](int step) {
        return step < region ? !executor.ordered(step, region) : !executor.ordered(region, step);
      });
    });
    if (beside) list[i] = device::Use::kBeside;
    else if (by_cpu[i].empty() && !is_output[i]) list[i] = device::Use::kResident;
  }
  return list;
}

Status Offload::lend_all(const std::vector<device::Use>& uses, uint64_t& bytes) {
  for (const auto& region : regions_) {
    if (region == nullptr) continue;
    if (auto s = lend_for(region->unit->inputs, false, uses, bytes); !s) return s;
    if (auto s = lend_for(region->unit->outputs, true, uses, bytes); !s) return s;
    bytes += region->prepared->program->device_bytes();
  }
  return {};
}

Status Offload::lend_for(const std::vector<int>& slots, bool made_there, const std::vector<device::Use>& uses, uint64_t& bytes) {
  for (const int s : slots) {
    const auto root = static_cast<size_t>(plan_->slots()[static_cast<size_t>(s)].root);
    const CompiledPlan::Slot& slot = plan_->slots()[root];
    const auto& planned = plan_->planned_shape(static_cast<int>(root));
    // What a region makes has the planned shape; what it reads may turn out to have another.
    if (slot.unit < 0 || !(made_there || slot.settled) || lent_value_[root] || !planned) continue;
    const uint64_t size = graph::tensor_bytes(planned->element, planned->dims).value_or(0);
    auto memory = plan_->device()->lend(size, uses[root]);
    if (!memory) return memory.error();
    auto value = ort::tensor_over(plan_->subject().runtime, (*memory)->data(), planned->element, planned->dims);
    if (!value) return value.error();
    lent_value_[root] = value.take();
    lent_to_[root] = 1;
    lent_[root] = memory.take();
    bytes += lent_[root]->taken_bytes();
  }
  return {};
}

void Offload::start(int step) {
  Submission& region = *regions_[static_cast<size_t>(step)];
  region.run = {};
  if (auto s = host_.may_go_on(); !s) return host_.ended(step, std::move(s));
  if (auto s = ready(region); !s) return fall_back(region, std::move(s.error()));
  region.prepared->program->submit(region.inputs, region.outputs, region);
}

Status Offload::ready(Submission& region) const {
  if (resting_) {
    const std::lock_guard lock(mutex_);
    return fail(Code::kRunFailed, problem_);
  }
  if (!fits(region)) return fail(Code::kUnsupported, "this run's shapes are not those that the plan was made for");
  if (plan_->device()->lost()) return fail(Code::kRunFailed, "the device is lost");
  return hand_over(region);
}

// Whether this run's shapes are those that the region was prepared for.
bool Offload::fits(const Submission& region) const {
  const auto as_planned = [&](int s) {
    const auto& planned = plan_->planned_shape(s);
    const auto shape = planned ? ort::shape_of(plan_->subject().runtime->api(), host_.value(s), planned->element) : std::nullopt;
    return shape && shape->dims == planned->dims;
  };
  if (!std::all_of(region.unit->inputs.begin(), region.unit->inputs.end(), as_planned)) return false;
  const auto& of_graph = plan_->inputs();
  return region.prepared->by_itself ||
         std::all_of(of_graph.begin(), of_graph.end(), [&](int s) { return !plan_->planned_shape(s) || as_planned(s); });
}

// Addresses of what a region reads and makes.
Status Offload::hand_over(Submission& region) const {
  const ort::Runtime& runtime = *plan_->subject().runtime;
  const auto address_of = [&](const OrtValue* value, void** data) {
    return runtime.check(runtime.api().GetTensorMutableData(const_cast<OrtValue*>(value), data), "cannot read a tensor");
  };
  for (size_t i = 0; i < region.inputs.size(); ++i) {
    void* data = nullptr;
    if (auto s = address_of(host_.value(region.unit->inputs[i]), &data); !s) return s;
    region.inputs[i] = static_cast<const std::byte*>(data);
  }
  for (size_t i = 0; i < region.outputs.size(); ++i) {
    OrtValue* place = host_.place(region.unit->outputs[i]);
    if (place == nullptr) {
      const std::lock_guard lock(mutex_);
      return fail(Code::kRunFailed, "the device has lent no memory for what it would make: ", problem_);
    }
    void* data = nullptr;
    if (auto s = address_of(place, &data); !s) return s;
    region.outputs[i] = static_cast<std::byte*>(data);
    region.places[i] = place;
  }
  return {};
}

// On the device's thread.
void Offload::done(Submission& region, device::Outcome outcome) noexcept {
  region.run.device_ns = outcome.device_ns;
  region.run.copied_bytes = outcome.copied_bytes;
  if (outcome.lent_lost) return lose_memory(region, std::move(outcome.status.error()));
  if (!outcome.status) return fall_back(region, std::move(outcome.status.error()));
  for (size_t i = 0; i < region.places.size(); ++i) host_.made(region.unit->outputs[i], region.places[i]);
  host_.ended(region.step, {});
}

// Nothing can go on from here.
void Offload::lose_memory(Submission& region, Error why) noexcept {
  {
    const std::lock_guard lock(mutex_);
    problem_ = why.message;
  }
  memory_lost_.store(true);
  host_.ended(region.step, std::move(why));
}

// Gives the CPU what the region reads, and the places of what it makes.
Status Offload::fetch(Submission& region) {
  for (const auto* list : {&region.unit->inputs, &region.unit->outputs}) {
    for (const int s : *list) {
      const auto& memory = lent_[static_cast<size_t>(plan_->slots()[static_cast<size_t>(s)].root)];
      if (memory == nullptr) continue;
      const auto copied = memory->recall(list == &region.unit->inputs);
      if (!copied) return copied.error();
      region.run.copied_bytes += *copied;
    }
  }
  return {};
}

// The CPU runs what the device could not, on this thread.
void Offload::fall_back(Submission& region, Error why) noexcept {
  Status status;
  try {
    region.run.fell_back = why.message;
    status = host_.may_go_on();
    if (status) {
      if (auto s = fetch(region); !s) return lose_memory(region, std::move(s.error()));
      {
        const std::lock_guard lock(mutex_);
        ++fallbacks_;
        problem_ = why.message;
      }
      status = host_.run_on_cpu(region.step);
    }
  } catch (const std::bad_alloc&) {
    status = Error{Code::kMemoryBudget, "out of memory", 0, 0};
  }
  host_.ended(region.step, std::move(status));
}

const Offload::Run* Offload::run_of(int step) const {
  const auto& region = regions_[static_cast<size_t>(step)];
  return region == nullptr ? nullptr : &region->run;
}

nlohmann::json Offload::report() const {
  if (plan_->device() == nullptr) return nullptr;
  const device::Info& info = plan_->device()->info();
  const std::lock_guard lock(mutex_);
  return {{"kind", info.kind}, {"name", info.name}, {"bytes", bytes_}, {"fallbacks", fallbacks_}, {"problem", problem_}};
}

}  // namespace plx::schedule
