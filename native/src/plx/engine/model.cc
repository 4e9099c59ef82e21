#include "plx/engine/model.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <type_traits>

#include "plx/engine/calibration.h"
#include "plx/engine/devices.h"
#include "plx/engine/measure.h"
#include "plx/engine/trial.h"
#include "plx/ort/symbolic_shapes.h"

namespace plx::engine {

namespace {

nlohmann::json describe(const graph::Graph& graph, graph::ValueId id) {
  const graph::Value& value = graph.values[id];
  nlohmann::json out = {{"name", value.name},
                        {"kind", graph::kind_name(value.type.kind)},
                        {"type", static_cast<int32_t>(value.type.element)},
                        {"shape", nullptr}};
  if (value.type.shape) {
    out["shape"] = nlohmann::json::array();
    for (const graph::Dim& dim : *value.type.shape) {
      if (dim.known()) out["shape"].push_back(dim.size);
      else if (!dim.symbol.empty()) out["shape"].push_back(dim.symbol);
      else out["shape"].push_back(-1);
    }
  }
  return out;
}

std::string text(const std::vector<int64_t>& dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(dims[i]);
  return out + "]";
}

// Everything a plan depends on beside the model, as text.
// No JSON: its values ask for memory when they are destroyed, which ends the process if there is none.
std::string key_of(const PlanRequest& request) {
  const partition::Options& o = request.options;
  std::string key;
  const auto add = [&key](const auto& value) {
    if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
      key += std::to_string(std::string_view(value).size()) + ':' + std::string(value);
    } else if constexpr (std::is_floating_point_v<std::decay_t<decltype(value)>>) {
      char bits[sizeof value];
      std::memcpy(bits, &value, sizeof value);
      key.append(bits, sizeof bits);
    } else {
      key += std::to_string(value) + ';';
    }
  };
  add(static_cast<int>(o.units));
  add(static_cast<int>(o.rule));
  add(o.beta);
  add(o.min_nodes);
  add(static_cast<int>(request.estimate));
  for (const auto& [name, shape] : request.shapes) {
    add(name);
    for (const int64_t size : shape) add(size);
    key += '|';
  }
  add(request.device);
  add(static_cast<int>(request.paper_rates));
  add(static_cast<int>(o.offload_all));
  for (const partition::Placement& placement : o.placements) add(partition::placement_name(placement));
  key += '|';
  if (o.device) {
    const partition::DeviceProfile& d = *o.device;
    key += 'd';
    add(d.name);
    for (const std::string& one : d.operators) add(one);
    key += '|';
    add(d.min_nodes);
    for (const double number : {d.min_macs, d.max_bytes_per_mac, d.latency_s, d.r_acc, d.b_bw, d.r_cpu}) add(number);
    if (d.measured) {
      for (const partition::Rates* rates : {&d.measured->device, &d.measured->cpu}) {
        add(rates->launch_s);
        for (const double rate : rates->per_s) add(rate);
      }
    }
  }
  return key;
}

// Whether ONNX Runtime has to write most of the weights when it saves the optimised graph: those inside the model's file,
// those of convolutions, which change their layout, and those of half precision, which become float32 where no kernel takes
// them as they are. (In the graph's own file they would lie as they come, and each would have to be copied to be aligned:
// 114 MB for swinv2-tiny in float16.) Measured, 2 cores of an AMD EPYC: saving them apart takes yolov8n
// from 50 to 41 ms and MiniLM (weights in the file) from 336 to 196, and clip-text (all in an external file) from 87 to 340.
ort::Weights place_of_weights(const graph::Graph& graph) {
  uint64_t all = 0;
  uint64_t written = 0;
  for (const graph::Node& node : graph.nodes) {
    if (node.has_subgraph) return ort::Weights::kInPlace;
  }
  for (const graph::Value& value : graph.values) {
    if (value.initializer == graph::kNone) continue;
    const graph::Initializer& weight = graph.initializers[value.initializer];
    const bool of_convolution = std::any_of(value.consumers.begin(), value.consumers.end(),
                                            [&](graph::NodeId id) { return graph.nodes[id].op_type == "Conv"; });
    all += weight.size_bytes;
    const bool half = weight.element == graph::ElementType::kFloat16 || weight.element == graph::ElementType::kBfloat16;
    if (!weight.external || of_convolution || half) written += weight.size_bytes;
  }
  return written > all / 2 ? ort::Weights::kApart : ort::Weights::kInPlace;
}

// Types and sizes with the inputs at `dims`; if the model is refused at these, types, and what sizes do not depend on them.
Result<ort::Inferred> infer(const schedule::Subject& given, const graph::Graph& graph, const ort::InputDims& dims) {
  auto inferred = ort::infer(given.runtime, graph, *given.settings, dims, given.source.base_directory);
  if (inferred) return inferred;
  auto as_declared = ort::infer(given.runtime, graph, *given.settings, dims, given.source.base_directory, {}, true);
  return as_declared ? std::move(as_declared) : std::move(inferred);
}

}  // namespace

