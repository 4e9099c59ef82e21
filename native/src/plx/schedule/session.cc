#include "plx/schedule/session.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>

#include "plx/base/short_slice.h"
#include "plx/memory/budget.h"
#include "plx/memory/planner.h"
#include "plx/ort/tensor.h"
#include "plx/ort/unit_memory.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/layout.h"
#include "plx/schedule/offload.h"
#include "plx/schedule/steps.h"
#include "plx/schedule/tenants.h"
#include "plx/schedule/turns.h"
#include "plx/schedule/views.h"

namespace plx::schedule {

namespace {

// Letting a parked thread of the pool go and parking it again takes about this long, on its core and ours.
constexpr int64_t kShortRunNs = 100'000;
// How often what units take while they run may turn out to be more than planned before that is left to the loose arena.
constexpr int kLayoutsPerShapes = 4;
// How often a run may start over because the machine's free memory fell while it ran.
constexpr int kStartsOver = 8;
// What stands for a worker where a device does the work.
constexpr int kDeviceWorker = -1;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What a mapping of so many bytes takes.
uint64_t in_pages(uint64_t bytes) {
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

std::string text(std::span<const int64_t> dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(dims[i]);
  return out + "]";
}

std::string text(const std::vector<graph::Dim>& dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    if (i != 0) out += ",";
    out += dims[i].known() ? std::to_string(dims[i].size) : dims[i].symbol.empty() ? "?" : dims[i].symbol;
  }
  return out + "]";
}

}  // namespace

struct Session::Impl final : Executor::Work, Offload::Host {
  // One task of the executor: a unit, or an alias.
  struct Step {
    bool alias = false;
    int index = 0;  // of the unit or alias
    OrtSession* session = nullptr;
    Width width = Width::kWide;
    // What its unit takes while it runs: from the window if every output has its place elsewhere.
    ort::UnitMemory memory;
    std::unique_ptr<memory::Arena> window;
    bool keeps = false;  // something in a window was not given back at the end, so that none will do
    // The arguments of a unit's run:
    std::vector<const char*> names;  // of the inputs, filled by each run where one may be absent; else empty
    std::vector<const OrtValue*> inputs;
    std::vector<OrtValue*> outputs, preset;
  };
  struct Timing {
    int64_t start_ns = 0;
    int64_t end_ns = 0;
    int worker = 0;
  };
  struct Input {
    ort::Value value;
    std::vector<int64_t> dims;
    graph::ElementType element = graph::ElementType::kUndefined;
  };
  struct Output {
    // Bound by the caller:
    ort::Value bound;
    void* data = nullptr;
    std::vector<int64_t> bound_dims;
    graph::ElementType bound_element = graph::ElementType::kUndefined;
    uint64_t bound_bytes = 0;
    // Of the last run:
    OrtValue* value = nullptr;
    TensorView view;
    std::vector<int64_t> dims;
  };
  // What is known about one set of input shapes.
  struct Shapes {
    std::vector<int64_t> key;
    bool seen = false;     // a run went through, so that everything settled is recorded
    bool planned = false;  // and the layout is of what is known now
    bool bare = false;     // the first run goes without a layout: there is no room for what units take beside it
    bool refined = false;  // the layout has been searched for thoroughly
    int64_t run_ns = 0;    // spent in runs at that layout
    int layouts = 0;       // made so far
    std::vector<std::optional<graph::Shape>> recorded;  // per slot, beside the fixed ones
    std::vector<uint64_t> taken;                        // per step: by its unit while it runs, as far as is known
    Tenants::Layout layout;
    // Where the schedule as it is would need more than the budget: the same with barriers before some more steps.
    std::vector<char> parted;  // per step
    std::unique_ptr<Executor> tight;
    std::vector<ort::Value> preset;  // per slot, over the block or over what an alias views
    uint64_t block_epoch = 0;
    uint64_t binding_epoch = 0;

    void clear() {
      seen = false;
      planned = false;
      bare = false;
      refined = false;
      run_ns = 0;
      layouts = 0;
      std::fill(taken.begin(), taken.end(), 0);
      std::fill(parted.begin(), parted.end(), 0);
      tight.reset();
      for (auto& shape : recorded) shape.reset();
      for (ort::Value& value : preset) value.reset();
      layout = {};
      block_epoch = 0;
      binding_epoch = 0;
    }
  };

  Impl(std::shared_ptr<CompiledPlan> plan, int threads_asked, size_t shapes_to_keep, const MemoryLimit& limit)
      : compiled(std::move(plan)),
        workers(threads_asked == 1 ? 1 : compiled->subject().threads()),
        shapes_kept(shapes_to_keep),
        limit_asked(limit),
        runtime(compiled->subject().runtime),
        api(runtime->api()),
        turns(std::make_shared<Turns>(workers)),
        offload(compiled, *this),
        budget(std::make_shared<memory::Budget>(limit.bytes == 0 ? memory::Budget::kNone : limit.bytes)),
        arena(std::make_unique<memory::Arena>("session", budget)) {
    if (limit.margin != 0) adaptive.emplace(budget, limit.margin, memory::FreeMemory(limit.root));
    if (!budget->limited()) return;
    outside = kOutsideBytes + kOutsideBytesPerUnit * compiled->units().size();
    budget->set_aside(outside);
  }

  ~Impl() {
    // Values may lie in the block: they go first.
    for (Shapes& s : known) s.preset.clear();
    owned.clear();
    retire_windows();
    arena->free(block);
    if (arena->stats().live_bytes != 0) runtime->keep(std::move(arena));
    if (run_options != nullptr) api.ReleaseRunOptions(run_options);
  }

  const graph::Value& value_of(int slot) const { return compiled->subject().graph->values[compiled->slots()[slot].value]; }
  const CompiledPlan::Slot& slot(int index) const { return compiled->slots()[index]; }

  // ---- set-up ----
  Status set_up(const Schedule& wanted) {
    const partition::Plan& plan = compiled->plan();
    if (auto s = schedule::validate(plan, wanted); !s) return s;
    std::vector<std::pair<int, Width>> units;
    Schedule placed = wanted;
    offload.leave_out(placed);
    for (const ScheduleEntry& entry : placed.entries) {
      if (entry.device != 0) continue;
      units.emplace_back(static_cast<int>(entry.unit), entry.threads == 1 || workers == 1 ? Width::kNarrow : Width::kWide);
    }
    if (auto s = compiled->compile(units); !s) return s;
    if (workers > 1 && entrance == nullptr) {
      auto made = runtime->crew();
      if (!made) return made.error();
      auto way_in = (*made)->entrance();
      if (!way_in) return way_in.error();
      crew = *made;
      entrance = way_in.take();
    }

    auto made_steps = make_steps(*compiled, placed, workers);
    if (!made_steps) return made_steps.error();
    schedule = std::move(placed);
    const size_t slots = compiled->slots().size();
    current.assign(slots, nullptr);
    address.assign(slots, nullptr);
    input_of.assign(slots, -1);
    for (size_t i = 0; i < compiled->inputs().size(); ++i) input_of[compiled->inputs()[i]] = static_cast<int>(i);
    owned.clear();
    owned.resize(slots);
    has_run = false;
    retire_windows();
    known.clear();  // offsets belong to an order
    spare.clear();
    order = made_steps.take();
    executor = std::make_unique<Executor>(order.tasks, workers, schedule.memory_budget_bytes);
    uses_left = std::make_unique<std::atomic<int>[]>(slots);
    steps.clear();
    for (size_t i = 0; i < order.list.size(); ++i) {
      const Steps::Step& one = order.list[i];
      Step& step = steps.emplace_back();
      step.alias = one.alias;
      step.index = one.index;
      step.width = one.width;
      if (one.alias) continue;
      const auto& unit = compiled->units()[one.index];
      step.session = compiled->session(one.index, one.width);
      const bool may_be_absent = std::any_of(unit.inputs.begin(), unit.inputs.end(),
                                             [&](int s) { return value_of(s).type.kind == graph::Kind::kOptional; });
      if (may_be_absent) step.names.resize(unit.inputs.size());
      step.inputs.resize(unit.inputs.size());
      step.outputs.resize(unit.outputs.size());
      step.preset.resize(unit.outputs.size());
    }
    make_spare();
    set_up_offload();
    tenants.emplace(*compiled, order, *executor, offload.lent_to());
    active = nullptr;
    shapes_changed = true;
    for (Output& output : outputs) output.value = nullptr;
    if (unsettled.empty()) {
      unsettled.resize(slots);
      for (size_t i = 0; i < slots; ++i) unsettled[i] = !slot(static_cast<int>(i)).settled;
    }
    timings.assign(steps.size(), {});
    return {};
  }

