// The C interface: shims only. Every function checks its pointers, converts, calls, and turns errors and exceptions into a
// plx_status.
#include <plx/plx.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <nlohmann/json.hpp>
#include <string>

#include "plx/base/text.h"
#include "plx/engine/calibration.h"
#include "plx/engine/devices.h"
#include "plx/engine/model.h"
#include "plx/ort/runtime.h"
#include "plx/ort/value.h"
#include "plx/partition/plan.h"
#include "plx/schedule/session.h"

using plx::Code;
using plx::Error;
using plx::fail;

static_assert(static_cast<int>(Code::kInternal) == PLX_INTERNAL && static_cast<int>(Code::kMemoryBudget) == PLX_MEMORY_BUDGET);
static_assert(static_cast<int>(plx::graph::ElementType::kInt4) == PLX_INT4);
static_assert(static_cast<int>(plx::partition::Units::kNodes) == PLX_UNITS_NODES);
static_assert(static_cast<int>(plx::partition::Rule::kRelaxed) == PLX_RULE_RELAXED);
static_assert(static_cast<int>(plx::ort::Content::Kind::kMap) == PLX_KIND_MAP);
static_assert(sizeof(plx_schedule_entry) == sizeof(plx::schedule::ScheduleEntry));

struct plx_status {
  Error error;
};
struct plx_text {
  std::string text;
};
struct plx_engine {
  std::shared_ptr<plx::ort::Runtime> runtime;
  int threads;  // 1, or all of the pool, which another engine may have made
};
struct plx_model {
  std::shared_ptr<plx::engine::Model> model;
};
struct plx_plan {
  // A plan that somebody keeps, be it a garbage collector, must keep neither weights nor ONNX Runtime's pool.
  std::weak_ptr<const plx::graph::Graph> graph;  // which lives as long as its model and that one's sessions
  std::shared_ptr<const plx::graph::Graph> outline;
  std::shared_ptr<const plx::partition::Plan> plan;
  std::weak_ptr<plx::engine::Model> model;  // which knows the shapes of the graph's tensors
  std::shared_ptr<plx::device::Device> device;  // with a device that is there, and the sizes that its regions have
  std::shared_ptr<const plx::graph::Shapes> shapes;
};
struct plx_session {
  std::unique_ptr<plx::schedule::Session> session;
};
struct plx_value {
  std::shared_ptr<const plx::ort::Content> content;
};

