// Shapes of every value, at given sizes of the graph's inputs.
#pragma once

#include <optional>
#include <vector>

#include "plx/graph/graph.h"

namespace plx::graph {

// One entry per value of the graph: its element type and dims, or nothing where the size depends on data or the value
// is not a tensor.
struct Shape {
  ElementType element = ElementType::kUndefined;
  std::vector<int64_t> dims;  // all >= 0
};
using Shapes = std::vector<std::optional<Shape>>;

// The same with what is known in part: -1 for a dim that depends on data, nothing where not even the rank is known.
using PartialShapes = std::vector<std::optional<std::vector<int64_t>>>;

}  // namespace plx::graph
