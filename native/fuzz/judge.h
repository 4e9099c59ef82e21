// What plain ONNX Runtime and Parallax make of one model file, and whether they agree.
#pragma once

#include <functional>
#include <string>

#include "plx/ort/plain_testing.h"
#include "plx/partition/plan.h"

namespace plx::fuzz {

// One side's answer: outputs, or why there are none.
struct Answer {
  enum Stage { kRefused, kFailed, kRan };  // to load; to run; not at all
  Stage stage = kRefused;
  Code code = Code::kOk;  // Parallax only
  std::string error;
  ort::testing::Tensors outputs;
};

enum class Outcome {
  kAgree,           // both ran, and the outputs are the same bit for bit
  kBothRefuse,      // neither ran it to the end
  kOnlyWeRefuse,    // ONNX Runtime ran it; we do not load it, and say why
  kOnlyWeFail,      // ONNX Runtime ran it; we loaded it and failed
  kOnlyOrtRefuses,  // we ran what ONNX Runtime refuses
  kDiffer,          // both ran, and the outputs differ
  kIdleFailure,     // we ran it; ONNX Runtime failed in a node whose outputs nobody reads, which we leave out
  kUnclear,         // our error blames ourselves, or says nothing
  kNotRun,          // both load it; its inputs are no tensors, or too large to make
};
const char* outcome_name(Outcome outcome);
bool is_bug(Outcome outcome);

struct Verdict {
  Outcome outcome = Outcome::kAgree;
  std::string text;  // what was said or differs, one line
};

struct Cut {
  partition::Units units = partition::Units::kNodes;
  int threads = 0;
};

enum class Sides { kBoth, kPlain, kParallax };

// Loads and runs the model on inputs made from its declared ones. `side` is told before ('p') plain ONNX Runtime and
// ('x') Parallax begin, so that whoever watches knows whose turn it was.
Verdict judge(const std::string& path, const Cut& cut, Sides sides, const std::function<void(char)>& side);

}  // namespace plx::fuzz
