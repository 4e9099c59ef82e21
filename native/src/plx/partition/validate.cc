// The independent check. It shares no code with make_plan: degrees, regions, chains, units and their borders are worked
// out anew from the graph, in the plainest way, and compared. The plan may be anything, also the work of somebody who
// means harm: no index is used before its range has been checked, and time and memory are bounded by the sizes of plan
// and graph. What is an estimate (FLOPs, bytes) cannot be checked without shapes and only has to be a sane number.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "plx/partition/format.h"
#include "plx/partition/plan.h"

namespace plx::partition {

namespace {

using graph::kNone;

template <class... Parts>
Status refuse(Parts&&... parts) {
  return fail(Code::kInvalidPlan, std::forward<Parts>(parts)...);
}

bool sane(double number) { return std::isfinite(number) && number >= 0; }

void sort_unique(std::vector<int>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

class Validator {
 public:
  Validator(const Graph& graph, const Plan& plan)
      : graph_(graph), plan_(plan), nodes_(static_cast<int>(graph.nodes.size())) {}

  Status run() {
    using Check = Status (Validator::*)();
    for (const Check check : {&Validator::options, &Validator::regions, &Validator::classes, &Validator::branches,
                              &Validator::branch_order, &Validator::layers, &Validator::census,
                              &Validator::coverage, &Validator::alias_rules, &Validator::unit_kinds,
                              &Validator::unit_borders, &Validator::unit_order}) {
      if (Status status = (this->*check)(); !status) return status;
    }
    return {};
  }

 private:
  // Indices in range and strictly ascending, at least one.
  Status node_list(const std::string& owner, const std::vector<NodeId>& list) const {
    if (list.empty()) return refuse(owner, ": has no nodes");
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i] < 0 || list[i] >= nodes_) {
        return refuse(owner, ": node ", list[i], " does not exist; the graph has ", nodes_, " nodes");
      }
      if (i > 0 && list[i] <= list[i - 1]) {
        return refuse(owner, ": nodes must ascend, but ", list[i], " follows ", list[i - 1]);
      }
    }
    return {};
  }

  // Whatever a node reads from other nodes and from outside.
  std::vector<ValueId> reads(NodeId node) const {
    std::vector<ValueId> all = graph_.nodes[node].inputs;
    const auto& captures = graph_.nodes[node].captures;
    all.insert(all.end(), captures.begin(), captures.end());
    all.erase(std::remove(all.begin(), all.end(), kNone), all.end());
    return all;
  }

  Status options() {
    const Options& o = plan_.options;
    if (plan_.graph_digest != digest(graph_)) {
      return refuse("the plan was made for another graph (its digest is ", printable(plan_.graph_digest),
                    ", this graph's ", digest(graph_), "); make it anew");
    }
    if (!std::isfinite(o.beta) || o.beta < 1) return refuse("options: beta is ", o.beta, "; it must be at least 1");
    if (o.min_nodes < 1) return refuse("options: min_nodes is ", o.min_nodes, "; it must be at least 1");
    if (static_cast<unsigned>(o.units) > 4 || static_cast<unsigned>(o.rule) > 1) {
      return refuse("options: unknown units or rule");
    }
    if (plan_.unknown_sizes > graph_.nodes.size()) {
      return refuse("unknown_sizes is ", plan_.unknown_sizes, ", more than the graph's ", nodes_, " nodes");
    }
    if (!o.device) return {};
    const DeviceProfile& d = *o.device;
    if (d.name.empty() || d.min_nodes < 1 || !sane(d.min_macs) || !sane(d.max_bytes_per_mac) || !sane(d.latency_s) ||
        !sane(d.r_acc) || !sane(d.b_bw) || !sane(d.r_cpu) || d.r_acc < 1 || d.b_bw < 1 || d.r_cpu < 1) {
      return refuse("options: device '", printable(d.name), "': it needs a name, rates and min_nodes of at least 1, "
                    "and no negative number");
    }
    if (!d.measured) return {};
    for (const Rates* rates : {&d.measured->device, &d.measured->cpu}) {
      bool right = sane(rates->launch_s);
      for (const double rate : rates->per_s) right = right && sane(rate) && rate >= 1;
      if (!right) return refuse("options: device '", printable(d.name), "': a measured rate is below 1 or no number");
    }
    return {};
  }

