#include "plx/device/lowering.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>

#include "plx/memory/planner.h"

namespace plx::device {

namespace {

using graph::ElementType;
using graph::kNone;
using graph::NodeId;
using graph::ValueId;
using Dims = std::vector<int64_t>;
using Memory = Lowered::Memory;

constexpr size_t kAxes = 6;                        // of kernels that move data
constexpr int64_t kMostElements = (1 << 30) - 1;   // kernels count in 32 bits

// Numbered as in apply() of opencl/kernels.cl.
enum Function {
  kNothing = 0, kRelu, kSigmoid, kTanh, kLeakyRelu, kElu, kClip, kGelu, kFastGelu, kQuickGelu, kAbs, kNeg, kSqrt, kExp, kLog, kErf,
  kReciprocal, kFloor, kCeil, kRound, kSin, kCos, kHardSigmoid, kHardSwish, kSoftplus, kSoftsign, kThresholdedRelu, kSelu, kSign,
  kClipNan,
};
struct Apply {
  int function = kNothing;
  float alpha = 0;
  float beta = 0;
};

// Thrown inside this file only.
struct Refused {
  std::string why;
};
template <class... Parts>
[[noreturn]] void refuse(Parts&&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Refused{text.str()};
}

int64_t product(std::span<const int64_t> dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

// Strides of a tensor that is read as one of the shape `out`: 0 along axes that it repeats.
Dims broadcast_strides(const Dims& dims, const Dims& out) {
  if (dims.size() > out.size()) refuse("reads a tensor of more axes than it makes");
  const Dims own = strides_of(dims);
  Dims strides(out.size(), 0);
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t at = out.size() - dims.size() + i;
    if (dims[i] != 1 && dims[i] != out[at]) refuse("reads a tensor that does not fit what it makes");
    strides[at] = dims[i] == 1 ? 0 : own[i];
  }
  return strides;
}

// Loops over some tensors at once, with as few axes as will do.
struct Loops {
  Dims dims;
  std::vector<Dims> strides;  // per tensor

  void collapse() {
    for (size_t i = dims.size(); i-- > 0;) {
      if (dims[i] != 1 || dims.size() == 1) continue;
      erase(i);
    }
    for (size_t i = dims.size(); i-- > 1;) {
      const bool one = std::all_of(strides.begin(), strides.end(), [&](const Dims& s) { return s[i - 1] == s[i] * dims[i]; });
      if (!one) continue;
      for (Dims& s : strides) s[i - 1] = s[i];
      dims[i - 1] *= dims[i];
      erase(i);
    }
    if (dims.size() > kAxes) refuse("has ", dims.size(), " axes that cannot be taken together; at most ", kAxes);
    while (dims.size() < kAxes) {
      dims.insert(dims.begin(), 1);
      for (Dims& s : strides) s.insert(s.begin(), 0);
    }
  }

 private:
  void erase(size_t axis) {
    dims.erase(dims.begin() + static_cast<ptrdiff_t>(axis));
    for (Dims& s : strides) s.erase(s.begin() + static_cast<ptrdiff_t>(axis));
  }
};

int32_t narrow(int64_t value) {
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) refuse("counts beyond 32 bits");
  return static_cast<int32_t>(value);
}

class Lowering {
 public:
  Lowering(const Part& part, const Tuning& tuning)
      : part_(part), graph_(*part.graph), shapes_(*part.shapes), tuning_(tuning), tensor_of_(graph_.values.size(), -1),
        in_part_(graph_.nodes.size(), false), done_(graph_.nodes.size(), false), output_of_(graph_.values.size(), -1),
        root_(graph_.values.size()) {
    std::iota(root_.begin(), root_.end(), 0);
    for (const NodeId id : part.nodes) in_part_[static_cast<size_t>(id)] = true;
    for (const NodeId id : part.nodes) {
      const graph::Node& node = graph_.nodes[static_cast<size_t>(id)];
      if (is_view(node)) root_[static_cast<size_t>(node.outputs[0])] = root_[static_cast<size_t>(node.inputs[0])];
    }
    for (size_t i = 0; i < part.outputs.size(); ++i) {
      int& output = output_of_[static_cast<size_t>(root_[static_cast<size_t>(part.outputs[i])])];
      if (output < 0) output = static_cast<int>(i);  // others are copies of it
    }
    for (size_t i = 0; i < part.inputs.size(); ++i) {
      tensor_of_[static_cast<size_t>(part.inputs[i])] = add({Memory::kInput, static_cast<int>(i), bytes_of(part.inputs[i])});
    }
  }

  // The nodes one by one; then what has to be copied to be an output.
  Lowered run() {
    for (const NodeId id : part_.nodes) {
      if (done_[static_cast<size_t>(id)]) continue;
      node_ = id;
      try {
        lower(graph_.nodes[static_cast<size_t>(id)]);
      } catch (Refused& refused) {
        refused_at_ = id;
        throw;
      }
    }
    for (size_t i = 0; i < part_.outputs.size(); ++i) {
      const ValueId value = part_.outputs[i];
      const int tensor = tensor_of(value);
      const Lowered::Tensor& t = out_.tensors[static_cast<size_t>(tensor)];
      if (t.memory == Memory::kOutput && t.index == static_cast<int>(i)) continue;
      const int output = add({Memory::kOutput, static_cast<int>(i), bytes_of(value)});
      node_ = graph_.values[static_cast<size_t>(value)].producer;
      const int64_t size = element_bytes(value);
      copy(tensor, output, {product(dims(value))}, {1}, 0, {1}, 0, size);
    }
    return std::move(out_);
  }
  NodeId refused_at() const { return refused_at_; }

