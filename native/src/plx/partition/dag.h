// Who depends on whom, as two flat adjacency lists.
//
// Everything in this folder that walks a graph (nodes, nodes with regions contracted, branches, units) walks a Dag.
// Edges are between distinct neighbours: several tensors between the same two vertices are one edge, because the
// paper's degrees count neighbours. Building one is O(|V| + |E|).
#pragma once

#include <span>
#include <vector>

#include "plx/graph/graph.h"

namespace plx::partition {

class Dag {
 public:
  Dag() : Dag(0, {}) {}
  // Edges lead from first to second; duplicates and self-loops are dropped.
  Dag(int vertices, std::span<const std::pair<int, int>> edges);

  int size() const { return static_cast<int>(successor_start_.size()) - 1; }
  // Ascending, each once.
  std::span<const int> successors(int vertex) const { return row(successor_start_, successors_, vertex); }
  std::span<const int> predecessors(int vertex) const { return row(predecessor_start_, predecessors_, vertex); }
  size_t edges() const { return successors_.size(); }

 private:
  static std::span<const int> row(const std::vector<int>& start, const std::vector<int>& flat, int vertex) {
    const auto first = static_cast<size_t>(start[vertex]);
    return {flat.data() + first, static_cast<size_t>(start[vertex + 1]) - first};
  }
  std::vector<int> successor_start_, successors_, predecessor_start_, predecessors_;
};

// Of the graph's nodes; reads by subgraphs are edges like any other.
Dag node_dag(const graph::Graph& graph);

// The quotient: vertices with the same class become one. class_of[v] is in [0, classes). It may have cycles, if the
// classes are not convex; longest_path_levels tells.
Dag contract(const Dag& dag, std::span<const int> class_of, int classes);

// Kahn's algorithm: per vertex the number of edges on the longest path that ends there (the paper's algorithm 4 when
// the vertices are branches). Empty if there is a cycle.
std::vector<int> longest_path_levels(const Dag& dag);

}  // namespace plx::partition
