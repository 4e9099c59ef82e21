#include "plx/partition/regions.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "plx/partition/format.h"

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
  region.device_s = profile.latency_s + region.macs / profile.r_acc + bytes / profile.b_bw;
  region.cpu_s = region.macs / profile.r_cpu;
  region.accepted = false;
  const auto count = static_cast<int64_t>(region.nodes.size());
  if (count < profile.min_nodes) {
    region.reason = "N is " + std::to_string(count) + ", fewer than " + std::to_string(profile.min_nodes);
  } else if (region.macs < profile.min_macs) {
    region.reason = "F is " + format_count(region.macs) + " MACs, fewer than " + format_count(profile.min_macs);
  } else if (!(bytes <= profile.max_bytes_per_mac * region.macs)) {
    const std::string ratio = region.macs > 0 ? format_ratio(bytes / region.macs) : "infinite";
    region.reason = "B / F is " + ratio + " bytes per MAC, more than " + format_ratio(profile.max_bytes_per_mac);
  } else if (!(region.device_s < region.cpu_s)) {
    region.reason = "the device would take " + format_seconds(region.device_s) + ", the CPU " +
                    format_seconds(region.cpu_s);
  } else {
    region.accepted = true;
    region.reason.clear();
  }
}

std::vector<Region> find_regions(const Graph& graph, const Dag& dag, const Costs& costs, const Options& options,
                                 const Refusals* refusals) {
  const DeviceProfile& profile = *options.device;
  const std::unordered_set<std::string> declared(profile.operators.begin(), profile.operators.end());
  std::vector<bool> takes(graph.nodes.size());
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const graph::Node& n = graph.nodes[node];
    const bool standard = n.domain.empty() || n.domain == "ai.onnx";
    const bool wanted = refusals != nullptr ? (*refusals)[node].empty()
                                            : declared.contains(standard ? n.op_type : n.domain + ":" + n.op_type);
    takes[node] = !n.has_subgraph && wanted && has_size(costs, n.inputs) && has_size(costs, n.outputs);
  }
  const std::vector<int> region_of = grow_regions(dag, takes);
  std::vector<Region> regions;
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    if (region_of[node] < 0) continue;
    if (static_cast<size_t>(region_of[node]) >= regions.size()) regions.resize(region_of[node] + 1);
    Region& region = regions[region_of[node]];
    region.nodes.push_back(static_cast<NodeId>(node));
    region.macs += costs.work[node].macs;
  }
  Borders borders(graph, costs);
  for (size_t r = 0; r < regions.size(); ++r) {
    regions[r].border_bytes = borders.bytes(regions[r].nodes, region_of, static_cast<int>(r));
    judge_region(profile, regions[r]);
    if (!options.offload_all) continue;
    regions[r].accepted = true;
    regions[r].reason.clear();
  }
  return regions;
}

}  // namespace plx::partition
