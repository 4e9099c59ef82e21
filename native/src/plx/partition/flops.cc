// Table 8's estimates, extended to the operators of ONNX Runtime's fused graphs.
//
// Work::flops is the table's figure, in which convolutions and matrix products count 2 per multiply-accumulate.
// Work::macs counts them once; for everything else it is the same as flops (one operation per element), so that a
// region's F is table 8's sum undoubled.
//   convolution   macs = output elements * Cin / group * kernel elements; transposed: the same from the input's side
//   matrix        macs = output elements * K; attention adds Q.K^T and P.V, and its projections where it owns them
//   recurrent     macs = steps * batch * (W's + R's elements); their activations are not counted
//   element-wise  one per output element; normalisations, activations, comparisons, casts, resizing too
//   pooling       one per output element and window element; reductions likewise, that is one per input element
//   others        0, whatever their sizes: moving data is not counted
// Control flow counts 0 and is no "unknown size": how often a body runs is not a matter of shapes, and a made-up
// number would only skew ratios. A tensor with more than 2^63 elements cannot exist; its size counts as unknown, which
// keeps every product and every sum finite in double.
#include "plx/partition/flops.h"

#include <algorithm>
#include <map>

#include "plx/partition/plan.h"

namespace plx::partition {

namespace {

using graph::kNone;
using graph::Node;

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr std::string_view kNchwc = "com.microsoft.nchwc";
constexpr std::string_view kInternalNhwc = "com.ms.internal.nhwc";

// One table for all domains we know: no name means two different things in them except Attention (see kind_of).
const std::map<std::string_view, Kind>& kinds() {
  static const std::map<std::string_view, Kind> table = [] {
    std::map<std::string_view, Kind> t;
    const auto add = [&t](Kind kind, std::initializer_list<std::string_view> names) {
      for (const std::string_view name : names) t.emplace(name, kind);
    };
    add(Kind::kConv, {"Conv", "FusedConv", "NhwcFusedConv", "ConvInteger", "QLinearConv", "DeformConv"});
    add(Kind::kConvTranspose, {"ConvTranspose", "ConvTransposeWithDynamicPads"});
    add(Kind::kMatMul, {"MatMul", "FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", "MatMulInteger",
                        "MatMulInteger16", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul",
                        "MatMulNBits", "MatMulBnb4", "GemmFastGelu"});
    add(Kind::kGemm, {"Gemm", "FusedGemm", "QGemm", "GemmFloat8"});
    add(Kind::kEinsum, {"Einsum"});
    add(Kind::kRecurrent, {"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"});
    add(Kind::kQkvAttention, {"MultiHeadAttention", "DecoderMaskedMultiHeadAttention", "GroupQueryAttention"});
    add(Kind::kAttention, {"Attention", "QAttention"});
    add(Kind::kPool, {"AveragePool", "MaxPool", "LpPool", "QLinearAveragePool", "NhwcMaxPool"});
    add(Kind::kReduce, {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "QLinearGlobalAveragePool", "ReduceMean",
                        "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
                        "ReduceLogSumExp", "ReduceSumSquare", "ReduceSumInteger", "QLinearReduceMean", "ArgMax",
                        "ArgMin"});
    add(Kind::kElementWise,
        {"Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BiasAdd",
         "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BitShift", "BitwiseAnd", "BitwiseNot",
         "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumSum",
         "DequantizeLinear", "Div", "DynamicQuantizeLinear", "Elu", "EmbedLayerNormalization", "Equal", "Erf", "Exp",
         "FastGelu", "Floor", "Gelu", "Greater", "GreaterOrEqual", "GroupNorm", "GroupNormalization", "HardSigmoid",
         "HardSwish", "Hardmax", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LayerNormalization", "LeakyRelu",
         "Less", "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "Max", "Mean", "MeanVarianceNormalization",
         "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QLinearAdd", "QLinearLeakyRelu",
         "QLinearMul", "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear", "QuickGelu", "RMSNormalization",
         "Reciprocal", "Relu", "Resize", "RoiAlign", "RotaryEmbedding", "Round", "ScaledTanh", "Selu", "Shrink",
         "Sigmoid", "Sign", "SimplifiedLayerNormalization", "Sin", "Sinh", "SkipGroupNorm", "SkipLayerNormalization",
         "SkipSimplifiedLayerNormalization", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan",
         "Tanh", "ThresholdedRelu", "Upsample", "Where", "Xor"});
    return t;
  }();
  return table;
}

}  // namespace

Kind kind_of(const Node& node) {
  const bool known_domain = node.domain.empty() || node.domain == "ai.onnx" || node.domain == kMicrosoft ||
                            node.domain == kNchwc || node.domain == kInternalNhwc;
  if (!known_domain) return Kind::kOther;
  // ai.onnx's Attention takes Q, K and V; com.microsoft's takes one input and owns the projections.
  if (node.op_type == "Attention" && node.domain != kMicrosoft) return Kind::kQkvAttention;
  const auto found = kinds().find(node.op_type);
  return found == kinds().end() ? Kind::kOther : found->second;
}

namespace {

// A node's tensors at the shapes given.
class Sizes {
 public:
  Sizes(const Graph& graph, const graph::Shapes& shapes, const Node& node)
      : graph_(graph), shapes_(shapes), node_(node) {}