namespace {

graph::ReadOptions read_options(const ort::ModelSettings& settings, const std::string& name) {
  graph::ReadOptions options;
  options.name = name;
  options.data_folders = settings.data_folders;
  options.limits = settings.limits;
  options.load_data = false;  // ONNX Runtime reads the weights of the model as given itself
  return options;
}

}  // namespace

// The subject has its runtime, settings and the source's name. file: the model's own, null of one in memory.
Result<std::shared_ptr<Model>> Model::finish(schedule::Subject subject, Result<graph::Graph> read, graph::ReadOptions options,
                                             const graph::Mapping* file) {
  if (!read) return read.error();
  auto graph = graph::pin_files(read.take(), std::move(options));
  if (!graph) return graph.error();
  if (graph->outputs.empty()) {
    return fail(Code::kInvalidModel, "'", subject.source.name, "' has no outputs, so there is nothing to run");
  }
  // ONNX Runtime opens nothing by a name that the model or its folder gives: what it reads is what was checked.
  subject.source.files = graph->files;
  if (!graph->files.empty()) {
    subject.source.path.clear();
    subject.source.base_directory = graph::kPinnedFolder;
  }
  subject.source.bytes = graph->model;
  auto constant_bytes = ort::constants_within(subject.runtime, *graph, *subject.settings, subject.source.name);
  if (!constant_bytes) return constant_bytes.error();
  auto settings = std::make_shared<ort::ModelSettings>(*subject.settings);
  settings->limits.constant_bytes = *constant_bytes;
  subject.settings = settings;
  if (!settings->cache_folder.empty()) {
    std::set<std::string> data;  // by what they are: their locations are descriptors' numbers
    for (const auto& [location, mapping] : graph->files) data.insert(mapping->identity());
    std::string identity = file->identity();
    for (const std::string& one : data) identity += "; " + one;
    std::error_code error;
    const auto path = std::filesystem::canonical(subject.source.name, error);
    auto cache = ort::SessionCache::open(settings->cache_folder, error ? subject.source.name : path.string(), identity);
    if (!cache) return cache.error();
    subject.cache = cache.take();
  }
  subject.graph = std::make_shared<const graph::Graph>(graph.take());
  subject.as_given = true;
  std::shared_ptr<Model> model(new Model);
  model->given_ = std::make_shared<const schedule::Subject>(std::move(subject));
  return model;
}

