// The parameters of kernels that are the fastest on a device, found by trying, as its limits do not tell them (README.md).
//
// A matrix product of many rows, one of few, and a convolution, each with every candidate against the best one so far, by turns.
// What is not at least 5 % faster in the geometric mean of the three, or makes other numbers, or does not build, is not taken.
// The best is kept by the device's name, driver, limits and the kernels' source, and is what open() builds from then on.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "plx/device/opencl/opencl.h"

namespace plx::device::opencl {

struct Tuned {
  struct Tried {
    Tuning tuning;
    double ratio = 0;     // of the time that the best one before it took, in the same rounds; 0 with a problem
    std::string problem;  // why it cannot be had
  };
  TriedTuning best;
  std::vector<Tried> tried;
  std::string file;  // that keeps it; empty if none does
};

// Device `index` of the loader's list. options.tuning is not looked at. No other candidate is begun after so long: a device that needs it is far slower than any CPU, or
// its compiler is. An error if not even what follows from the limits runs.
Result<Tuned> tune(size_t index, const Options& options, std::chrono::milliseconds most = std::chrono::seconds(10));

// Where it is kept; empty without a folder.
std::string tuning_file(const std::string& folder, const Info& info);

}  // namespace plx::device::opencl
