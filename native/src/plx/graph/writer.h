// Writing a part of a graph as a model of its own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"

namespace plx::graph {

struct WriteOptions {
  // Initializers of more bytes than this are not written but declared as external data of `stand_in`: whoever makes a
  // session of the model hands them over by name, so that nobody reads that file; ONNX Runtime insists that it exists.
  // Their ids go to Part::handed_over.
  uint64_t inline_limit_bytes = UINT64_MAX;
  std::string stand_in;
  // Declare those as inputs of fixed shape instead: a model to ask for types and shapes, which needs no weights.
  bool large_as_inputs = false;
  // Leave the outputs' types to ONNX Runtime's inference.
  bool untyped_outputs = false;
  // Inputs with an entry here are declared with exactly these sizes; may be null.
  const Shapes* input_shapes = nullptr;
};

struct Part {
  std::string bytes;  // ModelProto
  std::vector<ValueId> handed_over;
};

// The ValueInfoProto of a tensor of exactly these sizes.
std::string sized_info(const std::string& name, const Shape& shape);

// A model of the given nodes (in a topological order) with these inputs and outputs. Whatever the nodes read must be among
// `inputs`, made by one of them, or an initializer. Data that is written is written into the model, wherever it lay: names of
// files are another process's, or another folder's. (Where a graph was read without its data, they stay.) Types are written
// as far as Value::type knows them.
Part write_part(const Graph& graph, std::span<const NodeId> nodes, std::span<const ValueId> inputs,
                std::span<const ValueId> outputs, const WriteOptions& options);

}  // namespace plx::graph
