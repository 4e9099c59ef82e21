// What the fuzzers start from. The seeds lie in corpus/<target>/ as files, because libFuzzer reads files; they are made
// here (PLX_WRITE_SEEDS=1 with the regression test writes them anew).
#pragma once

#include <string>
#include <vector>

namespace plx::fuzz {

struct Seed {
  std::string name;
  std::string bytes;
};

std::vector<Seed> import_seeds();
// The models whose plans the target `plan` reads.
std::vector<Seed> plan_models();
std::vector<Seed> plan_seeds();

// A model as voice detectors are built: a rate picks a branch, a length another inside it, and an LSTM hands its state
// on.
std::string voice_detector();

}  // namespace plx::fuzz
