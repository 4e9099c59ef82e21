#include "plx/partition/regions.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_set>

#include "plx/partition/format.h"
#include "plx/partition/rates.h"

namespace plx::partition {

namespace {

class UnionFind {
 public:
  explicit UnionFind(int count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), 0); }
  int find(int v) {
    while (parent_[v] != v) v = parent_[v] = parent_[parent_[v]];
    return v;
  }
  void join(int a, int b) {
    a = find(a);
    b = find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }
  // Numbers the sets in ascending order of their smallest member; the number of sets comes back.
  int number(std::vector<int>& set_of) {
    int count = 0;
    set_of.resize(parent_.size());
    for (size_t v = 0; v < parent_.size(); ++v) {
      const int root = find(static_cast<int>(v));
      set_of[v] = root == static_cast<int>(v) ? count++ : set_of[root];
    }
    return count;
  }

 private:
  std::vector<int> parent_;
};

void join_epochs(const Dag& dag, const std::vector<bool>& takes, UnionFind& sets) {
  // Turn k is first the nodes that cannot be taken, then those that can.
  std::vector<int> turn(dag.size(), 0);
  for (int v = 0; v < dag.size(); ++v) {
    for (const int p : dag.predecessors(v)) turn[v] = std::max(turn[v], turn[p] + (takes[p] && !takes[v] ? 1 : 0));
    if (!takes[v]) continue;
    for (const int p : dag.predecessors(v)) {
      if (takes[p] && turn[p] == turn[v]) sets.join(p, v);
    }
  }
}

// One round of step 2. Merges within one round happen in disjoint intervals of levels: a cycle through two merged sets
// would have to come back down from the higher interval to the lower one, so levels stay good for the whole round.
class MergeRound {
 public:
  MergeRound(const Dag& sets, const std::vector<bool>& takes, int64_t& steps)
      : sets_(sets), takes_(takes), steps_(steps), levels_(longest_path_levels(sets)), seen_by_(sets.size(), -1) {
    steps_ -= sets.size() + static_cast<int64_t>(sets.edges());
  }

  std::vector<std::pair<int, int>> run() {
    std::vector<std::pair<int, int>> merges;
    std::vector<bool> locked(levels_.size() + 1, false);
    for (int a = 0; a < sets_.size() && !levels_.empty(); ++a) {
      if (!takes_[a]) continue;
      for (const int b : sets_.successors(a)) {
        if (steps_ <= 0) return merges;
        if (!takes_[b] || std::find(locked.begin() + levels_[a], locked.begin() + levels_[b] + 1, true) !=
                              locked.begin() + levels_[b] + 1) {
          continue;
        }
        if (other_path(a, b)) continue;
        std::fill(locked.begin() + levels_[a], locked.begin() + levels_[b] + 1, true);
        merges.emplace_back(a, b);
      }
    }
    return merges;
  }

 private:
  bool other_path(int a, int b) {
    if (levels_[b] == levels_[a] + 1) return false;
    ++search_;
    stack_.assign(1, a);
    while (!stack_.empty()) {
      const int v = stack_.back();
      stack_.pop_back();
      for (const int s : sets_.successors(v)) {
        --steps_;
        if (s == b && v != a) return true;
        if (levels_[s] >= levels_[b] || seen_by_[s] == search_) continue;
        seen_by_[s] = search_;
        stack_.push_back(s);
      }
      if (steps_ <= 0) return true;  // not searched to the end: must not be merged
    }
    return false;
  }

  const Dag& sets_;
  const std::vector<bool>& takes_;
  int64_t& steps_;
  std::vector<int> levels_;
  std::vector<int> seen_by_;
  std::vector<int> stack_;
  int search_ = -1;
};

bool has_size(const Costs& costs, const std::vector<ValueId>& values) {
  return std::all_of(values.begin(), values.end(), [&](ValueId v) {
    return v == graph::kNone || costs.constant[v] || costs.bytes[v].has_value();
  });
}

}  // namespace