Result<std::shared_ptr<Model>> Model::load_file(std::shared_ptr<ort::Runtime> runtime, const std::string& path,
                                                ort::ModelSettings settings) {
  auto file = graph::Mapping::open(path);
  if (!file) return file.error();
  graph::ReadOptions options = read_options(settings, path);
  options.base_directory = std::filesystem::path(path).parent_path().string();
  if (options.base_directory.empty()) options.base_directory = ".";
  schedule::Subject subject;
  subject.runtime = std::move(runtime);
  subject.settings = std::make_shared<const ort::ModelSettings>(std::move(settings));
  subject.source = {.name = path, .path = (*file)->path(), .bytes = {}, .base_directory = {}};
  const std::shared_ptr<const graph::Mapping> own_file = *file;
  auto storage = std::make_shared<graph::Storage>();
  const auto bytes = storage->keep(file.take());
  auto graph = graph::read_model(bytes, std::move(storage), options);
  auto model = finish(std::move(subject), std::move(graph), std::move(options), own_file.get());
  own_file->give_back(own_file->bytes());  // looking through it has mapped what lies around, weights as well
  return model;
}

Result<std::shared_ptr<Model>> Model::load_memory(std::shared_ptr<ort::Runtime> runtime, std::string_view bytes,
                                                  const std::string& base_directory, ort::ModelSettings settings) {
  graph::ReadOptions options = read_options(settings, "model in memory");
  options.base_directory = base_directory;
  if (!settings.cache_folder.empty()) {
    return fail(Code::kInvalidArgument, "a model in memory has no file that a cache could know it by: load it from a file, or without "
                "a cache folder");
  }
  schedule::Subject subject;
  subject.runtime = std::move(runtime);
  subject.settings = std::make_shared<const ort::ModelSettings>(std::move(settings));
  subject.source = {.name = options.name, .path = {}, .bytes = {}, .base_directory = {}};
  auto graph = graph::read_model(std::as_bytes(std::span(bytes.data(), bytes.size())), std::make_shared<graph::Storage>(), options);
  return finish(std::move(subject), std::move(graph), std::move(options));
}

std::string Model::info_json() const {
  const graph::Graph& graph = *given_->graph;
  uint64_t weights = 0;
  for (const graph::Initializer& init : graph.initializers) weights += init.size_bytes;
  nlohmann::json info = {{"name", graph.name},
                         {"ir_version", graph.ir_version},
                         {"producer", graph.producer},
                         {"nodes", graph.total_nodes},
                         {"initializer_bytes", weights},
                         {"opsets", nlohmann::json::object()},
                         {"inputs", nlohmann::json::array()},
                         {"outputs", nlohmann::json::array()}};
  for (const auto& [domain, version] : graph.opsets) info["opsets"][domain] = version;
  for (const graph::ValueId id : graph.inputs) info["inputs"].push_back(describe(graph, id));
  for (const graph::ValueId id : graph.outputs) info["outputs"].push_back(describe(graph, id));
  return info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The sizes asked for, checked against what the graph declares.
Result<ort::InputDims> Model::dims_of(const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes) const {
  const graph::Graph& graph = *given_->graph;
  ort::InputDims dims;
  for (const auto& [name, shape] : shapes) {
    const auto it = std::find_if(graph.inputs.begin(), graph.inputs.end(),
                                 [&](graph::ValueId id) { return graph.values[id].name == name; });
    if (it == graph.inputs.end()) {
      std::string names;
      for (const graph::ValueId id : graph.inputs) names += (names.empty() ? "'" : ", '") + graph.values[id].name + "'";
      return fail(Code::kInvalidArgument, "there is no input '", name, "'; the model has ", names);
    }
    const auto& declared = graph.values[*it].type.shape;
    if (declared) {
      bool fits = declared->size() == shape.size();
      for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] >= 0 && (!(*declared)[i].known() || (*declared)[i].size == shape[i]);
      if (!fits) return fail(Code::kInvalidArgument, "input '", name, "' cannot have the shape ", text(shape));
    }
    dims[*it] = shape;
  }
  return dims;
}