namespace {

// A status that cannot be made would be an error lost: this one is there already, and never released.
plx_status out_of_memory{Error{Code::kMemoryBudget, "out of memory", 0, 0}};

// The one place where texts leave: names in them come out of files, and a terminal or a log must not obey them.
constexpr size_t kLongestMessage = 2000;

plx_status* to_status(Error error) noexcept {
  try {
    error.message = plx::printable(error.message, kLongestMessage);
  } catch (const std::bad_alloc&) {
    return &out_of_memory;
  }
  auto* status = new (std::nothrow) plx_status{std::move(error)};
  return status != nullptr ? status : &out_of_memory;
}

// Runs `body`, which returns plx::Status, and lets nothing escape.
template <class Body>
plx_status* guarded(Body&& body) noexcept {
  try {
    plx::Status status = body();
    return status ? nullptr : to_status(std::move(status.error()));
  } catch (const std::bad_alloc&) {
    return to_status(Error{Code::kMemoryBudget, "out of memory", 0, 0});
  } catch (const std::exception& e) {
    return to_status(Error{Code::kInternal, std::string("unexpected: ") + e.what(), 0, 0});
  } catch (...) {
    return to_status(Error{Code::kInternal, "unexpected exception", 0, 0});
  }
}

Error missing(const char* what) { return fail(Code::kInvalidArgument, what, " is NULL"); }

// Options from a caller that may be older than this library: fields it does not know are zero.
template <class T>
plx::Result<T> options_of(const T* options, const char* name) {
  T out{};
  out.struct_size = sizeof(T);
  if (options == nullptr) return out;
  if (options->struct_size < sizeof(size_t) || options->struct_size > 4096) {
    return fail(Code::kInvalidArgument, name, ".struct_size is ", options->struct_size, "; set it to sizeof(", name, ")");
  }
  std::memcpy(&out, options, std::min(options->struct_size, sizeof(T)));
  out.struct_size = sizeof(T);
  return out;
}

plx_plan* plan_of(const plx::engine::PlanHandle& handle, const std::shared_ptr<plx::engine::Model>& model) {
  const auto& graph = handle.subject->graph;
  return new plx_plan{graph, std::make_shared<const plx::graph::Graph>(plx::graph::outline(*graph)), handle.plan, model, handle.device, handle.shapes};
}

plx::Status put_text(std::string text, plx_text** out) {
  *out = new plx_text{std::move(text)};
  return {};
}

plx::Status put_strings(const std::vector<std::string>& strings, plx_text** out) {
  return put_text(nlohmann::json{{"strings", strings}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), out);
}

plx::Status put_value(plx::ort::Content content, plx_value** out) {
  *out = new plx_value{std::make_shared<const plx::ort::Content>(std::move(content))};
  return {};
}

plx::Result<plx::ort::ModelSettings> settings_of(const plx_model_options& options, const plx_engine& engine) {
  plx::ort::ModelSettings settings;
  settings.threads = engine.threads == 1 ? 1 : 0;
  if (options.custom_op_library_count != 0 && options.custom_op_libraries == nullptr) return missing("custom_op_libraries");
  if (options.config_count != 0 && options.config_keys == nullptr) return missing("config_keys");
  if (options.config_count != 0 && options.config_values == nullptr) return missing("config_values");
  if (options.dimension_count != 0 && options.dimension_names == nullptr) return missing("dimension_names");
  if (options.dimension_count != 0 && options.dimension_values == nullptr) return missing("dimension_values");
  for (size_t i = 0; i < options.custom_op_library_count; ++i) {
    if (options.custom_op_libraries[i] == nullptr) return missing("a custom-operator library");
    settings.custom_op_libraries.emplace_back(options.custom_op_libraries[i]);
  }
  for (size_t i = 0; i < options.config_count; ++i) {
    if (options.config_keys[i] == nullptr || options.config_values[i] == nullptr) return missing("a config entry");
    settings.config.emplace_back(options.config_keys[i], options.config_values[i]);
  }
  for (size_t i = 0; i < options.dimension_count; ++i) {
    if (options.dimension_names[i] == nullptr) return missing("a dimension's name");
    if (options.dimension_values[i] < 0) {
      return fail(Code::kInvalidArgument, "dimension '", options.dimension_names[i], "' is fixed to ", options.dimension_values[i],
                  "; it must be 0 or more");
    }
    settings.dimensions.emplace_back(options.dimension_names[i], options.dimension_values[i]);
  }
  if (options.data_folder_count != 0 && options.data_folders == nullptr) return missing("data_folders");
  for (size_t i = 0; i < options.data_folder_count; ++i) {
    if (options.data_folders[i] == nullptr) return missing("a data folder");
    settings.data_folders.emplace_back(options.data_folders[i]);
  }
  if (options.cache_folder != nullptr) settings.cache_folder = options.cache_folder;
  if (options.prepack < PLX_PREPACK_ALL || options.prepack > PLX_PREPACK_NONE) {
    return fail(Code::kInvalidArgument, "plx_model_options.prepack is ", options.prepack, "; it must be a plx_prepack");
  }
  settings.prepack = static_cast<plx::ort::Prepack>(options.prepack);
  const auto limit = [](auto& value, auto given) {
    if (given != 0) value = given;
  };
  if (options.max_depth < 0) return fail(Code::kInvalidArgument, "max_depth is ", options.max_depth, "; it must be 0 (the default) or more");
  limit(settings.limits.model_bytes, options.max_model_bytes);
  limit(settings.limits.weight_bytes, options.max_weight_bytes);
  limit(settings.limits.constant_bytes, options.max_constant_bytes);
  limit(settings.limits.nodes, std::min<uint64_t>(options.max_nodes, plx::graph::Limits::none().nodes));
  limit(settings.limits.depth, std::min<int32_t>(options.max_depth, plx::graph::Limits::none().depth));
  return settings;
}

plx::Result<plx::engine::PlanRequest> request_of(const plx_plan_options& options) {
  plx::engine::PlanRequest request;
  if (options.units < PLX_UNITS_WHOLE || options.units > PLX_UNITS_MIXED) {
    return fail(Code::kInvalidArgument, "units is ", options.units, "; it must be 0 (whole), 1 (layers), 2 (branches), 3 (nodes) or 4 (mixed)");
  }
  if (options.rule < PLX_RULE_PAPER || options.rule > PLX_RULE_RELAXED) {
    return fail(Code::kInvalidArgument, "rule is ", options.rule, "; it must be 0 (paper) or 1 (relaxed)");
  }
  if (!(options.beta == 0 || options.beta >= 1)) {
    return fail(Code::kInvalidArgument, "beta is ", options.beta, "; it must be 1 or more (0 = the paper's 1.5)");
  }
  if (options.min_nodes < 0) return fail(Code::kInvalidArgument, "min_nodes is ", options.min_nodes, "; it must be 1 or more (0 = the paper's 3)");
  request.options.units = static_cast<plx::partition::Units>(options.units);
  request.options.rule = static_cast<plx::partition::Rule>(options.rule);
  if (options.beta != 0) request.options.beta = options.beta;
  if (options.min_nodes != 0) request.options.min_nodes = options.min_nodes;
  request.estimate = options.estimate != 0;
  if (options.offload < PLX_OFFLOAD_AUTO || options.offload > PLX_OFFLOAD_NONE) {
    return fail(Code::kInvalidArgument, "offload is ", options.offload, "; see enum plx_offload");
  }
  request.options.offload_all = options.offload == PLX_OFFLOAD_ALL;
  if (options.profile < PLX_PROFILE_MEASURED || options.profile > PLX_PROFILE_PAPER) {
    return fail(Code::kInvalidArgument, "profile is ", options.profile, "; it must be 0 (measured) or 1 (paper)");
  }
  request.paper_rates = options.profile == PLX_PROFILE_PAPER;
  if (options.placements != nullptr) {
    auto placements = plx::partition::placements_from_text(options.placements);
    if (!placements) return placements.error();
    request.options.placements = placements.take();
  }
  if (options.device != nullptr && options.device[0] != '\0' && options.offload != PLX_OFFLOAD_NONE) {
    if (plx::engine::is_device_name(options.device)) {
      request.device = options.device;
    } else if (std::strcmp(options.device, "gpu") == 0) {
      request.options.device = plx::partition::gpu_profile();
    } else {
      auto profile = plx::partition::device_profile_from_json(options.device);
      if (!profile) return profile.error();
      request.options.device = profile.take();
    }
  }
  if (options.shape_count != 0 && options.shape_names == nullptr) return missing("shape_names");
  if (options.shape_count != 0 && options.shape_ranks == nullptr) return missing("shape_ranks");
  const int64_t* dims = options.shape_dims;
  for (size_t i = 0; i < options.shape_count; ++i) {
    if (options.shape_names[i] == nullptr) return missing("the name of a shape");
    const size_t rank = options.shape_ranks[i];
    if (rank != 0 && dims == nullptr) return missing("shape_dims");
    request.shapes.emplace_back(options.shape_names[i], std::vector<int64_t>(dims, dims + rank));
    dims += rank;
  }
  return request;
}

plx::Result<plx::schedule::TensorView> view_of(const plx_tensor* tensor) {
  if (tensor->rank > 1024 || (tensor->rank != 0 && tensor->dims == nullptr)) {
    return fail(Code::kInvalidArgument, "a tensor of rank ", tensor->rank, tensor->dims == nullptr ? " without dims" : "");
  }
  return plx::schedule::TensorView{.element = static_cast<plx::graph::ElementType>(tensor->element_type),
                                   .dims = {tensor->dims, static_cast<size_t>(tensor->rank)},
                                   .data = tensor->data,
                                   .size_bytes = tensor->size_bytes};
}

// The content of a schedule's block.
plx::Result<plx::schedule::Schedule> read_schedule(const void* block, size_t size_bytes) {
  plx_schedule_header header{};
  if (size_bytes < sizeof header) return fail(Code::kInvalidPlan, "a schedule has at least ", sizeof header, " bytes, not ", size_bytes);
  std::memcpy(&header, block, sizeof header);
  if (header.magic != PLX_SCHEDULE_MAGIC || header.version != 1) {
    return fail(Code::kInvalidPlan, "the block is not a schedule of version 1");
  }
  const size_t room = (size_bytes - sizeof header) / sizeof(plx_schedule_entry);
  if (header.unit_count != room || (size_bytes - sizeof header) % sizeof(plx_schedule_entry) != 0) {
    return fail(Code::kInvalidPlan, "the schedule says it has ", header.unit_count, " entries, and its block has ", size_bytes, " bytes");
  }
  plx::schedule::Schedule schedule;
  schedule.memory_budget_bytes = header.memory_budget_bytes;
  schedule.entries.resize(header.unit_count);
  if (header.unit_count != 0) {
    std::memcpy(schedule.entries.data(), static_cast<const char*>(block) + sizeof header, header.unit_count * sizeof(plx_schedule_entry));
  }
  return schedule;
}

}  // namespace