 private:
  // ---- what the graph says
  static bool is_view(const graph::Node& node) { return graph::is_view(node); }
  const Dims& dims(ValueId value) const {
    const auto& shape = shapes_[static_cast<size_t>(value)];
    if (graph_.values[static_cast<size_t>(value)].initializer != kNone) return initializer(value).dims;
    if (!shape) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' has no fixed shape");
    return shape->dims;
  }
  ElementType element(ValueId value) const {
    if (graph_.values[static_cast<size_t>(value)].initializer != kNone) return initializer(value).element;
    const auto& shape = shapes_[static_cast<size_t>(value)];
    return shape ? shape->element : graph_.values[static_cast<size_t>(value)].type.element;
  }
  const graph::Initializer& initializer(ValueId value) const {
    return graph_.initializers[static_cast<size_t>(graph_.values[static_cast<size_t>(value)].initializer)];
  }
  int64_t elements(ValueId value) const {
    const int64_t count = product(dims(value));
    if (count > kMostElements) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' has ", count, " elements, too many");
    if (count == 0) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is empty");
    return count;
  }
  int64_t element_bytes(ValueId value) const {
    const int bits = graph::element_bits(element(value));
    if (bits < 8) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is ", graph::element_type_name(element(value)));
    return bits / 8;
  }
  uint64_t bytes_of(ValueId value) const { return static_cast<uint64_t>(elements(value) * element_bytes(value)); }
  void want_float(ValueId value) const {
    if (element(value) == ElementType::kFloat32) return;
    refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is ", graph::element_type_name(element(value)), ", not float32");
  }
  bool has_input(const graph::Node& node, size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNone; }
  bool has_output(const graph::Node& node, size_t i) const { return i < node.outputs.size() && node.outputs[i] != kNone; }
  bool constant(ValueId value) const { return graph_.values[static_cast<size_t>(value)].initializer != kNone; }
  int64_t opset() const {
    const auto found = graph_.opsets.find("");
    return found == graph_.opsets.end() ? 1 : found->second;
  }
  // The content of a constant list of whole numbers.
  Dims list(ValueId value) const {
    if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not a constant");
    const graph::Initializer& init = initializer(value);
    if (init.data == nullptr || init.sparse) refuse("the data of '", graph_.values[static_cast<size_t>(value)].name, "' is not there");
    const auto count = static_cast<size_t>(product(init.dims));
    Dims numbers(count);
    if (init.element == ElementType::kInt64) {
      std::memcpy(numbers.data(), init.data, count * 8);
    } else if (init.element == ElementType::kInt32) {
      std::vector<int32_t> read(count);
      std::memcpy(read.data(), init.data, count * 4);
      std::copy(read.begin(), read.end(), numbers.begin());
    } else {
      refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is no list of whole numbers");
    }
    return numbers;
  }
  std::vector<float> floats(ValueId value) const {
    if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not a constant");
    const graph::Initializer& init = initializer(value);
    if (init.element != ElementType::kFloat32 || (init.data == nullptr && init.size_bytes != 0)) refuse("a constant is no float32");
    std::vector<float> numbers(static_cast<size_t>(product(init.dims)));
    if (!numbers.empty()) std::memcpy(numbers.data(), init.data, numbers.size() * 4);
    return numbers;
  }
  // Axes by attribute or by input, wherever this opset has them; sorted, none negative.
  std::optional<Dims> axes(const graph::Node& node, size_t input, size_t rank) const {
    std::optional<Dims> found = graph::ints_attribute(node, "axes");
    if (found && found->empty()) found.reset();
    if (has_input(node, input)) found = list(node.inputs[input]);
    if (!found) return found;
    for (int64_t& axis : *found) axis = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
    std::sort(found->begin(), found->end());
    return found;
  }
  int64_t axis_of(const graph::Node& node, int64_t otherwise, size_t rank) const {
    const int64_t axis = graph::int_attribute(node, "axis").value_or(otherwise);
    const int64_t at = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
    if (at < 0 || at >= static_cast<int64_t>(rank)) refuse("has an axis outside its input");
    return at;
  }

  // ---- tensors and launches
  int add(Lowered::Tensor tensor) {
    out_.tensors.push_back(tensor);
    return static_cast<int>(out_.tensors.size()) - 1;
  }
  int temporary(int64_t bytes) { return add({Memory::kTemporary, 0, static_cast<uint64_t>(bytes)}); }
  int own_constant(const void* data, size_t bytes) {
    const auto* first = static_cast<const std::byte*>(data);
    out_.constants.push_back({nullptr, {first, first + bytes}, bytes});
    return add({Memory::kConstant, static_cast<int>(out_.constants.size()) - 1, bytes});
  }
  int tensor_of(ValueId value) {
    int& tensor = tensor_of_[static_cast<size_t>(value)];
    if (tensor >= 0) return tensor;
    if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not made in this part");
    const graph::Initializer& init = initializer(value);
    if (init.sparse) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is sparse");
    out_.constants.push_back({init.data, {}, bytes_of(value)});
    tensor = add({Memory::kConstant, static_cast<int>(out_.constants.size()) - 1, bytes_of(value)});
    return tensor;
  }
  // Where a node's output goes.
  int make(ValueId value) {
    int& tensor = tensor_of_[static_cast<size_t>(value)];
    const int output = output_of_[static_cast<size_t>(value)];
    const uint64_t bytes = bytes_of(value);
    tensor = output >= 0 ? add({Memory::kOutput, output, bytes}) : add({Memory::kTemporary, 0, bytes});
    return tensor;
  }
  void launch(const char* kernel, std::vector<int> tensors, const Dims& ints, std::vector<float> numbers, std::array<int64_t, 3> items,
              bool once = false) {
    Lowered::Launch one;
    one.kernel = kernel;
    one.tensors = std::move(tensors);
    for (const int64_t value : ints) one.ints.push_back(narrow(value));
    one.floats = std::move(numbers);
    for (size_t i = 0; i < 3; ++i) one.items[i] = static_cast<uint64_t>(items[i]);
    one.node = node_;
    (once ? out_.setup : out_.launches).push_back(std::move(one));
  }
  void launch_each(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers = {}, bool once = false) {
    ints.insert(ints.begin(), count);
    launch(kernel, std::move(tensors), ints, std::move(numbers), {count, 1, 1}, once);
  }
  // A work item for each vector of numbers.
  void launch_vectors(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers = {}) {
    ints.insert(ints.begin(), count);
    launch_each(kernel, std::move(tensors), panels(count), std::move(ints), std::move(numbers));
  }
  // Work items that each go along a piece of a row.
  int64_t pieces(const Loops& loops) const { return product(std::span(loops.dims).first(kAxes - 1)) * panels(loops.dims.back()); }
  static const char* by_size(int64_t bytes, const char* one, const char* two, const char* four, const char* eight) {
    const char* found = bytes == 1 ? one : bytes == 2 ? two : bytes == 4 ? four : bytes == 8 ? eight : nullptr;
    if (found == nullptr) refuse("has elements of ", bytes, " bytes");
    return found;
  }
  void copy(int from, int to, const Dims& dims, const Dims& from_strides, int64_t from_offset, const Dims& to_strides, int64_t to_offset,
            int64_t size, bool once = false) {
    Loops loops{dims, {from_strides, to_strides}};
    loops.collapse();
    Dims ints(loops.dims.begin() + 1, loops.dims.end());
    ints.push_back(from_offset);
    ints.insert(ints.end(), loops.strides[0].begin(), loops.strides[0].end());
    ints.push_back(to_offset);
    ints.insert(ints.end(), loops.strides[1].begin(), loops.strides[1].end());
    launch_each(by_size(size, "copy_1", "copy_2", "copy_4", "copy_8"), {from, to}, pieces(loops), std::move(ints), {}, once);
  }