  // ---- running ----
  Status run(const int32_t* stop) {
    {
      const std::lock_guard lock(cancel_mutex);
      // Always both: a cancel that fell between the last run and this one must not stop this one.
      if (OrtStatus* s = api.RunOptionsUnsetTerminate(run_options)) api.ReleaseStatus(s);
      cancelled.store(false);
    }
    // After that: who raised it later also calls cancel() later, and is heard.
    if (stop != nullptr && __atomic_load_n(stop, __ATOMIC_ACQUIRE) != 0) return was_cancelled();
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].value) {
        return fail(Code::kInvalidArgument, "input '", value_of(compiled->inputs()[i]).name, "' is not bound: give it a tensor before running");
      }
    }
    if (!shapes_changed) ++shape_hits;
    offload.begin_run();
    if (adaptive && adaptive->look(now_ns())) limit_moved.store(true);
    if (limit_moved.exchange(false)) fit_to_limit();
    Status status = attempt();
    // Units are pure, so that nothing is lost by starting over.
    for (int i = 0; i < kStartsOver && !status && limit_fell.exchange(false) && !cancelled.load(); ++i) {
      fit_to_limit();
      ++reruns_for_memory;
      status = attempt();
    }
    // What was refused while units ran side by side may be had by one after the other, at offsets planned for that.
    while (!status && status.error().code == Code::kMemoryBudget && tighten(*active)) status = attempt();
    if (!status && kept_in_window.exchange(false)) {
      drop_block();  // which stays as long as what is kept in it
      status = attempt();
    }
    if (!status) return cancelled.load() ? was_cancelled() : std::move(status);
    active->seen = true;
    ++runs;
    if (std::exchange(gathered, false)) arena->trim();  // what the first run took beyond the block
    return publish();
  }

  Status attempt() {
    for (;;) {
      if (offload.memory_lost()) {
        // What the device held is gone. Units are pure: the same again, in other memory and on the CPU alone.
        if (auto s = set_up(Schedule(schedule)); !s) return s;
      }
      Status status = attempt_once();
      if (status || !offload.memory_lost() || cancelled.load()) return status;
    }
  }

  Status attempt_once() {
    has_run = false;  // from here on the last run's outputs are gone
    units_elided.store(0, std::memory_order_relaxed);
    for (ort::Value& value : owned) value.reset();
    if (shapes_changed || needs_plan(*active) || needs_place(*active) || pays_to_refine(*active)) {
      const int64_t start = now_ns();
      Status sized = size_up();
      sizing_ns += now_ns() - start;
      if (!sized) return sized;
    }
    for (size_t i = 0; i < inputs.size(); ++i) current[compiled->inputs()[i]] = inputs[i].value.get();
    for (size_t i = 0; i < current.size(); ++i) {
      if (const OrtValue* constant = compiled->constant(static_cast<int>(i))) current[i] = constant;
    }
    for (size_t i = 0; i < owned.size(); ++i) uses_left[i].store(order.use_count[i], std::memory_order_relaxed);
    if (windows_of != active) open_windows();

    const int64_t start = now_ns();
    Status status;
    Executor& way = active->tight != nullptr ? *active->tight : *executor;
    // Where there is a budget, what has no planned place yet is not to be had twice: one unit at a time.
    const bool serial = budget->limited() && !active->planned;
    {
      const ShortSlice slice(compiled->device() != nullptr);
      if (turns.use_count() > 1) claim.emplace(*turns);
      const struct End {
        std::optional<Turns::Claim>& claim;
        ~End() { claim.reset(); }
      } end{claim};
      const bool pool = (!serial && way.parallel()) || way.wide();
      const ort::Crew::Shift shift(pool && pool_pays() ? crew : nullptr);
      running = &way;
      status = way.run(*this, serial ? nullptr : entrance.get());
    }
    last_run_ns = now_ns() - start;
    active->run_ns += last_run_ns;
    if (status) learn(*active);
    return status;
  }

  // Whether there is a way to run at these shapes that takes less: without a layout, as long as it is not known what units
  // take; in a block no larger than they need; with a barrier before every unit.
  bool tighten(Shapes& shapes) {
    if (cancelled.load() || !shapes.planned) return false;
    if (!shapes.seen) {
      shapes.bare = true;
      shapes.planned = false;
      give_back();
      ++reruns_for_memory;
      return true;
    }
    bool any_left = false;  // to put a barrier before; a device may work beside another task all the same
    for (size_t i = 0; i < steps.size(); ++i) any_left = any_left || (!steps[i].alias && !order.tasks[i].barrier && !shapes.parted[i]);
    const bool parallel = any_left && (shapes.tight != nullptr ? shapes.tight->parallel() : executor->parallel());
    const bool loose_block = block_bytes > shapes.layout.total_bytes;
    if (!parallel && !loose_block) return false;
    drop_block();
    arena->trim();
    if (parallel) {
      for (size_t i = 0; i < steps.size(); ++i) shapes.parted[i] = !steps[i].alias && !order.tasks[i].barrier;
      part(shapes);
      shapes.planned = false;
    }
    ++reruns_for_memory;
    return true;
  }

  // Another limit: layouts that are too large for it, and those that a smaller one made, are for another time.
  void fit_to_limit() {
    ++limits_followed;
    const uint64_t limit = budget->limit_bytes();
    for (Shapes& shapes : known) {
      if (!shapes.planned || (shapes.layout.total_bytes + outside <= limit && shapes.tight == nullptr)) continue;
      shapes.planned = false;
      shapes.layouts = 0;
      shapes.tight.reset();
      std::fill(shapes.parted.begin(), shapes.parted.end(), 0);
    }
    if (budget->taken_bytes() <= limit) return;
    give_back();
  }

  void give_back() {
    has_run = false;
    for (Output& output : outputs) output.value = nullptr;
    for (ort::Value& value : owned) value.reset();
    drop_block();
    arena->trim();
  }

  static Error was_cancelled() { return fail(Code::kRunFailed, "the run was cancelled"); }

  // Planned when a set of shapes comes for the second time: many come once, as in a cache that grows.
  // Where there is a budget and all sizes are known before anything has run, so is whether they fit.
  bool needs_plan(const Shapes& shapes) const {
    return !shapes.planned && (shapes.seen || (!shapes.bare && budget->limited() && !compiled->subject().fixed_shapes.empty()));
  }
  bool needs_place(const Shapes& shapes) const {
    return shapes.planned && (shapes.block_epoch != block_epoch || shapes.binding_epoch != binding_epoch);
  }

  // Finds the set of shapes to run at, and its places if it has been seen before.
  Status size_up() {
    if (shapes_changed) {
      select_shapes();
      shapes_changed = false;
    }
    if (needs_plan(*active)) {
      if (auto s = plan(*active); !s) return s;
    }
    if (pays_to_refine(*active)) {
      if (auto s = refine(*active); !s) return s;
    }
    return needs_place(*active) ? place(*active) : Status{};
  }

  bool pays_to_refine(const Shapes& shapes) const {
    return shapes.planned && !shapes.refined && shapes.run_ns >= kRefineAfterNs;
  }

  Status refine(Shapes& shapes) {
    shapes.refined = true;
    if (shapes.layout.total_bytes <= shapes.layout.lower_bound_bytes) return {};
    measure_tenants(shapes);
    auto better = tenants->plan(shapes.tight.get(), memory::kThoroughSearch);
    if (!better) return better.error();
    const uint64_t before = shapes.layout.total_bytes;
    if (better->total_bytes > before - before / 100) return {};
    shapes.layout = better.take();
    ++layouts_refined;
    // The block was made for the largest of all shapes.
    const bool largest = std::none_of(known.begin(), known.end(), [&](const Shapes& other) {
      return other.planned && other.layout.total_bytes > shapes.layout.total_bytes;
    });
    if (largest) drop_block();
    else shapes.block_epoch = 0;
    return {};
  }

  // A run that is over sooner than a parked thread is awake does without the pool: its units run on the calling thread.
  bool pool_pays() {
    if (last_run_ns != 0 && last_run_ns < kShortRunNs) pool_wanted = false;
    if (last_run_ns > 2 * kShortRunNs) pool_wanted = true;
    return pool_wanted;
  }

  Status run_task(int index, int worker) override {
    Step& step = steps[index];
    if (cancelled.load(std::memory_order_relaxed)) return was_cancelled();
    const int64_t start = now_ns();
    if (adaptive && !step.alias) {
      if (adaptive->look(start)) limit_moved.store(true, std::memory_order_relaxed);
      if (budget->taken_bytes() > budget->limit_bytes()) return too_much_now(step);
    }
    Status status = run_step(step);
    timings[index] = {start, now_ns(), worker};
    if (status) let_go(index);
    return status;
  }

  void hold(int threads) override {
    if (claim) claim->hold(threads);
  }
  bool rest() override {
    if (claim) claim->rest();
    return claim.has_value();
  }
  bool wanted() const override { return claim && claim->wanted(); }

  void let_go(int index) {
    for (const int root : order.uses[index].roots) {
      if (uses_left[root].fetch_sub(1, std::memory_order_acq_rel) == 1) release(root);
    }
  }

  // ---- devices ----
  // What the device lends is in the budget.
  void set_up_offload() {
    const uint64_t before = offload.bytes();
    offload.set_up(order, *executor);
    if (!budget->limited()) return;
    budget->give(before);
    budget->set_aside(offload.bytes());
    outside += offload.bytes() - before;
  }

  // Where a slot's tensor has its place in this run, null if nowhere.
  OrtValue* place_of(int s) const {
    OrtValue* there = offload.lent(s);
    if (there == nullptr) return active->preset[s].get();
    const graph::Shape* shape = shape_at(*active, s);  // lent is what the planned shape takes
    return shape == nullptr || shape->dims == compiled->planned_shape(s)->dims ? there : nullptr;
  }

  void start_task(int index) override {
    timings[static_cast<size_t>(index)] = {now_ns(), 0, kDeviceWorker};
    offload.start(index);
  }

  const OrtValue* value(int s) const override { return current[s]; }
  void made(int s, OrtValue* value) override { current[s] = value; }
  OrtValue* place(int s) const override {
    const Output* output = any_bound ? bound_output(s) : nullptr;
    return output != nullptr ? output->bound.get() : place_of(s);
  }
  Status may_go_on() const override { return cancelled.load(std::memory_order_relaxed) ? Status(was_cancelled()) : Status{}; }
  Status run_on_cpu(int index) override {
    Step& step = steps[static_cast<size_t>(index)];
    if (auto s = compiled->compile({{step.index, Width::kNarrow}}); !s) return s;
    step.session = compiled->session(step.index, Width::kNarrow);
    std::optional<Turns::Claim> place;
    if (claim) place.emplace(*turns, *claim).hold(1);
    return run_step(step);
  }
  void ended(int index, Status status) noexcept override {
    timings[static_cast<size_t>(index)].end_ns = now_ns();
    if (status) let_go(index);
    running->completed(index, std::move(status));
  }

  // Nothing may escape into the pool's threads.
  Status run_step(Step& step) noexcept {
    try {
      return step.alias ? run_alias(step) : run_unit(step);
    } catch (const std::bad_alloc&) {
      return Error{Code::kMemoryBudget, "out of memory", 0, 0};
    }
  }

  Status too_much_now(const Step& step) {
    limit_fell.store(true);
    Error error = fail(Code::kMemoryBudget, compiled->describe(step.index), " was not started: the session holds ", budget->taken_bytes(),
                       " bytes, and its memory budget has fallen to ", budget->limit_bytes(), " with what the machine has free");
    error.requested_bytes = budget->taken_bytes();
    error.available_bytes = budget->limit_bytes();
    return error;
  }

  // Everything that shares the root's bytes and was made for this run alone.
  void release(int root) {
    if (order.group_size[root] == 1) {
      owned[root].reset();
      return;
    }
    for (size_t i = 0; i < owned.size(); ++i) {
      if (slot(static_cast<int>(i)).root == root) owned[i].reset();
    }
  }

  void select_shapes() {
    key.clear();
    for (const Input& input : inputs) {
      key.push_back(static_cast<int64_t>(input.dims.size()));
      key.insert(key.end(), input.dims.begin(), input.dims.end());
    }
    for (auto it = known.begin(); it != known.end(); ++it) {
      if (it->key != key) continue;
      known.splice(known.begin(), known, it);
      active = &known.front();
      ++shape_hits;
      return;
    }
    if (known.size() >= shapes_kept) {
      if (windows_of == &known.back()) windows_of = nullptr;
      spare.splice(spare.begin(), known, std::prev(known.end()));
      ++shape_evictions;
    }
    if (spare.empty()) make_spare();
    known.splice(known.begin(), spare, spare.begin());
    active = &known.front();
    active->clear();
    active->key = key;
    ++shape_misses;
  }

  void make_spare() {
    Shapes& shapes = spare.emplace_front();
    shapes.recorded.resize(current.size());
    shapes.preset.resize(current.size());
    shapes.taken.resize(steps.size());
    shapes.parted.resize(steps.size());
  }

  // What is fixed before anything has run need not be asked of ONNX Runtime; but scalars may be of unknown rank in truth.
  const graph::Shape* shape_before_runs(int s) const {
    const graph::Shapes& fixed = compiled->subject().fixed_shapes;
    if (fixed.empty()) return nullptr;
    const auto& shape = fixed[slot(s).value];
    return shape && !shape->dims.empty() ? &*shape : nullptr;
  }

  // The shape of a settled slot, if it is known.
  const graph::Shape* shape_at(const Shapes& shapes, int s) const {
    if (unsettled[s]) return nullptr;
    if (const graph::Shape* shape = shape_before_runs(s)) return shape;
    return shapes.recorded[s] ? &*shapes.recorded[s] : nullptr;
  }

  // The caller's memory for a slot, if the unit may write straight into it.
  const Output* bound_output(int s) const {
    if (!slot(s).is_output || order.group_size[slot(s).root] != 1) return nullptr;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (compiled->outputs()[i] == s && outputs[i].bound) return &outputs[i];
    }
    return nullptr;
  }

  Status run_unit(Step& step) {
    const auto& unit = compiled->units()[step.index];
    if (unit.outputs.empty()) return {};  // nobody reads what it makes, and a run has to ask for something
    const bool elided = is_elided(step);
    if (elided && all_in_place(unit)) return elide(step, unit);
    bool any_preset = false;
    bool all_preset = true;
    for (size_t i = 0; i < unit.inputs.size(); ++i) step.inputs[i] = current[unit.inputs[i]];
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      const int s = unit.outputs[i];
      OrtValue* preset = elided ? nullptr : place_of(s);  // not over what it reads
      if (any_bound) {
        if (const Output* output = bound_output(s)) preset = output->bound.get();
      }
      step.outputs[i] = preset;
      step.preset[i] = preset;
      any_preset = any_preset || preset != nullptr;
      all_preset = all_preset && preset != nullptr;
    }
    OrtStatus* status = call(step, unit, all_preset);
    if (status != nullptr && step.memory.refused_bytes() != 0) return refused(step, status);
    if (status == nullptr) {
      if (auto s = account(step, all_preset); !s) return s;
    }
    if (status != nullptr && any_preset && !cancelled.load()) {
      // Either the operator failed, or an output has another shape than its preset. The unit is pure: run it again and see.
      api.ReleaseStatus(status);
      for (size_t i = 0; i < unit.outputs.size(); ++i) step.outputs[i] = nullptr;
      status = call(step, unit, false);
      if (status != nullptr && step.memory.refused_bytes() != 0) return refused(step, status);
      if (status == nullptr) {
        if (auto s = adopt_unexpected(step, unit); !s) return s;
      }
    }
    if (status != nullptr) {
      Status s = runtime->check(status, compiled->describe(step.index) + " failed");
      s.error().code = Code::kRunFailed;
      return s;
    }
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      const int s = unit.outputs[i];
      if (step.outputs[i] != step.preset[i]) owned[s] = ort::Value(runtime, step.outputs[i], api.ReleaseValue);
      current[s] = step.outputs[i];
    }
    if (!active->seen) record(step, unit);
    return {};
  }

  bool is_elided(const Step& step) const {
    return active->planned && active->layout.shared.any && active->layout.shared.elided[static_cast<size_t>(&step - steps.data())] != 0;
  }

  // Whether all that a unit reads and makes is where the layout has it in this run.
  bool all_in_place(const CompiledPlan::Unit& unit) const {
    for (const int s : unit.inputs) {
      if (current[s] == nullptr || current[s] != active->preset[s].get()) return false;
    }
    return std::all_of(unit.outputs.begin(), unit.outputs.end(), [&](int s) {
      return active->preset[s] && (!any_bound || bound_output(s) == nullptr);
    });
  }

  // Its outputs are its inputs' bytes: there is nothing to run.
  Status elide(Step& step, const CompiledPlan::Unit& unit) {
    step.memory.begin(nullptr, arena.get(), false);
    for (const int s : unit.outputs) current[s] = active->preset[s].get();
    units_elided.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  Status refused(const Step& step, OrtStatus* status) const {
    api.ReleaseStatus(status);
    const uint64_t wanted = in_pages(step.memory.refused_bytes());
    if (!budget->limited()) {
      Error error = fail(Code::kMemoryBudget, compiled->describe(step.index), " needs ", wanted, " bytes more, and the system has no memory left");
      error.requested_bytes = wanted;
      return error;
    }
    Error error = fail(Code::kMemoryBudget, compiled->describe(step.index), " needs ", wanted,
                       " bytes more, and of the session's memory budget of ", budget->limit_bytes(), " bytes ", budget->left_bytes(),
                       " are left: ", remedy());
    error.requested_bytes = wanted;
    error.available_bytes = budget->left_bytes();
    return error;
  }

  const char* remedy() const {
    return adaptive ? "free memory on this machine, keep less of it free (the margin), or give smaller inputs"
                    : "raise the budget, or give smaller inputs";
  }

  // What the unit took beside its outputs, for the next layout.
  Status account(Step& step, bool all_preset) {
    const ort::UnitMemory& memory = step.memory;
    if (all_preset && memory.live_blocks() != 0 && step.window != nullptr && step.window->stats().live_bytes != 0) {
      step.keeps = true;
      kept_in_window.store(true);
      return fail(Code::kInternal, compiled->describe(step.index), " kept memory that others use while it does not run");
    }
    if (step.keeps) return {};
    if (active->seen && all_preset && memory.loose_high_water_bytes() != 0) took_more.store(true, std::memory_order_relaxed);
    return {};
  }

  // After a run: whether the layout is of what is known now.
  void learn(Shapes& shapes) {
    if (!shapes.seen) {
      // Planned before it ran, without the units' own.
      if (std::any_of(shapes.taken.begin(), shapes.taken.end(), [](uint64_t bytes) { return bytes != 0; })) shapes.planned = false;
      return;
    }
    if (!took_more.exchange(false) || shapes.layouts >= kLayoutsPerShapes) return;
    for (size_t i = 0; i < steps.size(); ++i) {
      const Step& step = steps[i];
      const uint64_t more = step.memory.loose_high_water_bytes();
      if (step.alias || step.keeps || more == 0 || !all_elsewhere(step)) continue;
      shapes.taken[i] += more;
      shapes.planned = false;
    }
  }
  static bool all_elsewhere(const Step& step) {
    return std::find(step.preset.begin(), step.preset.end(), nullptr) == step.preset.end() &&
           std::equal(step.preset.begin(), step.preset.end(), step.outputs.begin());
  }

  // Puts the units' windows where the active shapes have them.
  void open_windows() {
    for (Step& step : steps) {
      if (step.window != nullptr) step.window->move_to({});
    }
    windows_of = active;
    if (!active->planned) return;
    const std::vector<int>& windows = active->layout.windows;
    for (size_t i = 0; i < windows.size(); ++i) {
      Step& step = steps[windows[i]];
      if (step.keeps) continue;
      if (step.window == nullptr) step.window = std::make_unique<memory::Arena>("unit", memory::Arena::OverWindow{});
      step.window->move_to({block + active->layout.offsets[tenants->slots().size() + i], active->taken[windows[i]]});
    }
  }

  // Where ONNX Runtime holds on to something in a window (see account()), both stay until it ends, and the block with them.
  void retire_windows() {
    windows_of = nullptr;
    for (Step& step : steps) {
      if (step.window == nullptr) continue;
      if (step.window->stats().live_bytes == 0) {
        step.window->move_to({});
        continue;
      }
      runtime->keep(std::move(step.window));
      block = nullptr;
      block_bytes = 0;
    }
  }

  void drop_block() {
    for (Shapes& shapes : known) {
      for (ort::Value& preset : shapes.preset) preset.reset();
    }
    retire_windows();
    arena->free(block);
    block = nullptr;
    block_bytes = 0;
    ++block_epoch;
  }

  // all_elsewhere: every output has its place, so that all that is allocated is the unit's own and gone at its end.
  OrtStatus* call(Step& step, const CompiledPlan::Unit& unit, bool all_elsewhere) {
    step.memory.begin(all_elsewhere && !step.keeps ? step.window.get() : nullptr, arena.get(), !active->seen);
    const ort::MemoryScope scope(step.memory);
    const char* const* names = unit.input_names.data();
    size_t given = unit.inputs.size();
    if (!step.names.empty()) {
      // An optional without content is left out: ONNX Runtime would look into it.
      given = 0;
      for (size_t i = 0; i < unit.inputs.size(); ++i) {
        const OrtValue* value = current[unit.inputs[i]];
        int has_value = 0;
        if (OrtStatus* status = api.HasValue(value, &has_value)) return status;
        if (has_value == 0) continue;
        step.names[given] = unit.input_names[i];
        step.inputs[given++] = value;
      }
      names = step.names.data();
    }
    return api.Run(step.session, run_options, names, step.inputs.data(), given, unit.output_names.data(), unit.outputs.size(),
                   step.outputs.data());
  }

  // After a rerun without presets: outputs that differ from what was preset are unsettled; the rest move where they belong.
  // Beside other units: of what they use, nothing is touched.
  Status adopt_unexpected(Step& step, const CompiledPlan::Unit& unit) {
    Status status;
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      const int s = unit.outputs[i];
      if (step.preset[i] == nullptr) continue;
      const auto made = shape_of(step.outputs[i]);
      const auto expected = shape_of(step.preset[i]);
      if (made && expected && made->dims == expected->dims && made->element == expected->element) continue;
      if (const Output* output = bound_output(s); any_bound && output != nullptr) {
        status = fail(Code::kInvalidArgument, "output '", value_of(s).name, "' has the shape ", made ? text(made->dims) : "?",
                      ", and the memory bound to it the shape ", text(output->bound_dims), ": bind memory of the shape it has, or none");
      }
      if (offload.lent(s) != nullptr && shape_at(*active, s) == nullptr) continue;  // the first run at these shapes
      unsettled[s] = true;
      for (Shapes& shapes : known) {
        for (size_t j = 0; j < current.size(); ++j) {
          if (slot(static_cast<int>(j)).root == slot(s).root) shapes.preset[j].reset();
        }
      }
    }
    if (!status) {
      for (size_t i = 0; i < unit.outputs.size(); ++i) {
        if (step.outputs[i] != nullptr) api.ReleaseValue(step.outputs[i]);
      }
    }
    return status;
  }

  std::optional<graph::Shape> shape_of(const OrtValue* value, graph::ElementType known = graph::ElementType::kUndefined) const {
    return ort::shape_of(api, value, known);
  }

  void record(const Step& step, const CompiledPlan::Unit& unit) {
    const auto unknown = [this](int s) { return !unsettled[s] && shape_at(*active, s) == nullptr; };
    const bool takes = !step.keeps && step.memory.takes();
    if (!takes && std::none_of(unit.outputs.begin(), unit.outputs.end(), unknown)) return;
    const int64_t start = now_ns();
    if (takes) active->taken[static_cast<size_t>(&step - steps.data())] = step.memory.own_bytes();
    for (const int s : unit.outputs) {
      if (!unknown(s)) continue;
      const graph::Type& type = value_of(s).type;
      auto shape = shape_of(current[s], type.kind == graph::Kind::kTensor ? type.element : graph::ElementType::kUndefined);
      if (shape && graph::tensor_bytes(shape->element, shape->dims)) active->recorded[s] = std::move(shape);
      else unsettled[s] = true;
    }
    sizing_ns.fetch_add(now_ns() - start, std::memory_order_relaxed);  // units may run side by side
  }

  // The content of a view's second operand.
  Result<std::span<const int64_t>> operand(const graph::Node& node) {
    const graph::ValueId id = node.inputs[1];
    const graph::Value& value = compiled->subject().graph->values[id];
    // As strict as ONNX Runtime's kernels.
    const auto is_list = [&](std::span<const int64_t> dims) {
      return dims.size() == 1 || (dims.empty() && node.op_type != "Reshape");
    };
    const auto no_list = [&](std::span<const int64_t> dims) {
      return fail(Code::kRunFailed, node.op_type, " '", node.name, "' wants a list of numbers in '", value.name,
                  "', which has the shape ", text(dims));
    };
    if (value.initializer != graph::kNone) {
      const auto& init = compiled->subject().graph->initializers[value.initializer];
      if (init.element != graph::ElementType::kInt64) return fail(Code::kRunFailed, "'", value.name, "' must be int64");
      if (!is_list(init.dims)) return no_list(init.dims);
      return std::span(reinterpret_cast<const int64_t*>(init.data), init.size_bytes / 8);
    }
    const OrtValue* tensor = current[order.slot_of[id]];
    const auto shape = shape_of(tensor);
    if (!shape || shape->element != graph::ElementType::kInt64) return fail(Code::kRunFailed, "'", value.name, "' must be int64");
    if (!is_list(shape->dims)) return no_list(shape->dims);
    void* data = nullptr;
    if (OrtStatus* status = api.GetTensorMutableData(const_cast<OrtValue*>(tensor), &data)) {
      return runtime->check(status, "cannot read '" + value.name + "'").error();
    }
    return std::span(static_cast<const int64_t*>(data), *graph::tensor_bytes(shape->element, shape->dims) / 8);
  }

  Status run_alias(const Step& step) {
    const auto& alias = compiled->aliases()[step.index];
    if (OrtValue* preset = active->preset[alias.output].get()) {
      current[alias.output] = preset;
      return {};
    }
    const graph::Node& node = compiled->subject().graph->nodes[alias.node];
    const OrtValue* viewed = current[alias.input];
    const auto shape = shape_of(viewed);
    const bool strings = shape && shape->element == graph::ElementType::kString;
    if (!shape || strings) {
      if (node.op_type != "Identity") {
        return fail(Code::kRunFailed, node.op_type, " '", node.name, "' is an alias in this plan and its input is no dense tensor");
      }
      current[alias.output] = viewed;  // nothing to relabel
      return {};
    }
    std::span<const int64_t> told;
    const bool has_operand = node.inputs.size() > 1 && node.inputs[1] != graph::kNone;
    if (has_operand) {
      auto content = operand(node);
      if (!content) return content.error();
      told = *content;
    }
    auto dims = view_dims(node, shape->dims, told, has_operand);
    if (!dims) return dims.error();
    if (!active->seen && !unsettled[alias.output] && shape_at(*active, alias.output) == nullptr) {
      active->recorded[alias.output] = graph::Shape{.element = shape->element, .dims = *dims};
    }
    auto made = view_over(const_cast<OrtValue*>(viewed), shape->element, *dims);
    if (!made) return made.error();
    owned[alias.output] = made.take();
    current[alias.output] = owned[alias.output].get();
    return {};
  }

  Result<ort::Value> view_over(OrtValue* viewed, graph::ElementType element, const std::vector<int64_t>& dims) {
    void* data = nullptr;
    if (OrtStatus* status = api.GetTensorMutableData(viewed, &data)) return runtime->check(status, "cannot view a tensor").error();
    return tensor_at(data, element, dims);
  }

  Result<ort::Value> tensor_at(void* data, graph::ElementType element, std::span<const int64_t> dims) {
    return ort::tensor_over(runtime, data, element, dims);
  }

  // ---- inputs ----
  Status check_index(size_t index) const {
    if (index < inputs.size()) return {};
    return fail(Code::kInvalidArgument, "there is no input ", index, "; the model has ", inputs.size());
  }

  // Whether a tensor can be this input. Of an optional only ONNX Runtime knows what is inside, and says so in the run.
  Status check_tensor(const graph::Value& declared, graph::ElementType element, std::span<const int64_t> dims) const {
    const graph::Type& type = declared.type;
    if (type.kind != graph::Kind::kTensor && type.kind != graph::Kind::kOptional && type.kind != graph::Kind::kUnknown) {
      return fail(Code::kInvalidArgument, "input '", declared.name, "' wants ", ort::type_text(type.proto), ", not a tensor");
    }
    if (type.element != graph::ElementType::kUndefined && element != type.element) {
      return fail(Code::kInvalidArgument, "input '", declared.name, "' wants ", graph::element_type_name(type.element), ", not ",
                  element == graph::ElementType::kString ? "strings" : graph::element_type_name(element));
    }
    if (!type.shape) return {};
    bool fits = type.shape->size() == dims.size();
    for (size_t i = 0; fits && i < dims.size(); ++i) {
      const graph::Dim& dim = (*type.shape)[i];
      fits = !dim.known() || dim.size == dims[i];
    }
    if (fits) return {};
    return fail(Code::kInvalidArgument, "input '", declared.name, "' wants the shape ", text(*type.shape), ", not ", text(dims));
  }

  void hold(size_t index, ort::Value value, graph::ElementType element, std::span<const int64_t> dims) {
    Input& input = inputs[index];
    for (Output& output : outputs) {
      if (output.value == input.value.get()) output.value = nullptr;  // handed out as it came, and gone now
    }
    if (!input.value || !std::equal(input.dims.begin(), input.dims.end(), dims.begin(), dims.end())) shapes_changed = true;
    input.value = std::move(value);
    input.dims.assign(dims.begin(), dims.end());
    input.element = element;
    ++binding_epoch;
  }

  // ---- planned memory ----
  void measure_tenants(const Shapes& shapes) {
    std::vector<uint64_t> taken = shapes.taken;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].keeps) taken[i] = 0;
    }
    tenants->measure([&](int s) { return shape_at(shapes, s); }, taken);
  }

  Status plan(Shapes& shapes) {
    measure_tenants(shapes);
    auto layout = tenants->plan(shapes.tight.get(), memory::kQuickSearch);
    const uint64_t room = room_for_block();
    // As many barriers as it takes, so that the fewer bytes there are the less runs side by side: each time twice as many
    // as before, and at last one before every unit.
    for (size_t count = 1; layout && in_pages(layout->total_bytes) > room; count *= 2) {
      std::vector<bool> possible(steps.size());
      for (size_t i = 0; i < steps.size(); ++i) possible[i] = !steps[i].alias && !order.tasks[i].barrier && !shapes.parted[i];
      const memory::Problem problem = tenants->problem(shapes.tight.get(), layout->shared.any);
      const std::vector<int> barriers = best_barriers(problem, possible, count);
      if (barriers.empty()) return does_not_fit(in_pages(layout->total_bytes), room);
      for (const int step : barriers) shapes.parted[step] = 1;
      part(shapes);
      layout = tenants->plan(shapes.tight.get(), memory::kQuickSearch);
    }
    if (!layout) return layout.error();
    shapes.layout = layout.take();
    shapes.planned = true;
    shapes.refined = false;
    shapes.run_ns = 0;
    ++shapes.layouts;
    ++shapes_planned;
    shapes.block_epoch = 0;  // place() before the next run
    return {};
  }

  void part(Shapes& shapes) {
    std::vector<Task> parted = order.tasks;
    for (size_t i = 0; i < steps.size(); ++i) parted[i].barrier = parted[i].barrier || shapes.parted[i] != 0;
    shapes.tight = std::make_unique<Executor>(std::move(parted), workers, schedule.memory_budget_bytes);
  }

  // What the budget leaves beside that which kernels hold on to: on ARM some pack their weights when they first run.
  uint64_t room_for_block() {
    if (!budget->limited()) return memory::Budget::kNone;
    const uint64_t limit = budget->limit_bytes();
    uint64_t others = outside;
    if (arena->stats().live_bytes != block_bytes) {
      arena->trim();
      others += arena->stats().capacity_bytes - block_bytes;
    }
    return limit - std::min(limit, others);
  }

  Error does_not_fit(uint64_t bytes, uint64_t room) const {
    Error error = fail(Code::kMemoryBudget, "the session's tensors take ", bytes, " bytes with one unit at a time, and of its memory budget of ",
                       budget->limit_bytes(), " bytes ", room, " are left beside ONNX Runtime's own blocks: ", remedy());
    error.requested_bytes = bytes;
    error.available_bytes = room;
    return error;
  }

  // Makes the presets of a planned set of shapes over the block, which grows if need be.
  Status place(Shapes& shapes) {
    const uint64_t wanted = shapes.layout.total_bytes;
    if (wanted > block_bytes) {
      drop_block();
      block = static_cast<std::byte*>(arena->gather(wanted));
      if (block == nullptr) {
        Error error = fail(Code::kMemoryBudget, "no memory for the ", in_pages(wanted), " bytes of the session's tensors",
                           budget->limited() ? ": what has no place among them takes of the budget, too" : "");
        error.requested_bytes = in_pages(wanted);
        error.available_bytes = budget->limited() ? budget->left_bytes() : 0;
        return error;
      }
      block_bytes = wanted;
      gathered = true;
    }
    if (windows_of == &shapes) windows_of = nullptr;
    const bool moved = shapes.block_epoch != block_epoch;
    if (moved) {
      for (ort::Value& preset : shapes.preset) preset.reset();
    }
    const std::vector<int>& slots = tenants->slots();
    for (size_t i = 0; i < slots.size() && moved; ++i) {
      const graph::Shape* shape = shape_at(shapes, slots[i]);
      if (shape == nullptr) continue;
      std::byte* const at = block + shapes.layout.offsets[i];
      auto value = tensor_at(at, shape->element, shape->dims);
      if (!value) return value.error();
      shapes.preset[slots[i]] = value.take();
      address[slots[i]] = at;
    }
    // Another binding moves only what views an input.
    for (const auto& alias : compiled->aliases()) {
      const int s = alias.output;
      const int root = slot(s).root;
      const int input = input_of[root];
      if (input < 0 && (!moved || !shapes.preset[root])) continue;
      const graph::Shape* shape = shape_at(shapes, s);
      if (shape == nullptr) continue;
      auto value = input >= 0 ? view_over(inputs[input].value.get(), shape->element, shape->dims)
                              : tensor_at(address[root], shape->element, shape->dims);
      if (!value) return value.error();
      shapes.preset[s] = value.take();
    }
    // A new preset may lie at an old one's address: publish() must not take it for the same.
    for (Output& output : outputs) output.value = nullptr;
    shapes.block_epoch = block_epoch;
    shapes.binding_epoch = binding_epoch;
    return {};
  }

  // ---- results ----
  Status check_output(size_t index) const {
    if (index >= outputs.size()) return fail(Code::kInvalidArgument, "there is no output ", index, "; the model has ", outputs.size());
    if (has_run) return {};
    return fail(Code::kInvalidArgument, "output '", value_of(compiled->outputs()[index]).name, "' is not there yet: run the session first");
  }

  std::vector<UnitRun> last_run() const {
    std::vector<UnitRun> list;
    const int64_t origin = started_ns();
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].alias) continue;
      const Offload::Run* on_device = offload.run_of(static_cast<int>(i));
      const Offload::Run region = on_device != nullptr ? *on_device : Offload::Run{};
      list.push_back({.unit = steps[i].index,
                      .device = on_device != nullptr && region.fell_back.empty() ? 1 : 0,
                      .device_ns = region.device_ns,
                      .predicted_ns = on_device != nullptr ? predicted_ns(steps[i].index) : 0,
                      .copied_bytes = region.copied_bytes,
                      .fell_back = region.fell_back,
                      .threads = steps[i].width == Width::kNarrow ? 1 : workers,
                      .worker = timings[i].worker,
                      .start_ns = timings[i].start_ns,
                      .end_ns = timings[i].end_ns,
                      .bytes = output_bytes(steps[i].index),
                      .memory_bytes = steps[i].memory.high_water_bytes()});
    }
    for (UnitRun& run : list) {
      run.start_ns -= origin;
      run.end_ns -= origin;
    }
    return list;
  }

  // What the plan expected of a unit's region on the device.
  int64_t predicted_ns(int unit) const {
    const partition::Plan& plan = compiled->plan();
    const int region = plan.units[static_cast<size_t>(unit)].region;
    return std::llround(std::min(plan.regions[static_cast<size_t>(region)].device_s * 1e9, 9e18));
  }

  // By the system's steady clock: when the last run's first unit started.
  int64_t started_ns() const {
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (!steps[i].alias) first = std::min(first, timings[i].start_ns);
    }
    return first == INT64_MAX ? 0 : first;
  }

  Status check_planned() const {
    if (active != nullptr && active->planned) return {};
    return fail(Code::kInvalidArgument, "there is no layout of the session's memory yet: run it twice at the same shapes first");
  }

  Result<MemoryMap> memory_map() const {
    if (auto s = check_planned(); !s) return s.error();
    MemoryMap map;
    std::vector<int> time(steps.size() + 1);  // units before a step
    for (size_t i = 0; i < steps.size(); ++i) {
      time[i + 1] = time[i] + (steps[i].alias ? 0 : 1);
      if (!steps[i].alias) map.order.push_back(steps[i].index);
    }
    const auto add = [&](MemoryMap::Buffer buffer, size_t place, uint64_t bytes) {
      if (bytes == 0) return;
      buffer.offset = active->layout.offsets[place];
      buffer.bytes = bytes;
      map.buffers.push_back(std::move(buffer));
    };
    const Tenants::Layout& layout = active->layout;
    const std::vector<int>& slots = tenants->slots();
    for (size_t i = 0; i < slots.size(); ++i) {
      const int s = slots[i];
      const graph::Shape* shape = shape_at(*active, s);
      if (shape == nullptr || (layout.shared.any && !layout.shared.written[i])) continue;
      const auto last = static_cast<size_t>(layout.shared.any ? layout.shared.until[i] : order.last[s]);
      const bool to_the_end = last >= steps.size();
      add({.kind = to_the_end ? MemoryMap::Kind::kOutput : MemoryMap::Kind::kTensor,
           .name = value_of(s).name,
           .unit = slot(s).unit,
           .first = time[static_cast<size_t>(order.first[s])],
           // An alias runs with the unit before it.
           .last = to_the_end ? time.back() - 1 : std::max(time[last + 1] - 1, time[static_cast<size_t>(order.first[s])])},
          i, graph::tensor_bytes(shape->element, shape->dims).value_or(0));
    }
    for (size_t i = 0; i < layout.windows.size(); ++i) {
      const int step = layout.windows[i];
      const int at = time[static_cast<size_t>(step)];
      add({.kind = MemoryMap::Kind::kWindow, .name = {}, .unit = steps[static_cast<size_t>(step)].index, .first = at, .last = at},
          slots.size() + i, active->taken[static_cast<size_t>(step)]);
    }
    std::stable_sort(map.buffers.begin(), map.buffers.end(),
                     [](const MemoryMap::Buffer& a, const MemoryMap::Buffer& b) { return a.offset < b.offset; });
    map.planned_bytes = active->layout.total_bytes;
    map.one_buffer_per_tensor_bytes = layout.naive_bytes;
    map.lower_bound_bytes = active->layout.lower_bound_bytes;
    if (active->block_epoch == block_epoch) map.block = block;
    return map;
  }

  // What a unit's settled outputs take at the shapes of the last run.
  uint64_t output_bytes(int unit) const {
    uint64_t sum = 0;
    for (const int s : compiled->units()[unit].outputs) {
      const graph::Shape* shape = active == nullptr ? nullptr : shape_at(*active, s);
      if (shape != nullptr) sum += graph::tensor_bytes(shape->element, shape->dims).value_or(0);
    }
    return sum;
  }

  Status publish() {
    for (size_t i = 0; i < outputs.size(); ++i) {
      Output& output = outputs[i];
      const int s = compiled->outputs()[i];
      OrtValue* value = const_cast<OrtValue*>(current[s]);
      if (output.bound && value == output.bound.get()) {
        output.value = value;
        publish_view(output, output.data, output.bound_dims, output.bound_element, output.bound_bytes);
        continue;
      }
      OrtValue* preset = place_of(s);
      if (value == preset && value == output.value && !output.bound) continue;  // as in the last run
      const auto shape = shape_of(value);
      output.value = value;
      if (!shape) {
        publish_view(output, nullptr, {}, graph::ElementType::kUndefined, 0);
        continue;
      }
      if (shape->element == graph::ElementType::kString) {
        publish_view(output, nullptr, shape->dims, shape->element, 0);
        continue;
      }
      void* data = nullptr;
      if (OrtStatus* status = api.GetTensorMutableData(value, &data)) return runtime->check(status, "cannot read an output");
      const uint64_t bytes = graph::tensor_bytes(shape->element, shape->dims).value_or(0);
      if (output.bound) {
        // A unit could not write there itself: the tensor shares its bytes with others.
        if (shape->dims != output.bound_dims || shape->element != output.bound_element) {
          return fail(Code::kInvalidArgument, "output '", value_of(s).name, "' has the shape ", text(shape->dims),
                      ", and the memory bound to it the shape ", text(output.bound_dims), ": bind memory of the shape it has, or none");
        }
        std::memcpy(output.data, data, bytes);
        data = output.data;
      }
      publish_view(output, data, shape->dims, shape->element, bytes);
    }
    has_run = true;
    return {};
  }

  void publish_view(Output& output, void* data, std::span<const int64_t> dims, graph::ElementType element, uint64_t bytes) {
    const bool same = output.view.data == data && output.view.element == element && output.view.size_bytes == bytes &&
                      std::equal(dims.begin(), dims.end(), output.dims.begin(), output.dims.end());
    // Memory from ONNX Runtime may come back at the same address with the same shape: then nothing changed for a reader.
    if (same) return;
    output.dims.assign(dims.begin(), dims.end());
    output.view = {element, output.dims, data, bytes};
    ++generation;
  }

  std::shared_ptr<CompiledPlan> compiled;
  const int workers;  // the calling thread and those of the pool that this session may use
  const size_t shapes_kept;
  const MemoryLimit limit_asked;
  std::shared_ptr<ort::Runtime> runtime;
  const OrtApi& api;
  std::shared_ptr<Turns> turns;  // shared with the sessions beside this one
  mutable std::mutex mutex;
  std::mutex cancel_mutex;  // held for a moment, never during a run: flag and run options change together
  std::atomic<bool> cancelled{false};
  OrtRunOptions* run_options = nullptr;

  Schedule schedule;
  Steps order;
  std::vector<Step> steps;  // one for each of the order's
  std::unique_ptr<Executor> executor;
  Executor* running = nullptr;  // in the run in progress: that, or one with more barriers
  std::optional<Turns::Claim> claim;  // in the run in progress: none if no session is beside this one
  Offload offload;
  ort::Crew* crew = nullptr;  // with more than one worker
  std::unique_ptr<ort::Crew::Entrance> entrance;
  std::unique_ptr<std::atomic<int>[]> uses_left;  // of them, in the run in progress
  std::vector<char> unsettled;               // no bits: units side by side set neighbours

  std::vector<Input> inputs;
  std::vector<Output> outputs;
  bool any_bound = false;
  bool shapes_changed = true;
  bool has_run = false;
  uint64_t binding_epoch = 1;

  std::list<Shapes> known;  // most recently used first
  std::list<Shapes> spare;  // one for the next, whose vectors have their sizes
  Shapes* active = nullptr;
  std::optional<Tenants> tenants;
  std::vector<int64_t> key;

  std::shared_ptr<memory::Budget> budget;
  std::unique_ptr<memory::Arena> arena;  // the block, and what has no place in it
  std::byte* block = nullptr;
  uint64_t block_bytes = 0;
  uint64_t block_epoch = 1;
  const Shapes* windows_of = nullptr;  // whose the units' windows are now
  std::atomic<bool> took_more{false};  // a unit took more than its window, or had none
  std::atomic<bool> kept_in_window{false};
  bool gathered = false;  // the block is new, and there may be free memory beside it
  uint64_t outside = 0;  // of the budget: set aside for what ONNX Runtime takes by malloc
  std::optional<memory::AdaptiveLimit> adaptive;
  std::atomic<uint64_t> units_elided{0};  // in the last run
  std::atomic<bool> limit_moved{false};  // since layouts were fitted to it
  std::atomic<bool> limit_fell{false};   // below what is taken
  uint64_t limits_followed = 0;
  uint64_t layouts_refined = 0;
  uint64_t reruns_for_memory = 0;

  std::vector<const OrtValue*> current;  // per slot
  std::vector<std::byte*> address;       // per slot with a preset, while presets are made
  std::vector<int> input_of;             // per slot: the input that it is, or -1
  std::vector<ort::Value> owned;         // per slot: what this run alone holds
  std::vector<Timing> timings;
  int64_t last_run_ns = 0;
  bool pool_wanted = true;
  uint64_t generation = 0;
  uint64_t runs = 0;
  // Of all runs so far: those at shapes that were known, and at new ones.
  uint64_t shape_hits = 0;
  uint64_t shape_misses = 0;
  uint64_t shape_evictions = 0;
  uint64_t shapes_planned = 0;
  std::atomic<int64_t> sizing_ns{0};  // looking shapes up, recording, planning and placing them
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<CompiledPlan> plan, int threads,
                                                  std::optional<Schedule> given, size_t shapes_kept, MemoryLimit limit) {
  if (threads != 0 && threads != 1) {
    return fail(Code::kInvalidArgument, "a session runs on 1 thread or on all of the engine's (0), not on ", threads,
                "; the engine's own number is set when it is created");
  }
  if (shapes_kept < 1) return fail(Code::kInvalidArgument, "a session keeps at least 1 set of shapes, not ", shapes_kept);
  if (!(limit.margin >= 0 && limit.margin < 1)) {
    return fail(Code::kInvalidArgument, "a memory margin of ", limit.margin, " is not between 0 and 1: 0.4 keeps 40 % of what is free free");
  }
  if (limit.bytes != 0 && limit.margin != 0) {
    return fail(Code::kInvalidArgument, "a memory budget of ", limit.bytes, " bytes and a margin of ", limit.margin, ": give the one or the other");
  }
  auto impl = std::make_unique<Impl>(std::move(plan), threads, shapes_kept, limit);
  Impl& m = *impl;
  if (m.adaptive && !m.adaptive->works()) {
    return fail(Code::kUnsupported, "the system does not say how much memory is free (MemAvailable in /proc/meminfo), so that no budget can follow it: give a number of bytes");
  }
  m.inputs.resize(m.compiled->inputs().size());
  m.outputs.resize(m.compiled->outputs().size());
  if (auto s = m.runtime->check(m.api.CreateRunOptions(&m.run_options), "cannot make run options"); !s) return s.error();
  if (!given) {
    given.emplace();
    for (size_t i = 0; i < m.compiled->units().size(); ++i) {
      const bool on_device = m.compiled->device() != nullptr && m.compiled->plan().units[i].region >= 0;
      given->entries.push_back({static_cast<uint32_t>(i), on_device ? 1u : 0u, m.workers == 1 ? 1u : 0u, 0});
    }
  }
  if (auto s = m.set_up(*given); !s) return s.error();
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<std::unique_ptr<Session>> Session::create_beside(uint64_t limit_bytes) const {
  const std::lock_guard lock(impl_->mutex);
  MemoryLimit limit = impl_->limit_asked;
  if (limit_bytes != 0) limit.bytes = limit_bytes;
  auto made = create(impl_->compiled, impl_->workers == 1 ? 1 : 0, impl_->schedule, impl_->shapes_kept, limit);
  if (made) (*made)->impl_->turns = impl_->turns;
  return made;
}

Status Session::set_schedule(Schedule schedule) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->set_up(schedule);
}

