#include "plx/device/lowering.h"

#include <algorithm>
#include <string_view>

#include "plx/device/lowering/part_lowering.h"
#include "plx/memory/planner.h"

namespace plx::device {

void Lowering::lower(const graph::Node& node) {
  if (node.has_subgraph) refuse("has a graph of its own");
  for (const ValueId value : node.outputs) {
    if (value != kNone) elements(value);
  }
  const auto is_half = [&](ValueId value) { return value != kNone && element(value) == ElementType::kFloat16; };
  halves_ = std::any_of(node.inputs.begin(), node.inputs.end(), is_half) || std::any_of(node.outputs.begin(), node.outputs.end(), is_half);
  if (graph::is_view(node)) return view(node);
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

namespace {

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
