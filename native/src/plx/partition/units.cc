#include "plx/partition/units.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

namespace plx::partition {

namespace {

using graph::kNone;

struct Groups {
  std::vector<int> of_node;
  int count = 0;
};

Groups group_nodes(const Graph& graph, const Plan& plan, const Mix& mixed) {
  Groups groups;
  const int nodes = static_cast<int>(graph.nodes.size());
  groups.of_node.assign(nodes, 0);
  switch (plan.options.units) {
    case Units::kWhole:
      groups.count = 1;
      return groups;
    case Units::kLayers: {
      groups.count = static_cast<int>(plan.layers.size());
      for (const Branch& branch : plan.branches) {
        for (const NodeId node : branch.nodes) groups.of_node[node] = branch.layer;
      }
      break;
    }
    case Units::kBranches:
      groups.count = static_cast<int>(plan.branches.size());
      for (size_t b = 0; b < plan.branches.size(); ++b) {
        for (const NodeId node : plan.branches[b].nodes) groups.of_node[node] = static_cast<int>(b);
      }
      break;
    case Units::kNodes:
      groups.count = nodes;
      for (int node = 0; node < nodes; ++node) groups.of_node[node] = node;
      break;
    case Units::kMixed:
      groups.count = static_cast<int>(mixed.wide.size());
      for (size_t b = 0; b < plan.branches.size(); ++b) {
        for (const NodeId node : plan.branches[b].nodes) groups.of_node[node] = mixed.unit_of_branch[b];
      }
      break;
  }
  for (const Region& region : plan.regions) {
    if (!region.accepted) continue;
    for (const NodeId node : region.nodes) groups.of_node[node] = groups.count;
    ++groups.count;
  }
  return groups;
}

// Decides which views leave their groups.
class Peeler {
 public:
  Peeler(const Graph& graph, const graph::Shapes& shapes, const Groups& groups)
      : graph_(graph), shapes_(shapes), group_of_(groups.of_node), root_(graph.values.size()),
        outputs_(graph.values.size()), alias_(graph.nodes.size(), false) {
    for (size_t value = 0; value < graph.values.size(); ++value) {
      root_[value] = static_cast<ValueId>(value);
      outputs_[value] = graph.values[value].is_output ? 1 : 0;
    }
  }

  std::vector<bool> peel(const Plan& plan) {
    if (plan.options.units == Units::kWhole) return alias_;
    std::vector<bool> in_region(graph_.nodes.size(), false);
    for (const Region& region : plan.regions) {
      for (const NodeId node : region.nodes) in_region[node] = in_region[node] || region.accepted;
    }
    const int count = static_cast<int>(graph_.nodes.size());
    for (int node = 0; node < count; ++node) {
      if (is_candidate(node, in_region) && reads_nothing_inside(node, 0)) make_alias(node);
    }
    for (int node = count - 1; node >= 0; --node) {
      if (alias_[node] || !is_candidate(node, in_region)) continue;
      if (reads_nothing_inside(node, 1) && read_outside_only(node)) make_alias(node);
    }
    return alias_;
  }

 private:
  bool is_candidate(NodeId node, const std::vector<bool>& in_region) const {
    const graph::Node& n = graph_.nodes[node];
    return !in_region[node] && graph::is_view(n) && n.inputs[0] != kNone && n.outputs[0] != kNone &&
           n.captures.empty() && is_dense(n);
  }

  bool is_dense(const graph::Node& node) const {
    const graph::Value& data = graph_.values[node.inputs[0]];
    if (data.type.kind != graph::Kind::kTensor && data.type.kind != graph::Kind::kUnknown) return false;
    if (data.initializer != kNone) {
      const graph::Initializer& constant = graph_.initializers[data.initializer];
      if (constant.sparse || constant.element == graph::ElementType::kString) return false;
    }
    bool known = data.type.kind == graph::Kind::kTensor || data.initializer != kNone;
    for (const ValueId value : {node.inputs[0], node.outputs[0]}) {
      if (graph_.values[value].type.element == graph::ElementType::kString) return false;
      if (static_cast<size_t>(value) >= shapes_.size() || !shapes_[value]) continue;
      if (shapes_[value]->element == graph::ElementType::kString) return false;
      known = true;
    }
    // Identity takes sequences and optionals as well, so it has to be known what this one takes.
    return known || node.op_type != "Identity";
  }

