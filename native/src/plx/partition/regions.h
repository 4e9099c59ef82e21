// Delegate regions: what an accelerator would take, and whether that would pay (section 3.1).
//
// A node can be taken if the profile declares its operator, it carries no subgraph, and every tensor it reads or makes
// has a known size (constants apart): a device program is compiled for fixed sizes, and B could not be told otherwise.
//
// Candidates are disjoint connected sets of such nodes, convex not only one by one but together: with all of them
// contracted the graph has no cycle, hence with any subset of them contracted neither. They are grown in two steps:
//   1. In linear time: run everything that cannot be taken as soon as possible, then everything that can, and so on in
//      turns (epochs). What is connected within one turn is a set.
//   2. Sets joined by an edge are merged as long as no other path leads from one to the other. Each try is a search
//      bounded by longest-path levels; all tries together by kMergeBudget times the graph's size, after which sets stay
//      as they are: still sound, perhaps not maximal. Without hitting that bound no two joined sets can be merged
//      further.
#pragma once

#include <vector>

#include "plx/partition/costs.h"
#include "plx/partition/dag.h"
#include "plx/partition/plan.h"

namespace plx::partition {

inline constexpr int64_t kMergeBudget = 64;

// Every candidate, ascending by first node, judged: accepted, or with the reason why not.
// answers: of a device that is there, in place of the profile's operators.
// kInvalidArgument for a placement of what there is not.
Result<std::vector<Region>> find_regions(const Graph& graph, const Dag& dag, const Costs& costs, const Options& options,
                                         const DeviceAnswers* answers = nullptr);

// Of each node that a placement keeps on the CPU, which one; else empty.
std::vector<std::string> kept_on_cpu(const Graph& graph, const std::vector<Placement>& placements);

// Step 1 and 2 alone: per node the index of its candidate, or -1.
std::vector<int> grow_regions(const Dag& dag, const std::vector<bool>& takes);

// Sets times, accepted and reason from N, F and B, or from its workload, B and trial.
void judge_region(const DeviceProfile& profile, Region& region);

}  // namespace plx::partition
