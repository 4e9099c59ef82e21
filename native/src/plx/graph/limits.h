// How much a model may ask for. A model file is untrusted input: a few bytes can declare terabytes.
//
// The defaults are far above every model this project knows, and far below what would hurt: the parsed form of a model
// that exhausts them takes some 2 GB. They are plx_model_options' and Java's ModelLimits.
#pragma once

#include <cstdint>

namespace plx::graph {

struct Limits {
  uint64_t model_bytes = INT32_MAX;               // of the ONNX file itself: protobuf ends there as well
  uint64_t weight_bytes = uint64_t{64} << 30;     // of all constants together, those in external files included
  // Of constants that do not stand in the model but follow from it: sparse ones made dense, and what nodes make that
  // read nothing but constants (ONNX Runtime computes those while it loads).
  uint64_t constant_bytes = uint64_t{1} << 30;
  uint64_t nodes = 200'000;                       // those of subgraphs, and functions written out at each call, included
  int depth = 32;                                 // of subgraphs in subgraphs; ONNX Runtime's parser ends there as well

  // For what was checked before.
  static Limits none() {
    return {.model_bytes = UINT64_MAX, .weight_bytes = UINT64_MAX, .constant_bytes = UINT64_MAX,
            .nodes = UINT64_MAX / 64, .depth = 64};
  }
};

// Not worth an option each.
inline constexpr uint64_t kEntriesPerNode = 16;       // values, dimensions, attributes ... of a model, for each node it may have
inline constexpr uint64_t kLongestName = 65535;       // bytes
inline constexpr uint64_t kMostDimensions = 1024;     // of one tensor
inline constexpr int kDeepestCalls = 64;              // functions that call functions
inline constexpr size_t kMostReserved = 65536;        // values, before any is seen

}  // namespace plx::graph
