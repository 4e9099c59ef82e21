// Shapes in the symbols of the graph's inputs, from what ONNX Runtime infers at three sets of sizes.
#pragma once

#include <memory>
#include <string>

#include "plx/graph/symbolic_shapes.h"
#include "plx/ort/session.h"

namespace plx::ort {

// Never fails: what cannot be inferred stays as the model declares it. Three times the cost of `infer`; up to twice
// that for a model that refuses the usual sizes.
graph::SymbolicShapes infer_symbolic(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph,
                                     const ModelSettings& settings, const std::string& base_directory);

}  // namespace plx::ort
