#include "plx/schedule/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "plx/memory/planner.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/layout.h"
#include "plx/schedule/views.h"

namespace plx::schedule {

namespace {

constexpr int kForever = INT32_MAX;
// Letting a parked thread of the pool go and parking it again takes about this long, on its core and ours.
constexpr int64_t kShortRunNs = 100'000;
std::byte nothing[memory::kAlignment];  // where empty tensors lie: ONNX Runtime wants an address all the same

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
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

struct Session::Impl final : Executor::Work {
  // One task of the executor: a unit, or an alias.
  struct Step {
    bool alias = false;
    int index = 0;  // of the unit or alias
    OrtSession* session = nullptr;
    Width width = Width::kWide;
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
    bool seen = false;  // a run went through, so that everything settled is recorded
    bool planned = false;
    std::vector<std::optional<graph::Shape>> recorded;  // per slot, beside the fixed ones
    memory::Solution layout;                            // of the tenants, as far as they have a size
    uint64_t naive_bytes = 0;
    std::vector<ort::Value> preset;  // per slot, over the block or over what an alias views
    uint64_t block_epoch = 0;
    uint64_t binding_epoch = 0;

    void clear() {
      seen = false;
      planned = false;
      for (auto& shape : recorded) shape.reset();
      for (ort::Value& value : preset) value.reset();
      layout.total_bytes = 0;
      layout.lower_bound_bytes = 0;
      naive_bytes = 0;
      block_epoch = 0;
      binding_epoch = 0;
    }
  };

  Impl(std::shared_ptr<CompiledPlan> plan, int threads_asked, size_t shapes_to_keep)
      : compiled(std::move(plan)),
        workers(threads_asked == 1 ? 1 : compiled->subject().threads()),
        shapes_kept(shapes_to_keep),
        runtime(compiled->subject().runtime),
        api(runtime->api()),
        arena("session") {}

  ~Impl() {
    // Values may lie in the block: they go first.
    for (Shapes& s : known) s.preset.clear();
    owned.clear();
    arena.free(block);
    if (run_options != nullptr) api.ReleaseRunOptions(run_options);
  }

  const graph::Value& value_of(int slot) const { return compiled->subject().graph->values[compiled->slots()[slot].value]; }
  const CompiledPlan::Slot& slot(int index) const { return compiled->slots()[index]; }