  // Whether no input from `first` on is made in the node's own group (by what is still in it).
  bool reads_nothing_inside(NodeId node, size_t first) const {
    const auto& inputs = graph_.nodes[node].inputs;
    for (size_t i = first; i < inputs.size(); ++i) {
      if (inputs[i] == kNone) continue;
      const NodeId producer = graph_.values[inputs[i]].producer;
      if (producer != kNone && group_of_[producer] == group_of_[node] && !alias_[producer]) return false;
    }
    return true;
  }

  bool read_outside_only(NodeId node) const {
    const auto& readers = graph_.values[graph_.nodes[node].outputs[0]].consumers;
    return std::none_of(readers.begin(), readers.end(),
                        [&](NodeId r) { return group_of_[r] == group_of_[node] && !alias_[r]; });
  }

  // Values with the same bytes form a set, known by its root; outputs_ counts the graph outputs in it.
  ValueId root(ValueId value) {
    while (root_[value] != value) value = root_[value] = root_[root_[value]];
    return value;
  }

  void make_alias(NodeId node) {
    const ValueId data = root(graph_.nodes[node].inputs[0]);
    const ValueId made = graph_.nodes[node].outputs[0];  // a root as long as its node is no alias
    const int outputs = outputs_[data] + outputs_[made];
    if (outputs > 1 || (outputs_[made] > 0 && graph_.values[data].producer == kNone)) return;
    root_[made] = data;
    outputs_[data] = outputs;
    alias_[node] = true;
  }