std::vector<int> grow_regions(const Dag& dag, const std::vector<bool>& takes) {
  UnionFind sets(dag.size());
  join_epochs(dag, takes, sets);
  std::vector<int> set_of;
  int64_t steps = kMergeBudget * (dag.size() + static_cast<int64_t>(dag.edges()) + 1);
  for (bool merged = true; merged && steps > 0;) {
    const int count = sets.number(set_of);
    std::vector<bool> set_takes(count);
    std::vector<int> member(count);
    for (int v = 0; v < dag.size(); ++v) {
      set_takes[set_of[v]] = takes[v];
      member[set_of[v]] = v;
    }
    const Dag contracted = contract(dag, set_of, count);
    const auto merges = MergeRound(contracted, set_takes, steps).run();
    for (const auto& [a, b] : merges) sets.join(member[a], member[b]);
    merged = !merges.empty();
  }
  sets.number(set_of);

  std::vector<int> region_of(dag.size(), -1);
  std::vector<int> region_of_set(dag.size(), -1);
  int regions = 0;
  for (int v = 0; v < dag.size(); ++v) {
    if (!takes[v]) continue;
    int& region = region_of_set[set_of[v]];
    if (region < 0) region = regions++;
    region_of[v] = region;
  }
  return region_of;
}

void judge_region(const DeviceProfile& profile, Region& region) {
  const double bytes = static_cast<double>(region.border_bytes);
  region.accepted = false;
  const auto slower = [&](const char* who, double device_s, double cpu_s) {
    region.reason = std::string(who) + format_seconds(device_s) + ", the CPU " + format_seconds(cpu_s);
  };
  if (profile.measured) {
    region.device_s = profile.latency_s + seconds(profile.measured->device, region.work) + bytes / profile.b_bw;
    region.cpu_s = seconds(profile.measured->cpu, region.work);
    if (!(region.device_s < kMargin * region.cpu_s)) {
      slower("by measured rates the device would take ", region.device_s, region.cpu_s);
    } else if (region.trial && !region.trial->problem.empty()) {
      region.reason = "it could not be tried: " + region.trial->problem;
    } else if (region.trial && !(region.trial->device_s < kMargin * region.trial->cpu_s)) {
      slower("when tried the device took ", region.trial->device_s, region.trial->cpu_s);
    } else {
      region.accepted = true;
      region.reason.clear();
    }
    return;
  }
  region.device_s = profile.latency_s + region.macs / profile.r_acc + bytes / profile.b_bw;
  region.cpu_s = region.macs / profile.r_cpu;
  const auto count = static_cast<int64_t>(region.nodes.size());
  if (count < profile.min_nodes) {
    region.reason = "N is " + std::to_string(count) + ", fewer than " + std::to_string(profile.min_nodes);
  } else if (region.macs < profile.min_macs) {
    region.reason = "F is " + format_count(region.macs) + " MACs, fewer than " + format_count(profile.min_macs);
  } else if (!(bytes <= profile.max_bytes_per_mac * region.macs)) {
    const std::string ratio = region.macs > 0 ? format_ratio(bytes / region.macs) : "infinite";
    region.reason = "B / F is " + ratio + " bytes per MAC, more than " + format_ratio(profile.max_bytes_per_mac);
  } else if (!(region.device_s < region.cpu_s)) {
    slower("the device would take ", region.device_s, region.cpu_s);
  } else {
    region.accepted = true;
    region.reason.clear();
  }
}