  // The one function of one number that reads this value, if nothing else does and it is of this part.
  std::optional<std::pair<NodeId, Apply>> follower(ValueId value) {
    const graph::Value& v = graph_.values[static_cast<size_t>(value)];
    if (v.is_output || v.consumers.size() != 1 || output_of_[static_cast<size_t>(value)] >= 0) return std::nullopt;
    const NodeId next = v.consumers[0];
    const graph::Node& node = graph_.nodes[static_cast<size_t>(next)];
    if (!in_part_[static_cast<size_t>(next)] || node.inputs[0] != value) return std::nullopt;
    const auto apply = function_of(node);
    if (!apply) return std::nullopt;
    return std::pair{next, *apply};
  }
  // The value that an epilogue's function is to make in place of this one.
  ValueId fuse(ValueId value, Apply& apply) {
    if (apply.function != kNothing) return value;
    const auto next = follower(value);
    if (!next) return value;
    apply = next->second;
    done_[static_cast<size_t>(next->first)] = true;
    return graph_.nodes[static_cast<size_t>(next->first)].outputs[0];
  }

  // Nothing if the node is no function of one float32.
  std::optional<Apply> function_of(const graph::Node& node) const {
    const auto number = [&](const char* name, float otherwise) { return graph::float_attribute(node, name).value_or(otherwise); };
    const std::string_view op = node.op_type;
    if (node.inputs.empty() || node.inputs[0] == kNone || element(node.inputs[0]) != ElementType::kFloat32) return std::nullopt;
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

  // The activation that ONNX Runtime has fused into a node, by its attributes.
  Apply fused_activation(const graph::Node& node) const {
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

  // ---- operators
  void lower(const graph::Node& node) {
    if (node.has_subgraph) refuse("has a graph of its own");
    for (const ValueId value : node.outputs) {
      if (value != kNone) elements(value);
    }
    if (is_view(node)) return view(node);
    if (const auto apply = function_of(node)) return function(node, *apply);
    const std::string_view op = node.op_type;
    const std::string name = node.domain.empty() ? node.op_type : node.domain + ":" + node.op_type;
    using Method = void (Lowering::*)(const graph::Node&);
    static const std::pair<std::string_view, Method> table[] = {
        {"Conv", &Lowering::conv}, {"com.microsoft:FusedConv", &Lowering::conv},
        {"MatMul", &Lowering::matmul}, {"com.microsoft:FusedMatMul", &Lowering::matmul},
        {"Gemm", &Lowering::gemm}, {"com.microsoft:FusedGemm", &Lowering::gemm},
        {"Add", &Lowering::arithmetic}, {"Sub", &Lowering::arithmetic}, {"Mul", &Lowering::arithmetic}, {"Div", &Lowering::arithmetic},
        {"Min", &Lowering::arithmetic}, {"Max", &Lowering::arithmetic}, {"Pow", &Lowering::arithmetic}, {"PRelu", &Lowering::arithmetic},
        {"Sum", &Lowering::arithmetic},
        {"Equal", &Lowering::comparison}, {"Greater", &Lowering::comparison}, {"Less", &Lowering::comparison},
        {"GreaterOrEqual", &Lowering::comparison}, {"LessOrEqual", &Lowering::comparison},
        {"And", &Lowering::logic}, {"Or", &Lowering::logic}, {"Xor", &Lowering::logic}, {"Not", &Lowering::logical_not},
        {"Where", &Lowering::where}, {"Cast", &Lowering::cast},
        {"com.microsoft:BiasGelu", &Lowering::bias_gelu}, {"com.microsoft:FastGelu", &Lowering::bias_gelu},
        {"Softmax", &Lowering::softmax}, {"LogSoftmax", &Lowering::softmax},
        {"LayerNormalization", &Lowering::layer_norm}, {"SimplifiedLayerNormalization", &Lowering::layer_norm},
        {"com.microsoft:SkipLayerNormalization", &Lowering::skip_layer_norm},
        {"ReduceSum", &Lowering::reduce}, {"ReduceMean", &Lowering::reduce}, {"ReduceMax", &Lowering::reduce},
        {"ReduceMin", &Lowering::reduce}, {"ReduceProd", &Lowering::reduce}, {"ReduceL1", &Lowering::reduce},
        {"ReduceL2", &Lowering::reduce}, {"ReduceSumSquare", &Lowering::reduce}, {"GlobalAveragePool", &Lowering::reduce},
        {"GlobalMaxPool", &Lowering::reduce},
        {"MaxPool", &Lowering::pool}, {"AveragePool", &Lowering::pool}, {"Resize", &Lowering::resize},
        {"Concat", &Lowering::concat}, {"Split", &Lowering::split}, {"Slice", &Lowering::slice}, {"Pad", &Lowering::pad},
        {"Gather", &Lowering::gather}, {"Transpose", &Lowering::transpose}, {"Expand", &Lowering::expand}, {"Tile", &Lowering::tile},
    };
    for (const auto& [known, method] : table) {
      if (known != name) continue;
      if (!has_output(node, 0)) refuse("makes nothing");
      return (this->*method)(node);
    }
    refuse(node.op_type.empty() ? std::string(op) : name, " is not among the operators that it has kernels for");
  }

  void view(const graph::Node& node) {
    const ValueId from = node.inputs[0];
    if (from == kNone) refuse("reads nothing");
    elements(node.outputs[0]);
    element_bytes(from);
    tensor_of_[static_cast<size_t>(node.outputs[0])] = tensor_of(from);
  }

  void function(const graph::Node& node, const Apply& apply) {
    const int from = tensor_of(node.inputs[0]);
    const int64_t count = elements(node.outputs[0]);
    launch_vectors("unary", {from, make(node.outputs[0])}, count, {apply.function}, {apply.alpha, apply.beta});
  }

  Loops loops_over(const graph::Node& node, std::initializer_list<size_t> inputs) const {
    Loops loops{dims(node.outputs[0]), {}};
    for (const size_t i : inputs) loops.strides.push_back(broadcast_strides(dims(node.inputs[i]), loops.dims));
    if (loops.dims.empty()) {
      loops.dims = {1};
      for (Dims& s : loops.strides) s = {0};
    }
    loops.collapse();
    return loops;
  }
  static Dims sizes_and_strides(const Loops& loops) {
    Dims ints(loops.dims.begin() + 1, loops.dims.end());
    for (const Dims& s : loops.strides) ints.insert(ints.end(), s.begin(), s.end());
    return ints;
  }

  void combine(int function, int a, const Dims& a_dims, int b, const Dims& b_dims, int out, const Dims& out_dims) {
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

  void arithmetic(const graph::Node& node) {
    static constexpr std::pair<std::string_view, int> functions[] = {{"Add", 0}, {"Sub", 1}, {"Mul", 2}, {"Div", 3}, {"Min", 4},
                                                                     {"Max", 5}, {"Pow", 6}, {"PRelu", 7}, {"Sum", 0}};
    const int function = std::find_if(std::begin(functions), std::end(functions), [&](const auto& f) { return f.first == node.op_type; })->second;
    for (const ValueId value : node.inputs) want_float(value);
    want_float(node.outputs[0]);
    if (node.inputs.size() == 1) {
      const int from = tensor_of(node.inputs[0]);
      copy(from, make(node.outputs[0]), {elements(node.outputs[0])}, {1}, 0, {1}, 0, 4);
      return;
    }
    // Of more than two, one after the other.
    const Dims& made = dims(node.outputs[0]);
    int left = tensor_of(node.inputs[0]);
    Dims left_dims = dims(node.inputs[0]);
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const int right = tensor_of(node.inputs[i]);
      const bool last = i + 1 == node.inputs.size();
      const int to = last ? make(node.outputs[0]) : temporary(static_cast<int64_t>(bytes_of(node.outputs[0])));
      combine(function, left, left_dims, right, dims(node.inputs[i]), to, made);
      left = to;
      left_dims = made;
    }
  }

  void comparison(const graph::Node& node) {
    static constexpr std::string_view functions[] = {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"};
    const auto function = std::find(std::begin(functions), std::end(functions), node.op_type) - std::begin(functions);
    const ElementType type = element(node.inputs[0]);
    const char* kernel = type == ElementType::kFloat32 ? "compare_float" : type == ElementType::kInt32 ? "compare_int"
                         : type == ElementType::kInt64 ? "compare_long" : nullptr;
    if (kernel == nullptr || element(node.inputs[1]) != type) refuse("compares ", graph::element_type_name(type));
    Dims ints = sizes_and_strides(loops_over(node, {0, 1}));
    ints.insert(ints.begin(), function);
    const int a = tensor_of(node.inputs[0]);
    const int b = tensor_of(node.inputs[1]);
    launch_each(kernel, {a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
  }

  void logic(const graph::Node& node) {
    Dims ints = sizes_and_strides(loops_over(node, {0, 1}));
    ints.insert(ints.begin(), node.op_type == "And" ? 0 : node.op_type == "Or" ? 1 : 2);
    const int a = tensor_of(node.inputs[0]);
    const int b = tensor_of(node.inputs[1]);
    launch_each("logic", {a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
  }

  void logical_not(const graph::Node& node) {
    const int from = tensor_of(node.inputs[0]);
    launch_each("logical_not", {from, make(node.outputs[0])}, elements(node.outputs[0]), {});
  }

  void where(const graph::Node& node) {
    Dims ints = sizes_and_strides(loops_over(node, {0, 1, 2}));
    const int c = tensor_of(node.inputs[0]);
    const int a = tensor_of(node.inputs[1]);
    const int b = tensor_of(node.inputs[2]);
    const char* kernel = by_size(element_bytes(node.outputs[0]), "select_1", nullptr, "select_4", "select_8");
    launch_each(kernel, {c, a, b, make(node.outputs[0])}, elements(node.outputs[0]), std::move(ints));
  }

  void cast(const graph::Node& node) {
    const auto name = [](ElementType type) -> std::string {
      switch (type) {
        case ElementType::kFloat32: return "float";
        case ElementType::kInt32: return "int";
        case ElementType::kInt64: return "long";
        case ElementType::kBool: return "bool";
        default: refuse("casts ", graph::element_type_name(type));
      }
    };
    static const char* const kernels[] = {"cast_float_int", "cast_float_long", "cast_int_float",  "cast_int_long",
                                          "cast_long_float", "cast_long_int",  "cast_bool_float", "cast_bool_int",
                                          "cast_bool_long", "cast_float_bool", "cast_int_bool",   "cast_long_bool"};
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

  void bias_gelu(const graph::Node& node) {
    for (const ValueId value : node.inputs) want_float(value);
    const int sum = temporary(static_cast<int64_t>(bytes_of(node.outputs[0])));
    const Dims& made = dims(node.outputs[0]);
    const int in = tensor_of(node.inputs[0]);
    combine(0, in, dims(node.inputs[0]), tensor_of(node.inputs[1]), dims(node.inputs[1]), sum, made);
    launch_vectors("unary", {sum, make(node.outputs[0])}, elements(node.outputs[0]), {node.op_type == "BiasGelu" ? kGelu : kFastGelu}, {0, 0});
  }

  void softmax(const graph::Node& node) {
    want_float(node.inputs[0]);
    const Dims& d = dims(node.inputs[0]);
    int64_t length = 1;
    int64_t inner = 1;
    if (opset() >= 13) {
      const auto axis = static_cast<size_t>(axis_of(node, -1, d.size()));
      length = d[axis];
      inner = product(std::span(d).subspan(axis + 1));
    } else {
      const auto axis = static_cast<size_t>(axis_of(node, 1, d.size()));
      length = product(std::span(d).subspan(axis));
    }
    const int from = tensor_of(node.inputs[0]);
    if (inner == 1) {
      launch_each("softmax_rows", {from, make(node.outputs[0])}, elements(node.outputs[0]) / length,
                  {length, node.op_type == "LogSoftmax" ? 1 : 0});
      return;
    }
    launch_each("softmax", {from, make(node.outputs[0])}, elements(node.outputs[0]) / length, {length, inner, node.op_type == "LogSoftmax" ? 1 : 0});
  }

  void normalise(const graph::Node& node, int from, const Dims& d, size_t axis, ValueId scale, ValueId bias, bool rms, float epsilon) {
    const int64_t length = product(std::span(d).subspan(axis));
    want_float(scale);
    if (elements(scale) != length || (bias != kNone && elements(bias) != length)) refuse("has a scale of another size than what it normalises");
    const int s = tensor_of(scale);
    const int b = bias == kNone ? s : tensor_of(bias);
    launch_each("layer_norm", {from, s, b, make(node.outputs[0])}, product(d) / length, {length, bias == kNone ? 0 : 1, rms ? 1 : 0}, {epsilon});
  }

  void layer_norm(const graph::Node& node) {
    want_float(node.inputs[0]);
    if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
    const Dims& d = dims(node.inputs[0]);
    const bool rms = node.op_type != "LayerNormalization";
    normalise(node, tensor_of(node.inputs[0]), d, static_cast<size_t>(axis_of(node, -1, d.size())), node.inputs[1],
              has_input(node, 2) ? node.inputs[2] : kNone, rms, graph::float_attribute(node, "epsilon").value_or(1e-5f));
  }

  void skip_layer_norm(const graph::Node& node) {
    for (const ValueId value : node.inputs) {
      if (value != kNone) want_float(value);
    }
    if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
    const Dims& d = dims(node.inputs[0]);
    int sum = has_output(node, 3) ? make(node.outputs[3]) : temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
    const int a = tensor_of(node.inputs[0]);
    const int b = tensor_of(node.inputs[1]);
    if (has_input(node, 4)) {
      const int first = temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
      combine(0, a, d, b, dims(node.inputs[1]), first, d);
      combine(0, first, d, tensor_of(node.inputs[4]), dims(node.inputs[4]), sum, d);
    } else {
      combine(0, a, d, b, dims(node.inputs[1]), sum, d);
    }
    normalise(node, sum, d, d.size() - 1, node.inputs[2], has_input(node, 3) ? node.inputs[3] : kNone, false,
              graph::float_attribute(node, "epsilon").value_or(1e-12f));
  }

  void reduce(const graph::Node& node) {
    static constexpr std::string_view functions[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                                                     "ReduceSumSquare"};
    want_float(node.inputs[0]);
    const Dims& d = dims(node.inputs[0]);
    int function = node.op_type == "GlobalAveragePool" ? 1 : node.op_type == "GlobalMaxPool" ? 2
                   : static_cast<int>(std::find(std::begin(functions), std::end(functions), node.op_type) - std::begin(functions));
    std::vector<bool> gone(d.size(), false);
    if (node.op_type.starts_with("Global")) {
      for (size_t i = 2; i < d.size(); ++i) gone[i] = true;
    } else if (const auto which = axes(node, 1, d.size())) {
      for (const int64_t axis : *which) gone.at(static_cast<size_t>(axis)) = true;
    } else if (graph::int_attribute(node, "noop_with_empty_axes").value_or(0) == 0) {
      gone.assign(d.size(), true);
    }
    int from = tensor_of(node.inputs[0]);
    // Axes that go have to be neighbours; else they are brought to the end first.
    const auto begin = std::find(gone.begin(), gone.end(), true);
    if (begin == gone.end()) {
      copy(from, make(node.outputs[0]), {elements(node.outputs[0])}, {1}, 0, {1}, 0, 4);
      return;
    }
    const auto first = static_cast<size_t>(begin - gone.begin());
    size_t last = d.size() - 1;
    while (!gone[last]) --last;
    int64_t length = 1;
    for (size_t i = 0; i < d.size(); ++i) length *= gone[i] ? d[i] : 1;
    int64_t inner = product(std::span(d).subspan(last + 1));
    const bool neighbours = std::all_of(gone.begin() + static_cast<ptrdiff_t>(first), gone.begin() + static_cast<ptrdiff_t>(last) + 1, [](bool g) { return g; });
    if (!neighbours) {
      Dims order;
      for (const bool wanted : {false, true}) {
        for (size_t i = 0; i < d.size(); ++i) {
          if (gone[i] == wanted) order.push_back(static_cast<int64_t>(i));
        }
      }
      const Dims own = strides_of(d);
      Dims sizes;
      Dims strides;
      for (const int64_t axis : order) {
        sizes.push_back(d[static_cast<size_t>(axis)]);
        strides.push_back(own[static_cast<size_t>(axis)]);
      }
      const int moved = temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
      copy(from, moved, sizes, strides, 0, strides_of(sizes), 0, 4);
      from = moved;
      inner = 1;
    }
    launch_each("reduce", {from, make(node.outputs[0])}, elements(node.outputs[0]), {function, length, inner});
  }

  // Height and width; of a signal with one axis the height is 1.
  struct Window {
    int64_t height = 1, width = 1, out_height = 1, out_width = 1;
    int64_t kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1, ph = 0, pw = 0, ph_end = 0, pw_end = 0;
  };
  Window window(const graph::Node& node, const Dims& in, const Dims& out, const Dims& kernel) const {
    const size_t axes = in.size() - 2;
    if (in.size() < 3 || axes > 2 || kernel.size() != axes) refuse("works on ", axes, " axes of an image; 1 and 2 are possible");
    const auto ints = [&](const char* name, int64_t otherwise) {
      auto found = graph::ints_attribute(node, name).value_or(Dims());
      if (found.empty()) found.assign(axes, otherwise);
      return found;
    };
    Dims strides = ints("strides", 1);
    Dims dilations = ints("dilations", 1);
    Dims pads = graph::ints_attribute(node, "pads").value_or(Dims());
    if (pads.empty()) pads.assign(2 * axes, 0);
    const std::string automatic = graph::string_attribute(node, "auto_pad").value_or("NOTSET");
    if (automatic == "VALID") pads.assign(2 * axes, 0);
    if (automatic.starts_with("SAME")) {
      for (size_t i = 0; i < axes; ++i) {
        const int64_t all = std::max<int64_t>(0, (out[i + 2] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - in[i + 2]);
        const int64_t less = all / 2;
        pads[i] = automatic == "SAME_UPPER" ? less : all - less;
        pads[i + axes] = all - pads[i];
      }
    }
    Window w;
    w.width = in.back();
    w.out_width = out.back();
    w.kw = kernel.back();
    w.sw = strides.back();
    w.dw = dilations.back();
    w.pw = pads[axes - 1];
    w.pw_end = pads[2 * axes - 1];
    if (axes == 2) {
      w.height = in[2];
      w.out_height = out[2];
      w.kh = kernel[0];
      w.sh = strides[0];
      w.dh = dilations[0];
      w.ph = pads[0];
      w.ph_end = pads[2];
    }
    return w;
  }

  void pool(const graph::Node& node) {
    want_float(node.inputs[0]);
    if (has_output(node, 1)) refuse("makes indices, too");
    if (graph::int_attribute(node, "storage_order").value_or(0) != 0) refuse("counts by columns");
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    const Window w = window(node, in, out, graph::ints_attribute(node, "kernel_shape").value_or(Dims()));
    const bool all = graph::int_attribute(node, "count_include_pad").value_or(0) != 0;
    const int kind = node.op_type == "MaxPool" ? 0 : all ? 2 : 1;
    // ONNX's rule for the output's size is not what ONNX Runtime's kernel makes of it.
    if (graph::int_attribute(node, "ceil_mode").value_or(0) != 0) refuse("rounds its output's size up");
    const int from = tensor_of(node.inputs[0]);
    launch_each("pool", {from, make(node.outputs[0])}, elements(node.outputs[0]),
                {kind, w.height, w.width, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, w.ph_end, w.pw_end});
  }

  void resize(const graph::Node& node) {
    want_float(node.inputs[0]);
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    if (in.size() < 3 || in.size() > 4 || in[0] != out[0] || in[1] != out[1]) refuse("resizes other axes than those of an image");
    const auto text = [&](const char* name, const char* otherwise) { return graph::string_attribute(node, name).value_or(otherwise); };
    const std::string mode = text("mode", "nearest");
    if (mode != "nearest" && mode != "linear") refuse("resizes by ", mode);
    if (graph::int_attribute(node, "antialias").value_or(0) != 0 || graph::int_attribute(node, "exclude_outside").value_or(0) != 0 ||
        graph::ints_attribute(node, "axes")) {
      refuse("resizes with antialias, exclude_outside or axes");
    }
    if (opset() < 11) refuse("is of an opset before 11");
    static constexpr std::string_view transforms[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"};
    static constexpr std::string_view roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    const std::string transform_name = text("coordinate_transformation_mode", "half_pixel");
    const std::string rounding_name = text("nearest_mode", "round_prefer_floor");
    const auto transform = std::find(std::begin(transforms), std::end(transforms), transform_name) - std::begin(transforms);
    const auto rounding = std::find(std::begin(roundings), std::end(roundings), rounding_name) - std::begin(roundings);
    if (transform == std::ssize(transforms) || rounding == std::ssize(roundings)) refuse("resizes by ", transform_name, ", ", rounding_name);
    const size_t rank = in.size();
    std::vector<float> scales;
    for (size_t i = 0; i < rank; ++i) scales.push_back(static_cast<float>(out[i]) / static_cast<float>(in[i]));
    if (has_input(node, 2) && !floats(node.inputs[2]).empty()) scales = floats(node.inputs[2]);
    if (scales.size() != rank) refuse("has ", scales.size(), " scales");
    const int from = tensor_of(node.inputs[0]);
    const int64_t height = rank == 4 ? in[2] : 1;
    const int64_t out_height = rank == 4 ? out[2] : 1;
    launch_each("resize", {from, make(node.outputs[0])}, elements(node.outputs[0]),
                {height, in.back(), out_height, out.back(), mode == "linear" ? 1 : 0, transform, rounding},
                {rank == 4 ? scales[2] : 1.0f, scales.back()});
  }

  void concat(const graph::Node& node) {
    const Dims& made = dims(node.outputs[0]);
    const auto axis = static_cast<size_t>(axis_of(node, 0, made.size()));
    const Dims strides = strides_of(made);
    const int64_t size = element_bytes(node.outputs[0]);
    std::vector<int> parts;
    for (const ValueId value : node.inputs) parts.push_back(product(dims(value)) == 0 ? -1 : tensor_of(value));
    const int to = make(node.outputs[0]);
    int64_t at = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const Dims& d = dims(node.inputs[i]);
      if (parts[i] >= 0) copy(parts[i], to, d, strides_of(d), 0, strides, at * strides[axis], size);
      at += d[axis];
    }
  }

  void split(const graph::Node& node) {
    const Dims& whole = dims(node.inputs[0]);
    const auto axis = static_cast<size_t>(axis_of(node, 0, whole.size()));
    const Dims strides = strides_of(whole);
    const int from = tensor_of(node.inputs[0]);
    const int64_t size = element_bytes(node.inputs[0]);
    int64_t at = 0;
    for (const ValueId value : node.outputs) {
      if (value == kNone) refuse("leaves out a part");
      const Dims& d = dims(value);
      copy(from, make(value), d, strides, at * strides[axis], strides_of(d), 0, size);
      at += d[axis];
    }
  }

  void slice(const graph::Node& node) {
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    const auto numbers = [&](size_t input, const char* name) -> std::optional<Dims> {
      if (has_input(node, input)) return list(node.inputs[input]);
      return graph::ints_attribute(node, name);
    };
    const Dims starts = numbers(1, "starts").value_or(Dims());
    const Dims steps = numbers(4, "steps").value_or(Dims(starts.size(), 1));
    Dims which = numbers(3, "axes").value_or(Dims());
    if (which.empty()) {
      which.resize(starts.size());
      std::iota(which.begin(), which.end(), 0);
    }
    Dims strides = strides_of(in);
    int64_t offset = 0;
    for (size_t i = 0; i < starts.size(); ++i) {
      const auto axis = static_cast<size_t>(which[i] < 0 ? which[i] + static_cast<int64_t>(in.size()) : which[i]);
      if (axis >= in.size()) refuse("slices an axis that its input does not have");
      int64_t start = starts[i] < 0 ? starts[i] + in[axis] : starts[i];
      start = std::clamp<int64_t>(start, 0, steps[i] < 0 ? in[axis] - 1 : in[axis]);
      offset += start * strides[axis];
      strides[axis] *= steps[i];
    }
    const int from = tensor_of(node.inputs[0]);
    copy(from, make(node.outputs[0]), out, strides, offset, strides_of(out), 0, element_bytes(node.outputs[0]));
  }

  void pad(const graph::Node& node) {
    const std::string mode = graph::string_attribute(node, "mode").value_or("constant");
    if (mode != "constant") refuse("pads by ", mode);
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    const Dims pads = has_input(node, 1) ? list(node.inputs[1]) : graph::ints_attribute(node, "pads").value_or(Dims());
    if (has_input(node, 3) || pads.size() != 2 * in.size()) refuse("pads some axes only");
    if (std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; })) refuse("takes away by padding");
    const int64_t size = element_bytes(node.outputs[0]);
    int value = -1;
    if (has_input(node, 2)) {
      value = tensor_of(node.inputs[2]);
    } else {
      const uint64_t zero = 0;
      const float number = graph::float_attribute(node, "value").value_or(0);
      value = element(node.inputs[0]) == ElementType::kFloat32 ? own_constant(&number, sizeof number) : own_constant(&zero, sizeof zero);
    }
    const int from = tensor_of(node.inputs[0]);
    const int to = make(node.outputs[0]);
    launch_each(by_size(size, "fill_1", nullptr, "fill_4", "fill_8"), {value, to}, elements(node.outputs[0]), {});
    const Dims strides = strides_of(out);
    int64_t offset = 0;
    for (size_t i = 0; i < in.size(); ++i) offset += pads[i] * strides[i];
    copy(from, to, in, strides_of(in), 0, strides, offset, size);
  }

  void gather(const graph::Node& node) {
    const Dims& in = dims(node.inputs[0]);
    const auto axis = static_cast<size_t>(axis_of(node, 0, in.size()));
    const int64_t size = element_bytes(node.inputs[0]);
    const ElementType index = element(node.inputs[1]);
    if ((index != ElementType::kInt32 && index != ElementType::kInt64) || (size != 4 && size != 8)) {
      refuse("picks ", graph::element_type_name(element(node.inputs[0])), " by ", graph::element_type_name(index));
    }
    const bool wide = index == ElementType::kInt64;
    const char* kernel = size == 4 ? (wide ? "gather_4_long" : "gather_4_int") : (wide ? "gather_8_long" : "gather_8_int");
    const int from = tensor_of(node.inputs[0]);
    const int indices = tensor_of(node.inputs[1]);
    launch_each(kernel, {from, indices, make(node.outputs[0])}, elements(node.outputs[0]),
                {in[axis], elements(node.inputs[1]), product(std::span(in).subspan(axis + 1))});
  }

  void transpose(const graph::Node& node) {
    const Dims& in = dims(node.inputs[0]);
    Dims perm = graph::ints_attribute(node, "perm").value_or(Dims());
    if (perm.empty()) {
      for (size_t i = in.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
    }
    const Dims own = strides_of(in);
    Dims strides;
    for (const int64_t axis : perm) strides.push_back(own.at(static_cast<size_t>(axis)));
    const Dims& out = dims(node.outputs[0]);
    const int from = tensor_of(node.inputs[0]);
    copy(from, make(node.outputs[0]), out, strides, 0, strides_of(out), 0, element_bytes(node.outputs[0]));
  }

  void expand(const graph::Node& node) {
    const Dims& out = dims(node.outputs[0]);
    const int from = tensor_of(node.inputs[0]);
    const Dims strides = broadcast_strides(dims(node.inputs[0]), out);
    copy(from, make(node.outputs[0]), out, strides, 0, strides_of(out), 0, element_bytes(node.outputs[0]));
  }

  void tile(const graph::Node& node) {
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    // Each axis as two: how often, and how many.
    Dims sizes;
    Dims from_strides;
    const Dims own = strides_of(in);
    for (size_t i = 0; i < in.size(); ++i) {
      sizes.insert(sizes.end(), {out[i] / in[i], in[i]});
      from_strides.insert(from_strides.end(), {0, own[i]});
    }
    const int from = tensor_of(node.inputs[0]);
    copy(from, make(node.outputs[0]), sizes, from_strides, 0, strides_of(sizes), 0, element_bytes(node.outputs[0]));
  }

  // ---- matrix products
  int64_t panels(int64_t columns) const { return (columns + tuning_.vector - 1) / tuning_.vector; }

  // How the batches of one operand lie: batch b begins at (b / batch) * outer + (b % batch) * inner.
  struct Batches {
    int64_t batch = 1, outer = 0, inner = 0;
  };
  static Batches batches_of(Dims sizes, Dims strides) {
    Loops loops{std::move(sizes), {std::move(strides)}};
    if (loops.dims.empty()) return {};
    loops.collapse();
    for (size_t i = 0; i + 2 < loops.dims.size(); ++i) {
      if (loops.dims[i] != 1) refuse("has batches that repeat in more than two ways");
    }
    return {loops.dims[5], loops.strides[0][4], loops.strides[0][5]};
  }

  struct Product {
    int left = 0, right = 0;  // right in panels
    int bias = -1;
    int bias_kind = 0;
    int64_t rows = 0, columns = 0, depth = 0, batches = 1;
    Batches of_left, of_right;
    float scale = 1;
  };
  void multiply(const Product& p, ValueId value, Apply apply) {
    value = fuse(value, apply);
    const int to = make(value);
    launch("multiply", {p.left, p.right, p.bias < 0 ? p.left : p.bias, to},
           {p.rows, p.columns, p.depth, p.batches, p.of_left.batch, p.of_left.outer, p.of_left.inner, p.of_right.batch, p.of_right.outer,
            p.of_right.inner, p.bias < 0 ? 0 : p.bias_kind, apply.function},
           {p.scale, apply.alpha, apply.beta}, {(p.rows + tuning_.rows - 1) / tuning_.rows, panels(p.columns), p.batches});
  }

  // The panels of a right matrix, or of many; made once if it is a constant.
  int pack(ValueId value, int64_t batches, int64_t depth, int64_t columns, bool transposed) {
    const int from = tensor_of(value);
    const int64_t count = batches * panels(columns) * depth * tuning_.vector;
    if (count > kMostElements) refuse("has a matrix of ", count, " elements");
    const bool once = out_.tensors[static_cast<size_t>(from)].memory == Memory::kConstant;
    const int to = add({once ? Memory::kArranged : Memory::kTemporary, 0, static_cast<uint64_t>(count) * 4});
    launch_each("pack", {from, to}, count,
                {depth, columns, transposed ? 1 : columns, transposed ? depth : 1, std::max<int64_t>(batches, 1), 0, depth * columns}, {}, once);
    return to;
  }

  // A left matrix that lies by columns is brought into rows.
  int by_rows(ValueId value, int64_t batches, int64_t rows, int64_t depth, bool transposed) {
    const int from = tensor_of(value);
    if (!transposed) return from;
    const int to = temporary(batches * rows * depth * 4);
    copy(from, to, {batches, rows, depth}, {rows * depth, 1, rows}, 0, {rows * depth, depth, 1}, 0, 4);
    return to;
  }

  void matmul(const graph::Node& node) {
    for (const ValueId value : node.inputs) want_float(value);
    if (graph::int_attribute(node, "transBatchA").value_or(0) != 0 || graph::int_attribute(node, "transBatchB").value_or(0) != 0) {
      refuse("transposes its batches");
    }
    const bool trans_a = graph::int_attribute(node, "transA").value_or(0) != 0;
    const bool trans_b = graph::int_attribute(node, "transB").value_or(0) != 0;
    const Dims& a = dims(node.inputs[0]);
    const Dims& b = dims(node.inputs[1]);
    const Dims& out = dims(node.outputs[0]);
    if (a.size() < 2 || b.size() < 2) refuse("multiplies a vector");
    Product p;
    p.rows = out[out.size() - 2];
    p.columns = out.back();
    p.depth = trans_a ? a[a.size() - 2] : a.back();
    p.scale = graph::float_attribute(node, "alpha").value_or(1.0f);
    const auto batch_dims = [](const Dims& d) { return Dims(d.begin(), d.end() - 2); };
    const Dims batch = batch_dims(out);
    const int64_t a_batches = product(batch_dims(a));
    const int64_t b_batches = product(batch_dims(b));
    p.batches = product(batch);
    p.left = by_rows(node.inputs[0], a_batches, p.rows, p.depth, trans_a);
    p.right = pack(node.inputs[1], b_batches, p.depth, p.columns, trans_b);
    if (b_batches == 1 && a_batches == p.batches) {  // one matrix for all rows
      p.rows *= p.batches;
      p.batches = 1;
    } else {
      const auto scaled = [](Dims strides, int64_t by) {
        for (int64_t& s : strides) s *= by;
        return strides;
      };
      p.of_left = batches_of(batch, scaled(broadcast_strides(batch_dims(a), batch), p.rows * p.depth));
      p.of_right = batches_of(batch, scaled(broadcast_strides(batch_dims(b), batch), panels(p.columns) * p.depth * tuning_.vector));
    }
    multiply(p, node.outputs[0], fused_activation(node));
  }

  void gemm(const graph::Node& node) {
    for (const ValueId value : node.inputs) {
      if (value != kNone) want_float(value);
    }
    const bool trans_a = graph::int_attribute(node, "transA").value_or(0) != 0;
    const bool trans_b = graph::int_attribute(node, "transB").value_or(0) != 0;
    const Dims& a = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    Product p;
    p.rows = out[0];
    p.columns = out[1];
    p.depth = trans_a ? a[0] : a[1];
    p.scale = graph::float_attribute(node, "alpha").value_or(1.0f);
    const float beta = graph::float_attribute(node, "beta").value_or(1.0f);
    if (has_input(node, 2) && beta != 0) {
      const Dims& c = dims(node.inputs[2]);
      const int64_t count = elements(node.inputs[2]);
      if (beta != 1) refuse("scales what it adds by ", beta);
      const bool by_column = count == p.columns && (c.size() == 1 || c[0] == 1);
      const bool by_row = count == p.rows && c.size() == 2 && c[1] == 1;
      if (!by_column && !by_row) refuse("adds a tensor that is neither a row nor a column");
      p.bias_kind = by_column ? 2 : 1;
      p.bias = tensor_of(node.inputs[2]);
    }
    p.left = by_rows(node.inputs[0], 1, p.rows, p.depth, trans_a);
    p.right = pack(node.inputs[1], 1, p.depth, p.columns, trans_b);
    multiply(p, node.outputs[0], fused_activation(node));
  }

  void conv(const graph::Node& node) {
    for (const ValueId value : node.inputs) {
      if (value != kNone) want_float(value);
    }
    if (has_input(node, 3)) refuse("adds another tensor");
    const Dims& in = dims(node.inputs[0]);
    const Dims& weights = dims(node.inputs[1]);
    const Dims& out = dims(node.outputs[0]);
    const Window w = window(node, in, out, Dims(weights.begin() + 2, weights.end()));
    const int64_t groups = graph::int_attribute(node, "group").value_or(1);
    const int64_t outputs = weights[0];
    Product p;
    p.rows = outputs / groups;
    p.columns = w.out_height * w.out_width;
    p.depth = weights[1] * w.kh * w.kw;
    p.batches = in[0] * groups;
    const int bias = has_input(node, 2) ? tensor_of(node.inputs[2]) : -1;
    const int from = tensor_of(node.inputs[0]);
    const int filter = tensor_of(node.inputs[1]);
    Apply apply = fused_activation(node);
    const int64_t packed = p.batches * panels(p.columns) * p.depth * tuning_.vector;
    if (p.rows < 4 || packed > kMostElements) {
      const ValueId value = fuse(node.outputs[0], apply);
      launch_each("convolve", {from, filter, bias < 0 ? filter : bias, make(value)}, elements(node.outputs[0]),
                  {in[1], w.height, w.width, outputs, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, groups,
                   bias < 0 ? 0 : 1, apply.function},
                  {apply.alpha, apply.beta});
      return;
    }
    p.left = filter;
    p.of_left = {groups, 0, groups == 1 ? 0 : p.rows * p.depth};
    p.right = temporary(packed * 4);
    p.of_right = {p.batches, 0, panels(p.columns) * p.depth * tuning_.vector};
    p.bias = bias;
    p.bias_kind = 1;
    launch_each("pack_image", {from, p.right}, packed / tuning_.vector,
                {in[1], w.height, w.width, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, groups});
    multiply(p, node.outputs[0], apply);
  }

  const Part& part_;
  const graph::Graph& graph_;
  const graph::Shapes& shapes_;
  const Tuning tuning_;
  Lowered out_;
  NodeId node_ = kNone;
  NodeId refused_at_ = kNone;
  std::vector<int> tensor_of_;     // per value
  std::vector<bool> in_part_;      // per node
  std::vector<bool> done_;         // per node: worked out by another's epilogue
  std::vector<int> output_of_;     // per value: the part's output that its bytes are
  std::vector<ValueId> root_;      // per value: whose bytes it has, within the part
};

// Lifetimes of temporaries, and where they lie.
Status place(Lowered& lowered, uint64_t alignment) {
  for (size_t i = 0; i < lowered.launches.size(); ++i) {
    for (const int t : lowered.launches[i].tensors) {
      Lowered::Tensor& tensor = lowered.tensors[static_cast<size_t>(t)];
      if (tensor.first < 0) tensor.first = static_cast<int>(i);
      tensor.last = static_cast<int>(i);
    }
  }
  for (Lowered::Constant& constant : lowered.constants) constant.only_setup = true;
  memory::Problem problem;
  std::vector<size_t> which;
  for (size_t i = 0; i < lowered.tensors.size(); ++i) {
    const Lowered::Tensor& tensor = lowered.tensors[i];
    if (tensor.memory == Memory::kConstant && tensor.first >= 0) lowered.constants[static_cast<size_t>(tensor.index)].only_setup = false;
    if (tensor.memory != Memory::kTemporary || tensor.first < 0) continue;
    const uint64_t bytes = (tensor.bytes + alignment - 1) / alignment * alignment;
    problem.buffers.push_back({.size_bytes = bytes, .first = tensor.first, .last = tensor.last, .name = {}});
    which.push_back(i);
  }
  auto solution = memory::plan(problem);
  if (!solution) return solution.error();
  for (size_t i = 0; i < which.size(); ++i) lowered.tensors[which[i]].offset = solution->offsets[i];
  lowered.temporary_bytes = solution->total_bytes;
  return {};
}

}  // namespace

Result<Lowered> lower(const Part& part, const Tuning& tuning, uint64_t alignment) {
  NodeId at = kNone;
  try {
    Lowering lowering(part, tuning);
    try {
      Lowered lowered = lowering.run();
      if (auto s = place(lowered, alignment); !s) return s.error();
      return lowered;
    } catch (const Refused&) {
      at = lowering.refused_at();
      throw;
    }
  } catch (const Refused& refused) {
    const std::string who = at == kNone ? "a part's border" : part.graph->nodes[static_cast<size_t>(at)].op_type + " '" + part.graph->nodes[static_cast<size_t>(at)].name + "'";
    return fail(Code::kUnsupported, who, " cannot run on a device: ", refused.why);
  }
}

std::string why_not(const graph::Graph& graph, const graph::Shapes& shapes, NodeId node) {
  const graph::Node& n = graph.nodes[static_cast<size_t>(node)];
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  for (const ValueId value : n.inputs) {
    const bool constant = value == kNone || graph.values[static_cast<size_t>(value)].initializer != kNone;
    if (!constant && std::find(inputs.begin(), inputs.end(), value) == inputs.end()) inputs.push_back(value);
  }
  for (const ValueId value : n.outputs) {
    if (value != kNone) outputs.push_back(value);
  }
  const Part part{&graph, &shapes, std::span(&node, 1), inputs, outputs};
  try {
    Lowering lowering(part, Tuning{});
    lowering.run();
    return "";
  } catch (const Refused& refused) {
    return refused.why;
  }
}

}  // namespace plx::device