uint32_t plx_abi_version(void) { return PLX_ABI_VERSION; }
const char* plx_version(void) { return PLX_VERSION; }

int32_t plx_status_code(const plx_status* status) { return status == nullptr ? PLX_OK : static_cast<int32_t>(status->error.code); }
const char* plx_status_message(const plx_status* status) { return status == nullptr ? "" : status->error.message.c_str(); }
uint64_t plx_status_requested_bytes(const plx_status* status) { return status == nullptr ? 0 : status->error.requested_bytes; }
uint64_t plx_status_available_bytes(const plx_status* status) { return status == nullptr ? 0 : status->error.available_bytes; }
void plx_status_release(plx_status* status) {
  if (status != &out_of_memory) delete status;
}

const char* plx_text_data(const plx_text* text) { return text == nullptr ? "" : text->text.c_str(); }
size_t plx_text_size(const plx_text* text) { return text == nullptr ? 0 : text->text.size(); }
void plx_text_release(plx_text* text) { delete text; }

plx_status* plx_engine_create(const plx_engine_options* options, plx_engine** out_engine) {
  return guarded([&]() -> plx::Status {
    if (out_engine == nullptr) return missing("out_engine");
    auto given = options_of(options, "plx_engine_options");
    if (!given) return given.error();
    auto runtime = plx::ort::Runtime::acquire(given->ort_library_path == nullptr ? "" : given->ort_library_path, given->threads, given->verbosity);
    if (!runtime) return runtime.error();
    const int threads = given->threads == 1 ? 1 : (*runtime)->threads();
    *out_engine = new plx_engine{runtime.take(), threads};
    return {};
  });
}