  Status regions() {
    region_of_.assign(nodes_, -1);
    if (plan_.regions.empty()) return {};
    if (!plan_.options.device) return refuse("regions: there are some, but no device is named in the options");
    const DeviceProfile& device = *plan_.options.device;
    const std::set<std::string> declared(device.operators.begin(), device.operators.end());
    std::vector<int> taken_by(nodes_, -1);
    for (size_t r = 0; r < plan_.regions.size(); ++r) {
      const Region& region = plan_.regions[r];
      const std::string me = "region " + std::to_string(r);
      if (Status status = node_list(me, region.nodes); !status) return status;
      for (const NodeId node : region.nodes) {
        const graph::Node& n = graph_.nodes[node];
        if (taken_by[node] >= 0) {
          return refuse(me, ": ", describe_node(graph_, node), " is in region ", taken_by[node], " too");
        }
        taken_by[node] = static_cast<int>(r);
        const bool standard = n.domain.empty() || n.domain == "ai.onnx";
        if (n.has_subgraph || !declared.contains(standard ? n.op_type : n.domain + ":" + n.op_type)) {
          return refuse(me, ": device '", printable(device.name), "' does not declare the operator of ",
                        describe_node(graph_, node));
        }
        if (kept_on_cpu(n)) return refuse(me, ": ", describe_node(graph_, node), " is placed on the CPU by the options");
        if (region.accepted) region_of_[node] = static_cast<int>(r);
      }
      if (!connected(region.nodes, taken_by, static_cast<int>(r))) return refuse(me, ": its nodes are not connected");
      if (Status status = region_judgement(me, r, device); !status) return status;
    }
    return {};
  }

  bool connected(const std::vector<NodeId>& list, const std::vector<int>& taken_by, int region) const {
    std::vector<NodeId> open{list.front()};
    std::set<NodeId> reached{list.front()};
    while (!open.empty()) {
      const NodeId node = open.back();
      open.pop_back();
      const auto visit = [&](NodeId other) {
        if (other != kNone && taken_by[other] == region && reached.insert(other).second) open.push_back(other);
      };
      for (const ValueId value : reads(node)) visit(graph_.values[value].producer);
      for (const ValueId value : graph_.nodes[node].outputs) {
        if (value == kNone) continue;
        for (const NodeId reader : graph_.values[value].consumers) visit(reader);
      }
    }
    return reached.size() == list.size();
  }

  // What the device and the CPU would take, from what the plan says of a region.
  static std::pair<double, double> times(const Region& region, const DeviceProfile& device) {
    const double border = device.latency_s + static_cast<double>(region.border_bytes) / device.b_bw;
    if (!device.measured) return {border + region.macs / device.r_acc, region.macs / device.r_cpu};
    const auto nodes = static_cast<double>(region.work.launches);
    std::pair<double, double> sums{border + nodes * device.measured->device.launch_s, nodes * device.measured->cpu.launch_s};
    for (size_t c = 0; c < region.work.amount.size(); ++c) {
      sums.first += region.work.amount[c] / device.measured->device.per_s[c];
      sums.second += region.work.amount[c] / device.measured->cpu.per_s[c];
    }
    return sums;
  }

  bool kept_on_cpu(const graph::Node& node) const {
    const bool standard = node.domain.empty() || node.domain == "ai.onnx";
    bool kept = false;
    for (const Placement& placement : plan_.options.placements) {
      if (placement.op == (standard ? node.op_type : node.domain + ":" + node.op_type)) kept = !placement.on_device;
    }
    return kept;
  }

  // Whether it is where the user placed it, if anywhere.
  std::optional<bool> wished(const Region& region, size_t index) const {
    std::optional<bool> wish;
    if (plan_.options.offload_all) wish = true;
    for (const Placement& placement : plan_.options.placements) {
      if (placement.op.empty()) {
        if (static_cast<size_t>(placement.region) == index) wish = placement.on_device;
        continue;
      }
      if (!placement.on_device) continue;
      for (const NodeId node : region.nodes) {
        const graph::Node& n = graph_.nodes[node];
        const bool standard = n.domain.empty() || n.domain == "ai.onnx";
        if (placement.op == (standard ? n.op_type : n.domain + ":" + n.op_type)) wish = true;
      }
    }
    return wish;
  }

