// Shapes of view operators, worked out here because an alias has no kernel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/graph.h"

namespace plx::schedule {

// The output dims of a view node (graph::is_view) for an input of these dims. `operand` is the content of its second input, if it
// has one: Reshape's shape, Squeeze's and Unsqueeze's axes. kRunFailed, in the operator's own terms, if they do not fit.
Result<std::vector<int64_t>> view_dims(const graph::Node& node, std::span<const int64_t> dims,
                                       std::span<const int64_t> operand, bool has_operand);

}  // namespace plx::schedule
