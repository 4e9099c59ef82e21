#include "plx/ort/session.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <protozero/pbf_writer.hpp>

#include "plx/graph/computed_constants.h"
#include "plx/graph/onnx_fields.h"
#include "plx/graph/reader.h"
#include "plx/graph/writer.h"
#include "plx/ort/crew.h"

namespace plx::ort {

namespace {

// Larger constants carry weights; smaller ones may carry shapes, axes or limits, which shape inference has to see.
constexpr uint64_t kProbeInlineBytes = 4096;
// Of saved weights, the smallest that go into the second file.
constexpr uint64_t kPackedBytes = 1024;
using graph::Descriptor;
using graph::kDescriptors;

// The TypeProto of a type that is not a plain tensor, and its kind.
class TypeDescriber {
 public:
  explicit TypeDescriber(const OrtApi& api) : api_(api) {}

  // Empty on a type that nothing here knows.
  std::string proto(const OrtTypeInfo* info) const {
    ONNXType kind = ONNX_TYPE_UNKNOWN;
    if (!ok(api_.GetOnnxTypeFromTypeInfo(info, &kind))) return {};
    switch (kind) {
      case ONNX_TYPE_TENSOR: return wrap(graph::onnx::TypeProto::kTensor, element_field(info));
      case ONNX_TYPE_SPARSETENSOR: return wrap(graph::onnx::TypeProto::kSparseTensor, element_field(info));
      case ONNX_TYPE_SEQUENCE: {
        const OrtSequenceTypeInfo* sequence = nullptr;
        OrtTypeInfo* element = nullptr;
        if (!ok(api_.CastTypeInfoToSequenceTypeInfo(info, &sequence)) || !ok(api_.GetSequenceElementType(sequence, &element))) return {};
        return wrap(graph::onnx::TypeProto::kSequence, inner(element));
      }
      case ONNX_TYPE_OPTIONAL: {
        const OrtOptionalTypeInfo* optional = nullptr;
        OrtTypeInfo* element = nullptr;
        if (!ok(api_.CastTypeInfoToOptionalTypeInfo(info, &optional)) || !ok(api_.GetOptionalContainedTypeInfo(optional, &element))) return {};
        return wrap(graph::onnx::TypeProto::kOptional, inner(element));
      }
      case ONNX_TYPE_MAP: {
        const OrtMapTypeInfo* map = nullptr;
        OrtTypeInfo* value = nullptr;
        ONNXTensorElementDataType key = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        if (!ok(api_.CastTypeInfoToMapTypeInfo(info, &map)) || !ok(api_.GetMapKeyType(map, &key)) ||
            !ok(api_.GetMapValueType(map, &value))) return {};
        std::string bytes;
        protozero::pbf_writer writer{bytes};
        writer.add_int32(graph::onnx::MapType::kKeyType, static_cast<int32_t>(key));
        writer.add_message(graph::onnx::MapType::kValueType, owned(value));
        return wrap(graph::onnx::TypeProto::kMap, bytes);
      }
      default: return {};
    }
  }