void plx_engine_release(plx_engine* engine) { delete engine; }

plx_status* plx_devices_json(plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (out_text == nullptr) return missing("out_text");
    return put_text(plx::engine::devices_json(), out_text);
  });
}

plx_status* plx_engine_calibrate(plx_engine* engine, const char* device, int32_t again, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (engine == nullptr) return missing("engine");
    if (device == nullptr) return missing("device");
    if (out_text == nullptr) return missing("out_text");
    auto calibration = plx::engine::calibrate(engine->runtime, device, again != 0);
    if (!calibration) return calibration.error();
    return put_text(plx::engine::to_json(*calibration), out_text);
  });
}

plx_status* plx_engine_info_json(plx_engine* engine, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (engine == nullptr) return missing("engine");
    if (out_text == nullptr) return missing("out_text");
    const plx::ort::Runtime& runtime = *engine->runtime;
    const nlohmann::json info = {{"parallax", PLX_VERSION},
                                 {"abi", PLX_ABI_VERSION},
                                 {"onnxruntime", runtime.version()},
                                 {"ort_api", ORT_API_VERSION},
                                 {"ort_library", runtime.path()},
                                 {"threads", engine->threads},
                                 {"compiler", "g++ " __VERSION__}};
    return put_text(info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), out_text);
  });
}

