// Constants that a model does not hold but has computed: what nodes make that read nothing but constants.
//
// ONNX Runtime runs such nodes while it loads a model, those of bodies and functions too. It leaves out what it knows to be
// larger than a limit, but keeps no account of them all, and a model of a kilobyte may hold thousands. So all of them are
// put into a model of their own, which tells their sizes without computing any (ort/session.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plx/graph/graph.h"

namespace plx::graph {

struct ComputedConstants {
  struct Output {
    std::string made_by;  // for error texts: "node 'x' (Expand)"
    uint64_t times = 1;   // how often this is computed: once for each call if it stands in a function
  };
  std::string model;            // ModelProto with an output for each; empty if nothing is computed
  std::vector<Output> outputs;  // in the model's order
};

// Of `graph.model`. Left out: what plainly is no larger than what it is made of, as long as all of that together stays within
// `free_bytes`; what a function makes of constants that it is given; and what is made of a tensor's shape unless that
// tensor is an input of the graph.
ComputedConstants computed_constants(const Graph& graph, uint64_t free_bytes);

}  // namespace plx::graph