Status Session::bind_input(size_t index, const TensorView& tensor) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (auto s = m.check_index(index); !s) return s;
  const graph::Value& declared = m.value_of(m.compiled->inputs()[index]);
  if (auto s = m.check_tensor(declared, tensor.element, tensor.dims); !s) return s;
  const auto bytes = graph::tensor_bytes(tensor.element, tensor.dims);
  if (!bytes) return fail(Code::kInvalidArgument, "input '", declared.name, "' cannot have the shape ", text(tensor.dims), " of ",
                          graph::element_type_name(tensor.element));
  if (*bytes > tensor.size_bytes || (tensor.data == nullptr && *bytes != 0)) {
    return fail(Code::kInvalidArgument, "input '", declared.name, "' of shape ", text(tensor.dims), " needs ", *bytes, " bytes, and ",
                tensor.data == nullptr ? 0 : tensor.size_bytes, " were given");
  }
  auto value = m.tensor_at(tensor.data, tensor.element, tensor.dims);
  if (!value) return value.error();
  m.hold(index, value.take(), tensor.element, tensor.dims);
  return {};
}

Status Session::bind_input_strings(size_t index, std::span<const int64_t> dims, std::string_view bytes, const size_t* offsets) {
  const Impl& m = *impl_;
  if (auto s = m.check_index(index); !s) return s;
  const graph::Value& declared = m.value_of(m.compiled->inputs()[index]);
  // Before the offsets are read, of which there are as many as the shape says.
  if (auto s = m.check_tensor(declared, graph::ElementType::kString, dims); !s) return s;
  auto content = ort::string_tensor(dims, bytes, offsets);
  if (!content) return fail(content.error().code, "input '", declared.name, "': ", content.error().message);
  return bind_input_value(index, *content);
}