plx_status* plx_model_load_file(plx_engine* engine, const char* path, const plx_model_options* options, plx_model** out_model) {
  return guarded([&]() -> plx::Status {
    if (engine == nullptr) return missing("engine");
    if (path == nullptr) return missing("path");
    if (out_model == nullptr) return missing("out_model");
    auto given = options_of(options, "plx_model_options");
    if (!given) return given.error();
    auto settings = settings_of(*given, *engine);
    if (!settings) return settings.error();
    auto model = plx::engine::Model::load_file(engine->runtime, path, settings.take());
    if (!model) return model.error();
    *out_model = new plx_model{model.take()};
    return {};
  });
}

plx_status* plx_model_load_memory(plx_engine* engine, const void* data, size_t size_bytes, const plx_model_options* options,
                                  plx_model** out_model) {
  return guarded([&]() -> plx::Status {
    if (engine == nullptr) return missing("engine");
    if (data == nullptr && size_bytes != 0) return missing("data");
    if (out_model == nullptr) return missing("out_model");
    auto given = options_of(options, "plx_model_options");
    if (!given) return given.error();
    auto settings = settings_of(*given, *engine);
    if (!settings) return settings.error();
    auto model = plx::engine::Model::load_memory(engine->runtime, {static_cast<const char*>(data), size_bytes},
                                                 given->base_directory == nullptr ? "" : given->base_directory, settings.take());
    if (!model) return model.error();
    *out_model = new plx_model{model.take()};
    return {};
  });
}

void plx_model_release(plx_model* model) { delete model; }

plx_status* plx_model_info_json(plx_model* model, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (model == nullptr) return missing("model");
    if (out_text == nullptr) return missing("out_text");
    return put_text(model->model->info_json(), out_text);
  });
}

plx_status* plx_plan_make(plx_model* model, const plx_plan_options* options, plx_plan** out_plan) {
  return guarded([&]() -> plx::Status {
    if (model == nullptr) return missing("model");
    if (out_plan == nullptr) return missing("out_plan");
    auto given = options_of(options, "plx_plan_options");
    if (!given) return given.error();
    auto request = request_of(*given);
    if (!request) return request.error();
    auto plan = model->model->make_plan(*request);
    if (!plan) return plan.error();
    *out_plan = plan_of(**plan, model->model);
    return {};
  });
}

plx_status* plx_plan_from_json(plx_model* model, const char* json, size_t size_bytes, plx_plan** out_plan) {
  return guarded([&]() -> plx::Status {
    if (model == nullptr) return missing("model");
    if (json == nullptr) return missing("json");
    if (out_plan == nullptr) return missing("out_plan");
    auto plan = model->model->read_plan({json, size_bytes});
    if (!plan) return plan.error();
    *out_plan = plan_of(**plan, model->model);
    return {};
  });
}

plx_status* plx_plan_to_json(plx_plan* plan, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (plan == nullptr) return missing("plan");
    if (out_text == nullptr) return missing("out_text");
    return put_text(plx::partition::to_json(*plan->outline, *plan->plan), out_text);
  });
}

plx_status* plx_plan_tensors_json(plx_plan* plan, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (plan == nullptr) return missing("plan");
    if (out_text == nullptr) return missing("out_text");
    const auto model = plan->model.lock();
    if (model == nullptr) return put_text(plx::partition::tensors_json(*plan->outline, *plan->plan, {}), out_text);
    const auto shapes = model->shapes_of(plan->graph.lock());
    return put_text(plx::partition::tensors_json(*plan->outline, *plan->plan, *shapes), out_text);
  });
}

