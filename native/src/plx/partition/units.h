// From branches and layers to units: what runs as one piece, and which view operators are no work at all.
//
// Nodes are grouped as Options::units says (one group in all, or one per layer, branch or node, or as mix.h finds; accepted
// regions apart, except in the whole graph). Such groups never depend on one another in a circle: branches and regions are convex
// together, and layers are levels of them. Then view operators leave their groups and become aliases, which is safe:
//   - a leading view, whose inputs all come from outside its group: what depends on it already depended on the group,
//     and it depends only on what came before the group;
//   - a trailing view, read outside its group only, whose other inputs come from outside: it depends on its group, as
//     all its readers did.
// In a group of views only every view is a leading one, so such a group vanishes. A view stays work, though,
//   - if its data might not be a plain dense tensor: sequences, optionals, sparse tensors, strings;
//   - if its output is a graph output and its data would be a graph input's or an initializer's own bytes;
//   - if two graph outputs would be the same bytes.
// Whatever is left of a group is a unit. Inputs stand in order of first use.
#pragma once

#include "plx/partition/costs.h"
#include "plx/partition/dag.h"
#include "plx/partition/mix.h"
#include "plx/partition/plan.h"

namespace plx::partition {

// What units and aliases depend on, through aliases too, may not add up to more than this: only graphs made to exhaust
// memory get near it.
inline constexpr size_t kMostAliasDependencies = size_t{1} << 24;

// Fills units and aliases; branches, layers, regions and options are there already.
Status cut_units(const Graph& graph, const graph::Shapes& shapes, const Dag& nodes, const Costs& costs,
                 const Measured* measured, Plan& plan);

}  // namespace plx::partition