Status Session::bind_input_value(size_t index, const ort::Content& content) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (auto s = m.check_index(index); !s) return s;
  const graph::Value& declared = m.value_of(m.compiled->inputs()[index]);
  if (content.kind == ort::Content::Kind::kTensor) {
    if (auto s = m.check_tensor(declared, content.element, content.dims); !s) return s;
  }
  auto value = ort::make_value(m.runtime, content, declared.type.proto);
  if (!value) {
    value.error().message = "input '" + declared.name + "': " + value.error().message;
    return value.error();
  }
  m.hold(index, value.take(), content.element, content.dims);
  return {};
}

Status Session::bind_output(size_t index, const TensorView& tensor) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (index >= m.outputs.size()) return fail(Code::kInvalidArgument, "there is no output ", index, "; the model has ", m.outputs.size());
  Impl::Output& output = m.outputs[index];
  if (tensor.data == nullptr && tensor.dims.empty() && tensor.size_bytes == 0) {
    output.bound.reset();
    output.value = nullptr;
  } else {
    const std::string& name = m.value_of(m.compiled->outputs()[index]).name;
    const graph::ElementType wanted = m.value_of(m.compiled->outputs()[index]).type.element;
    if (wanted != graph::ElementType::kUndefined && wanted != tensor.element) {
      return fail(Code::kInvalidArgument, "output '", name, "' is ", graph::element_type_name(wanted), ", not ", graph::element_type_name(tensor.element));
    }
    const auto bytes = graph::tensor_bytes(tensor.element, tensor.dims);
    if (!bytes || *bytes > tensor.size_bytes || (tensor.data == nullptr && *bytes != 0)) {
      return fail(Code::kInvalidArgument, "the memory for output '", name, "' of shape ", text(tensor.dims), " has ", tensor.size_bytes,
                  " bytes, and it needs ", bytes ? std::to_string(*bytes) : "another element type or shape");
    }
    auto value = m.tensor_at(tensor.data, tensor.element, tensor.dims);
    if (!value) return value.error();
    output.bound = value.take();
    output.data = tensor.data;
    output.bound_dims.assign(tensor.dims.begin(), tensor.dims.end());
    output.bound_element = tensor.element;
    output.bound_bytes = *bytes;
  }
  m.any_bound = std::any_of(m.outputs.begin(), m.outputs.end(), [](const Impl::Output& o) { return static_cast<bool>(o.bound); });
  return {};
}