plx_status* plx_plan_to_text(plx_plan* plan, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (plan == nullptr) return missing("plan");
    if (out_text == nullptr) return missing("out_text");
    return put_text(plx::partition::to_text(*plan->outline, *plan->plan), out_text);
  });
}

size_t plx_plan_unit_count(const plx_plan* plan) { return plan == nullptr ? 0 : plan->plan->units.size(); }
void plx_plan_release(plx_plan* plan) { delete plan; }

plx_status* plx_value_make_none(plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (out_value == nullptr) return missing("out_value");
    return put_value({}, out_value);
  });
}

plx_status* plx_value_make_tensor(const plx_tensor* tensor, plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (tensor == nullptr) return missing("tensor");
    if (out_value == nullptr) return missing("out_value");
    auto view = view_of(tensor);
    if (!view) return view.error();
    const auto bytes = plx::graph::tensor_bytes(view->element, view->dims);
    if (!bytes || *bytes > view->size_bytes || (view->data == nullptr && *bytes != 0)) {
      return fail(Code::kInvalidArgument, "a tensor of ", plx::graph::element_type_name(view->element), " needs ",
                  bytes ? std::to_string(*bytes) + " bytes" : "another element type or shape", ", and ",
                  view->data == nullptr ? 0 : view->size_bytes, " bytes were given");
    }
    plx::ort::Content content;
    content.kind = plx::ort::Content::Kind::kTensor;
    content.element = view->element;
    content.dims.assign(view->dims.begin(), view->dims.end());
    if (*bytes != 0) content.bytes.assign(static_cast<const char*>(view->data), *bytes);
    return put_value(std::move(content), out_value);
  });
}

plx_status* plx_value_make_strings(const int64_t* dims, size_t rank, const char* bytes, size_t bytes_size, const size_t* offsets,
                                   plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (dims == nullptr && rank != 0) return missing("dims");
    if (bytes == nullptr && bytes_size != 0) return missing("bytes");
    if (out_value == nullptr) return missing("out_value");
    auto content = plx::ort::string_tensor({dims, rank}, {bytes, bytes_size}, offsets);
    if (!content) return content.error();
    return put_value(content.take(), out_value);
  });
}

plx_status* plx_value_make_sequence(const plx_value* const* elements, size_t count, plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (elements == nullptr && count != 0) return missing("elements");
    if (out_value == nullptr) return missing("out_value");
    plx::ort::Content content;
    content.kind = plx::ort::Content::Kind::kSequence;
    for (size_t i = 0; i < count; ++i) {
      if (elements[i] == nullptr) return missing("an element");
      content.parts.push_back(elements[i]->content);
    }
    return put_value(std::move(content), out_value);
  });
}

plx_status* plx_value_make_map(const plx_value* keys, const plx_value* values, plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (keys == nullptr) return missing("keys");
    if (values == nullptr) return missing("values");
    if (out_value == nullptr) return missing("out_value");
    for (const plx_value* side : {keys, values}) {
      if (side->content->kind != plx::ort::Content::Kind::kTensor || side->content->dims.size() != 1) {
        return fail(Code::kInvalidArgument, "a map is made of tensors of one dimension, not of ", plx::ort::text(*side->content));
      }
    }
    if (keys->content->dims != values->content->dims) {
      return fail(Code::kInvalidArgument, "a map of ", keys->content->dims[0], " keys has as many values, not ", values->content->dims[0]);
    }
    plx::ort::Content content;
    content.kind = plx::ort::Content::Kind::kMap;
    content.parts = {keys->content, values->content};
    return put_value(std::move(content), out_value);
  });
}