  Status region_judgement(const std::string& me, size_t index, const DeviceProfile& device) const {
    const Region& region = plan_.regions[index];
    bool numbers = sane(region.macs) && sane(region.device_s) && sane(region.cpu_s) && region.work.launches >= 0;
    for (const double amount : region.work.amount) numbers = numbers && sane(amount);
    if (region.trial) numbers = numbers && sane(region.trial->device_s) && sane(region.trial->cpu_s);
    if (!numbers) return refuse(me, ": macs, its work, device_s and cpu_s must be finite and not negative");
    const double bytes = static_cast<double>(region.border_bytes);
    const auto [device_s, cpu_s] = times(region, device);
    const auto differ = [](double a, double b) { return std::abs(a - b) > 1e-9 * std::max(std::abs(a), std::abs(b)); };
    if (differ(region.device_s, device_s) || differ(region.cpu_s, cpu_s)) {
      return refuse(me, ": device_s and cpu_s are not what its macs, work and border_bytes give on '",
                    printable(device.name), "'");
    }
    const bool pays = device.measured
                          ? region.device_s < 0.9 * region.cpu_s && (!region.trial || (region.trial->problem.empty() && region.trial->device_s < 0.9 * region.trial->cpu_s))
                          : static_cast<int64_t>(region.nodes.size()) >= device.min_nodes && region.macs >= device.min_macs &&
                                bytes <= device.max_bytes_per_mac * region.macs && region.device_s < region.cpu_s;
    if (const auto wish = wished(region, index)) {
      if (region.accepted != *wish) return refuse(me, ": is not where the options place it");
    } else if (region.accepted != pays) {
      return refuse(me, region.accepted ? ": is accepted against the profile's thresholds"
                                        : ": is given back though it meets the profile's thresholds");
    }
    if (region.reason.empty() != region.accepted) return refuse(me, ": a reason belongs to regions given back, only");
    return {};
  }

  // Neighbours with accepted regions contracted: nodes as themselves, region r as nodes_ + r.
  int item(NodeId node) const { return region_of_[node] < 0 ? node : nodes_ + region_of_[node]; }

  Status classes() {
    if (plan_.classes.size() != graph_.nodes.size()) {
      return refuse("classes: ", plan_.classes.size(), " for ", nodes_, " nodes");
    }
    before_.assign(nodes_ + plan_.regions.size(), {});
    after_.assign(nodes_ + plan_.regions.size(), {});
    for (int node = 0; node < nodes_; ++node) {
      for (const ValueId value : reads(node)) {
        const NodeId producer = graph_.values[value].producer;
        if (producer == kNone || item(producer) == item(node)) continue;
        before_[item(node)].push_back(item(producer));
        after_[item(producer)].push_back(item(node));
      }
    }
    for (auto* lists : {&before_, &after_}) {
      for (auto& list : *lists) sort_unique(list);
    }
    for (int node = 0; node < nodes_; ++node) {
      const size_t in = before_[item(node)].size();
      const size_t out = after_[item(node)].size();
      NodeClass expected = NodeClass::kSequential;
      if (graph_.nodes[node].has_subgraph || (in > 1 && out > 1)) expected = NodeClass::kSplitMerge;
      else if (in > 1) expected = NodeClass::kMerger;
      else if (out > 1) expected = NodeClass::kSplitter;
      if (plan_.classes[node] == expected) continue;
      return refuse("classes: ", describe_node(graph_, node), " is ", node_class_name(expected), ", not ",
                    node_class_name(plan_.classes[node]));
    }
    return {};
  }

