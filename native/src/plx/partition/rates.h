// How fast a processor runs a graph's operators, by class, as calibration measures it (engine/calibration.h), and what
// nodes amount to in these terms.
//
// A node takes launch_s, and its amount over its class's rate. Views take nothing. Classes are those whose kernels are of
// one kind on every device, so that one measured rate speaks for all of a class:
//   convolution, product   MACs (flops.cc), of at least kDense MACs per byte; attention and recurrent layers are products
//   thin                   the other convolutions and products, such as depthwise ones and those of one row: bytes
//   elementwise            one output element from those at its place: bytes
//   rows                   softmax, normalisations, reductions, pooling: an output element from many: bytes
//   movement               everything else: bytes
// Bytes are those of all tensors that a node reads, constants among them, and makes; a node that picks from its input
// reads as many as it makes.
#pragma once

#include <array>
#include <string_view>

#include "plx/partition/plan.h"

namespace plx::partition {

inline constexpr std::array<std::string_view, kOperatorClasses> kOperatorClassNames = {
    "convolution", "product", "thin", "elementwise", "rows", "movement"};
inline constexpr double kDense = 2;

// Of one node at these shapes; sizes that are not known count nothing.
Workload workload(const Graph& graph, const graph::Shapes& shapes, NodeId node, const Work& work);
Workload& operator+=(Workload& all, const Workload& one);

double seconds(const Rates& rates, const Workload& workload);

}  // namespace plx::partition
