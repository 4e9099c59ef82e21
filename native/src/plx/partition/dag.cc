#include "plx/partition/dag.h"

#include <algorithm>

namespace plx::partition {

namespace {

// Turns the rows around. Rows of the result are ascending whatever the order within rows was.
void transpose(int vertices, const std::vector<int>& start, const std::vector<int>& flat, std::vector<int>& out_start,
               std::vector<int>& out_flat) {
  out_start.assign(vertices + 1, 0);
  for (const int target : flat) ++out_start[target + 1];
  for (int v = 0; v < vertices; ++v) out_start[v + 1] += out_start[v];
  out_flat.resize(flat.size());
  std::vector<int> next(out_start.begin(), out_start.end() - 1);
  for (int v = 0; v < vertices; ++v) {
    for (int i = start[v]; i < start[v + 1]; ++i) out_flat[next[flat[i]]++] = v;
  }
}

}  // namespace

Dag::Dag(int vertices, std::span<const std::pair<int, int>> edges) {
  // Bucket by source, drop repetitions by a stamp per target, then sort by turning around twice.
  std::vector<int> bucket_start(vertices + 1, 0);
  for (const auto& edge : edges) ++bucket_start[edge.first + 1];
  for (int v = 0; v < vertices; ++v) bucket_start[v + 1] += bucket_start[v];
  std::vector<int> targets(edges.size());
  std::vector<int> next(bucket_start.begin(), bucket_start.end() - 1);
  for (const auto& [source, target] : edges) targets[next[source]++] = target;

  std::vector<int> start{0};
  std::vector<int> flat;
  std::vector<int> stamp(vertices, -1);
  start.reserve(vertices + 1);
  flat.reserve(edges.size());
  for (int v = 0; v < vertices; ++v) {
    for (int i = bucket_start[v]; i < bucket_start[v + 1]; ++i) {
      const int target = targets[i];
      if (target == v || stamp[target] == v) continue;
      stamp[target] = v;
      flat.push_back(target);
    }
    start.push_back(static_cast<int>(flat.size()));
  }
  transpose(vertices, start, flat, predecessor_start_, predecessors_);
  transpose(vertices, predecessor_start_, predecessors_, successor_start_, successors_);
}

Dag node_dag(const graph::Graph& graph) {
  std::vector<std::pair<int, int>> edges;
  const int count = static_cast<int>(graph.nodes.size());
  for (int node = 0; node < count; ++node) {
    for (const auto* list : {&graph.nodes[node].inputs, &graph.nodes[node].captures}) {
      for (const graph::ValueId value : *list) {
        if (value == graph::kNone) continue;
        const graph::NodeId producer = graph.values[value].producer;
        if (producer != graph::kNone) edges.emplace_back(producer, node);
      }
    }
  }
  return Dag(count, edges);
}

Dag contract(const Dag& dag, std::span<const int> class_of, int classes) {
  std::vector<std::pair<int, int>> edges;
  edges.reserve(dag.edges());
  for (int v = 0; v < dag.size(); ++v) {
    for (const int s : dag.successors(v)) {
      if (class_of[v] != class_of[s]) edges.emplace_back(class_of[v], class_of[s]);
    }
  }
  return Dag(classes, edges);
}

std::vector<int> longest_path_levels(const Dag& dag) {
  std::vector<int> levels(dag.size(), 0);
  std::vector<int> missing(dag.size());
  std::vector<int> ready;
  ready.reserve(dag.size());
  for (int v = 0; v < dag.size(); ++v) {
    missing[v] = static_cast<int>(dag.predecessors(v).size());
    if (missing[v] == 0) ready.push_back(v);
  }
  for (size_t i = 0; i < ready.size(); ++i) {
    for (const int s : dag.successors(ready[i])) {
      levels[s] = std::max(levels[s], levels[ready[i]] + 1);
      if (--missing[s] == 0) ready.push_back(s);
    }
  }
  if (ready.size() != levels.size()) levels.clear();
  return levels;
}

}  // namespace plx::partition