 private:
  bool ok(OrtStatus* status) const {
    if (status == nullptr) return true;
    api_.ReleaseStatus(status);
    return false;
  }
  static std::string wrap(uint32_t field, const std::string& bytes) {
    std::string out;
    protozero::pbf_writer{out}.add_message(field, bytes);
    return out;
  }
  std::string owned(OrtTypeInfo* info) const {
    std::string bytes = proto(info);
    api_.ReleaseTypeInfo(info);
    return bytes;
  }
  std::string inner(OrtTypeInfo* element) const {
    std::string bytes;
    protozero::pbf_writer{bytes}.add_message(graph::onnx::ElementOf::kElemType, owned(element));
    return bytes;
  }
  std::string element_field(const OrtTypeInfo* info) const {
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::string bytes;
    if (ok(api_.CastTypeInfoToTensorInfo(info, &tensor)) && tensor != nullptr && ok(api_.GetTensorElementType(tensor, &element))) {
      protozero::pbf_writer{bytes}.add_int32(graph::onnx::TensorType::kElemType, static_cast<int32_t>(element));
    }
    return bytes;
  }
  const OrtApi& api_;
};

graph::Kind kind_of(ONNXType type) {
  switch (type) {
    case ONNX_TYPE_TENSOR: return graph::Kind::kTensor;
    case ONNX_TYPE_SEQUENCE: return graph::Kind::kSequence;
    case ONNX_TYPE_OPTIONAL: return graph::Kind::kOptional;
    case ONNX_TYPE_MAP: return graph::Kind::kMap;
    case ONNX_TYPE_SPARSETENSOR: return graph::Kind::kSparseTensor;
    default: return graph::Kind::kUnknown;
  }
}

// What a model has to have at its end so that it says the rank of these values: a Shape of each as a further output. A
// message may be appended to another, which adds what it has to the other's lists.
std::string rank_outputs(const graph::Graph& graph, std::span<const graph::ValueId> values) {
  std::string nodes;
  protozero::pbf_writer writer{nodes};
  for (const graph::ValueId id : values) {
    const std::string& name = graph.values[id].name;
    const std::string rank = "parallax.rank." + name;
    std::string bytes;
    protozero::pbf_writer node{bytes};
    node.add_string(graph::onnx::NodeProto::kInput, name);
    node.add_string(graph::onnx::NodeProto::kOutput, rank);
    node.add_string(graph::onnx::NodeProto::kOpType, "Shape");
    writer.add_message(graph::onnx::GraphProto::kNode, bytes);
    std::string output;
    protozero::pbf_writer{output}.add_string(graph::onnx::ValueInfo::kName, rank);
    writer.add_message(graph::onnx::GraphProto::kOutput, output);
  }
  std::string model;
  if (!nodes.empty()) protozero::pbf_writer{model}.add_message(graph::onnx::Model::kGraph, nodes);
  return model;
}

// The size a symbolic dimension was fixed to; 1 if it was not.
int64_t fixed_size(const ModelSettings& settings, const std::string& symbol) {
  for (const auto& [name, value] : settings.dimensions) {
    if (name == symbol) return value;
  }
  return 1;
}

}  // namespace

Result<Session> make_session(const std::shared_ptr<Runtime>& runtime, const SessionSpec& spec) {
  const OrtApi& api = runtime->api();
  const std::string context = "cannot load '" + spec.source.name + "' with ONNX Runtime " + runtime->version();
  OrtSessionOptions* options = nullptr;
  if (auto s = runtime->check(api.CreateSessionOptions(&options), context); !s) return s.error();
  const Handle<OrtSessionOptions> options_owner(runtime, options, api.ReleaseSessionOptions);
  Status status;
  const auto apply = [&](OrtStatus* result, const std::string& what) {
    if (!status) api.ReleaseStatus(result);
    else status = runtime->check(result, what);
  };
  const auto config = [&](const char* key, const char* value) {
    apply(api.AddSessionConfigEntry(options, key, value), "cannot set '" + std::string(key) + "'");
  };
  const bool pool = spec.pool && (spec.settings == nullptr || spec.settings->threads != 1);
  if (pool) apply(api.DisablePerSessionThreads(options), context);
  else apply(api.SetIntraOpNumThreads(options, 1), context);
  apply(api.SetSessionGraphOptimizationLevel(options, spec.level), context);
  // The level is ALL or nothing here; without patterns new shapes cost a fifth less memory at the same speed.
  apply(api.DisableMemPattern(options), context);
  config("session.use_env_allocators", "1");
  // Or bytes that look like ONNX Runtime's own format would be taken for another model than the one that was checked.
  config("session.load_model_format", "ONNX");
  if (!spec.prepack) config("session.disable_prepacking", "1");
  if (!spec.save_path.empty()) apply(api.SetOptimizedModelFilePath(options, spec.save_path.c_str()), context);
  if (spec.source.path.empty() && !spec.source.base_directory.empty()) {
    config("session.model_external_initializers_file_folder_path", spec.source.base_directory.c_str());
  }
  if (spec.settings != nullptr) {
    const auto most = static_cast<int64_t>(std::min<uint64_t>(spec.settings->limits.constant_bytes, INT64_MAX));
    config("optimization.constant_folding_max_output_size_in_bytes", std::to_string(most).c_str());
    for (const auto& [key, value] : spec.settings->config) config(key.c_str(), value.c_str());
    for (const auto& library : spec.settings->custom_op_libraries) {
      std::error_code error;
      if (!std::filesystem::exists(library, error)) {
        return fail(Code::kNotFound, "no custom-operator library at '", library, "'");
      }
      apply(api.RegisterCustomOpsLibrary_V2(options, library.c_str()), "cannot register the custom operators of '" + library + "'");
    }
    if (spec.fix_dimensions) {
      for (const auto& [name, value] : spec.settings->dimensions) {
        apply(api.AddFreeDimensionOverrideByName(options, name.c_str(), value), "cannot fix the dimension '" + name + "'");
      }
    }
  }
  if (spec.save_packed) {
    const std::string file = std::filesystem::path(spec.save_path).filename().string() + kWeightsSuffix;
    config("session.optimized_model_external_initializers_file_name", file.c_str());
    config("session.optimized_model_external_initializers_min_size_in_bytes", std::to_string(kPackedBytes).c_str());
    config("session.save_external_prepacked_constant_initializers", "1");
    // What is merely handed over is not saved.
    std::vector<const char*> names;
    std::vector<const OrtValue*> values;
    for (const auto& [name, value] : spec.initializers) {
      names.push_back(name);
      values.push_back(value);
    }
    if (!names.empty()) apply(api.AddExternalInitializers(options, names.data(), values.data(), names.size()), context);
  } else {
    for (const auto& [name, value] : spec.initializers) apply(api.AddInitializer(options, name, value), context);
  }
  if (!status) return status.error();

  OrtSession* session = nullptr;
  OrtStatus* made = spec.source.path.empty()
                        ? api.CreateSessionFromArray(runtime->env(), spec.source.bytes.data(), spec.source.bytes.size(), options, &session)
                        : api.CreateSession(runtime->env(), spec.source.path.c_str(), options, &session);
  if (auto s = runtime->check(made, context); !s) {
    Error error = s.error();
    if (const size_t at = error.message.find(spec.source.path); !spec.source.path.empty() && at != std::string::npos) {
      error.message.replace(at, spec.source.path.size(), spec.source.name);
    }
    // ONNX Runtime asks for the name behind a descriptor, and a file that was removed has none.
    if (spec.source.base_directory == graph::kPinnedFolder && error.message.find(kDescriptors) != std::string::npos) {
      return fail(Code::kIo, context, ": a file with its external data was replaced or removed since the model was loaded; "
                  "load the model again");
    }
    // At load time everything that is not about operators is the model's fault.
    if (error.code == Code::kRunFailed || error.code == Code::kInvalidArgument) error.code = Code::kInvalidModel;
    if (error.code == Code::kUnsupported) error.message += " (operators from elsewhere: name their library as a custom-operator library)";
    return error;
  }
  return Session(runtime, session, api.ReleaseSession);
}

Result<uint64_t> constants_within(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph,
                                  const ModelSettings& settings, const std::string& name) {
  const graph::Limits& limits = settings.limits;
  uint64_t weights = 0;
  for (const graph::Initializer& init : graph.initializers) weights += init.size_bytes;
  // Weights that are cast, unpacked or turned around are as good as weights.
  const uint64_t most = limits.constant_bytes + 8 * std::min(weights, UINT64_MAX / 16);
  const graph::ComputedConstants constants = graph::computed_constants(graph, most / 2);
  if (constants.outputs.empty()) return limits.constant_bytes;
  ModelSettings small = settings;
  small.limits.constant_bytes = kProbeInlineBytes;  // enough to compute shapes
  SessionSpec spec;
  spec.source.name = name;
  spec.source.bytes = constants.model;
  spec.source.base_directory = graph.files.empty() ? "" : graph::kPinnedFolder;
  spec.settings = &small;
  spec.level = ORT_ENABLE_BASIC;
  spec.prepack = false;
  spec.pool = false;
  const auto session = make_session(runtime, spec);
  // Then nothing is known, and nothing large may be computed before the model runs.
  if (!session) return kProbeInlineBytes;

  const OrtApi& api = runtime->api();
  uint64_t all = 0;
  uint64_t largest = 0;
  size_t made_largest = 0;
  for (size_t i = 0; i < constants.outputs.size(); ++i) {
    OrtTypeInfo* raw = nullptr;
    if (auto s = runtime->check(api.SessionGetOutputTypeInfo(session->get(), i, &raw), "cannot read types"); !s) return s.error();
    const Handle<OrtTypeInfo> info(runtime, raw, api.ReleaseTypeInfo);
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    if (auto s = runtime->check(api.CastTypeInfoToTensorInfo(raw, &tensor), "cannot read types"); !s) return s.error();
    if (tensor == nullptr) continue;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    if (auto s = runtime->check(api.GetTensorElementType(tensor, &element), "cannot read types"); !s) return s.error();
    if (auto s = runtime->check(api.GetDimensionsCount(tensor, &rank), "cannot read types"); !s) return s.error();
    std::vector<int64_t> dims(rank);
    if (auto s = runtime->check(api.GetDimensions(tensor, dims.data(), rank), "cannot read types"); !s) return s.error();
    if (std::any_of(dims.begin(), dims.end(), [](int64_t dim) { return dim < 0; })) continue;
    // Nothing but an overflow leaves a known type and known dims without a size.
    const auto type = static_cast<graph::ElementType>(element);
    const uint64_t size = graph::element_bits(type) == 0 ? 0 : graph::tensor_bytes(type, dims).value_or(UINT64_MAX);
    const uint64_t times = constants.outputs[i].times;
    uint64_t total = 0;
    if (__builtin_mul_overflow(size, times, &total)) total = UINT64_MAX;
    if (__builtin_add_overflow(all, total, &all)) all = UINT64_MAX;
    if (total <= largest) continue;
    largest = total;
    made_largest = i;
  }
  if (all <= most) return limits.constant_bytes;
  return fail(Code::kInvalidModel, "'", name, "' computes constants of ", all, " bytes out of ", weights,
              " bytes of weights, the largest in ", constants.outputs[made_largest].made_by, ", of ", largest,
              " bytes; the limit is ", limits.constant_bytes, " (max_constant_bytes) and eight times the weights");
}

Result<graph::Graph> optimise(const std::shared_ptr<Runtime>& runtime, const ModelSource& source, const ModelSettings& settings,
                              GraphOptimizationLevel level, Weights weights) {
  const auto memory_file = [] { return ::memfd_create("parallax-optimised", MFD_CLOEXEC); };
  const Descriptor file(memory_file());
  const Descriptor data(weights == Weights::kApart ? memory_file() : -1);
  if (file.get() < 0 || (weights == Weights::kApart && data.get() < 0)) {
    return fail(Code::kIo, "cannot make a memory file for the optimised graph: ", std::strerror(errno));
  }
  // A file name beside the graph's: both are numbers in the same folder.
  const std::string location = weights == Weights::kApart ? std::to_string(data.get()) : std::string();
  const std::string path = std::string(kDescriptors) + "/" + std::to_string(file.get());
  if (auto s = save_optimised(runtime, source, settings, level, path, location); !s) return s.error();
  auto mapping = graph::Mapping::of_descriptor(file.get(), "optimised " + source.name);
  if (!mapping) return mapping.error();
  graph::Files files = source.files;
  if (weights == Weights::kApart) {
    auto apart = graph::Mapping::of_descriptor(data.get(), "weights of " + source.name);
    if (!apart) return apart.error();
    files.emplace(location, apart.take());
  }
  return read_optimised(mapping.take(), source, std::move(files));
}

Status save_optimised(const std::shared_ptr<Runtime>& runtime, const ModelSource& source, const ModelSettings& settings,
                      GraphOptimizationLevel level, const std::string& path, const std::string& weights_name) {
  ModelSettings all_settings = settings;
  if (!weights_name.empty()) {
    // What is small stays in the graph, where `infer` and units want it.
    all_settings.config.emplace_back("session.optimized_model_external_initializers_file_name", weights_name);
    all_settings.config.emplace_back("session.optimized_model_external_initializers_min_size_in_bytes",
                                     std::to_string(kProbeInlineBytes + 1));
  }
  SessionSpec spec;
  spec.source = source;
  spec.settings = &all_settings;
  spec.level = level;
  spec.prepack = false;  // nothing will run in this session
  spec.fix_dimensions = true;
  spec.save_path = path;
  auto session = make_session(runtime, spec);
  return session ? Status{} : Status(session.error());
}

Result<graph::Graph> read_optimised(std::shared_ptr<graph::Mapping> file, const ModelSource& source, graph::Files files) {
  graph::ReadOptions options;
  options.name = source.name;
  options.limits = graph::Limits::none();  // the model was within its own
  options.files = files;
  if (files.empty()) options.base_directory = source.base_directory;
  auto storage = std::make_shared<graph::Storage>();
  const auto bytes = storage->keep(std::move(file));
  auto graph = graph::read_model(bytes, std::move(storage), options);
  if (!graph) return graph;
  // ONNX Runtime writes every domain that the process knows by then, ours from the first crew on: the same graph is to be
  // the same at any time.
  graph->opsets.erase(Crew::kDomain);
  // What is not the model's own is kept, but not by a name: numbers soon mean other files, and another process had others.
  graph::Files own;
  for (const auto& used : graph->files) {
    const auto same = std::find_if(source.files.begin(), source.files.end(), [&](const auto& one) { return one.second == used.second; });
    if (same != source.files.end()) own.insert(*same);
    else if (!files.contains(used.first)) own.insert(used);  // found in the model's folder
    else graph->storage->keep(used.second);
  }
  graph->files = std::move(own);
  return graph;
}

Result<Inferred> infer(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph, const ModelSettings& settings,
                       const InputDims& dims, const std::string& base_directory,
                       std::span<const graph::ValueId> doubtful, bool as_declared) {
  const OrtApi& api = runtime->api();
  std::vector<graph::NodeId> nodes(graph.nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<graph::NodeId>(i);
  std::vector<graph::ValueId> made;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].producer != graph::kNone) made.push_back(static_cast<graph::ValueId>(i));
  }

  graph::WriteOptions write;
  write.inline_limit_bytes = kProbeInlineBytes;
  write.large_as_inputs = true;
  write.untyped_outputs = true;
  graph::Shapes inputs(graph.values.size());
  std::vector<graph::ValueId> guessed;  // inputs with a size that neither the model nor the caller gives
  for (const graph::ValueId id : graph.inputs) {
    const graph::Type& type = graph.values[id].type;
    if (type.kind != graph::Kind::kTensor || !type.shape) continue;
    graph::Shape shape{.element = type.element, .dims = {}};
    const auto given = dims.find(id);
    const bool open = std::any_of(type.shape->begin(), type.shape->end(),
                                  [](const graph::Dim& dim) { return !dim.known(); });
    if (open && given == dims.end()) guessed.push_back(id);
    for (size_t i = 0; i < type.shape->size(); ++i) {
      const graph::Dim& dim = (*type.shape)[i];
      shape.dims.push_back(given != dims.end() ? given->second[i] : dim.known() ? dim.size : fixed_size(settings, dim.symbol));
    }
    inputs[id] = std::move(shape);
  }
  if (!as_declared) write.input_shapes = &inputs;
  graph::Part part = graph::write_part(graph, nodes, graph.inputs, made, write);
  part.bytes += rank_outputs(graph, doubtful);

  Inferred result;
  result.types.resize(graph.values.size());
  result.shapes = std::move(inputs);
  result.partial.resize(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    result.types[i] = graph.values[i].type;
    const int32_t initializer = graph.values[i].initializer;
    if (initializer != graph::kNone) {
      const auto& init = graph.initializers[initializer];
      result.shapes[i] = graph::Shape{.element = init.element, .dims = init.dims};
    }
    if (result.shapes[i]) result.partial[i] = result.shapes[i]->dims;
  }
  if (made.empty()) return result;  // all of it folded to constants: ONNX Runtime makes no session of that

  SessionSpec spec;
  spec.source.name = graph.name.empty() ? "model" : graph.name;
  spec.source.bytes = part.bytes;
  spec.source.base_directory = base_directory;
  spec.settings = &settings;
  spec.level = ORT_ENABLE_BASIC;
  spec.prepack = false;
  spec.pool = false;
  auto session = make_session(runtime, spec);
  if (!session && !guessed.empty()) {
    // A guess that does not fit: a product may want 4 where 1 was tried. Without guesses less is known.
    for (const graph::ValueId id : guessed) {
      result.shapes[id].reset();
      result.partial[id].reset();
    }
    write.input_shapes = &result.shapes;
    part = graph::write_part(graph, nodes, graph.inputs, made, write);
    part.bytes += rank_outputs(graph, doubtful);
    spec.source.bytes = part.bytes;
    session = make_session(runtime, spec);
  }
  if (!session) return session.error();

  const TypeDescriber describer(api);
  for (size_t i = 0; i < made.size() + doubtful.size(); ++i) {
    OrtTypeInfo* raw = nullptr;
    if (auto s = runtime->check(api.SessionGetOutputTypeInfo(session->get(), i, &raw), "cannot read types"); !s) return s.error();
    const Handle<OrtTypeInfo> info(runtime, raw, api.ReleaseTypeInfo);
    const bool of_rank = i >= made.size();
    const graph::ValueId id = of_rank ? doubtful[i - made.size()] : made[i];
    ONNXType kind = ONNX_TYPE_UNKNOWN;
    if (auto s = runtime->check(api.GetOnnxTypeFromTypeInfo(raw, &kind), "cannot read types"); !s) return s.error();
    if (kind != ONNX_TYPE_TENSOR) {
      graph::Type& type = result.types[id];
      type.kind = kind_of(kind);
      if (type.proto.empty()) type.proto = graph.storage->keep_text(describer.proto(raw));
      continue;
    }
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    if (auto s = runtime->check(api.CastTypeInfoToTensorInfo(raw, &tensor), "cannot read types"); !s) return s.error();
    if (auto s = runtime->check(api.GetTensorElementType(tensor, &element), "cannot read types"); !s) return s.error();
    if (auto s = runtime->check(api.GetDimensionsCount(tensor, &rank), "cannot read types"); !s) return s.error();
    std::vector<int64_t> sizes(rank);
    if (auto s = runtime->check(api.GetDimensions(tensor, sizes.data(), rank), "cannot read types"); !s) {
      return s.error();
    }
    if (of_rank) {
      if (sizes == std::vector<int64_t>{0}) continue;  // a scalar's shape has no entries
      result.shapes[id].reset();
      result.partial[id].reset();
      continue;
    }
    result.types[id].kind = graph::Kind::kTensor;
    result.types[id].element = static_cast<graph::ElementType>(element);
    // Sizes that the model declares inside may be wrong: ONNX Runtime overlooks that, but would hold a unit's inputs to
    // them.
    result.types[id].proto = {};
    const bool known = std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 0; });
    if (known) result.shapes[id] = graph::Shape{.element = result.types[id].element, .dims = sizes};
    result.partial[id] = std::move(sizes);
  }
  return result;
}

}  // namespace plx::ort