  Status branches() {
    branch_of_.assign(nodes_, -1);
    for (size_t b = 0; b < plan_.branches.size(); ++b) {
      const Branch& branch = plan_.branches[b];
      const std::string me = "branch " + std::to_string(b);
      if (Status status = node_list(me, branch.nodes); !status) return status;
      if (!sane(branch.flops)) return refuse(me, ": flops must be finite and not negative");
      for (const NodeId node : branch.nodes) {
        if (branch_of_[node] >= 0) {
          return refuse(me, ": ", describe_node(graph_, node), " is in branch ", branch_of_[node], " too");
        }
        branch_of_[node] = static_cast<int>(b);
      }
      if (Status status = branch_shape(me, branch); !status) return status;
    }
    for (int node = 0; node < nodes_; ++node) {
      if (branch_of_[node] < 0) return refuse("branches: ", describe_node(graph_, node), " is in none");
    }
    return {};
  }

  // A whole accepted region, or a chain.
  Status branch_shape(const std::string& me, const Branch& branch) const {
    if (branch.region != -1) {
      if (branch.region < 0 || static_cast<size_t>(branch.region) >= plan_.regions.size() ||
          !plan_.regions[branch.region].accepted) {
        return refuse(me, ": region ", branch.region, " is no accepted region");
      }
      if (plan_.regions[branch.region].nodes != branch.nodes) {
        return refuse(me, ": its nodes are not those of region ", branch.region);
      }
      return {};
    }
    for (size_t i = 0; i < branch.nodes.size(); ++i) {
      const NodeId node = branch.nodes[i];
      if (region_of_[node] >= 0) {
        return refuse(me, ": ", describe_node(graph_, node), " belongs to region ", region_of_[node]);
      }
      if (i == 0) continue;
      const NodeId last = branch.nodes[i - 1];
      const bool linked = after_[last] == std::vector<int>{node} && before_[node] == std::vector<int>{last};
      if (!linked || graph_.nodes[last].has_subgraph || graph_.nodes[node].has_subgraph) {
        return refuse(me, ": is no chain: ", describe_node(graph_, node), " does not simply follow ",
                      describe_node(graph_, last));
      }
    }
    return {};
  }

  Status branch_order() {
    std::vector<std::vector<int>> expected(plan_.branches.size());
    for (int node = 0; node < nodes_; ++node) {
      for (const ValueId value : reads(node)) {
        const NodeId producer = graph_.values[value].producer;
        if (producer != kNone && branch_of_[producer] != branch_of_[node]) {
          expected[branch_of_[node]].push_back(branch_of_[producer]);
        }
      }
    }
    for (size_t b = 0; b < plan_.branches.size(); ++b) {
      const Branch& branch = plan_.branches[b];
      std::vector<int>& list = expected[b];
      sort_unique(list);
      if (branch.predecessors != list) return refuse("branch ", b, ": its predecessors are not what the graph says");
      if (branch.layer < 0 || static_cast<size_t>(branch.layer) >= plan_.layers.size()) {
        return refuse("branch ", b, ": layer ", branch.layer, " does not exist; there are ", plan_.layers.size());
      }
      for (const int p : list) {
        if (plan_.branches[p].layer >= branch.layer) {
          return refuse("branch ", b, ": layer ", branch.layer, " is not later than layer ", plan_.branches[p].layer,
                        " of its predecessor, branch ", p);
        }
      }
    }
    return {};
  }

  Status layers() {
    std::vector<bool> listed(plan_.branches.size(), false);
    for (size_t l = 0; l < plan_.layers.size(); ++l) {
      const Layer& layer = plan_.layers[l];
      const std::string me = "layer " + std::to_string(l);
      if (layer.branches.empty()) return refuse(me, ": has no branches");
      for (const int b : layer.branches) {
        if (b < 0 || static_cast<size_t>(b) >= plan_.branches.size()) {
          return refuse(me, ": branch ", b, " does not exist; there are ", plan_.branches.size());
        }
        if (listed[b]) return refuse(me, ": branch ", b, " is listed twice");
        listed[b] = true;
        if (plan_.branches[b].layer != static_cast<int>(l)) {
          return refuse(me, ": branch ", b, " says it is in layer ", plan_.branches[b].layer);
        }
      }
      if (Status status = groups(me, static_cast<int>(l), layer); !status) return status;
    }
    for (size_t b = 0; b < listed.size(); ++b) {
      if (!listed[b]) return refuse("layers: branch ", b, " is in none");
    }
    return {};
  }