Result<std::shared_ptr<const schedule::Subject>> Model::optimised(bool for_device, const ort::InputDims& dims, graph::Shapes& shapes) {
  std::shared_ptr<const schedule::Subject>& kept = optimised_[for_device ? 1 : 0];
  const bool first = kept == nullptr;
  graph::Graph made;
  if (first) {
    const GraphOptimizationLevel level = for_device ? ORT_ENABLE_EXTENDED : ORT_ENABLE_ALL;
    const ort::Weights weights = place_of_weights(*given_->graph);
    const bool nested = std::any_of(given_->graph->nodes.begin(), given_->graph->nodes.end(),
                                    [](const graph::Node& node) { return node.has_subgraph; });
    auto graph = given_->cache != nullptr && !nested
                     ? given_->cache->optimised(given_->runtime, given_->source, *given_->settings, level, weights)
                     : ort::optimise(given_->runtime, given_->source, *given_->settings, level, weights);
    if (!graph) return graph.error();
    made = graph.take();
    // Before IR version 4 every constant is an input too, and in the saved graph it stays one when a pass has folded it
    // away.
    std::erase_if(made.inputs, [&](graph::ValueId id) {
      const graph::Value& value = made.values[id];
      const graph::Graph& given = *given_->graph;
      return value.consumers.empty() && !value.is_output &&
             std::none_of(given.inputs.begin(), given.inputs.end(),
                          [&](graph::ValueId g) { return given.values[g].name == value.name; });
    });
  }
  const graph::Graph& graph = first ? made : *kept->graph;
  // Inputs keep their order and names through ONNX Runtime's passes, their ids may not.
  ort::InputDims moved;
  for (const auto& [id, sizes] : dims) {
    for (const graph::ValueId input : graph.inputs) {
      if (graph.values[input].name == given_->graph->values[id].name) moved[input] = sizes;
    }
  }
  auto inferred = infer(*given_, graph, moved);
  if (!inferred) return inferred.error();
  shapes = std::move(inferred->shapes);
  if (first) {
    for (size_t i = 0; i < made.values.size(); ++i) made.values[i].type = inferred->types[i];
    auto subject = std::make_shared<schedule::Subject>(*given_);
    const bool fixed = std::all_of(made.inputs.begin(), made.inputs.end(), [&](graph::ValueId id) {
      const auto& shape = made.values[id].type.shape;
      return shape && std::all_of(shape->begin(), shape->end(), [](const graph::Dim& dim) { return dim.known(); });
    });
    if (fixed) subject->fixed_shapes = shapes;
    subject->graph = std::make_shared<const graph::Graph>(std::move(made));
    subject->as_given = false;
    if (!subject->graph->files.empty()) {
      subject->unit_directory = subject->source.base_directory;
      subject->stand_in = subject->graph->files.begin()->first;
    } else {
      auto folder = subject->runtime->stand_in_folder();
      if (!folder) return folder.error();
      subject->unit_directory = folder.take();
      subject->stand_in = ort::Runtime::kStandIn;
    }
    kept = std::move(subject);
  }
  return kept;
}

