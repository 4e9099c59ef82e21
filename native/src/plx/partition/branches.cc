#include "plx/partition/branches.h"

#include <algorithm>

#include "plx/partition/format.h"

namespace plx::partition {

namespace {

// "branches 3, 4 and 9"; at most four are named.
std::string name_branches(const std::vector<int>& branches) {
  constexpr size_t kNamed = 4;
  std::string text = branches.size() == 1 ? "branch " : "branches ";
  const size_t named = std::min(branches.size(), kNamed);
  for (size_t i = 0; i < named; ++i) {
    if (i > 0) text += i + 1 == branches.size() ? " and " : ", ";
    text += std::to_string(branches[i]);
  }
  if (branches.size() > named) text += " and " + std::to_string(branches.size() - named) + " more";
  return text;
}

void refine_paper(const Options& options, const std::vector<Branch>& branches, Layer& layer) {
  std::vector<int> too_short;
  std::vector<int> idle;
  int least = layer.branches[0];
  int most = layer.branches[0];
  for (const int b : layer.branches) {
    if (static_cast<int64_t>(branches[b].nodes.size()) < options.min_nodes) too_short.push_back(b);
    if (branches[b].flops <= 0) idle.push_back(b);
    if (branches[b].flops < branches[least].flops) least = b;
    if (branches[b].flops > branches[most].flops) most = b;
  }
  if (!too_short.empty()) {
    layer.reason = name_branches(too_short) + (too_short.size() == 1 ? " has" : " have") + " fewer than " +
                   std::to_string(options.min_nodes) + " nodes";
  } else if (!idle.empty()) {
    layer.reason = name_branches(idle) + (idle.size() == 1 ? " has" : " have") + " no counted FLOPs";
  } else if (const double ratio = branches[most].flops / branches[least].flops; !(ratio <= options.beta)) {
    layer.reason = "Fmax / Fmin is " + format_ratio(ratio) + " (branches " + std::to_string(most) + " and " +
                   std::to_string(least) + "), more than " + format_ratio(options.beta);
  } else {
    layer.groups.push_back(layer.branches);
  }
}

void refine_relaxed(const Options& options, const std::vector<Branch>& branches, Layer& layer) {
  std::vector<int> kept;
  for (const int b : layer.branches) {
    if (static_cast<int64_t>(branches[b].nodes.size()) >= options.min_nodes && branches[b].flops > 0) kept.push_back(b);
  }
  std::stable_sort(kept.begin(), kept.end(), [&](int a, int b) { return branches[a].flops > branches[b].flops; });
  for (size_t first = 0; first < kept.size();) {
    size_t end = first + 1;
    while (end < kept.size() && branches[kept[first]].flops / branches[kept[end]].flops <= options.beta) ++end;
    if (end - first > 1) {
      std::vector<int> group(kept.begin() + first, kept.begin() + end);
      std::sort(group.begin(), group.end());
      layer.groups.push_back(std::move(group));
    }
    first = end;
  }
  if (!layer.groups.empty()) return;
  if (kept.size() < 2) {
    layer.reason = std::to_string(kept.size()) + " of " + std::to_string(layer.branches.size()) +
                   " branches left once those with fewer than " + std::to_string(options.min_nodes) +
                   " nodes or no counted FLOPs are set aside";
  } else {
    layer.reason = "no two of the " + std::to_string(kept.size()) + " branches long enough are within a ratio of " +
                   format_ratio(options.beta);
  }
}

}  // namespace

Items contract_regions(const Dag& nodes, const std::vector<Region>& regions) {
  Items items;
  std::vector<int> region_of(nodes.size(), -1);
  std::vector<int> item_of_region(regions.size(), -1);
  for (size_t r = 0; r < regions.size(); ++r) {
    if (!regions[r].accepted) continue;
    for (const NodeId node : regions[r].nodes) region_of[node] = static_cast<int>(r);
  }
  items.of_node.resize(nodes.size());
  for (int node = 0; node < nodes.size(); ++node) {
    const int region = region_of[node];
    if (region >= 0 && item_of_region[region] >= 0) {
      items.of_node[node] = item_of_region[region];
      continue;
    }
    items.of_node[node] = static_cast<int>(items.region.size());
    if (region >= 0) item_of_region[region] = items.of_node[node];
    items.region.push_back(region);
  }
  items.dag = contract(nodes, items.of_node, static_cast<int>(items.region.size()));
  return items;
}

std::vector<NodeClass> classify(const Graph& graph, const Items& items) {
  std::vector<NodeClass> classes(items.region.size());
  for (int item = 0; item < items.dag.size(); ++item) {
    const bool merges = items.dag.predecessors(item).size() > 1;
    const bool splits = items.dag.successors(item).size() > 1;
    classes[item] = merges ? (splits ? NodeClass::kSplitMerge : NodeClass::kMerger)
                           : (splits ? NodeClass::kSplitter : NodeClass::kSequential);
  }
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const int item = items.of_node[node];
    if (graph.nodes[node].has_subgraph && items.region[item] < 0) classes[item] = NodeClass::kSplitMerge;
  }
  return classes;
}