  // ---- set-up ----
  Status set_up(const Schedule& wanted) {
    const partition::Plan& plan = compiled->plan();
    if (auto s = schedule::validate(plan, wanted); !s) return s;
    std::vector<std::pair<int, Width>> units;
    for (const ScheduleEntry& entry : wanted.entries) {
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
    schedule = wanted;

    // Aliases run as soon as what they view and what they are told is there.
    const auto& graph = *compiled->subject().graph;
    std::vector<Step> order;
    std::vector<bool> made(compiled->slots().size(), false);
    std::vector<int> slot_of(graph.values.size(), -1);
    for (size_t i = 0; i < compiled->slots().size(); ++i) {
      slot_of[compiled->slots()[i].value] = static_cast<int>(i);
      made[i] = slot(static_cast<int>(i)).unit < 0 && slot(static_cast<int>(i)).root == static_cast<int>(i);
    }
    std::vector<bool> placed(compiled->aliases().size(), false);
    const auto place_aliases = [&] {
      for (size_t i = 0; i < compiled->aliases().size(); ++i) {  // topological, so one pass is enough
        if (placed[i]) continue;
        const auto& alias = compiled->aliases()[i];
        bool ready = true;
        for (const graph::ValueId id : graph.nodes[alias.node].inputs) {
          if (id == graph::kNone || graph.values[id].initializer != graph::kNone) continue;
          ready = ready && slot_of[id] >= 0 && made[slot_of[id]];
        }
        if (!ready) continue;
        Step& step = order.emplace_back();
        step.alias = true;
        step.index = static_cast<int>(i);
        made[alias.output] = true;
        placed[i] = true;
      }
    };
    place_aliases();
    for (const auto& [unit, width] : units) {
      Step& step = order.emplace_back();
      step.index = unit;
      step.session = compiled->session(unit, width);
      step.width = width;
      for (const int output : compiled->units()[unit].outputs) made[output] = true;
      place_aliases();
    }
    if (std::find(placed.begin(), placed.end(), false) != placed.end()) {
      return fail(Code::kInternal, "an alias of the plan is never ready");
    }

    // What each step depends on, and liveness over the steps per root slot.
    const size_t slots = compiled->slots().size();
    first.assign(slots, 0);
    last.assign(slots, -1);
    group_size.assign(slots, 0);
    uses.assign(slots, 0);
    for (size_t i = 0; i < slots; ++i) {
      ++group_size[slot(static_cast<int>(i)).root];
      if (!slot(static_cast<int>(i)).is_output) continue;
      last[slot(static_cast<int>(i)).root] = kForever;
      ++uses[slot(static_cast<int>(i)).root];  // one that never ends
    }
    std::vector<Task> tasks(order.size());
    std::vector<Use> used(order.size());
    std::vector<int> maker(slots, -1);  // the step that makes a slot
    for (size_t i = 0; i < order.size(); ++i) {
      const int step = static_cast<int>(i);
      const auto touch = [&](int s) {
        int& at = last[slot(s).root];
        at = std::max(at, step);
        used[i].roots.push_back(slot(s).root);
      };
      const auto read = [&](int s) {
        touch(s);
        if (maker[s] >= 0) tasks[i].predecessors.push_back(maker[s]);
      };
      if (order[i].alias) {
        const auto& alias = compiled->aliases()[order[i].index];
        tasks[i].instant = true;
        for (const graph::ValueId id : graph.nodes[alias.node].inputs) {
          if (id != graph::kNone && slot_of[id] >= 0) read(slot_of[id]);
        }
        maker[alias.output] = step;
      } else {
        const auto& unit = compiled->units()[order[i].index];
        tasks[i].wide = order[i].width == Width::kWide && workers > 1;
        used[i].written = unit.outputs;
        for (const int s : unit.inputs) read(s);
        for (const int s : unit.outputs) {
          first[s] = step;
          maker[s] = step;
          touch(s);  // what nobody reads still needs its bytes while it is written
        }
        order[i].inputs.resize(unit.inputs.size());
        const bool may_be_absent = std::any_of(unit.inputs.begin(), unit.inputs.end(),
                                               [&](int s) { return value_of(s).type.kind == graph::Kind::kOptional; });
        if (may_be_absent) order[i].names.resize(unit.inputs.size());
        order[i].outputs.resize(unit.outputs.size());
        order[i].preset.resize(unit.outputs.size());
      }
      for (std::vector<int>* list : {&used[i].roots, &tasks[i].predecessors}) {
        std::sort(list->begin(), list->end());
        list->erase(std::unique(list->begin(), list->end()), list->end());
      }
      for (const int root : used[i].roots) ++uses[root];
    }
    for (size_t i = 0, entry = 0; i < order.size(); ++i) {
      if (order[i].alias) continue;
      tasks[i].barrier = wanted.entries[entry].barrier != 0;
      tasks[i].bytes = plan.units[wanted.entries[entry].unit].peak_bytes;
      ++entry;
    }
    executor = std::make_unique<Executor>(std::move(tasks), workers, wanted.memory_budget_bytes);
    uses_left = std::make_unique<std::atomic<int>[]>(slots);
    steps = std::move(order);
    uses_of = std::move(used);
    operand_slot = std::move(slot_of);
    current.assign(slots, nullptr);
    address.assign(slots, nullptr);
    input_of.assign(slots, -1);
    for (size_t i = 0; i < compiled->inputs().size(); ++i) input_of[compiled->inputs()[i]] = static_cast<int>(i);
    owned.clear();
    owned.resize(slots);
    has_run = false;
    known.clear();  // offsets belong to an order
    spare.clear();
    make_spare();
    find_tenants();
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
    if (shapes_changed || needs_plan(*active) || needs_place(*active)) {
      const int64_t start = now_ns();
      Status sized = size_up();
      sizing_ns += now_ns() - start;
      if (!sized) return sized;
    } else {
      ++shape_hits;
    }
    for (size_t i = 0; i < inputs.size(); ++i) current[compiled->inputs()[i]] = inputs[i].value.get();
    for (size_t i = 0; i < current.size(); ++i) {
      if (const OrtValue* constant = compiled->constant(static_cast<int>(i))) current[i] = constant;
    }
    has_run = false;  // from here on the last run's outputs are gone
    for (size_t i = 0; i < owned.size(); ++i) owned[i].reset();

    for (size_t i = 0; i < uses.size(); ++i) uses_left[i].store(uses[i], std::memory_order_relaxed);

    const int64_t start = now_ns();
    Status status;
    {
      const bool pool = executor->parallel() || executor->wide();
      const ort::Crew::Shift shift(pool && pool_pays() ? crew : nullptr);
      status = executor->run(*this, entrance.get());
    }
    last_run_ns = now_ns() - start;
    if (!status) return cancelled.load() ? was_cancelled() : std::move(status);
    active->seen = true;
    ++runs;
    return publish();
  }

  static Error was_cancelled() { return fail(Code::kRunFailed, "the run was cancelled"); }

  // Planned when a set of shapes comes for the second time: many come once, as in a cache that grows.
  static bool needs_plan(const Shapes& shapes) { return shapes.seen && !shapes.planned; }
  bool needs_place(const Shapes& shapes) const {
    return shapes.planned && (shapes.block_epoch != block_epoch || shapes.binding_epoch != binding_epoch);
  }

  // Finds the set of shapes to run at, and its places if it has been seen before.
  Status size_up() {
    if (shapes_changed) {
      select_shapes();
      shapes_changed = false;
    } else {
      ++shape_hits;
    }
    if (needs_plan(*active)) {
      if (auto s = plan(*active); !s) return s;
    }
    return needs_place(*active) ? place(*active) : Status{};
  }

  // A run that is over sooner than a parked thread is awake does without the pool: its units run on the calling thread.
  bool pool_pays() {
    if (last_run_ns != 0 && last_run_ns < kShortRunNs) pool_wanted = false;
    if (last_run_ns > 2 * kShortRunNs) pool_wanted = true;
    return pool_wanted;
  }

  Status run_task(int index, int worker) override {
    if (cancelled.load(std::memory_order_relaxed)) return was_cancelled();
    Step& step = steps[index];
    const int64_t start = now_ns();
    Status status = step.alias ? run_alias(step) : run_unit(step);
    timings[index] = {start, now_ns(), worker};
    if (!status) return status;
    for (const int root : uses_of[index].roots) {
      if (uses_left[root].fetch_sub(1, std::memory_order_acq_rel) == 1) release(root);
    }
    return {};
  }

  // Everything that shares the root's bytes and was made for this run alone.
  void release(int root) {
    if (group_size[root] == 1) {
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
    if (!slot(s).is_output || group_size[slot(s).root] != 1) return nullptr;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (compiled->outputs()[i] == s && outputs[i].bound) return &outputs[i];
    }
    return nullptr;
  }

  Status run_unit(Step& step) {
    const auto& unit = compiled->units()[step.index];
    if (unit.outputs.empty()) return {};  // nobody reads what it makes, and a run has to ask for something
    bool any_preset = false;
    for (size_t i = 0; i < unit.inputs.size(); ++i) step.inputs[i] = current[unit.inputs[i]];
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      const int s = unit.outputs[i];
      OrtValue* preset = active->preset[s].get();
      if (any_bound) {
        if (const Output* output = bound_output(s)) preset = output->bound.get();
      }
      step.outputs[i] = preset;
      step.preset[i] = preset;
      any_preset = any_preset || preset != nullptr;
    }
    OrtStatus* status = call(step, unit);
    if (status != nullptr && any_preset && !cancelled.load()) {
      // Either the operator failed, or an output has another shape than its preset. The unit is pure: run it again and see.
      api.ReleaseStatus(status);
      for (size_t i = 0; i < unit.outputs.size(); ++i) step.outputs[i] = nullptr;
      status = call(step, unit);
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
    if (!active->seen) record(unit);
    return {};
  }

  OrtStatus* call(Step& step, const CompiledPlan::Unit& unit) {
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

  // Nothing for what is no tensor. Of one whose type is known, ONNX Runtime is asked less.
  std::optional<graph::Shape> shape_of(const OrtValue* value, graph::ElementType known = graph::ElementType::kUndefined) const {
    if (known == graph::ElementType::kUndefined) {
      int has_value = 0;  // an optional tensor without content counts as a tensor, and is none to look into
      int is_tensor = 0;
      OrtStatus* asked = api.HasValue(value, &has_value);
      if (asked == nullptr) asked = api.IsTensor(value, &is_tensor);
      if (asked != nullptr) {
        api.ReleaseStatus(asked);
        return std::nullopt;
      }
      if (has_value == 0 || is_tensor == 0) return std::nullopt;
    }
    OrtTensorTypeAndShapeInfo* info = nullptr;
    if (OrtStatus* s = api.GetTensorTypeAndShape(value, &info)) {
      api.ReleaseStatus(s);
      return std::nullopt;
    }
    const ort::Handle<OrtTensorTypeAndShapeInfo> owner(nullptr, info, api.ReleaseTensorTypeAndShapeInfo);
    graph::Shape shape;
    auto element = static_cast<ONNXTensorElementDataType>(known);
    size_t rank = 0;
    OrtStatus* s = nullptr;
    if (known == graph::ElementType::kUndefined) s = api.GetTensorElementType(info, &element);
    if (s == nullptr) s = api.GetDimensionsCount(info, &rank);
    if (s == nullptr) {
      shape.dims.resize(rank);
      s = api.GetDimensions(info, shape.dims.data(), rank);
    }
    if (s != nullptr) {
      api.ReleaseStatus(s);
      return std::nullopt;
    }
    shape.element = static_cast<graph::ElementType>(element);
    return shape;
  }

  void record(const CompiledPlan::Unit& unit) {
    const auto unknown = [this](int s) { return !unsettled[s] && shape_at(*active, s) == nullptr; };
    if (std::none_of(unit.outputs.begin(), unit.outputs.end(), unknown)) return;
    const int64_t start = now_ns();
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
    const OrtValue* tensor = current[operand_slot[id]];
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
    const uint64_t bytes = graph::tensor_bytes(element, dims).value_or(0);
    OrtValue* value = nullptr;
    if (OrtStatus* status = api.CreateTensorWithDataAsOrtValue(runtime->cpu(), bytes == 0 ? nothing : data, bytes, dims.data(),
                                                               dims.size(), static_cast<ONNXTensorElementDataType>(element), &value)) {
      return runtime->check(status, "cannot describe a tensor").error();
    }
    return ort::Value(runtime, value, api.ReleaseValue);
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
  // What the schedule alone says about the block; sizes come with a set of shapes.
  void find_tenants() {
    tenants.clear();
    fixed_bytes.clear();
    problem = {};
    for (size_t i = 0; i < current.size(); ++i) {
      const int s = static_cast<int>(i);
      if (slot(s).unit < 0 || !slot(s).settled) continue;
      const int64_t end = last[s] == kForever ? static_cast<int64_t>(steps.size()) : last[s];
      problem.buffers.push_back({.size_bytes = 0, .first = first[s], .last = end, .name = value_of(s).name});
      tenants.push_back(s);
      const graph::Shape* shape = shape_before_runs(s);
      fixed_bytes.push_back(shape == nullptr ? 0 : graph::tensor_bytes(shape->element, shape->dims).value_or(0));
    }
    problem.conflicts = conflicts(*executor, uses_of, tenants, problem.buffers);
  }

  Status plan(Shapes& shapes) {
    for (size_t i = 0; i < tenants.size(); ++i) {
      uint64_t& bytes = problem.buffers[i].size_bytes;
      bytes = unsettled[tenants[i]] ? 0 : fixed_bytes[i];
      if (bytes != 0) continue;
      const graph::Shape* shape = shape_at(shapes, tenants[i]);
      if (shape != nullptr) bytes = graph::tensor_bytes(shape->element, shape->dims).value_or(0);
    }
    auto solution = memory::plan(problem);
    if (!solution) return solution.error();
    shapes.layout = solution.take();
    shapes.naive_bytes = memory::naive_bytes(problem);
    shapes.planned = true;
    ++shapes_planned;
    shapes.block_epoch = 0;  // place() before the next run
    return {};
  }

  // Makes the presets of a planned set of shapes over the block, which grows if need be.
  Status place(Shapes& shapes) {
    if (shapes.layout.total_bytes > block_bytes) {
      for (Shapes& other : known) {
        for (ort::Value& preset : other.preset) preset.reset();
      }
      ++block_epoch;
      void* const grown = arena.resize(block, shapes.layout.total_bytes);
      if (grown == nullptr) {
        Error error = fail(Code::kMemoryBudget, "no memory for the ", shapes.layout.total_bytes, " bytes of the session's tensors");
        error.requested_bytes = shapes.layout.total_bytes;
        return error;
      }
      block = static_cast<std::byte*>(grown);
      block_bytes = shapes.layout.total_bytes;
    }
    const bool moved = shapes.block_epoch != block_epoch;
    if (moved) {
      for (ort::Value& preset : shapes.preset) preset.reset();
    }
    for (size_t i = 0; i < tenants.size() && moved; ++i) {
      const graph::Shape* shape = shape_at(shapes, tenants[i]);
      if (shape == nullptr) continue;
      std::byte* const at = block + shapes.layout.offsets[i];
      auto value = tensor_at(at, shape->element, shape->dims);
      if (!value) return value.error();
      shapes.preset[tenants[i]] = value.take();
      address[tenants[i]] = at;
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
    int64_t origin = INT64_MAX;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].alias) continue;
      origin = std::min(origin, timings[i].start_ns);
      list.push_back({.unit = steps[i].index,
                      .threads = steps[i].width == Width::kNarrow ? 1 : workers,
                      .worker = timings[i].worker,
                      .start_ns = timings[i].start_ns,
                      .end_ns = timings[i].end_ns,
                      .bytes = output_bytes(steps[i].index)});
    }
    for (UnitRun& run : list) {
      run.start_ns -= origin;
      run.end_ns -= origin;
    }
    return list;
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
      OrtValue* preset = active->preset[s].get();
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
  std::shared_ptr<ort::Runtime> runtime;
  const OrtApi& api;
  mutable std::mutex mutex;
  std::mutex cancel_mutex;  // held for a moment, never during a run: flag and run options change together
  std::atomic<bool> cancelled{false};
  OrtRunOptions* run_options = nullptr;

  Schedule schedule;
  std::vector<Step> steps;
  std::vector<Use> uses_of;  // per step
  std::unique_ptr<Executor> executor;
  ort::Crew* crew = nullptr;  // with more than one worker
  std::unique_ptr<ort::Crew::Entrance> entrance;
  std::vector<int> first, last, group_size;  // per slot; meaningful for roots
  std::vector<int> uses;                     // per root slot: steps that read or write it, and one for ever if it is an output
  std::unique_ptr<std::atomic<int>[]> uses_left;  // of them, in the run in progress
  std::vector<int> operand_slot;             // per value of the graph, -1 without a slot
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
  std::vector<int> tenants;  // slots that have a place in the block if they have a size
  std::vector<uint64_t> fixed_bytes;  // of each, 0 if not known before runs
  memory::Problem problem;   // a buffer for each, its size that of the shapes planned last
  std::vector<int64_t> key;

  memory::Arena arena;
  std::byte* block = nullptr;
  uint64_t block_bytes = 0;
  uint64_t block_epoch = 1;

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
                                                  std::optional<Schedule> given, size_t shapes_kept) {
  if (threads != 0 && threads != 1) {
    return fail(Code::kInvalidArgument, "a session runs on 1 thread or on all of the engine's (0), not on ", threads,
                "; the engine's own number is set when it is created");
  }
  if (shapes_kept < 1) return fail(Code::kInvalidArgument, "a session keeps at least 1 set of shapes, not ", shapes_kept);
  auto impl = std::make_unique<Impl>(std::move(plan), threads, shapes_kept);
  Impl& m = *impl;
  m.inputs.resize(m.compiled->inputs().size());
  m.outputs.resize(m.compiled->outputs().size());
  if (auto s = m.runtime->check(m.api.CreateRunOptions(&m.run_options), "cannot make run options"); !s) return s.error();
  if (!given) {
    given.emplace();
    for (size_t i = 0; i < m.compiled->units().size(); ++i) {
      given->entries.push_back({static_cast<uint32_t>(i), 0, m.workers == 1 ? 1u : 0u, 0});
    }
  }
  if (auto s = m.set_up(*given); !s) return s.error();
  return std::unique_ptr<Session>(new Session(std::move(impl)));
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
                     {"device", "cpu"},
                     {"threads", run.threads},
                     {"worker", run.worker},
                     {"start_ns", run.start_ns},
                     {"end_ns", run.end_ns},
                     {"bytes", run.bytes}});
  }
  const size_t aliases = m.steps.size() - units.size();
  const Impl::Shapes* shapes = m.active;
  const nlohmann::json report = {{"runs", m.runs},
                                 {"units", std::move(units)},
                                 {"aliases", aliases},
                                 {"arena_bytes", m.arena.stats().capacity_bytes},
                                 {"runtime_arena_bytes", m.runtime->arena().stats().capacity_bytes},
                                 {"runtime_arena_live_bytes", m.runtime->arena().stats().live_bytes},
                                 {"planned_bytes", shapes != nullptr ? shapes->layout.total_bytes : 0},
                                 {"one_buffer_per_tensor_bytes", shapes != nullptr ? shapes->naive_bytes : 0},
                                 {"lower_bound_bytes", shapes != nullptr ? shapes->layout.lower_bound_bytes : 0},
                                 {"shapes_cached", m.known.size()},
                                 {"shape_hits", m.shape_hits},
                                 {"shape_misses", m.shape_misses},
                                 {"shape_evictions", m.shape_evictions},
                                 {"shapes_planned", m.shapes_planned},
                                 {"sizing_ns", m.sizing_ns.load()}};
  return report.dump();
}

void Session::cancel() noexcept {
  const std::lock_guard lock(impl_->cancel_mutex);
  // The flag first: a unit that ONNX Runtime stops must find it raised, or it would pass for one that failed.
  impl_->cancelled.store(true);
  if (OrtStatus* status = impl_->api.RunOptionsSetTerminate(impl_->run_options)) impl_->api.ReleaseStatus(status);
}

}  // namespace plx::schedule
