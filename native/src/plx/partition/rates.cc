#include "plx/partition/rates.h"

#include <algorithm>
#include <set>

#include "plx/partition/flops.h"

namespace plx::partition {

namespace {

double bytes_of(const Graph& graph, const graph::Shapes& shapes, ValueId value) {
  if (value == graph::kNone) return 0;
  const int32_t constant = graph.values[value].initializer;
  if (constant != graph::kNone) {
    const graph::Initializer& weight = graph.initializers[constant];
    return static_cast<double>(graph::tensor_bytes(weight.element, weight.dims).value_or(0));
  }
  if (static_cast<size_t>(value) >= shapes.size() || !shapes[value]) return 0;
  return static_cast<double>(graph::tensor_bytes(shapes[value]->element, shapes[value]->dims).value_or(0));
}

}  // namespace

Workload workload(const Graph& graph, const graph::Shapes& shapes, NodeId id, const Work& work) {
  // Other names for bytes that are there.
  static const std::set<std::string_view> views = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Constant", "Shape"};
  static const std::set<std::string_view> picks = {"Gather", "GatherElements", "GatherND", "Slice"};
  static const std::set<std::string_view> normalisations = {
      "Softmax", "LogSoftmax", "Hardmax", "LayerNormalization", "SkipLayerNormalization", "InstanceNormalization",
      "GroupNormalization", "GroupNorm", "SkipGroupNorm", "RMSNormalization", "SimplifiedLayerNormalization",
      "SkipSimplifiedLayerNormalization", "LpNormalization", "MeanVarianceNormalization", "EmbedLayerNormalization",
      "LRN", "BiasSoftmax", "CumSum"};
  const graph::Node& node = graph.nodes[id];
  Workload one;
  if (views.contains(node.op_type)) return one;
  one.launches = 1;
  double made = 0;
  double read = 0;
  for (const ValueId value : node.outputs) made += bytes_of(graph, shapes, value);
  for (const ValueId value : node.inputs) read += bytes_of(graph, shapes, value);
  if (picks.contains(node.op_type)) read = made;
  OperatorClass c = OperatorClass::kMovement;
  switch (kind_of(node)) {
    case Kind::kConv:
    case Kind::kConvTranspose: c = OperatorClass::kConvolution; break;
    case Kind::kMatMul:
    case Kind::kGemm:
    case Kind::kEinsum:
    case Kind::kRecurrent:
    case Kind::kQkvAttention:
    case Kind::kAttention: c = OperatorClass::kProduct; break;
    case Kind::kElementWise:
      c = normalisations.contains(node.op_type) ? OperatorClass::kRows : OperatorClass::kElementWise;
      break;
    case Kind::kPool:
    case Kind::kReduce: c = OperatorClass::kRows; break;
    case Kind::kOther: break;
  }
  const bool dense = c == OperatorClass::kConvolution || c == OperatorClass::kProduct;
  if (dense && work.macs < kDense * (made + read)) c = OperatorClass::kThin;
  one.amount[static_cast<size_t>(c)] = dense && c != OperatorClass::kThin ? work.macs : made + read;
  return one;
}

Workload& operator+=(Workload& all, const Workload& one) {
  all.launches += one.launches;
  for (size_t c = 0; c < kOperatorClasses; ++c) all.amount[c] += one.amount[c];
  return all;
}

double seconds(const Rates& rates, const Workload& workload) {
  double sum = rates.launch_s * static_cast<double>(workload.launches);
  for (size_t c = 0; c < kOperatorClasses; ++c) sum += workload.amount[c] / rates.per_s[c];
  return sum;
}

}  // namespace plx::partition
