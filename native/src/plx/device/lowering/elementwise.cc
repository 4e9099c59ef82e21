// Functions of one number, arithmetic, comparisons and casts; and what is fused into the node before it.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

namespace plx::device {

namespace {

constexpr size_t kMostSteps = 8;
constexpr size_t kMostOthers = 3;

constexpr std::pair<std::string_view, int> kArithmetic[] = {{"Add", 0}, {"Sub", 1}, {"Mul", 2}, {"Div", 3}, {"Min", 4},
                                                            {"Max", 5}, {"Pow", 6}, {"PRelu", 7}, {"Sum", 0}};

// -1 if it is none.
int arithmetic_of(const graph::Node& node) {
  if (!node.domain.empty()) return -1;
  const auto* found = std::find_if(std::begin(kArithmetic), std::end(kArithmetic), [&](const auto& f) { return f.first == node.op_type; });
  return found == std::end(kArithmetic) ? -1 : found->second;
}

bool is_bias_gelu(const graph::Node& node) {
  return node.domain == "com.microsoft" && (node.op_type == "BiasGelu" || node.op_type == "FastGelu") && node.inputs.size() == 2 &&
         node.inputs[1] != kNone;
}

}  // namespace

NodeId Lowering::only_reader(ValueId value) const {
  const graph::Value& v = graph_.values[static_cast<size_t>(value)];
  if (v.is_output || v.consumers.size() != 1 || output_of_[static_cast<size_t>(value)] >= 0) return kNone;
  return in_part_[static_cast<size_t>(v.consumers[0])] ? v.consumers[0] : kNone;
}

bool Lowering::add_arithmetic(Chain& chain, int function, ValueId other, bool other_first) {
  if (other == kNone || other == chain.value || chain.steps.size() == kMostSteps) return false;
  if (!constant(other) && tensor_of_[static_cast<size_t>(other)] < 0) return false;  // made later
  if (element(other) != element(chain.value)) return false;
  // One number for several goes along rows with less arithmetic, in a launch of its own.
  const auto repeats = period_of(dims(other), dims(chain.value));
  if (!repeats || repeats->every != 1) return false;
  const int tensor = tensor_of(other);
  auto at = std::find(chain.others.begin(), chain.others.end(), tensor);
  if (at == chain.others.end()) {
    if (chain.others.size() == kMostOthers) return false;
    at = chain.others.insert(at, tensor);
  }
  chain.steps.push_back({{function + (other_first ? kOtherFirst : kWithOther)}, static_cast<int>(at - chain.others.begin()), repeats->period});
  return true;
}

bool Lowering::add_node(Chain& chain, const graph::Node& node) {
  const ValueId out = node.outputs.empty() ? kNone : node.outputs[0];
  if (out == kNone || dims(out) != dims(chain.value) || element(out) != element(chain.value)) return false;
  if (const auto apply = function_of(node)) {
    if (node.inputs[0] != chain.value || chain.steps.size() == kMostSteps) return false;
    chain.steps.push_back({*apply, 0, 0});
  } else if (is_bias_gelu(node)) {
    if (node.inputs[0] != chain.value || chain.steps.size() + 2 > kMostSteps) return false;
    if (!add_arithmetic(chain, 0, node.inputs[1], false)) return false;
    chain.steps.push_back({{node.op_type == "BiasGelu" ? kGelu : kFastGelu}, 0, 0});
  } else {
    const int function = arithmetic_of(node);
    if (function < 0 || node.inputs.size() != 2) return false;
    const bool other_first = node.inputs[0] != chain.value;
    if (!add_arithmetic(chain, function, node.inputs[other_first ? 0 : 1], other_first)) return false;
  }
  chain.value = out;
  return true;
}

void Lowering::follow(Chain& chain) {
  for (;;) {
    const NodeId next = only_reader(chain.value);
    if (next == kNone || !add_node(chain, graph_.nodes[static_cast<size_t>(next)])) return;
    done_[static_cast<size_t>(next)] = true;
  }
}

void Lowering::launch_chain(int from, const Chain& chain) {
  const int64_t count = elements(chain.value);
  std::vector<int32_t> ints;
  for (const Step& step : chain.steps) {
    int32_t bits[2];
    std::memcpy(&bits[0], &step.apply.alpha, 4);
    std::memcpy(&bits[1], &step.apply.beta, 4);
    ints.insert(ints.end(), {step.apply.function, bits[0], bits[1], step.other, step.period == count ? 0 : narrow(step.period)});
  }
  std::vector<int> tensors = {from, make(chain.value), own_constant(ints.data(), ints.size() * 4)};
  tensors.insert(tensors.end(), chain.others.begin(), chain.others.end());
  tensors.resize(3 + kMostOthers, from);
  launch_vectors("chain", std::move(tensors), count, {std::ssize(chain.steps)});
}

std::optional<Apply> Lowering::function_of(const graph::Node& node) const {
  const auto number = [&](const char* name, float otherwise) { return graph::float_attribute(node, name).value_or(otherwise); };
  const std::string_view op = node.op_type;
  if (node.inputs.empty() || node.inputs[0] == kNone || !is_number(element(node.inputs[0]))) return std::nullopt;
  if (node.domain == "com.microsoft") {
    if (op == "Gelu" && node.inputs.size() == 1) return Apply{kGelu};
    if (op == "FastGelu" && !has_input(node, 1)) return Apply{kFastGelu};
    if (op == "QuickGelu") return Apply{kQuickGelu, number("alpha", 1.702f)};
    return std::nullopt;
  }
  if (!node.domain.empty()) return std::nullopt;
  if (op == "Clip") {
    float low = number("min", std::numeric_limits<float>::lowest());
    float high = number("max", std::numeric_limits<float>::max());
    for (size_t i = 1; i < 3; ++i) {
      if (!has_input(node, i)) continue;
      if (!constant(node.inputs[i])) return std::nullopt;
      const auto bound = floats(node.inputs[i]);
      if (bound.size() != 1) return std::nullopt;
      (i == 1 ? low : high) = bound[0];
    }
    return Apply{kClip, low, high};
  }
  static constexpr std::pair<std::string_view, Function> plain[] = {
      {"Relu", kRelu},     {"Sigmoid", kSigmoid}, {"Tanh", kTanh},       {"Abs", kAbs},             {"Neg", kNeg},
      {"Sqrt", kSqrt},     {"Exp", kExp},         {"Log", kLog},         {"Erf", kErf},             {"Reciprocal", kReciprocal},
      {"Floor", kFloor},   {"Ceil", kCeil},       {"Round", kRound},     {"Sin", kSin},             {"Cos", kCos},
      {"HardSwish", kHardSwish}, {"Softplus", kSoftplus}, {"Softsign", kSoftsign}, {"Sign", kSign}};
  for (const auto& [name, function] : plain) {
    if (op == name) return Apply{function};
  }
  if (op == "LeakyRelu") return Apply{kLeakyRelu, number("alpha", 0.01f)};
  if (op == "Elu") return Apply{kElu, number("alpha", 1.0f)};
  if (op == "HardSigmoid") return Apply{kHardSigmoid, number("alpha", 0.2f), number("beta", 0.5f)};
  if (op == "ThresholdedRelu") return Apply{kThresholdedRelu, number("alpha", 1.0f)};
  if (op == "Selu") return Apply{kSelu, number("alpha", 1.67326319217681884765625f), number("gamma", 1.05070102214813232421875f)};
  if (op == "Gelu") {
    return Apply{graph::string_attribute(node, "approximate").value_or("none") == "tanh" ? kFastGelu : kGelu};
  }
  return std::nullopt;
}

Apply Lowering::fused_activation(const graph::Node& node) const {
  const auto name = graph::string_attribute(node, "activation");
  if (!name || name->empty()) return {};
  std::vector<float> numbers = graph::floats_attribute(node, "activation_params").value_or(std::vector<float>());
  // FusedGemm has them one by one.
  for (const char* key : {"activation_alpha", "activation_beta"}) {
    if (const auto number = graph::float_attribute(node, key)) numbers.push_back(*number);
  }
  const auto number = [&](size_t i, float otherwise) { return i < numbers.size() ? numbers[i] : otherwise; };
  if (*name == "Relu") return {kRelu};
  if (*name == "Sigmoid") return {kSigmoid};
  if (*name == "Tanh") return {kTanh};
  if (*name == "LeakyRelu") return {kLeakyRelu, number(0, 0.01f)};
  if (*name == "Clip") return {kClip, number(0, std::numeric_limits<float>::lowest()), number(1, std::numeric_limits<float>::max())};
  if (*name == "HardSigmoid") return {kHardSigmoid, number(0, 0.2f), number(1, 0.5f)};
  refuse("has the activation ", *name);
}

void Lowering::function(const graph::Node& node, const Apply& apply) {
  const int from = tensor_of(node.inputs[0]);
  Chain chain{node.outputs[0], {{apply, 0, 0}}, {}};
  follow(chain);
  if (chain.steps.size() > 1) return launch_chain(from, chain);
  launch_vectors("unary", {from, make(node.outputs[0])}, elements(node.outputs[0]), {apply.function}, {apply.alpha, apply.beta});
}

void Lowering::combine(int function, int a, const Dims& a_dims, int b, const Dims& b_dims, int out, const Dims& out_dims) {
  const int64_t count = product(out_dims);
  const int64_t a_count = product(a_dims);
  const int64_t b_count = product(b_dims);
  if ((a_count == count || a_count == 1) && (b_count == count || b_count == 1)) {
    launch_vectors("binary", {a, b, out}, count, {function, a_count == count ? 1 : 0, b_count == count ? 1 : 0});
    return;
  }
  Loops loops{out_dims, {broadcast_strides(a_dims, out_dims), broadcast_strides(b_dims, out_dims)}};
  loops.collapse();
  Dims ints = sizes_and_strides(loops);
  ints.insert(ints.begin(), function);
  launch_each("binary_broadcast", {a, b, out}, pieces(loops), std::move(ints));
}

void Lowering::arithmetic(const graph::Node& node) {
  const int function = arithmetic_of(node);
  for (const ValueId value : node.inputs) want_number(value);
  want_number(node.outputs[0]);
  if (node.inputs.size() == 1) {
    const int from = tensor_of(node.inputs[0]);
    copy(from, make(node.outputs[0]), {elements(node.outputs[0])}, {1}, 0, {1}, 0, number_bytes());
    return;
  }
  const Dims& made = dims(node.outputs[0]);
  const int64_t count = elements(node.outputs[0]);
  if (node.inputs.size() == 2) {
    // With what comes after it, in one launch.
    for (const ValueId value : node.inputs) {
      if (dims(value) != made) continue;
      const int from = tensor_of(value);
      Chain chain{value, {}, {}};
      if (!add_node(chain, node)) continue;
      follow(chain);
      if (chain.steps.size() > 1) return launch_chain(from, chain);
      break;
    }
    const int left = tensor_of(node.inputs[0]);
    const int right = tensor_of(node.inputs[1]);
    return combine(function, left, dims(node.inputs[0]), right, dims(node.inputs[1]), make(node.outputs[0]), made);
  }
  // Of more than two, one after the other, in float32: the sum is rounded once.
  std::vector<int> wide;
  for (const ValueId value : node.inputs) wide.push_back(widened(tensor_of(value), elements(value)));
  const bool halves = std::exchange(halves_, false);
  int left = wide[0];
  Dims left_dims = dims(node.inputs[0]);
  for (size_t i = 1; i < wide.size(); ++i) {
    const bool last = i + 1 == wide.size();
    const int to = last && !halves ? make(node.outputs[0]) : temporary(count * 4);
    combine(function, left, left_dims, wide[i], dims(node.inputs[i]), to, made);
    left = to;
    left_dims = made;
  }
  halves_ = halves;
  if (halves) launch_each("cast_float_half", {left, make(node.outputs[0])}, count, {});
}

void Lowering::comparison(const graph::Node& node) {
  static constexpr std::string_view functions[] = {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"};
  const auto function = std::find(std::begin(functions), std::end(functions), node.op_type) - std::begin(functions);
  const ElementType type = element(node.inputs[0]);
  const char* kernel = is_number(type) ? "compare_float" : type == ElementType::kInt32 ? "compare_int"
                       : type == ElementType::kInt64 ? "compare_long" : nullptr;
  if (kernel == nullptr || element(node.inputs[1]) != type) refuse("compares ", graph::element_type_name(type));
  Dims ints = sizes_and_strides(loops_over(node, {0, 1}));
  ints.insert(ints.begin(), function);
  const int a = tensor_of(node.inputs[0]);
  const int b = tensor_of(node.inputs[1]);
  launch_each(kernel, {a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
}

void Lowering::logic(const graph::Node& node) {
  Dims ints = sizes_and_strides(loops_over(node, {0, 1}));
  ints.insert(ints.begin(), node.op_type == "And" ? 0 : node.op_type == "Or" ? 1 : 2);
  const int a = tensor_of(node.inputs[0]);
  const int b = tensor_of(node.inputs[1]);
  launch_each("logic", {a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
}

void Lowering::logical_not(const graph::Node& node) {
  const int from = tensor_of(node.inputs[0]);
  launch_each("logical_not", {from, make(node.outputs[0])}, elements(node.outputs[0]), {});
}

void Lowering::where(const graph::Node& node) {
  Dims ints = sizes_and_strides(loops_over(node, {0, 1, 2}));
  const int c = tensor_of(node.inputs[0]);
  const int a = tensor_of(node.inputs[1]);
  const int b = tensor_of(node.inputs[2]);
  const char* kernel = by_size(element_bytes(node.outputs[0]), "select_1", "select_2", "select_4", "select_8");
  launch_each(kernel, {c, a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
}

void Lowering::cast(const graph::Node& node) {
  const auto name = [](ElementType type) -> std::string {
    switch (type) {
      case ElementType::kFloat32: return "float";
      case ElementType::kFloat16: return "half";
      case ElementType::kInt32: return "int";
      case ElementType::kInt64: return "long";
      case ElementType::kBool: return "bool";
      default: refuse("casts ", graph::element_type_name(type));
    }
  };
  static const char* const kernels[] = {"cast_float_int", "cast_float_long", "cast_int_float",  "cast_int_long",
                                        "cast_long_float", "cast_long_int",  "cast_bool_float", "cast_bool_int",
                                        "cast_bool_long", "cast_float_bool", "cast_int_bool",   "cast_long_bool",
                                        "cast_half_float", "cast_half_int",  "cast_half_long",  "cast_half_bool",
                                        "cast_float_half", "cast_int_half",  "cast_long_half",  "cast_bool_half"};
  const std::string from = name(element(node.inputs[0]));
  const std::string to = name(element(node.outputs[0]));
  const int in = tensor_of(node.inputs[0]);
  const int64_t count = elements(node.outputs[0]);
  if (from == to) {
    copy(in, make(node.outputs[0]), {count}, {1}, 0, {1}, 0, element_bytes(node.outputs[0]));
    return;
  }
  const auto* kernel = std::find_if(std::begin(kernels), std::end(kernels), [&](const char* k) { return k == "cast_" + from + "_" + to; });
  launch_each(*kernel, {in, make(node.outputs[0])}, count, {});
}

void Lowering::bias_gelu(const graph::Node& node) {
  for (const ValueId value : node.inputs) want_number(value);
  const int in = tensor_of(node.inputs[0]);
  tensor_of(node.inputs[1]);
  Chain chain{node.inputs[0], {}, {}};
  if (!add_node(chain, node)) refuse("adds a tensor that is no row of its input");
  follow(chain);
  launch_chain(in, chain);
}

}  // namespace plx::device
