// What Linux counts for this process, in bytes.
#pragma once

#include <cstdint>

namespace plx {

struct ProcessMemory {
  uint64_t vm_hwm = 0;    // most resident at once, since the process began
  uint64_t rss_anon = 0;  // resident now, backed by no file
  uint64_t rss_file = 0;  // resident now, pages of files
};

// Zeros where there is no /proc. Allocates nothing.
ProcessMemory process_memory() noexcept;

}  // namespace plx