Result<std::shared_ptr<PlanHandle>> Model::make_plan(const PlanRequest& request) {
  auto dims = dims_of(request.shapes);
  if (!dims) return dims.error();
  const std::string key = key_of(request);
  {
    const std::lock_guard lock(mutex_);
    for (auto it = plans_.begin(); it != plans_.end(); ++it) {
      if (it->first != key) continue;
      plans_.splice(plans_.begin(), plans_, it);
      return plans_.front().second;
    }
  }
  auto handle = std::make_shared<PlanHandle>();
  graph::Shapes shapes;
  std::optional<Calibration> rates;
  if (!request.device.empty()) {
    if (request.options.units == partition::Units::kWhole) {
      return fail(Code::kInvalidArgument, "a whole graph is one unit on the CPU: cut it into branches to run parts of it on '",
                  request.device, "'");
    }
    // Rates come first: the device may have to be tuned for them, and is another one then. Where all of it runs there whatever that
    // costs, they are only told if they are known.
    if (!request.paper_rates && request.options.offload_all) {
      rates = known_calibration(given_->runtime, request.device);
    } else if (!request.paper_rates) {
      auto made = calibrate(given_->runtime, request.device);
      if (!made) return made.error();
      rates = made.take();
    }
    auto device = open_device(request.device);
    if (!device) return device.error();
    handle->device = device.take();
  }
  if (request.options.units == partition::Units::kWhole) {
    handle->subject = given_;
    shapes.resize(given_->graph->values.size());
    if (request.estimate) {
      auto inferred = infer(*given_, *given_->graph, *dims);
      if (!inferred) return inferred.error();
      shapes = std::move(inferred->shapes);
    }
  } else {
    const std::lock_guard lock(mutex_);
    auto subject = optimised(request.options.device.has_value() || handle->device != nullptr, *dims, shapes);
    if (!subject) return subject.error();
    handle->subject = *subject;
  }
  std::optional<partition::Measured> measured;
  if (request.options.units == partition::Units::kMixed && handle->device == nullptr) {
    auto times = measure(handle->subject, shapes);
    if (!times) return times.error();
    measured = times.take();
  }
  if (handle->device != nullptr) handle->shapes = std::make_shared<const graph::Shapes>(shapes);
  auto plan = handle->device != nullptr
                  ? plan_for_device(request, *handle, rates ? &rates->profile : nullptr)
                  : partition::make_plan(*handle->subject->graph, shapes, request.options, measured ? &*measured : nullptr);
  if (!plan) return plan.error();
  handle->plan = std::make_shared<const partition::Plan>(plan.take());
  const std::lock_guard lock(mutex_);
  for (const auto& [known, plan_made] : plans_) {
    if (known == key) return plan_made;  // another thread was faster: one plan for all who ask alike
  }
  plans_.emplace_front(key, handle);
  if (plans_.size() > kPlansKept) plans_.pop_back();
  return handle;
}

// By measured rates, and what they accept is tried.
Result<partition::Plan> Model::plan_for_device(const PlanRequest& request, const PlanHandle& handle, const partition::DeviceProfile* rates) const {
  const graph::Graph& graph = *handle.subject->graph;
  partition::Options options = request.options;
  options.present = true;
  options.shapes = request.shapes;
  partition::DeviceProfile profile;
  if (rates != nullptr) profile = *rates;
  profile.name = request.device;
  partition::DeviceAnswers answers;
  std::set<std::string> taken;
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    answers.refusals.push_back(handle.device->refuses(graph, *handle.shapes, static_cast<graph::NodeId>(node)));
    const graph::Node& n = graph.nodes[node];
    if (answers.refusals.back().empty()) taken.insert(n.domain.empty() ? n.op_type : n.domain + ":" + n.op_type);
  }
  profile.operators.assign(taken.begin(), taken.end());
  const bool tries = profile.measured.has_value() && !options.offload_all;
  options.device = std::move(profile);
  auto plan = partition::make_plan(graph, *handle.shapes, options, nullptr, &answers);
  const auto accepted = [](const partition::Region& region) { return region.accepted; };
  if (!plan || !tries || std::none_of(plan->regions.begin(), plan->regions.end(), accepted)) return plan;
  const auto tried = std::make_shared<const partition::Plan>(plan.take());
  answers.trials = try_regions(handle.subject, tried, handle.device, handle.shapes);
  return partition::make_plan(graph, *handle.shapes, options, nullptr, &answers);
}

Result<std::shared_ptr<PlanHandle>> Model::read_plan(std::string_view json) {
  auto handle = std::make_shared<PlanHandle>();
  auto whole = partition::from_json(*given_->graph, json);
  if (whole && whole->options.units == partition::Units::kWhole) {
    handle->subject = given_;
    handle->plan = std::make_shared<const partition::Plan>(whole.take());
    return handle;
  }
  // The digest in the plan says which of the two optimised graphs it is about.
  Error refused;
  for (const bool for_device : {false, true}) {
    graph::Shapes shapes;
    {
      const std::lock_guard lock(mutex_);
      auto subject = optimised(for_device, {}, shapes);
      if (!subject) return subject.error();
      handle->subject = *subject;
    }
    auto plan = partition::from_json(*handle->subject->graph, json);
    if (plan) {
      handle->plan = std::make_shared<const partition::Plan>(plan.take());
      if (!handle->plan->options.present) return handle;
      if (auto s = find_device(*handle); !s) return s.error();
      return handle;
    }
    if (!for_device) refused = std::move(plan.error());
  }
  return refused;
}