namespace {

std::string operator_of(const graph::Node& node) {
  const bool standard = node.domain.empty() || node.domain == "ai.onnx";
  return standard ? node.op_type : node.domain + ":" + node.op_type;
}

// The last placement of the operator, or null.
const Placement* placed(const std::vector<Placement>& placements, const std::string& op) {
  const auto last = std::find_if(placements.rbegin(), placements.rend(), [&](const Placement& p) { return p.op == op; });
  return last == placements.rend() ? nullptr : &*last;
}

// Accepts and gives back as the user wishes; later placements count.
void place(const Graph& graph, const Options& options, int index, Region& region) {
  const auto accept = [&] {
    region.accepted = true;
    region.reason.clear();
  };
  if (options.offload_all) accept();
  for (const Placement& placement : options.placements) {
    const bool has = placement.op.empty()
                         ? placement.region == index
                         : placement.on_device && std::any_of(region.nodes.begin(), region.nodes.end(), [&](NodeId node) {
                             return operator_of(graph.nodes[node]) == placement.op;
                           });
    if (!has) continue;
    if (placement.on_device) {
      accept();
    } else {
      region.accepted = false;
      region.reason = "it is placed there: " + placement_name(placement);
    }
  }
}

// A placement that nothing follows is a slip of the pen.
Status all_followed(const Graph& graph, const Options& options, const std::vector<Region>& regions,
                    const std::vector<int>& region_of) {
  for (const Placement& placement : options.placements) {
    if (placement.op.empty()) {
      if (static_cast<size_t>(placement.region) < regions.size()) continue;
      return fail(Code::kInvalidArgument, "'", placement_name(placement), "': there are ", regions.size(),
                  " regions, counted from 0");
    }
    std::set<std::string> there;
    bool known = false;
    bool taken = false;
    for (size_t node = 0; node < graph.nodes.size(); ++node) {
      const std::string op = operator_of(graph.nodes[node]);
      there.insert(op);
      if (op != placement.op) continue;
      known = true;
      taken = taken || region_of[node] >= 0;
    }
    if (!known) {
      std::string names;
      for (const std::string& name : there) names += (names.empty() ? "" : ", ") + name;
      return fail(Code::kInvalidArgument, "'", printable(placement_name(placement)), "': the optimised graph has no such operator, but ",
                  printable(names, 1000));
    }
    if (placement.on_device && !taken && placed(options.placements, placement.op)->on_device) {
      return fail(Code::kInvalidArgument, "'", printable(placement_name(placement)), "': the device takes none of these nodes; the plan without it says why");
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> kept_on_cpu(const Graph& graph, const std::vector<Placement>& placements) {
  std::vector<std::string> kept(graph.nodes.size());
  if (placements.empty()) return kept;
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const Placement* placement = placed(placements, operator_of(graph.nodes[node]));
    if (placement != nullptr && !placement->on_device) kept[node] = placement_name(*placement);
  }
  return kept;
}

Result<std::vector<Region>> find_regions(const Graph& graph, const Dag& dag, const Costs& costs, const Options& options,
                                         const DeviceAnswers* answers) {
  const DeviceProfile& profile = *options.device;
  const std::unordered_set<std::string> declared(profile.operators.begin(), profile.operators.end());
  const std::vector<std::string> kept = kept_on_cpu(graph, options.placements);
  std::vector<bool> takes(graph.nodes.size());
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const graph::Node& n = graph.nodes[node];
    const bool wanted = answers != nullptr ? answers->refusals[node].empty() : declared.contains(operator_of(n));
    takes[node] = !n.has_subgraph && wanted && kept[node].empty() && has_size(costs, n.inputs) && has_size(costs, n.outputs);
  }
  const std::vector<int> region_of = grow_regions(dag, takes);
  std::vector<Region> regions;
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    if (region_of[node] < 0) continue;
    if (static_cast<size_t>(region_of[node]) >= regions.size()) regions.resize(region_of[node] + 1);
    Region& region = regions[region_of[node]];
    region.nodes.push_back(static_cast<NodeId>(node));
    region.macs += costs.work[node].macs;
    region.work += costs.load[node];
  }
  if (Status status = all_followed(graph, options, regions, region_of); !status) return status.error();
  Borders borders(graph, costs);
  for (size_t r = 0; r < regions.size(); ++r) {
    regions[r].border_bytes = borders.bytes(regions[r].nodes, region_of, static_cast<int>(r));
    if (answers != nullptr && r < answers->trials.size()) regions[r].trial = answers->trials[r];
    judge_region(profile, regions[r]);
    place(graph, options, static_cast<int>(r), regions[r]);
  }
  return regions;
}

}  // namespace plx::partition
