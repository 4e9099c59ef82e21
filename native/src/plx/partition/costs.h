// What nodes and tensors weigh at the shapes a plan is made for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plx/partition/plan.h"

namespace plx::partition {

struct Costs {
  std::vector<Work> work;                        // per node; zero where unknown
  std::vector<Workload> load;                    // per node
  std::vector<bool> constant;                    // per value: an initializer, or made by a Constant node
  std::vector<std::optional<uint64_t>> bytes;    // per value; nothing where unknown or not a dense tensor
  size_t unknown_nodes = 0;                      // nodes whose work could not be told
};
Costs weigh(const Graph& graph, const graph::Shapes& shapes);

// Sums the distinct tensors that cross the border of a set of nodes, constants apart: what is read but made outside,
// and what is made inside and read outside or a graph output. Tensors of unknown size count nothing.
class Borders {
 public:
  Borders(const Graph& graph, const Costs& costs)
      : graph_(graph), costs_(costs), seen_by_(graph.values.size(), -1) {}
  // The set is the nodes with set_of[node] == set; `nodes` lists them. Sets are asked for once each.
  uint64_t bytes(std::span<const NodeId> nodes, std::span<const int> set_of, int set);

 private:
  const Graph& graph_;
  const Costs& costs_;
  std::vector<int> seen_by_;
};

}  // namespace plx::partition
