// Bodies of control-flow nodes: what they read from outside, and local names that clash with outer ones.
//
// ONNX forbids a body to define a name that an enclosing graph defines too, yet ONNX Runtime's own passes save such models
// (two scopes each get a "gemm_input_shape"). A unit cut from one would not load, so clashing local names are renamed
// when a model is read.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace plx::graph {

using NameSet = std::set<std::string, std::less<>>;

// The names that this very GraphProto defines, not those of graphs inside it.
NameSet local_definitions(std::string_view graph_proto);

struct SubgraphScan {
  NameSet reads;        // free names: read inside, defined outside
  NameSet definitions;  // every name defined at any depth inside
};

// Adds what stands in a GraphProto to `scan`. Throws protozero::exception on malformed bytes, Refused (messages.h) when
// nested deeper than max_depth.
void scan_subgraph(std::string_view graph_proto, int max_depth, SubgraphScan& scan);

// The AttributeProto with every name that its graphs define and `outer` holds renamed to a name that neither uses. New
// names are numbered from `serial` on, which counts up.
std::string rename_clashes(std::string_view attribute_proto, const NameSet& outer, int& serial);

}  // namespace plx::graph