  Status groups(const std::string& me, int index, const Layer& layer) const {
    const Options& o = plan_.options;
    if (layer.reason.empty() == layer.groups.empty()) {
      return refuse(me, ": a reason belongs to layers that are not parallel, only");
    }
    std::set<int> grouped;
    for (const std::vector<int>& group : layer.groups) {
      if (group.size() < 2) return refuse(me, ": a group needs two branches at least");
      double least = 0;
      double most = 0;
      for (const int b : group) {
        if (b < 0 || static_cast<size_t>(b) >= plan_.branches.size() || plan_.branches[b].layer != index) {
          return refuse(me, ": branch ", b, " of a group is not in the layer");
        }
        if (!grouped.insert(b).second) return refuse(me, ": branch ", b, " is grouped twice");
        const Branch& branch = plan_.branches[b];
        if (static_cast<int64_t>(branch.nodes.size()) < o.min_nodes || branch.flops <= 0) {
          return refuse(me, ": branch ", b, " is too short or has no FLOPs to be in a group");
        }
        least = b == group.front() ? branch.flops : std::min(least, branch.flops);
        most = std::max(most, branch.flops);
      }
      if (!(most / least <= o.beta)) return refuse(me, ": a group's Fmax / Fmin is more than ", o.beta);
    }
    if (o.rule == Rule::kPaper && !layer.groups.empty() &&
        (layer.groups.size() > 1 || layer.groups[0].size() != layer.branches.size())) {
      return refuse(me, ": rule 'paper' runs a whole layer together or none of it");
    }
    return {};
  }

  Status census() {
    size_t items = 0;  // a region counts with its first node
    for (int node = 0; node < nodes_; ++node) {
      if (region_of_[node] < 0 || plan_.regions[region_of_[node]].nodes.front() == node) ++items;
    }
    size_t parallel = 0;
    size_t most = 0;
    for (const Layer& layer : plan_.layers) {
      if (!layer.groups.empty()) ++parallel;
      most = std::max(most, layer.branches.size());
    }
    const Census& c = plan_.cut;
    if (c.nodes != items || c.branches != plan_.branches.size() || c.layers != plan_.layers.size() ||
        c.parallel_layers != parallel || c.most_branches != most) {
      return refuse("census: its counts are not those of the plan");
    }
    return {};
  }