// The device of a plan that was read, and the sizes that its regions have.
Status Model::find_device(PlanHandle& handle) {
  const partition::Options& options = handle.plan->options;
  if (!options.device) return fail(Code::kInvalidPlan, "plan: options: a device is present, and none is named");
  auto dims = dims_of(options.shapes);
  if (!dims) return fail(Code::kInvalidPlan, "plan: options.shapes: ", dims.error().message);
  auto device = open_device(options.device->name);
  if (!device) {
    Error error = device.error();
    error.message = "the plan was made for device '" + options.device->name + "', and on this machine: " + error.message + "; or make the plan anew";
    return error;
  }
  graph::Shapes shapes;
  const std::lock_guard lock(mutex_);
  auto subject = optimised(true, *dims, shapes);
  if (!subject) return subject.error();
  handle.device = device.take();
  handle.shapes = std::make_shared<const graph::Shapes>(std::move(shapes));
  return {};
}

Result<std::shared_ptr<PlanHandle>> Model::own(const std::shared_ptr<const graph::Graph>& graph,
                                               const std::shared_ptr<const partition::Plan>& plan) {
  const std::lock_guard lock(mutex_);
  for (const auto& subject : {given_, optimised_[0], optimised_[1]}) {
    if (subject == nullptr || subject->graph != graph) continue;
    for (const auto& [key, known] : plans_) {
      if (known->plan == plan) return known;
    }
    return std::make_shared<PlanHandle>(PlanHandle{subject, plan, nullptr, nullptr});
  }
  return fail(Code::kInvalidArgument, "the plan was made by another model: make it with the model the session is for");
}

std::shared_ptr<const graph::SymbolicShapes> Model::shapes_of(const std::shared_ptr<const graph::Graph>& graph) {
  const std::lock_guard lock(mutex_);
  auto& kept = symbolic_shapes_[graph.get()];
  if (kept == nullptr) {
    kept = std::make_shared<const graph::SymbolicShapes>(
        graph == given_->graph
            ? graph::symbolic_shapes(*graph, {}, {})
            : ort::infer_symbolic(given_->runtime, *graph, *given_->settings, given_->source.base_directory));
  }
  return kept;
}

Result<std::unique_ptr<schedule::Session>> Model::make_session(
    const std::shared_ptr<PlanHandle>& plan, int threads, std::optional<schedule::Schedule> schedule, size_t shapes_kept,
    schedule::MemoryLimit limit) {
  std::shared_ptr<schedule::CompiledPlan> compiled;
  {
    const std::lock_guard lock(mutex_);
    if (plan->subject != given_ && plan->subject != optimised_[0] && plan->subject != optimised_[1]) {
      return fail(Code::kInvalidArgument, "the plan was made by another model: make it with the model the session is for");
    }
    std::erase_if(compiled_, [](const auto& entry) { return entry.second.expired(); });
    for (const auto& [key, value] : compiled_) {
      if (key.lock() == plan->plan) compiled = value.lock();
    }
    if (compiled == nullptr) {
      auto made = schedule::CompiledPlan::make(plan->subject, plan->plan, plan->device, plan->shapes);
      if (!made) return made.error();
      compiled = made.take();
      compiled_.emplace_back(plan->plan, compiled);
    }
  }
  return schedule::Session::create(std::move(compiled), threads, std::move(schedule), shapes_kept, std::move(limit));
}

}  // namespace plx::engine