int32_t plx_value_kind(const plx_value* value) { return value == nullptr ? PLX_KIND_NONE : static_cast<int32_t>(value->content->kind); }
size_t plx_value_count(const plx_value* value) { return value == nullptr ? 0 : value->content->parts.size(); }
void plx_value_release(plx_value* value) { delete value; }

plx_status* plx_value_part(const plx_value* value, size_t index, plx_value** out_part) {
  return guarded([&]() -> plx::Status {
    if (value == nullptr) return missing("value");
    if (out_part == nullptr) return missing("out_part");
    const auto& parts = value->content->parts;
    if (index >= parts.size()) return fail(Code::kInvalidArgument, "there is no part ", index, "; the value has ", parts.size());
    *out_part = new plx_value{parts[index]};
    return {};
  });
}

plx_status* plx_value_tensor(const plx_value* value, plx_tensor* out_tensor) {
  return guarded([&]() -> plx::Status {
    if (value == nullptr) return missing("value");
    if (out_tensor == nullptr) return missing("out_tensor");
    const plx::ort::Content& content = *value->content;
    if (content.kind != plx::ort::Content::Kind::kTensor) {
      return fail(Code::kInvalidArgument, "the value is ", plx::ort::text(content), ", not a tensor");
    }
    *out_tensor = {.data = content.bytes.empty() ? nullptr : const_cast<char*>(content.bytes.data()),
                   .size_bytes = content.bytes.size(),
                   .dims = content.dims.data(),
                   .rank = content.dims.size(),
                   .element_type = static_cast<int32_t>(content.element),
                   .reserved = 0};
    return {};
  });
}

plx_status* plx_value_strings(const plx_value* value, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (value == nullptr) return missing("value");
    if (out_text == nullptr) return missing("out_text");
    const plx::ort::Content& content = *value->content;
    if (content.kind != plx::ort::Content::Kind::kTensor || content.element != plx::graph::ElementType::kString) {
      return fail(Code::kInvalidArgument, "the value is ", plx::ort::text(content), ", not a tensor of strings");
    }
    return put_strings(content.strings, out_text);
  });
}

plx_status* plx_session_create(plx_model* model, plx_plan* plan, const plx_session_options* options, plx_session** out_session) {
  return guarded([&]() -> plx::Status {
    if (model == nullptr) return missing("model");
    if (plan == nullptr) return missing("plan");
    if (out_session == nullptr) return missing("out_session");
    auto given = options_of(options, "plx_session_options");
    if (!given) return given.error();
    auto handle = model->model->own(plan->graph.lock(), plan->plan);
    if (!handle) return handle.error();
    if ((*handle)->device == nullptr && plan->device != nullptr) {
      *handle = std::make_shared<plx::engine::PlanHandle>(
          plx::engine::PlanHandle{(*handle)->subject, (*handle)->plan, plan->device, plan->shapes});
    }
    std::optional<plx::schedule::Schedule> schedule;
    if (given->schedule != nullptr) {
      auto read = read_schedule(given->schedule, given->schedule_bytes);
      if (!read) return read.error();
      schedule = read.take();
    }
    const size_t shapes_kept = given->shapes_kept == 0 ? plx::schedule::kShapesKept : given->shapes_kept;
    auto session = model->model->make_session(*handle, given->threads, std::move(schedule), shapes_kept,
                                              {.bytes = given->memory_budget_bytes, .margin = given->memory_margin});
    if (!session) return session.error();
    *out_session = new plx_session{session.take()};
    return {};
  });
}

plx_status* plx_session_create_beside(plx_session* session, uint64_t memory_budget_bytes, plx_session** out_session) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_session == nullptr) return missing("out_session");
    auto made = session->session->create_beside(memory_budget_bytes);
    if (!made) return made.error();
    *out_session = new plx_session{made.take()};
    return {};
  });
}

void plx_session_release(plx_session* session) { delete session; }

plx_status* plx_session_set_schedule(plx_session* session, const void* block, size_t size_bytes) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (block == nullptr) return missing("block");
    auto schedule = read_schedule(block, size_bytes);
    if (!schedule) return schedule.error();
    return session->session->set_schedule(schedule.take());
  });
}

