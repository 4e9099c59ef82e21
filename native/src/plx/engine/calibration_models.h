// The small models that calibration runs.
#pragma once

#include <string>

#include "plx/partition/plan.h"

namespace plx::engine {

// An ONNX model of `depth` times the same operators, one after the other, of the class.
std::string calibration_model(partition::OperatorClass c, int depth);
// `depth` operators on so few numbers that nothing but starting them takes time.
std::string launches_model(int depth);

}  // namespace plx::engine
