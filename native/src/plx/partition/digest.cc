// A graph's digest: 128 bits over its structure, so that a plan is used with no other graph than its own.
//
// Plans speak of nodes and values by index, so the digest covers the tables in their order. It guards against mistakes,
// not against an attacker: whoever forges one still has to get past validate(). Contents of initializers are left out,
// so that retrained weights keep their plans, and so are names of nodes: ONNX Runtime numbers the ones that it puts in
// differently in every process.
#include "plx/base/hasher.h"
#include "plx/partition/plan.h"

namespace plx::partition {

std::string digest(const Graph& graph) {
  Hasher hasher;
  hasher.add(std::string_view("parallax graph 2"));
  hasher.add(static_cast<uint64_t>(graph.opsets.size()));
  for (const auto& [domain, version] : graph.opsets) {
    hasher.add(domain);
    hasher.add(static_cast<uint64_t>(version));
  }
  hasher.add_each(graph.functions);
  hasher.add(static_cast<uint64_t>(graph.values.size()));
  for (const graph::Value& value : graph.values) {
    hasher.add(value.name);
    hasher.add(static_cast<uint64_t>(value.producer));
    const bool constant_value = value.initializer != graph::kNone;
    hasher.add(static_cast<uint64_t>((value.is_input ? 1 : 0) + (value.is_output ? 2 : 0) + (constant_value ? 4 : 0)));
    if (!constant_value) continue;
    const graph::Initializer& constant = graph.initializers[value.initializer];
    hasher.add(static_cast<uint64_t>(constant.element));
    hasher.add(static_cast<uint64_t>(constant.dims.size()));
    for (const int64_t dim : constant.dims) hasher.add(static_cast<uint64_t>(dim));
  }
  hasher.add(static_cast<uint64_t>(graph.nodes.size()));
  for (const graph::Node& node : graph.nodes) {
    hasher.add(node.op_type);
    hasher.add(node.domain);
    hasher.add(node.overload);
    hasher.add_each(node.inputs);
    hasher.add_each(node.outputs);
    hasher.add_each(node.captures);
    hasher.add_each(node.attributes);
  }
  hasher.add_each(graph.inputs);
  hasher.add_each(graph.outputs);
  return hasher.text();
}

}  // namespace plx::partition