plx_status* plx_session_bind_input(plx_session* session, size_t index, const plx_tensor* tensor) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (tensor == nullptr) return missing("tensor");
    auto view = view_of(tensor);
    if (!view) return view.error();
    return session->session->bind_input(index, *view);
  });
}

plx_status* plx_session_bind_input_strings(plx_session* session, size_t index, const int64_t* dims, size_t rank, const char* bytes,
                                           size_t bytes_size, const size_t* offsets) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (dims == nullptr && rank != 0) return missing("dims");
    if (bytes == nullptr && bytes_size != 0) return missing("bytes");
    return session->session->bind_input_strings(index, {dims, rank}, {bytes, bytes_size}, offsets);
  });
}

plx_status* plx_session_bind_input_value(plx_session* session, size_t index, const plx_value* value) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (value == nullptr) return missing("value");
    return session->session->bind_input_value(index, *value->content);
  });
}

plx_status* plx_session_bind_output(plx_session* session, size_t index, const plx_tensor* tensor) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (tensor == nullptr) return session->session->bind_output(index, {});
    auto view = view_of(tensor);
    if (!view) return view.error();
    return session->session->bind_output(index, *view);
  });
}

plx_status* plx_session_run(plx_session* session, plx_run_info* info) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (info != nullptr && info->struct_size < offsetof(plx_run_info, stop)) {
      return fail(Code::kInvalidArgument, "plx_run_info.struct_size is ", info->struct_size, "; set it to sizeof(plx_run_info)");
    }
    const bool has_stop = info != nullptr && info->struct_size >= sizeof *info;
    if (auto status = session->session->run(has_stop ? &info->stop : nullptr); !status) return status;
    if (info != nullptr) info->outputs_generation = session->session->outputs_generation();
    return {};
  });
}

plx_status* plx_session_output(plx_session* session, size_t index, plx_tensor* out_tensor) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_tensor == nullptr) return missing("out_tensor");
    auto view = session->session->output(index);
    if (!view) return view.error();
    *out_tensor = {.data = view->size_bytes == 0 ? nullptr : view->data,
                   .size_bytes = view->size_bytes,
                   .dims = view->dims.data(),
                   .rank = view->dims.size(),
                   .element_type = static_cast<int32_t>(view->element),
                   .reserved = 0};
    return {};
  });
}

plx_status* plx_session_output_strings(plx_session* session, size_t index, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_text == nullptr) return missing("out_text");
    auto strings = session->session->output_strings(index);
    if (!strings) return strings.error();
    return put_strings(*strings, out_text);
  });
}

plx_status* plx_session_output_value(plx_session* session, size_t index, plx_value** out_value) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_value == nullptr) return missing("out_value");
    auto content = session->session->output_value(index);
    if (!content) return content.error();
    return put_value(content.take(), out_value);
  });
}

plx_status* plx_session_trim(plx_session* session, uint64_t* out_bytes) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_bytes == nullptr) return missing("out_bytes");
    *out_bytes = session->session->trim();
    return {};
  });
}

plx_status* plx_session_report_json(plx_session* session, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_text == nullptr) return missing("out_text");
    return put_text(session->session->report_json(), out_text);
  });
}

plx_status* plx_session_memory_json(plx_session* session, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_text == nullptr) return missing("out_text");
    auto map = session->session->memory_map();
    if (!map) return map.error();
    return put_text(plx::schedule::to_json(*map), out_text);
  });
}

plx_status* plx_session_memory_problem(plx_session* session, plx_text** out_text) {
  return guarded([&]() -> plx::Status {
    if (session == nullptr) return missing("session");
    if (out_text == nullptr) return missing("out_text");
    auto problem = session->session->memory_problem();
    if (!problem) return problem.error();
    return put_text(plx::memory::to_text(*problem), out_text);
  });
}

void plx_session_cancel(plx_session* session) {
  if (session != nullptr) session->session->cancel();
}