  // Dims of an input or output, null if it is left out or unknown.
  const std::vector<int64_t>* input(size_t index) const {
    return index < node_.inputs.size() ? dims(node_.inputs[index]) : nullptr;
  }
  const std::vector<int64_t>* output(size_t index) const {
    return index < node_.outputs.size() ? dims(node_.outputs[index]) : nullptr;
  }
  bool has_input(size_t index) const { return index < node_.inputs.size() && node_.inputs[index] != kNone; }

 private:
  const std::vector<int64_t>* dims(ValueId value) const {
    if (value == kNone) return nullptr;
    if (static_cast<size_t>(value) < shapes_.size() && shapes_[value]) return &shapes_[value]->dims;
    const int32_t initializer = graph_.values[value].initializer;
    return initializer == kNone ? nullptr : &graph_.initializers[initializer].dims;
  }
  const Graph& graph_;
  const graph::Shapes& shapes_;
  const Node& node_;
};

using Count = std::optional<double>;

Count elements(const std::vector<int64_t>* dims) {
  if (dims == nullptr) return std::nullopt;
  double count = 1;
  for (const int64_t dim : *dims) {
    if (dim < 0) return std::nullopt;
    count *= static_cast<double>(dim);
  }
  if (!(count < 9.2e18)) return std::nullopt;
  return count;
}

Count times(Count a, Count b) {
  if (!a || !b) return std::nullopt;
  return *a * *b;
}

Count dim(const std::vector<int64_t>* dims, size_t index) {
  if (dims == nullptr || index >= dims->size() || (*dims)[index] < 0) return std::nullopt;
  return static_cast<double>((*dims)[index]);
}

Count last_dim(const std::vector<int64_t>* dims) {
  return dims == nullptr || dims->empty() ? std::nullopt : dim(dims, dims->size() - 1);
}

std::optional<Work> doubled(Count macs) {
  if (!macs) return std::nullopt;
  return Work{2 * *macs, *macs};
}

std::optional<Work> single(Count operations) {
  if (!operations) return std::nullopt;
  return Work{*operations, *operations};
}

// Elements of one filter: weights [M, Cin/group, k...] over M; of a transposed one [Cin, M/group, k...] over Cin. The
// NCHWc kernels' reordered weights keep these logical dims, with the channels padded to blocks.
Count filter(const std::vector<int64_t>* weights) {
  const Count all = elements(weights);
  const Count filters = dim(weights, 0);
  if (!all || !filters) return std::nullopt;
  return *filters == 0 ? 0 : *all / *filters;
}

Count conv(const Node& node, const Sizes& sizes) {
  const size_t weights = node.op_type == "QLinearConv" ? 3 : 1;
  return times(elements(sizes.output(0)), filter(sizes.input(weights)));
}

Count matmul(const Node& node, const Sizes& sizes) {
  const auto* a = sizes.input(0);
  Count k = last_dim(a);
  if (a != nullptr && a->size() >= 2 && graph::int_attribute(node, "transA").value_or(0) != 0) {
    // transBatchA: the first dimension and the batch dimensions are swapped as well.
    const bool batch = graph::int_attribute(node, "transBatchA").value_or(0) != 0;
    k = dim(a, batch ? 0 : a->size() - 2);
  }
  return times(elements(sizes.output(0)), k);
}

Count gemm(const Node& node, const Sizes& sizes) {
  const bool transposed = graph::int_attribute(node, "transA").value_or(0) != 0;
  return times(elements(sizes.output(0)), dim(sizes.input(0), transposed ? 0 : 1));
}

// X [steps, batch, input], W [directions, gates * hidden, input], R [directions, gates * hidden, hidden]; with layout 1
// the first two of X change places. DynamicQuantizeLSTM stores W and R transposed, which leaves their sizes the same.
Count recurrent(const Sizes& sizes) {
  const Count w = elements(sizes.input(1));
  const Count r = elements(sizes.input(2));
  const Count steps = times(dim(sizes.input(0), 0), dim(sizes.input(0), 1));
  if (!w || !r || !steps) return std::nullopt;
  return *steps * (*w + *r);
}

// The length of a sequence in Q, K or V: [B,S,H] and the packed [B,S,heads,...] have it second, [B,heads,S,D] third.
Count sequence_length(const std::vector<int64_t>* dims) {
  if (dims == nullptr) return std::nullopt;
  return dim(dims, dims->size() == 4 ? 2 : 1);
}

// Q.K^T is (elements of Q) * L, P.V is (elements of the output) * L, where L is what the keys cover, the past too.
// The output has as many elements as Q, but for the width of V.
Count qkv_attention(const Node& node, const Sizes& sizes) {
  const Count out = elements(sizes.output(0));
  const auto* query = sizes.input(0);
  const bool contrib = node.domain == kMicrosoft;
  const bool grouped = node.op_type == "GroupQueryAttention";
  Count length;
  if (const auto* present = sizes.output(1); present != nullptr && present->size() == 4) {
    length = dim(present, 2);  // [B, heads, past + new, D]
  } else {
    length = sizes.has_input(1) ? sequence_length(sizes.input(1)) : sequence_length(query);
    size_t past = 4;  // ai.onnx
    if (contrib) past = grouped ? 3 : node.op_type == "MultiHeadAttention" ? 6 : 5;
    if (sizes.has_input(past)) {
      const Count more = dim(sizes.input(past), 2);
      length = length && more ? Count(*length + *more) : std::nullopt;
    }
  }
  // Packed Q, K and V: the query's part has the output's size.
  const bool packed = !sizes.has_input(1) || (query != nullptr && query->size() == 5);
  const Count q = packed ? out : elements(query);
  if (!out || !q || !length) return std::nullopt;
  return (*q + *out) * *length;
}

// com.microsoft.Attention and QAttention: input [B,S,Din], weights [Din, 3H].
Count attention(const Node& node, const Sizes& sizes) {
  const Count out = elements(sizes.output(0));
  const Count rows = times(dim(sizes.input(0), 0), dim(sizes.input(0), 1));
  const Count projections = times(rows, elements(sizes.input(1)));
  Count length = dim(sizes.input(0), 1);
  const size_t past = node.op_type == "QAttention" ? 8 : 4;
  if (sizes.has_input(past)) {
    const Count more = dim(sizes.input(past), 3);  // [2, B, heads, past, D]
    length = length && more ? Count(*length + *more) : std::nullopt;
  }
  if (!out || !projections || !length) return std::nullopt;
  return *projections + 2 * *out * *length;
}

// A sum over every index that the output does not have: the product of all indices' sizes. Indices before an ellipsis
// count from the left, those after it from the right; the ellipsis itself takes its elements from the output.
Count einsum(const Node& node, const Sizes& sizes) {
  const auto equation = graph::string_attribute(node, "equation");
  const Count out = elements(sizes.output(0));
  if (!equation || !out) return std::nullopt;
  std::string text;
  std::copy_if(equation->begin(), equation->end(), std::back_inserter(text), [](char c) { return c != ' '; });
  const size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);

