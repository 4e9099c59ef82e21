#include "judge.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>

#include "plx/engine/model.h"
#include "plx/schedule/session_testing.h"

namespace plx::fuzz {

namespace {

using graph::ElementType;
using ort::testing::Plain;
using ort::testing::runtime;
using ort::testing::Tensor;
using ort::testing::Tensors;

constexpr int64_t kMostElements = int64_t{1} << 24;

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, 1500);
}

// A model's input as it declares it; -1 for what is open.
struct Declared {
  ElementType element = ElementType::kUndefined;
  std::vector<int64_t> dims;
  std::vector<std::string> symbols;
};

// Nothing if an input is no tensor, has an element type that we do not make, or is too large.
std::optional<Tensors> make_inputs(const std::vector<std::optional<Declared>>& declared) {
  Tensors inputs;
  std::map<std::string, int64_t> sizes;
  uint32_t seed = 1;
  for (const auto& input : declared) {
    if (!input) return std::nullopt;
    Tensor tensor{.element = input->element, .dims = {}, .bytes = {}, .strings = {}};
    int64_t count = 1;
    for (size_t axis = 0; axis < input->dims.size(); ++axis) {
      int64_t size = input->dims[axis];
      // Open sizes: one and the same for a symbol, 2 or 3.
      if (size < 0 && input->symbols[axis].empty()) size = 2;
      if (size < 0)
        size = sizes.try_emplace(input->symbols[axis], 2 + static_cast<int64_t>(sizes.size() % 2)).first->second;
      tensor.dims.push_back(size);
      if (__builtin_mul_overflow(count, size, &count) || count > kMostElements) return std::nullopt;
    }
    const auto n = static_cast<size_t>(count);
    std::mt19937 random(seed++);
    switch (input->element) {
      case ElementType::kString: tensor.strings.assign(n, "text"); break;
      case ElementType::kFloat32: tensor.bytes = ort::testing::noise(tensor.dims, seed).bytes; break;
      case ElementType::kFloat64:
        for (size_t i = 0; i < n; ++i) {
          const double value = static_cast<double>(random() % 2001) / 1000 - 1;
          tensor.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        }
        break;
      case ElementType::kBool:
        for (size_t i = 0; i < n; ++i) tensor.bytes.push_back(static_cast<char>(random() % 2));
        break;
      default: {
        // Small numbers: integers are indices and sizes, and what is a small float16 matters little.
        const int bits = graph::element_bits(input->element);
        if (bits < 8 || bits > 64) return std::nullopt;
        for (size_t i = 0; i < n; ++i) {
          const uint64_t value = random() % 3;
          tensor.bytes.append(reinterpret_cast<const char*>(&value), static_cast<size_t>(bits) / 8);
        }
      }
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

std::vector<std::optional<Declared>> declared_by(const graph::Graph& graph) {
  std::vector<std::optional<Declared>> list;
  for (const graph::ValueId id : graph.inputs) {
    const graph::Type& type = graph.values[id].type;
    auto& input = list.emplace_back();
    if (type.kind != graph::Kind::kTensor) continue;
    input.emplace().element = type.element;
    if (!type.shape) continue;
    for (const graph::Dim& dim : *type.shape) {
      input->dims.push_back(dim.size);
      input->symbols.push_back(dim.symbol);
    }
  }
  return list;
}

// The same as ONNX Runtime says it.
std::vector<std::optional<Declared>> declared_by(const Plain& plain) {
  const OrtApi& api = runtime()->api();
  const auto must = [&](OrtStatus* status) {
    if (status == nullptr) return;
    const std::string text = api.GetErrorMessage(status);
    api.ReleaseStatus(status);
    throw std::runtime_error(text);
  };
  size_t count = 0;
  must(api.SessionGetInputCount(plain.session(), &count));
  std::vector<std::optional<Declared>> list(count);
  for (size_t i = 0; i < count; ++i) {
    OrtTypeInfo* info = nullptr;
    must(api.SessionGetInputTypeInfo(plain.session(), i, &info));
    const ort::Handle<OrtTypeInfo> owner(nullptr, info, api.ReleaseTypeInfo);
    ONNXType kind = ONNX_TYPE_UNKNOWN;
    must(api.GetOnnxTypeFromTypeInfo(info, &kind));
    if (kind != ONNX_TYPE_TENSOR) continue;
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    must(api.CastTypeInfoToTensorInfo(info, &tensor));
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    must(api.GetTensorElementType(tensor, &element));
    must(api.GetDimensionsCount(tensor, &rank));
    Declared& input = list[i].emplace();
    input.element = static_cast<ElementType>(element);
    input.dims.resize(rank);
    must(api.GetDimensions(tensor, input.dims.data(), rank));
    std::vector<const char*> symbols(rank);
    must(api.GetSymbolicDimensions(tensor, symbols.data(), rank));
    for (const char* symbol : symbols) input.symbols.emplace_back(symbol == nullptr ? "" : symbol);
  }
  return list;
}

// nullopt: loads, but cannot be run here.
std::optional<Answer> ask_plain(const std::string& path, std::optional<Tensors>& inputs) {
  Answer answer;
  try {
    Plain plain(runtime(), path);
    inputs = make_inputs(declared_by(plain));
    if (!inputs) return std::nullopt;
    answer.stage = Answer::kFailed;
    answer.outputs = plain.run(*inputs);
    answer.stage = Answer::kRan;
  } catch (const std::exception& error) {
    answer.error = one_line(error.what());
  }
  return answer;
}

std::optional<Answer> ask_parallax(const std::string& path, const Cut& cut, std::optional<Tensors> inputs) {
  Answer answer;
  const auto refused = [&](const Error& error) {
    answer.code = error.code;
    answer.error = error.message;
    return answer;
  };
  auto model = engine::Model::load_file(runtime(), path, {});
  if (!model) return refused(model.error());
  engine::PlanRequest request;
  request.options.units = cut.units;
  const auto plan = (*model)->make_plan(request);
  if (!plan) return refused(plan.error());
  const auto session = (*model)->make_session(*plan, cut.threads);
  if (!session) return refused(session.error());
  if (!inputs) inputs = make_inputs(declared_by(*(*plan)->subject->graph));
  if (!inputs) return std::nullopt;
  answer.stage = Answer::kFailed;
  const graph::Graph& graph = *(*plan)->subject->graph;
  if (inputs->size() != graph.inputs.size()) {
    answer.error =
        "the model has " + std::to_string(graph.inputs.size()) + " inputs, not " + std::to_string(inputs->size());
    return answer;
  }
  for (size_t i = 0; i < inputs->size(); ++i) {
    if (auto bound = schedule::testing::bind(**session, i, (*inputs)[i]); !bound) return refused(bound.error());
  }
  // A shape's first run lets ONNX Runtime allocate; the second uses planned memory.
  for (int run = 0; run < 2; ++run) {
    if (auto ran = (*session)->run(); !ran) return refused(ran.error());
    Tensors outputs;
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
      const auto view = (*session)->output(i);
      if (!view && view.error().code == Code::kUnsupported)
        outputs.emplace_back();  // no tensor
      else if (!view)
        return refused(view.error());
      else
        outputs.push_back(schedule::testing::read_output(**session, i));
    }
    if (run == 1 && outputs != answer.outputs) {
      answer.error = "the second run's outputs differ from the first's";
      return answer;
    }
    answer.outputs = std::move(outputs);
  }
  answer.stage = Answer::kRan;
  return answer;
}

std::string difference(const Tensors& plain, const Tensors& ours) {
  if (plain.size() != ours.size())
    return "ONNX Runtime has " + std::to_string(plain.size()) + " outputs, we " + std::to_string(ours.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    if (plain[i] == ours[i]) continue;
    std::ostringstream text;
    text << "output " << i << ": ONNX Runtime " << plain[i] << ", Parallax " << ours[i];
    return one_line(text.str());
  }
  return {};
}

bool any_node(const std::string& path, bool (*which)(const graph::Graph&, const graph::Node&)) {
  graph::ReadOptions options;
  options.load_data = false;
  const auto graph = graph::read_model_file(path, options);
  if (!graph) return false;
  return std::any_of(graph->nodes.begin(), graph->nodes.end(),
                     [&](const graph::Node& node) { return which(*graph, node); });
}

// What nobody computes twice alike is not compared.
bool is_random(const graph::Graph&, const graph::Node& node) {
  return node.op_type.starts_with("Random") || node.op_type == "Multinomial" || node.op_type == "Bernoulli" ||
         (node.op_type == "Dropout" && node.inputs.size() > 2);
}

bool is_idle(const graph::Graph& graph, const graph::Node& node) {
  return std::none_of(node.outputs.begin(), node.outputs.end(), [&](graph::ValueId id) {
    return id != graph::kNone && (graph.values[static_cast<size_t>(id)].is_output ||
                                  !graph.values[static_cast<size_t>(id)].consumers.empty());
  });
}

}  // namespace

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAgree: return "both run it and agree";
    case Outcome::kBothRefuse: return "both refuse it";
    case Outcome::kOnlyWeRefuse: return "only we refuse it";
    case Outcome::kOnlyWeFail: return "only we fail to run it";
    case Outcome::kOnlyOrtRefuses: return "only ONNX Runtime refuses it";
    case Outcome::kDiffer: return "outputs differ";
    case Outcome::kIdleFailure: return "ONNX Runtime fails in what nobody reads";
    case Outcome::kUnclear: return "our error is unclear";
    case Outcome::kNotRun: return "both load it, not run";
  }
  return "?";
}