Status Session::run(const int32_t* stop) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->run(stop);
}

uint64_t Session::outputs_generation() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->generation;
}

Result<TensorView> Session::output(size_t index) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (auto s = m.check_output(index); !s) return s.error();
  if (m.outputs[index].view.element == graph::ElementType::kUndefined) {
    return fail(Code::kUnsupported, "output '", m.value_of(m.compiled->outputs()[index]).name,
                "' is not a tensor: read it as a value (plx_session_output_value)");
  }
  return m.outputs[index].view;
}

Result<ort::Content> Session::output_value(size_t index) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (auto s = m.check_output(index); !s) return s.error();
  const std::string& name = m.value_of(m.compiled->outputs()[index]).name;
  const OrtValue* value = m.outputs[index].value;
  if (value == nullptr) return fail(Code::kInvalidArgument, "output '", name, "' is not there any more: run the session first");
  auto content = ort::read_value(m.runtime, value);
  if (!content) content.error().message = "output '" + name + "' " + content.error().message;
  return content;
}

Result<std::vector<std::string>> Session::output_strings(size_t index) {
  auto content = output_value(index);
  if (!content) return content.error();
  if (content->kind != ort::Content::Kind::kTensor || content->element != graph::ElementType::kString) {
    const std::string& name = impl_->value_of(impl_->compiled->outputs()[index]).name;
    return fail(Code::kInvalidArgument, "output '", name, "' holds ", ort::text(*content), ", not strings");
  }
  return std::move(content->strings);
}