void cut_branches(const Graph& graph, const Dag& nodes, const Costs& costs, Plan& plan) {
  const Items items = contract_regions(nodes, plan.regions);
  const std::vector<NodeClass> classes = classify(graph, items);

  // Which chain each item continues. Chains can be read off locally, so the order of visits does not matter: an item
  // extends its only predecessor if it is Sequential and that predecessor has it as only successor.
  const auto extends = [&](int item) {
    if (classes[item] != NodeClass::kSequential || items.region[item] >= 0) return -1;
    if (items.dag.predecessors(item).empty()) return -1;
    const int before = items.dag.predecessors(item)[0];
    const bool open = classes[before] == NodeClass::kSequential || classes[before] == NodeClass::kMerger;
    return open && items.region[before] < 0 ? before : -1;
  };
  std::vector<int> branch_of_item(items.region.size(), -1);
  for (int head = 0; head < items.dag.size(); ++head) {
    if (extends(head) >= 0) continue;
    Branch branch;
    branch.region = items.region[head];
    const int index = static_cast<int>(plan.branches.size());
    for (int item = head;;) {
      branch_of_item[item] = index;
      const auto next = items.dag.successors(item);
      if (next.size() != 1 || extends(next[0]) != item) break;
      item = next[0];
    }
    plan.branches.push_back(std::move(branch));
  }

  std::vector<int> branch_of(graph.nodes.size());
  plan.classes.resize(graph.nodes.size());
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const int item = items.of_node[node];
    plan.classes[node] = classes[item];
    branch_of[node] = branch_of_item[item];
    Branch& branch = plan.branches[branch_of[node]];
    branch.nodes.push_back(static_cast<NodeId>(node));
    branch.flops += costs.work[node].flops;
  }
  const int count = static_cast<int>(plan.branches.size());
  const Dag branch_dag = contract(nodes, branch_of, count);
  const std::vector<int> levels = longest_path_levels(branch_dag);
  Borders borders(graph, costs);
  for (int b = 0; b < count; ++b) {
    Branch& branch = plan.branches[b];
    const auto predecessors = branch_dag.predecessors(b);
    branch.predecessors.assign(predecessors.begin(), predecessors.end());
    branch.border_bytes = borders.bytes(branch.nodes, branch_of, b);
    // Branches are convex, so there is a level for each; were there none, the validator would refuse the plan.
    branch.layer = levels.empty() ? 0 : levels[b];
    if (static_cast<size_t>(branch.layer) >= plan.layers.size()) plan.layers.resize(branch.layer + 1);
    plan.layers[branch.layer].branches.push_back(b);
  }
  for (Layer& layer : plan.layers) refine(plan.options, plan.branches, layer);

  plan.cut.nodes = items.region.size();
  plan.cut.branches = plan.branches.size();
  plan.cut.layers = plan.layers.size();
  for (const Layer& layer : plan.layers) {
    plan.cut.parallel_layers += layer.parallel() ? 1 : 0;
    plan.cut.most_branches = std::max(plan.cut.most_branches, layer.branches.size());
  }
}

void refine(const Options& options, const std::vector<Branch>& branches, Layer& layer) {
  layer.groups.clear();
  layer.reason.clear();
  if (layer.branches.size() == 1) layer.reason = "one branch";
  else if (options.rule == Rule::kPaper) refine_paper(options, branches, layer);
  else refine_relaxed(options, branches, layer);
}

}  // namespace plx::partition
