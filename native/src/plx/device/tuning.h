// What kernels are built for: the parameters that differ from one device to the next.
//
// By default they follow from a device's limits; which are the fastest, only trying them tells (opencl/tune.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace plx::device {

struct Tuning {
  int vector = 4;  // floats in a vector: 4, 8 or 16
  int rows = 8;    // of a matrix product, by one work item: 4, 8 or 16
  // Products and convolutions by groups of group x group work items, with tiles in local memory that are `tile` deep; 0: by work
  // items on their own.
  int group = 0;
  int tile = 0;

  uint64_t local_bytes() const { return static_cast<uint64_t>(tile) * static_cast<uint64_t>(group) * static_cast<uint64_t>(rows + vector) * 4; }
  bool operator==(const Tuning&) const = default;
};

// The largest groups and tiles that a device with these limits can have; without any where not even the smallest fit.
Tuning tiled(Tuning tuning, uint64_t work_group, uint64_t local_bytes);

// Whether kernels can be built so for a device with these limits.
bool fits(const Tuning& tuning, uint64_t work_group, uint64_t local_bytes);

// What to try in place of one that fits, in three steps, each from the best of those before: other vectors, other rows, and last
// other tiles or none. All of them fit, none is the same.
inline constexpr int kTuningSteps = 3;
std::vector<Tuning> alternatives(const Tuning& tuning, int step, uint64_t work_group, uint64_t local_bytes);

// For people: "vectors of 4, 8 rows an item, tiles 16 deep in groups of 8 x 8".
std::string to_text(const Tuning& tuning);

// And what trying found it to take, of the time of what follows from the device's limits; 0 if it was not tried.
struct TriedTuning {
  Tuning tuning;
  double ratio = 0;
};
// For files. Nothing for a text that is none that was tried.
std::string to_json(const TriedTuning& tried);
std::optional<TriedTuning> tried_tuning_from_json(const std::string& text);

}  // namespace plx::device