  std::map<char, double> size_of;
  std::map<char, int> seen;
  size_t begin = 0;
  for (size_t index = 0; begin <= left.size(); ++index) {
    const size_t comma = std::min(left.find(',', begin), left.size());
    const std::string term = left.substr(begin, comma - begin);
    begin = comma + 1;
    const auto* dims = sizes.input(index);
    if (dims == nullptr) return std::nullopt;
    const size_t dots = term.find("...");
    for (size_t i = 0; i < term.size(); ++i) {
      if (term[i] == '.') continue;
      ++seen[term[i]];
      const size_t from_right = term.size() - i;
      const bool right = dots != std::string::npos && i > dots;
      if (right && from_right > dims->size()) return std::nullopt;
      const Count size = dim(dims, right ? dims->size() - from_right : i);
      if (!size) return std::nullopt;
      size_of[term[i]] = std::max(size_of[term[i]], *size);
    }
  }
  double loop = *out;
  for (const auto& [letter, size] : size_of) {
    const bool kept = arrow != std::string::npos ? text.find(letter, arrow + 2) != std::string::npos
                                                 : seen[letter] == 1;
    if (!kept) loop *= size;
  }
  return loop < 1e60 ? Count(loop) : std::nullopt;
}

Count pool(const Node& node, const Sizes& sizes) {
  const auto window = graph::ints_attribute(node, "kernel_shape");
  return window ? times(elements(sizes.output(0)), elements(&*window)) : std::nullopt;
}

Count first_output(const Node& node, const Sizes& sizes) {
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNone) return elements(sizes.output(i));
  }
  return 0;
}

}  // namespace

std::optional<Work> estimate(const Graph& graph, const graph::Shapes& shapes, NodeId id) {
  const Node& node = graph.nodes[id];
  if (node.has_subgraph) return Work{};
  const Sizes sizes(graph, shapes, node);
  switch (kind_of(node)) {
    case Kind::kConv: return doubled(conv(node, sizes));
    case Kind::kConvTranspose: return doubled(times(elements(sizes.input(0)), filter(sizes.input(1))));
    case Kind::kMatMul: return doubled(matmul(node, sizes));
    case Kind::kGemm: return doubled(gemm(node, sizes));
    case Kind::kEinsum: return doubled(einsum(node, sizes));
    case Kind::kRecurrent: return doubled(recurrent(sizes));
    case Kind::kQkvAttention: return doubled(qkv_attention(node, sizes));
    case Kind::kAttention: return doubled(attention(node, sizes));
    case Kind::kElementWise: return single(first_output(node, sizes));
    case Kind::kPool: return single(pool(node, sizes));
    case Kind::kReduce: return single(elements(sizes.input(0)));
    case Kind::kOther: break;
  }
  return Work{};
}

}  // namespace plx::partition
