#include "plx/graph/shape_flow.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace plx::graph {

namespace {

// Operators of ai.onnx whose output shape depends on the content of these operands.
const std::map<std::string_view, std::vector<size_t>>& shape_operands() {
  static const std::map<std::string_view, std::vector<size_t>> table = {
      {"Reshape", {1}},       {"Expand", {1}},       {"Tile", {1}},           {"Slice", {1, 2, 3, 4}},
      {"Pad", {1, 3}},        {"Resize", {1, 2, 3}}, {"Upsample", {1}},       {"ConstantOfShape", {0}},
      {"Range", {0, 1, 2}},   {"OneHot", {1}},       {"TopK", {1}},           {"Unsqueeze", {1}},
      {"Squeeze", {1}},       {"Split", {1}},        {"MaxUnpool", {2}},      {"AffineGrid", {1}},
      {"CenterCropPad", {1}}, {"Col2Im", {1, 2}},    {"DFT", {1, 2}},         {"STFT", {1, 3}},
      {"MelWeightMatrix", {0, 1, 2, 3, 4}},          {"BlackmanWindow", {0}}, {"HannWindow", {0}},
      {"HammingWindow", {0}}, {"ReduceL1", {1}},     {"ReduceL2", {1}},       {"ReduceLogSum", {1}},
      {"ReduceLogSumExp", {1}}, {"ReduceMax", {1}},  {"ReduceMean", {1}},     {"ReduceMin", {1}},
      {"ReduceProd", {1}},    {"ReduceSum", {1}},    {"ReduceSumSquare", {1}},
  };
  return table;
}

// Operators of ai.onnx whose output shape depends on the content of any operand.
bool depends_on_content(const Node& node) {
  static const std::set<std::string_view> table = {"NonZero", "NonMaxSuppression", "Unique", "Compress", "StringSplit",
                                                   "ImageDecoder", "TfIdfVectorizer"};
  return node.domain.empty() && table.contains(node.op_type);
}

// What is known of values so far, one flag for each.
struct Flow {
  explicit Flow(const Graph& all) : graph(all), shape(all.values.size(), false), content(all.values.size(), false) {}

  void through(const Node& node) {
    bool shapes = !node.has_subgraph && !depends_on_content(node);
    bool contents = shapes && !is_random(node.op_type);
    for (const ValueId id : node.inputs) {
      if (id == kNone) continue;
      shapes = shapes && shape[id];
      contents = contents && content[id];
    }
    if (node.domain.empty()) {
      if (const auto it = shape_operands().find(node.op_type); it != shape_operands().end()) {
        for (const size_t operand : it->second) {
          if (operand >= node.inputs.size() || node.inputs[operand] == kNone) continue;
          shapes = shapes && content[node.inputs[operand]];
        }
      }
      if (node.op_type == "Shape" || node.op_type == "Size") contents = shapes;
    }
    for (const ValueId id : node.outputs) {
      if (id == kNone) continue;
      const Kind kind = graph.values[id].type.kind;
      shape[id] = shapes && (kind == Kind::kTensor || kind == Kind::kUnknown);
      content[id] = contents && shape[id];
    }
  }

  const Graph& graph;
  std::vector<bool> shape;    // settled
  std::vector<bool> content;  // the content itself follows from the inputs' shapes
};

}  // namespace

bool is_random(std::string_view op_type) {
  return op_type.starts_with("Random") || op_type == "Multinomial" || op_type == "Bernoulli" || op_type == "Dropout";
}

std::vector<bool> settled_shapes(const Graph& graph) {
  Flow flow(graph);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.producer != kNone) continue;
    flow.shape[i] = value.initializer != kNone || value.type.kind == Kind::kTensor || value.type.kind == Kind::kUnknown;
    flow.content[i] = value.initializer != kNone && !value.is_input;
  }
  for (const Node& node : graph.nodes) flow.through(node);
  return std::move(flow.shape);
}

bool settles_by_itself(const Graph& graph, std::span<const NodeId> nodes, std::span<const ValueId> inputs) {
  Flow flow(graph);
  for (const ValueId id : inputs) flow.shape[static_cast<size_t>(id)] = true;
  for (const NodeId node : nodes) {
    for (const ValueId id : graph.nodes[static_cast<size_t>(node)].inputs) {
      if (id == kNone || graph.values[static_cast<size_t>(id)].initializer == kNone) continue;
      flow.shape[static_cast<size_t>(id)] = true;
      flow.content[static_cast<size_t>(id)] = !graph.values[static_cast<size_t>(id)].is_input;
    }
  }
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    const Node& node = graph.nodes[static_cast<size_t>(id)];
    flow.through(node);
    return std::all_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId made) { return made == kNone || flow.shape[static_cast<size_t>(made)]; });
  });
}

}  // namespace plx::graph
