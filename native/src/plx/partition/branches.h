// Node classes, branches (the paper's algorithm 3), layers (algorithm 4) and refinement.
//
// What the paper leaves open, and what is done here:
//   - Degrees count distinct neighbouring nodes. Initializers and graph inputs are no neighbours, so a node that reads
//     nothing else has in-degree 0. In-degree 0 and 1 are one case, and so are out-degree 0 and 1: a first, a last and
//     an isolated node are Sequential.
//   - A node that carries a subgraph is Split-Merge whatever its degrees.
//   - A chain grows along Sequential nodes only. It starts at a Sequential node that cannot extend another chain, at a
//     Merger (which so heads the chain behind it), at a Splitter or at a Split-Merge. A Splitter or Split-Merge ends
//     its chain at once, since its successors belong to several chains; it is a branch of one node. A control-flow node
//     of out-degree 1 is also alone.
//   - An accepted region is one vertex; its nodes share its class, and it is a branch of its own whatever its class:
//     another device runs it.
//   - So every node is in exactly one branch, and every branch is convex: each of its nodes but the first has no
//     predecessor outside it, and each but the last no successor outside it.
//   - Refinement: a region's N is the number of its operators, not 1; as one node it could never run beside anything.
//   - A branch without counted FLOPs makes Fmax / Fmin meaningless and has nothing to gain: under Rule::kPaper its
//     layer is not parallel, under Rule::kRelaxed it is set aside with the short ones.
//   - Rule::kRelaxed groups greedily by falling F: the largest branch left opens a group and takes every following one
//     within beta of it. A group of one runs alone.
#pragma once

#include <span>
#include <vector>

#include "plx/partition/costs.h"
#include "plx/partition/dag.h"
#include "plx/partition/plan.h"

namespace plx::partition {

// Nodes, with each accepted region contracted to one vertex.
struct Items {
  std::vector<int> of_node;
  std::vector<int> region;  // per item: index of the accepted region, or -1
  Dag dag;
};
Items contract_regions(const Dag& nodes, const std::vector<Region>& regions);

// Per item.
std::vector<NodeClass> classify(const Graph& graph, const Items& items);

// Fills classes, branches and layers (groups and reasons included) of the plan; regions and options are there already.
void cut_branches(const Graph& graph, const Dag& nodes, const Costs& costs, Plan& plan);

// Groups and reason of one layer.
void refine(const Options& options, const std::vector<Branch>& branches, Layer& layer);

}  // namespace plx::partition
