// Which shapes are settled as soon as the inputs' shapes are.
//
// A value's shape is *settled* when it depends on the shapes of the graph's inputs alone, not on what they contain:
// NonZero's output is not, MatMul's is. Settled tensors get planned memory from a shape's second run on; the others are
// allocated anew in every run. The answer errs on the safe side for the operators it knows; for operators from other
// domains it trusts their inputs, and a run that finds it wrong corrects it (schedule/session.cc).
#pragma once

#include <span>
#include <vector>

#include "plx/graph/graph.h"

namespace plx::graph {

// One flag per value.
std::vector<bool> settled_shapes(const Graph& graph);

// The same of a part of a graph: whether the shapes of all that these nodes make follow from the shapes of `inputs`, which are
// all that they read from outside, and from constants. nodes: topological.
bool settles_by_itself(const Graph& graph, std::span<const NodeId> nodes, std::span<const ValueId> inputs);

// Operators that make something new each time.
bool is_random(std::string_view op_type);

}  // namespace plx::graph
