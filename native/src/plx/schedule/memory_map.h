// What lies where in a session's block, and when: the layout of the last run's shapes, for people to look at.
//
// Time is counted in units: unit i of the schedule's order runs at time i. Units side by side start in that order too, so
// that two buffers that share bytes are always apart in time. A value; it does not follow later runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plx::schedule {

struct MemoryMap {
  enum class Kind { kTensor, kOutput, kWindow };  // between units; of the model; what a unit takes while it runs
  struct Buffer {
    Kind kind = Kind::kTensor;
    std::string name;  // the tensor's, empty for windows
    int unit = 0;      // that makes it, or whose window it is
    int first = 0;     // the times from which and up to which its bytes are in use
    int last = 0;
    uint64_t offset = 0;  // in the block
    uint64_t bytes = 0;
  };
  std::vector<int> order;       // units, as they start
  std::vector<Buffer> buffers;  // those that take room, by offset
  uint64_t planned_bytes = 0;
  uint64_t one_buffer_per_tensor_bytes = 0;
  uint64_t lower_bound_bytes = 0;
  const void* block = nullptr;  // until the next run, trim, schedule or the end of the session
};

std::string to_json(const MemoryMap& map);

}  // namespace plx::schedule
