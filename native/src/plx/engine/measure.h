// Times of a model's nodes on this machine, for mixed plans.
#pragma once

#include <memory>

#include "plx/base/result.h"
#include "plx/graph/shapes.h"
#include "plx/partition/mix.h"
#include "plx/schedule/compiled_plan.h"

namespace plx::engine {

// Runs the graph node by node, on one thread and on the pool, kRuns times each, and takes the shortest time of each
// node: the machine may be busy. What starting a unit costs is what such a run takes longer than one of the graph as one
// piece. Inputs are made up (made_up.h).
// `shapes` must know the sizes of all inputs. Costs some 20 runs of the model and the compilation of all nodes, twice.
// kUnsupported for inputs that are no tensors or are strings; kRunFailed if the model does not run on such inputs.
Result<partition::Measured> measure(const std::shared_ptr<const schedule::Subject>& subject, const graph::Shapes& shapes);

}  // namespace plx::engine