  // Every node in one unit or one alias. unit_of_ is -1 for aliases.
  Status coverage() {
    unit_of_.assign(nodes_, -1);
    std::vector<bool> placed(nodes_, false);
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      const std::string me = "unit " + std::to_string(u);
      if (Status status = node_list(me, plan_.units[u].nodes); !status) return status;
      if (!sane(plan_.units[u].flops)) return refuse(me, ": flops must be finite and not negative");
      if (!sane(plan_.units[u].narrow_ns) || !sane(plan_.units[u].wide_ns)) {
        return refuse(me, ": times must be finite and not negative");
      }
      for (const NodeId node : plan_.units[u].nodes) {
        if (placed[node]) return refuse(me, ": ", describe_node(graph_, node), " is in unit ", unit_of_[node], " too");
        placed[node] = true;
        unit_of_[node] = static_cast<int>(u);
      }
    }
    NodeId last = -1;
    for (size_t a = 0; a < plan_.aliases.size(); ++a) {
      const NodeId node = plan_.aliases[a].node;
      if (node < 0 || node >= nodes_) return refuse("alias ", a, ": node ", node, " does not exist");
      if (node <= last) return refuse("alias ", a, ": nodes must ascend, but ", node, " follows ", last);
      last = node;
      if (placed[node]) return refuse("alias ", a, ": ", describe_node(graph_, node), " is in a unit too");
      placed[node] = true;
    }
    for (int node = 0; node < nodes_; ++node) {
      if (!placed[node]) return refuse("units: ", describe_node(graph_, node), " is in no unit and no alias");
    }
    return {};
  }

  Status alias_rules() {
    std::vector<ValueId> root(graph_.values.size());
    for (size_t v = 0; v < root.size(); ++v) root[v] = static_cast<ValueId>(v);
    for (const Alias& alias : plan_.aliases) {
      const graph::Node& node = graph_.nodes[alias.node];
      const std::string me = "alias of " + describe_node(graph_, alias.node);
      if (!graph::is_view(node) || node.inputs[0] == kNone || node.outputs[0] == kNone || !node.captures.empty()) {
        return refuse(me, ": the operator is no view");
      }
      if (region_of_[alias.node] >= 0) return refuse(me, ": it belongs to region ", region_of_[alias.node]);
      const ValueId data = node.inputs[0];
      const graph::Value& value = graph_.values[data];
      const bool tensor = value.type.kind == graph::Kind::kTensor || value.type.kind == graph::Kind::kUnknown;
      bool text = value.type.element == graph::ElementType::kString;
      bool sparse = false;
      if (value.initializer != kNone) {
        text = text || graph_.initializers[value.initializer].element == graph::ElementType::kString;
        sparse = graph_.initializers[value.initializer].sparse;
      }
      if (!tensor || text || sparse) {
        return refuse(me, ": ", describe_value(graph_, data), " is no dense tensor of numbers");
      }
      root[node.outputs[0]] = root[data];
      if (graph_.values[node.outputs[0]].is_output && graph_.values[root[data]].producer == kNone) {
        return refuse(me, ": a graph output cannot be the bytes of ", describe_value(graph_, root[data]),
                      ", which no unit makes");
      }
    }
    std::map<ValueId, ValueId> output_of_root;
    for (size_t v = 0; v < root.size(); ++v) {
      if (!graph_.values[v].is_output) continue;
      const auto [seen, fresh] = output_of_root.emplace(root[v], static_cast<ValueId>(v));
      if (!fresh) {
        return refuse("aliases: graph outputs '", printable(graph_.values[seen->second].name), "' and '",
                      printable(graph_.values[v].name), "' would be the same bytes");
      }
    }
    return {};
  }

  Status unit_kinds() {
    const Units kind = plan_.options.units;
    if (kind == Units::kWhole && (plan_.units.size() > 1 || !plan_.aliases.empty())) {
      return refuse("units: 'whole' means one unit and no aliases");
    }
    std::set<int> used;  // layers or branches that have a unit
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      const Unit& unit = plan_.units[u];
      const std::string me = "unit " + std::to_string(u);
      const int branch = common(unit, [&](NodeId n) { return branch_of_[n]; });
      const int layer = common(unit, [&](NodeId n) { return plan_.branches[branch_of_[n]].layer; });
      const int region = kind == Units::kWhole ? -1 : region_of_[unit.nodes.front()];
      if (unit.branch != branch) return refuse(me, ": branch is ", unit.branch, " where its nodes say ", branch);
      if (unit.layer != layer) return refuse(me, ": layer is ", unit.layer, " where its nodes say ", layer);
      if (unit.region != region) return refuse(me, ": region is ", unit.region, " where its nodes say ", region);
      if (kind == Units::kWhole || kind == Units::kMixed) continue;
      for (const NodeId node : unit.nodes) {
        if (region_of_[node] != region) return refuse(me, ": mixes region ", region, " with other nodes");
      }
      if (region >= 0) {
        if (unit.nodes != plan_.regions[region].nodes) return refuse(me, ": is only a part of region ", region);
        continue;
      }
      const bool single = kind != Units::kNodes || unit.nodes.size() == 1;
      if (!single || (kind == Units::kBranches && branch < 0) || (kind == Units::kLayers && layer < 0)) {
        return refuse(me, ": holds more than one of the plan's ", units_name(kind));
      }
      const int part = kind == Units::kBranches ? branch : layer;
      if (kind != Units::kNodes && !used.insert(part).second) {
        return refuse(me, ": the plan's ", units_name(kind), " are one unit each, but this is the second of ", part);
      }
    }
    return {};
  }

  template <class Of>
  static int common(const Unit& unit, Of of) {
    const int first = of(unit.nodes.front());
    for (const NodeId node : unit.nodes) {
      if (of(node) != first) return -1;
    }
    return first;
  }

  Status value_list(const std::string& owner, std::vector<ValueId> list, std::vector<ValueId> expected) const {
    for (const ValueId value : list) {
      if (value < 0 || static_cast<size_t>(value) >= graph_.values.size()) {
        return refuse(owner, ": value ", value, " does not exist; the graph has ", graph_.values.size());
      }
    }
    std::sort(list.begin(), list.end());
    sort_unique(expected);
    if (list == expected) return {};
    if (const auto twice = std::adjacent_find(list.begin(), list.end()); twice != list.end()) {
      return refuse(owner, ": ", describe_value(graph_, *twice), " is listed twice");
    }
    for (const ValueId value : list) {
      if (!std::binary_search(expected.begin(), expected.end(), value)) {
        return refuse(owner, ": ", describe_value(graph_, value), " does not belong there");
      }
    }
    for (const ValueId value : expected) {
      if (!std::binary_search(list.begin(), list.end(), value)) {
        return refuse(owner, ": ", describe_value(graph_, value), " is missing");
      }
    }
    return {};
  }

  Status unit_borders() {
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      const Unit& unit = plan_.units[u];
      std::vector<ValueId> in;
      std::vector<ValueId> out;
      for (const NodeId node : unit.nodes) {
        for (const ValueId value : reads(node)) {
          const graph::Value& v = graph_.values[value];
          if (v.initializer != kNone) continue;
          if (v.producer == kNone && !v.is_input) {
            return refuse("unit ", u, ": nothing makes ", describe_value(graph_, value));
          }
          if (v.producer == kNone || unit_of_[v.producer] != static_cast<int>(u)) in.push_back(value);
        }
        for (const ValueId value : graph_.nodes[node].outputs) {
          if (value == kNone) continue;
          bool leaves = graph_.values[value].is_output;
          for (const NodeId reader : graph_.values[value].consumers) {
            leaves = leaves || unit_of_[reader] != static_cast<int>(u);
          }
          if (leaves) out.push_back(value);
        }
      }
      const std::string me = "unit " + std::to_string(u);
      if (Status status = value_list(me + " inputs", unit.inputs, std::move(in)); !status) return status;
      if (Status status = value_list(me + " outputs", unit.outputs, std::move(out)); !status) return status;
    }
    return {};
  }

  // Predecessors are right and come first, so every input is there before it is read and there is no cycle.
  Status unit_order() {
    std::vector<std::vector<int>> through(nodes_);  // of aliases: the units they depend on
    size_t budget = size_t{1} << 25;
    // What a node reads inside its own unit is no dependency; what comes back to it through an alias is a cycle.
    const auto add_needs = [&](NodeId node, std::vector<int>& units) {
      for (const ValueId value : reads(node)) {
        const NodeId producer = graph_.values[value].producer;
        if (producer == kNone) continue;
        if (unit_of_[producer] >= 0) {
          if (unit_of_[producer] != unit_of_[node]) units.push_back(unit_of_[producer]);
          continue;
        }
        if (through[producer].size() > budget) return false;
        budget -= through[producer].size();
        units.insert(units.end(), through[producer].begin(), through[producer].end());
      }
      return true;
    };
    const auto endless = [] { return refuse("aliases: they depend on one another in too many ways"); };
    for (const Alias& alias : plan_.aliases) {
      std::vector<int>& units = through[alias.node];
      if (!add_needs(alias.node, units)) return endless();
      sort_unique(units);
    }
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      const Unit& unit = plan_.units[u];
      std::vector<int> units;
      for (const NodeId node : unit.nodes) {
        if (!add_needs(node, units)) return endless();
      }
      sort_unique(units);
      if (!units.empty() && units.back() >= static_cast<int>(u)) {
        return refuse("unit ", u, ": depends on unit ", units.back(), ", which does not run before it");
      }
      if (unit.predecessors != units) {
        return refuse("unit ", u, ": its predecessors are not what the graph says");
      }
    }
    return {};
  }

  const Graph& graph_;
  const Plan& plan_;
  const int nodes_;
  std::vector<int> region_of_;  // per node: accepted region or -1
  std::vector<std::vector<int>> before_, after_;
  std::vector<int> branch_of_;
  std::vector<int> unit_of_;
};

}  // namespace

Status validate(const Graph& graph, const Plan& plan) { return Validator(graph, plan).run(); }

}  // namespace plx::partition