std::vector<UnitRun> Session::last_run() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->last_run();
}

std::string Session::report_json() const {
  const Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  nlohmann::json units = nlohmann::json::array();
  for (const UnitRun& run : m.last_run()) {
    units.push_back({{"unit", run.unit},
                     {"device", run.device == 0 ? "cpu" : m.compiled->device()->info().kind},
                     {"threads", run.threads},
                     {"worker", run.worker},
                     {"start_ns", run.start_ns},
                     {"end_ns", run.end_ns},
                     {"bytes", run.bytes},
                     {"memory_bytes", run.memory_bytes}});
    if (run.device_ns == 0 && run.fell_back.empty()) continue;
    units.back()["device_ns"] = run.device_ns;
    units.back()["predicted_ns"] = run.predicted_ns;
    units.back()["copied_bytes"] = run.copied_bytes;
    units.back()["fell_back"] = run.fell_back;
  }
  const size_t aliases = m.steps.size() - units.size();
  const auto& kept_in = m.compiled->subject().cache;
  const ort::SessionCache::Stats cache = kept_in != nullptr ? kept_in->stats() : ort::SessionCache::Stats{};
  const Impl::Shapes* shapes = m.active;
  const nlohmann::json report = {{"runs", m.runs},
                                 {"device", m.offload.report()},
                                 {"started_ns", m.started_ns()},
                                 {"units", std::move(units)},
                                 {"aliases", aliases},
                                 {"units_elided", m.units_elided.load()},
                                 {"arena_bytes", m.arena->stats().capacity_bytes},
                                 {"arena_high_water_bytes", m.budget->high_water_bytes() - m.outside},
                                 {"memory_budget_bytes", m.budget->limited() ? m.budget->limit_bytes() : 0},
                                 {"outside_bytes", m.outside},
                                 {"barriers_for_memory",
                                  shapes != nullptr ? std::count(shapes->parted.begin(), shapes->parted.end(), 1) : 0},
                                 {"reruns_for_memory", m.reruns_for_memory},
                                 {"limits_followed", m.limits_followed},
                                 {"sessions_bytes", m.compiled->sessions_bytes()},
                                 {"runtime_arena_bytes", m.runtime->arena().stats().capacity_bytes},
                                 {"runtime_arena_live_bytes", m.runtime->arena().stats().live_bytes},
                                 {"cache",
                                  {{"loaded", cache.loaded},
                                   {"stored", cache.stored},
                                   {"bytes", cache.bytes},
                                   {"problem", cache.problem}}},
                                 {"planned_bytes", shapes != nullptr ? shapes->layout.total_bytes : 0},
                                 {"one_buffer_per_tensor_bytes", shapes != nullptr ? shapes->layout.naive_bytes : 0},
                                 {"lower_bound_bytes", shapes != nullptr ? shapes->layout.lower_bound_bytes : 0},
                                 {"shapes_cached", m.known.size()},
                                 {"shape_hits", m.shape_hits},
                                 {"shape_misses", m.shape_misses},
                                 {"shape_evictions", m.shape_evictions},
                                 {"shapes_planned", m.shapes_planned},
                                 {"layouts_refined", m.layouts_refined},
                                 {"sizing_ns", m.sizing_ns.load()}};
  return report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<MemoryMap> Session::memory_map() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->memory_map();
}

Result<memory::Problem> Session::memory_problem() const {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  if (auto s = m.check_planned(); !s) return s.error();
  m.measure_tenants(*m.active);
  return m.tenants->problem(m.active->tight.get(), m.active->layout.shared.any);
}

uint64_t Session::trim() {
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  const uint64_t before = m.arena->stats().capacity_bytes;
  m.give_back();
  return before - m.arena->stats().capacity_bytes;
}

void Session::cancel() noexcept {
  const std::lock_guard lock(impl_->cancel_mutex);
  // The flag first: a unit that ONNX Runtime stops must find it raised, or it would pass for one that failed.
  impl_->cancelled.store(true);
  if (OrtStatus* status = impl_->api.RunOptionsSetTerminate(impl_->run_options)) impl_->api.ReleaseStatus(status);
}

}  // namespace plx::schedule
