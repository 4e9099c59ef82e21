// Bodies of control-flow nodes: what they read from outside, and local names that clash with outer ones.
//
// ONNX forbids a body to define a name that an enclosing graph defines too, yet ONNX Runtime's own passes save such models
// (two scopes each get a "gemm_input_shape"). A unit cut from one would not load, so clashing local names are renamed
// when a model is read.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace plx::graph {

using NameSet = std::set<std::string, std::less<>>;

struct SubgraphScan {
  NameSet reads;        // free names: read inside, defined outside
  NameSet definitions;  // every name defined at any depth inside
  size_t nodes = 0;     // at any depth
  std::vector<std::string_view> tensors;  // TensorProto of every initializer at any depth
};

// Adds what stands in a GraphProto to `scan`. Throws protozero::exception on malformed bytes, std::length_error when nested
// deeper than max_depth.
void scan_subgraph(std::string_view graph_proto, int max_depth, SubgraphScan& scan);

// The AttributeProto with every name that its graphs define and `outer` holds renamed to a name that neither uses.
std::string rename_clashes(std::string_view attribute_proto, const NameSet& outer);

}  // namespace plx::graph