bool is_bug(Outcome outcome) {
  return outcome == Outcome::kOnlyWeFail || outcome == Outcome::kOnlyOrtRefuses || outcome == Outcome::kDiffer ||
         outcome == Outcome::kUnclear;
}

Verdict judge(const std::string& path, const Cut& cut, Sides sides, const std::function<void(char)>& side) {
  std::optional<Tensors> inputs;
  std::optional<Answer> plain = Answer{};
  if (sides != Sides::kParallax) {
    side('p');
    plain = ask_plain(path, inputs);
    if (sides == Sides::kPlain) return {Outcome::kNotRun, plain ? plain->error : ""};
  }
  side('x');
  std::optional<Answer> ours;
  try {
    ours = ask_parallax(path, cut, inputs);
  } catch (const std::exception& error) {
    return {Outcome::kUnclear, std::string("exception: ") + error.what()};
  }
  if (ours && ours->stage != Answer::kRan) {
    const bool blames_us = ours->code == Code::kInternal || ours->error.find("defect") != std::string::npos;
    if (ours->error.empty() || blames_us || ours->error.find('\n') != std::string::npos)
      return {Outcome::kUnclear, one_line(ours->error)};
  }
  if (sides == Sides::kParallax)
    return {ours && ours->stage == Answer::kRan ? Outcome::kAgree : Outcome::kBothRefuse, ours ? ours->error : ""};
  if (!plain) {
    if (ours && ours->stage != Answer::kRan) return {Outcome::kOnlyWeRefuse, one_line(ours->error)};
    return {Outcome::kNotRun, ""};
  }
  if (!ours)
    return plain->stage == Answer::kRefused ? Verdict{Outcome::kOnlyOrtRefuses, plain->error}
                                            : Verdict{Outcome::kNotRun, ""};
  const bool plain_ran = plain->stage == Answer::kRan;
  const bool we_ran = ours->stage == Answer::kRan;
  if (!plain_ran && !we_ran) return {Outcome::kBothRefuse, one_line(ours->error)};
  if (!we_ran)
    return {ours->stage == Answer::kRefused ? Outcome::kOnlyWeRefuse : Outcome::kOnlyWeFail, one_line(ours->error)};
  if (!plain_ran) {
    const bool idle = plain->stage == Answer::kFailed && any_node(path, is_idle);
    return {idle ? Outcome::kIdleFailure : Outcome::kOnlyOrtRefuses, plain->error};
  }
  std::string text = difference(plain->outputs, ours->outputs);
  if (text.empty() || any_node(path, is_random)) return {Outcome::kAgree, ""};
  return {Outcome::kDiffer, std::move(text)};
}

}  // namespace plx::fuzz
