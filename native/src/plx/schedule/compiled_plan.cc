#include "plx/schedule/compiled_plan.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>

#include "plx/base/hasher.h"
#include "plx/base/process_memory.h"
#include "plx/graph/shape_flow.h"
#include "plx/graph/writer.h"

namespace plx::schedule {

namespace {

// Asking malloc for what it keeps takes some milliseconds.
constexpr uint64_t kWorthTrimming = 16 << 20;
// Smaller constants are written into the unit's model (ONNX Runtime copies them); larger ones are handed over in place.
constexpr uint64_t kInlineBytes = 1024;

Result<ort::Value> tensor_over(const std::shared_ptr<ort::Runtime>& runtime, const std::string& name,
                               const graph::Initializer& init) {
  static std::byte nothing[64];
  if (init.data == nullptr && init.size_bytes != 0) {
    return fail(Code::kInternal, "the data of constant '", name, "' was not loaded");
  }
  // ONNX Runtime takes a mutable pointer and writes to no initializer.
  void* data = init.size_bytes == 0 ? nothing : const_cast<std::byte*>(init.data);
  OrtValue* value = nullptr;
  if (auto s = runtime->check(
          runtime->api().CreateTensorWithDataAsOrtValue(runtime->cpu(), data, init.size_bytes, init.dims.data(), init.dims.size(),
                                                        static_cast<ONNXTensorElementDataType>(init.element), &value),
          "cannot hand over the constant '" + name + "'"); !s) return s.error();
  return ort::Value(runtime, value, runtime->api().ReleaseValue);
}

// Of what a unit does, whatever the order of its nodes: ONNX Runtime's own varies from process to process where it has put
// nodes in. Names of values do not, and stand for the contents of constants.
std::string digest_of(const graph::Graph& graph, const partition::Unit& unit) {
  const auto add_names = [&](Hasher& hasher, const std::vector<graph::ValueId>& values) {
    hasher.add(values.size());
    for (const graph::ValueId id : values) hasher.add(id == graph::kNone ? std::string_view() : graph.values[id].name);
  };
  std::vector<std::string> nodes;
  for (const graph::NodeId id : unit.nodes) {
    const graph::Node& node = graph.nodes[id];
    Hasher hasher;
    hasher.add(node.op_type);
    hasher.add(node.domain);
    const auto opset = graph.opsets.find(std::string(node.domain));
    hasher.add(opset == graph.opsets.end() ? 0 : static_cast<uint64_t>(opset->second));
    hasher.add(node.overload);
    hasher.add_each(node.attributes);
    add_names(hasher, node.inputs);
    add_names(hasher, node.outputs);
    nodes.push_back(hasher.text());
  }
  std::sort(nodes.begin(), nodes.end());
  Hasher all;
  all.add_each(graph.functions);
  all.add_each(nodes);
  std::vector<std::string> ends;
  for (const graph::ValueId id : unit.inputs) ends.push_back("in " + graph.values[id].name);
  for (const graph::ValueId id : unit.outputs) ends.push_back("out " + graph.values[id].name);
  std::sort(ends.begin(), ends.end());
  all.add_each(ends);
  return all.text();
}

}  // namespace

int CompiledPlan::slot_of(graph::ValueId value) {
  int& slot = slot_of_value_[value];
  if (slot < 0) {
    slot = static_cast<int>(slots_.size());
    slots_.push_back(Slot{.value = value, .root = slot});
  }
  return slot;
}

Result<std::shared_ptr<CompiledPlan>> CompiledPlan::make(std::shared_ptr<const Subject> subject,
                                                         std::shared_ptr<const partition::Plan> plan,
                                                         std::shared_ptr<device::Device> device,
                                                         std::shared_ptr<const graph::Shapes> shapes) {
  std::shared_ptr<CompiledPlan> compiled(new CompiledPlan);
  CompiledPlan& c = *compiled;
  c.subject_ = std::move(subject);
  c.plan_ = std::move(plan);
  c.device_ = std::move(device);
  c.shapes_ = std::move(shapes);
  c.regions_.resize(c.plan_->units.size());
  const graph::Graph& graph = *c.subject_->graph;
  c.slot_of_value_.assign(graph.values.size(), -1);
  c.weights_.resize(graph.initializers.size());
  for (const graph::ValueId id : graph.inputs) c.inputs_.push_back(c.slot_of(id));
  for (size_t i = 0; i < c.plan_->units.size(); ++i) {
    const partition::Unit& unit = c.plan_->units[i];
    Unit& out = c.units_.emplace_back();
    for (const graph::ValueId id : unit.inputs) {
      out.inputs.push_back(c.slot_of(id));
      out.input_names.push_back(graph.values[id].name.c_str());
    }
    for (const graph::ValueId id : unit.outputs) {
      const int slot = c.slot_of(id);
      if (graph.values[id].producer != graph::kNone) c.slots_[slot].unit = static_cast<int>(i);
      out.outputs.push_back(slot);
      out.output_names.push_back(graph.values[id].name.c_str());
    }
  }
  for (const partition::Alias& alias : c.plan_->aliases) {
    const graph::Node& node = graph.nodes[alias.node];
    const Alias entry{alias.node, c.slot_of(node.inputs[0]), c.slot_of(node.outputs[0])};
    c.slots_[entry.output].root = c.slots_[entry.input].root;
    c.aliases_.push_back(entry);
  }
  for (const graph::ValueId id : graph.outputs) {
    const int slot = c.slot_of(id);
    c.slots_[slot].is_output = true;
    c.outputs_.push_back(slot);
  }
  const std::vector<bool> settled = graph::settled_shapes(graph);
  c.constants_.resize(c.slots_.size());
  for (size_t i = 0; i < c.slots_.size(); ++i) {
    const graph::Value& value = graph.values[c.slots_[i].value];
    c.slots_[i].settled = settled[c.slots_[i].value] && graph::element_bits(value.type.element) != 0;
    const bool made = c.slots_[i].unit >= 0 || c.slots_[i].root != static_cast<int>(i) || (value.is_input && value.initializer == graph::kNone);
    if (made) continue;
    if (value.initializer == graph::kNone) {
      return fail(Code::kInternal, "no unit makes '", value.name, "'");
    }
    const graph::Initializer& init = graph.initializers[value.initializer];
    if (init.sparse || init.element == graph::ElementType::kString) {
      return fail(Code::kUnsupported, "the graph hands out the ", init.sparse ? "sparse" : "string", " constant '", value.name,
                  "' as it is: put an Identity before that output and use units=whole");
    }
    auto constant = tensor_over(c.subject_->runtime, value.name, init);
    if (!constant) return constant.error();
    c.constants_[i] = constant.take();
  }
  for (auto& sessions : c.sessions_) sessions.resize(c.units_.size());
  return compiled;
}

std::string CompiledPlan::describe(int unit) const {
  const partition::Unit& u = plan_->units[unit];
  std::string text = "unit " + std::to_string(unit);
  if (u.nodes.empty()) return text;
  const graph::Node& first = subject_->graph->nodes[u.nodes[0]];
  text += " (" + first.op_type + " '" + first.name + "'";
  if (u.nodes.size() > 1) text += " and " + std::to_string(u.nodes.size() - 1) + " more nodes";
  return text + ")";
}

const CompiledPlan::Region& CompiledPlan::region(int unit) {
  const std::lock_guard lock(regions_mutex_);
  std::unique_ptr<Region>& kept = regions_[static_cast<size_t>(unit)];
  if (kept != nullptr) return *kept;
  kept = std::make_unique<Region>();
  const partition::Unit& u = plan_->units[static_cast<size_t>(unit)];
  if (device_ == nullptr || shapes_ == nullptr) {
    kept->problem = "there is no device";
    return *kept;
  }
  auto program = device_->prepare({subject_->graph.get(), shapes_.get(), u.nodes, u.inputs, u.outputs});
  kept->by_itself = graph::settles_by_itself(*subject_->graph, u.nodes, u.inputs);
  if (program) kept->program = program.take();
  else kept->problem = program.error().message;
  return *kept;
}

Result<const OrtValue*> CompiledPlan::weight(graph::ValueId value) {
  const graph::Value& v = subject_->graph->values[value];
  const std::lock_guard lock(weights_mutex_);
  ort::Value& entry = weights_[v.initializer];
  if (!entry) {
    auto made = tensor_over(subject_->runtime, v.name, subject_->graph->initializers[v.initializer]);
    if (!made) return made.error();
    entry = made.take();
  }
  return entry.get();
}

Result<ort::Session> CompiledPlan::make_unit(int unit, Width width) {
  ort::SessionSpec spec;
  spec.settings = subject_->settings.get();
  spec.pool = width == Width::kWide;
  if (subject_->as_given) {
    spec.source = subject_->source;
    spec.level = ORT_ENABLE_ALL;
    spec.fix_dimensions = true;
    uint64_t weights = 0;
    for (const graph::Initializer& init : subject_->graph->initializers) weights += init.size_bytes;
    spec.prepack = ort::packs(subject_->settings->prepack, weights);
    return make_session(spec, unit, weights);
  }
  const partition::Unit& u = plan_->units[unit];
  // A graph that a device was to have parts of has no NCHWc layouts yet, without which the CPU is 11 to 23 % slower. To make
  // them ONNX Runtime reads the filters in the model.
  const bool layouts = plan_->options.device && std::any_of(u.nodes.begin(), u.nodes.end(), [&](graph::NodeId id) {
                         const std::string& op = subject_->graph->nodes[id].op_type;
                         return op == "Conv" || op == "FusedConv";
                       });
  graph::WriteOptions write;
  write.inline_limit_bytes = layouts ? UINT64_MAX : kInlineBytes;
  write.stand_in = subject_->stand_in;
  const graph::Part part = graph::write_part(*subject_->graph, u.nodes, u.inputs, u.outputs, write);
  for (const graph::ValueId id : part.handed_over) {
    auto value = weight(id);
    if (!value) return value.error();
    spec.initializers.emplace_back(subject_->graph->values[id].name.c_str(), *value);
  }
  spec.source.name = subject_->source.name + ", " + describe(unit);
  spec.source.bytes = part.bytes;
  spec.source.base_directory = subject_->unit_directory;
  // Else every pass has run on the whole graph: units keep its kernels, hence its bits.
  spec.level = layouts ? ORT_ENABLE_ALL : ORT_DISABLE_ALL;
  uint64_t weights = 0;
  for (const graph::ValueId id : part.handed_over) {
    weights += subject_->graph->initializers[subject_->graph->values[id].initializer].size_bytes;
  }
  spec.prepack = ort::packs(subject_->settings->prepack, weights);
  auto session = make_session(spec, unit, weights);
  // ONNX Runtime has read them to pack them, and most of them nobody reads again. Measured on distilbert cut into
  // branches, two threads, no JVM: 380 MB resident at most, 225 with this.
  for (const graph::ValueId id : part.handed_over) {
    graph::give_back_pages(*subject_->graph, subject_->graph->initializers[subject_->graph->values[id].initializer]);
  }
  return session;
}

// From the cache, if there is one and the unit is something for it.
Result<ort::Session> CompiledPlan::make_session(const ort::SessionSpec& spec, int unit, uint64_t weight_bytes) const {
  const partition::Unit& u = plan_->units[unit];
  // ONNX Runtime cannot read back what it saves of a graph with subgraphs: their initializers are there twice.
  const bool nested = std::any_of(u.nodes.begin(), u.nodes.end(), [&](graph::NodeId id) { return subject_->graph->nodes[id].has_subgraph; });
  if (subject_->cache == nullptr || nested || !spec.prepack || weight_bytes < ort::SessionCache::kWorthBytes) {
    return ort::make_session(subject_->runtime, spec);
  }
  const std::string what = (subject_->as_given ? "the model as given" : "unit " + digest_of(*subject_->graph, u)) + ", " +
                           ort::describe(*subject_->settings) + (spec.level == ORT_DISABLE_ALL ? "" : ", optimised");
  return subject_->cache->session(subject_->runtime, what, spec);
}

// Nothing may escape from a thread.
Result<ort::Session> CompiledPlan::without_exceptions(int unit, Width width) noexcept {
  try {
    return make_unit(unit, width);
  } catch (const std::bad_alloc&) {
    return Error{Code::kMemoryBudget, "out of memory", 0, 0};
  }
}

Status CompiledPlan::compile(const std::vector<std::pair<int, Width>>& wanted) {
  const std::lock_guard lock(compile_mutex_);
  std::vector<std::pair<int, Width>> missing;
  for (const auto& entry : wanted) {
    if (!sessions_[static_cast<size_t>(entry.second)][entry.first]) missing.push_back(entry);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());

  if (missing.empty()) return {};
  const uint64_t before = process_memory().rss_anon;
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex error_mutex;
  Status status;
  const auto work = [&] {
    for (size_t i = next++; i < missing.size() && !failed; i = next++) {
      const auto [unit, width] = missing[i];
      auto session = without_exceptions(unit, width);
      if (session) {
        sessions_[static_cast<size_t>(width)][unit] = session.take();
        continue;
      }
      const std::lock_guard guard(error_mutex);
      if (!failed.exchange(true)) status = std::move(session.error());
    }
  };
  // Most of the time goes into packing weights, which ONNX Runtime does on one thread per session.
  const size_t helpers = std::min<size_t>(static_cast<size_t>(subject_->threads()), missing.size());
  std::vector<std::thread> threads;
  try {
    threads.reserve(helpers);
    for (size_t i = 1; i < helpers; ++i) threads.emplace_back(work);
  } catch (const std::exception&) {
    // No memory or no right to more threads: those that there are do the work.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  subject_->runtime->arena().trim();  // ONNX Runtime's working copies; what it packed stays
  uint64_t after = process_memory().rss_anon;
  if (after > before + kWorthTrimming) {
    // What it read from the model's own file came by malloc, which keeps it when it is let go: 90 of 285 MB for swinv2-tiny.
    ::malloc_trim(0);
    after = process_memory().rss_anon;
  }
  if (after > before) sessions_bytes_ += after - before;
  return status;
}

}  // namespace plx::schedule