  const Graph& graph_;
  const graph::Shapes& shapes_;
  const std::vector<int>& group_of_;
  std::vector<ValueId> root_;
  std::vector<int> outputs_;
  std::vector<bool> alias_;
};

// Which groups and aliases there are once views have left, as vertices of one dag: groups first, then aliases.
struct Pieces {
  std::vector<int> of_node;
  std::vector<std::vector<NodeId>> groups;  // non-empty ones
  std::vector<NodeId> aliases;
};

Pieces make_pieces(const Groups& groups, const std::vector<bool>& alias) {
  Pieces pieces;
  pieces.of_node.resize(alias.size());
  std::vector<int> renumbered(groups.count, -1);
  for (size_t node = 0; node < alias.size(); ++node) {
    if (alias[node]) {
      pieces.aliases.push_back(static_cast<NodeId>(node));
      continue;
    }
    int& group = renumbered[groups.of_node[node]];
    if (group < 0) {
      group = static_cast<int>(pieces.groups.size());
      pieces.groups.emplace_back();
    }
    pieces.of_node[node] = group;
    pieces.groups[group].push_back(static_cast<NodeId>(node));
  }
  for (size_t i = 0; i < pieces.aliases.size(); ++i) {
    pieces.of_node[pieces.aliases[i]] = static_cast<int>(pieces.groups.size() + i);
  }
  return pieces;
}

void sort_unique(std::vector<int>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// Per group the groups it depends on, also through aliases.
Result<std::vector<std::vector<int>>> dependencies(const Pieces& pieces, const Dag& dag) {
  const int groups = static_cast<int>(pieces.groups.size());
  std::vector<std::vector<int>> through(pieces.aliases.size());  // aliases are topologically sorted
  size_t total = 0;
  const auto collect = [&](int piece, std::vector<int>& out) {
    for (const int p : dag.predecessors(piece)) {
      if (p < groups) out.push_back(p);
      else out.insert(out.end(), through[p - groups].begin(), through[p - groups].end());
      if (total + out.size() > kMostAliasDependencies) return false;
    }
    total += out.size();
    sort_unique(out);
    return true;
  };
  const Error too_many = fail(Code::kUnsupported, "the graph's view operators depend on one another in too many ways "
                                                  "to be aliases; cut it with units 'whole'");
  for (size_t a = 0; a < through.size(); ++a) {
    if (!collect(groups + static_cast<int>(a), through[a])) return too_many;
  }
  std::vector<std::vector<int>> result(groups);
  for (int g = 0; g < groups; ++g) {
    if (!collect(g, result[g])) return too_many;
  }
  return result;
}

// A topological order, by smallest first node among what is ready.
Result<std::vector<int>> topological_order(const std::vector<std::vector<int>>& predecessors, const Pieces& pieces) {
  const int count = static_cast<int>(predecessors.size());
  std::vector<std::vector<int>> successors(count);
  std::vector<size_t> missing(count);
  std::priority_queue<std::pair<NodeId, int>, std::vector<std::pair<NodeId, int>>, std::greater<>> ready;
  for (int g = 0; g < count; ++g) {
    missing[g] = predecessors[g].size();
    for (const int p : predecessors[g]) successors[p].push_back(g);
    if (missing[g] == 0) ready.emplace(pieces.groups[g].front(), g);
  }
  std::vector<int> order;
  while (!ready.empty()) {
    const int g = ready.top().second;
    ready.pop();
    order.push_back(g);
    for (const int s : successors[g]) {
      if (--missing[s] == 0) ready.emplace(pieces.groups[s].front(), s);
    }
  }
  if (order.size() != predecessors.size()) return fail(Code::kInternal, "units depend on one another in a circle");
  return order;
}

void fill_borders(const Graph& graph, const std::vector<int>& piece_of, int piece, std::vector<int>& seen_by,
                  Unit& unit) {
  for (const NodeId node : unit.nodes) {
    for (const auto* list : {&graph.nodes[node].inputs, &graph.nodes[node].captures}) {
      for (const ValueId value : *list) {
        if (value == kNone || seen_by[value] == piece || graph.values[value].initializer != kNone) continue;
        const NodeId producer = graph.values[value].producer;
        if (producer != kNone && piece_of[producer] == piece) continue;
        seen_by[value] = piece;
        unit.inputs.push_back(value);
      }
    }
    for (const ValueId value : graph.nodes[node].outputs) {
      if (value == kNone) continue;
      const graph::Value& v = graph.values[value];
      const bool leaves = v.is_output || std::any_of(v.consumers.begin(), v.consumers.end(),
                                                     [&](NodeId r) { return piece_of[r] != piece; });
      if (leaves) unit.outputs.push_back(value);
    }
  }
}

// Unit::peak_bytes: a sweep over the nodes, with every tensor alive from its node to its last reader inside.
uint64_t peak_bytes(const Graph& graph, const Costs& costs, const Unit& unit) {
  std::unordered_map<NodeId, size_t> position;
  for (size_t i = 0; i < unit.nodes.size(); ++i) position[unit.nodes[i]] = i;
  std::vector<uint64_t> dies(unit.nodes.size() + 1, 0);  // bytes that are free once a node has run
  const std::unordered_set<ValueId> leaving(unit.outputs.begin(), unit.outputs.end());
  uint64_t live = 0;
  uint64_t most = 0;
  for (size_t i = 0; i < unit.nodes.size(); ++i) {
    for (const ValueId value : graph.nodes[unit.nodes[i]].outputs) {
      if (value == kNone || costs.constant[value]) continue;
      const uint64_t bytes = costs.bytes[value].value_or(0);
      if (__builtin_add_overflow(live, bytes, &live)) return UINT64_MAX;
      if (leaving.contains(value)) continue;
      size_t last = i;
      for (const NodeId reader : graph.values[value].consumers) {
        if (const auto at = position.find(reader); at != position.end()) last = std::max(last, at->second);
      }
      dies[last] += bytes;
    }
    most = std::max(most, live);
    live -= dies[i];
  }
  return most;
}

Dag branch_dag(const Plan& plan) {
  std::vector<std::pair<int, int>> edges;
  for (size_t b = 0; b < plan.branches.size(); ++b) {
    for (const int p : plan.branches[b].predecessors) edges.emplace_back(p, static_cast<int>(b));
  }
  return Dag(static_cast<int>(plan.branches.size()), edges);
}

// The one number that all nodes have, or -1.
int common(const std::vector<NodeId>& nodes, const std::vector<int>& of_node) {
  const int first = of_node[nodes.front()];
  const bool all = std::all_of(nodes.begin(), nodes.end(), [&](NodeId n) { return of_node[n] == first; });
  return all ? first : -1;
}

}  // namespace

Status cut_units(const Graph& graph, const graph::Shapes& shapes, const Dag& nodes, const Costs& costs,
                 const Measured* measured, Plan& plan) {
  Mix mixed;
  if (plan.options.units == Units::kMixed) mixed = mix(plan, branch_dag(plan), *measured);
  const Groups groups = group_nodes(graph, plan, mixed);
  const std::vector<bool> alias = Peeler(graph, shapes, groups).peel(plan);
  const Pieces pieces = make_pieces(groups, alias);
  const Dag dag = contract(nodes, pieces.of_node, static_cast<int>(pieces.groups.size() + pieces.aliases.size()));
  auto predecessors = dependencies(pieces, dag);
  if (!predecessors) return predecessors.error();
  auto order = topological_order(*predecessors, pieces);
  if (!order) return order.error();

  std::vector<int> branch_of(graph.nodes.size());
  std::vector<int> layer_of(graph.nodes.size());
  for (size_t b = 0; b < plan.branches.size(); ++b) {
    for (const NodeId node : plan.branches[b].nodes) {
      branch_of[node] = static_cast<int>(b);
      layer_of[node] = plan.branches[b].layer;
    }
  }
  std::vector<bool> grouped(plan.branches.size(), false);
  for (const Layer& layer : plan.layers) {
    for (const auto& group : layer.groups) {
      for (const int b : group) grouped[b] = true;
    }
  }
  std::vector<int> position(order->size());
  for (size_t i = 0; i < order->size(); ++i) position[(*order)[i]] = static_cast<int>(i);
  std::vector<int> seen_by(graph.values.size(), -1);
  for (const int group : *order) {
    Unit unit;
    unit.nodes = pieces.groups[group];
    fill_borders(graph, pieces.of_node, group, seen_by, unit);
    for (const int p : (*predecessors)[group]) unit.predecessors.push_back(position[p]);
    std::sort(unit.predecessors.begin(), unit.predecessors.end());
    unit.branch = common(unit.nodes, branch_of);
    unit.layer = common(unit.nodes, layer_of);
    if (plan.options.units != Units::kWhole && unit.branch >= 0) unit.region = plan.branches[unit.branch].region;
    for (const NodeId node : unit.nodes) unit.flops += costs.work[node].flops;
    unit.peak_bytes = peak_bytes(graph, costs, unit);
    if (plan.options.units == Units::kMixed) {
      const int made = mixed.unit_of_branch[branch_of[unit.nodes.front()]];
      unit.wide = mixed.wide[made];
      unit.stretch = mixed.stretch[made];
      for (const NodeId node : unit.nodes) {
        unit.narrow_ns += measured->nodes[node].narrow_ns;
        unit.wide_ns += measured->nodes[node].wide_ns;
      }
    } else if (plan.options.units != Units::kWhole && unit.branch >= 0) {
      unit.wide = !grouped[unit.branch];
    }
    plan.units.push_back(std::move(unit));
  }
  for (const NodeId node : pieces.aliases) plan.aliases.push_back(Alias{node});
  return {};
}

}  // namespace plx::partition
