// What kind of work an operator is; see flops.cc for what each counts.
#pragma once

#include "plx/graph/graph.h"

namespace plx::partition {

enum class Kind {
  kOther, kConv, kConvTranspose, kMatMul, kGemm, kEinsum, kRecurrent, kQkvAttention, kAttention, kElementWise, kPool,
  kReduce,
};
Kind kind_of(const graph::Node& node);

}  // namespace plx::partition
