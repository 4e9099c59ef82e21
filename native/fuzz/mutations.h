// Structured mutations: models that differ from a sound one in what a model means, not in its bytes.
//
// Two inputs change places, an attribute gets another number, a node another operator, a run of nodes moves into an If,
// an inner value becomes an output, an operator set another version. The same seed gives the same mutant everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace plx::fuzz {

struct Mutant {
  std::string bytes;
  std::string what;  // for people: "inputs 0 and 1 of Add 'add_1' swapped; operator set '' 17 -> 7"
};

// Up to three changes. The model itself comes back if it is no model at all.
Mutant mutate(std::string_view model, uint32_t seed);

}  // namespace plx::fuzz
