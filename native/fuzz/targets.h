// What the fuzzers feed, free of ONNX Runtime so that a run takes microseconds: the importer with everything that walks
// what it accepts, and the reader of plans with its validator.
//
// Each target takes any bytes. What must never happen (a defect in Parallax, not bad input) is thrown as a Finding;
// what a sanitizer finds, it reports itself. libFuzzer drives them (./plx fuzz), and a test of every preset runs the
// seeds and all findings so far through them (regression_test.cc).
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace plx::fuzz {

struct Finding : std::logic_error {
  using std::logic_error::logic_error;
};

// A ModelProto. True if it was accepted: then it was walked, written, read back, cut every way, and each plan written,
// read back and printed.
bool fuzz_import(std::string_view bytes);

// A plan in JSON, for one of the graphs of plan_graphs(). True if it was accepted by one: then it was written and
// read back alike, and printed.
bool fuzz_plan(std::string_view json);

// Changes a leaf's bytes: libFuzzer's own mutator, when there is one.
using MutateBytes = std::function<void(std::string& bytes, size_t longest)>;
// Inputs made from a given one, that get past the parsers more often than changed bytes do.
std::string mutate_import(std::string_view bytes, uint32_t seed, const MutateBytes& mutate_bytes);
std::string mutate_plan(std::string_view json, uint32_t seed, const MutateBytes& mutate_bytes);

}  // namespace plx::fuzz
