// Made-up inputs, the same for the same seed on both engines.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine.h"

namespace plx::run {

using Shapes = std::map<std::string, std::vector<int64_t>>;

// "ids=1x16"; Failure if that is not what it is.
void add_shape(Shapes& shapes, const std::string& text);

// Open sizes that nobody gave: 1 for the first, 16 for any other. Floats are normal, whole numbers 0 to 99, and those
// of a "mask" 1. Failure for a name that is no input's, a shape that does not fit, and types without made-up values.
std::vector<Input> make_up(const std::vector<Declared>& declared, const Shapes& shapes, uint32_t seed);

}  // namespace plx::run
