#include "plx/partition/costs.h"

#include <algorithm>

#include "plx/partition/rates.h"

namespace plx::partition {

Costs weigh(const Graph& graph, const graph::Shapes& shapes) {
  Costs costs;
  costs.work.resize(graph.nodes.size());
  costs.load.resize(graph.nodes.size());
  costs.constant.resize(graph.values.size());
  costs.bytes.resize(graph.values.size());
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const auto work = estimate(graph, shapes, static_cast<NodeId>(node));
    if (work) costs.work[node] = *work;
    else ++costs.unknown_nodes;
    costs.load[node] = workload(graph, shapes, static_cast<NodeId>(node), costs.work[node]);
  }
  for (size_t value = 0; value < graph.values.size(); ++value) {
    const graph::Value& v = graph.values[value];
    costs.constant[value] = v.initializer != graph::kNone ||
        (v.producer != graph::kNone && graph.nodes[v.producer].op_type == "Constant");
    if (value < shapes.size() && shapes[value]) {
      costs.bytes[value] = graph::tensor_bytes(shapes[value]->element, shapes[value]->dims);
    }
  }
  return costs;
}

uint64_t Borders::bytes(std::span<const NodeId> nodes, std::span<const int> set_of, int set) {
  uint64_t total = 0;
  const auto count = [&](ValueId value) {
    if (seen_by_[value] == set || costs_.constant[value]) return;
    seen_by_[value] = set;
    if (__builtin_add_overflow(total, costs_.bytes[value].value_or(0), &total)) total = UINT64_MAX;
  };
  const auto outside = [&](NodeId node) { return node == graph::kNone || set_of[node] != set; };
  for (const NodeId node : nodes) {
    for (const auto* list : {&graph_.nodes[node].inputs, &graph_.nodes[node].captures}) {
      for (const ValueId value : *list) {
        if (value != graph::kNone && outside(graph_.values[value].producer)) count(value);
      }
    }
    for (const ValueId value : graph_.nodes[node].outputs) {
      if (value == graph::kNone) continue;
      const graph::Value& v = graph_.values[value];
      if (v.is_output || std::any_of(v.consumers.begin(), v.consumers.end(), outside)) count(value);
    }
  }
  return total;
}

}  // namespace plx::partition
