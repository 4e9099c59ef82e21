// How much memory there is to be had, as Linux tells it.
//
// The least of MemAvailable (what can be had without swapping) and, for every memory control group of this process and
// those above it, what its limit leaves: version 2's memory.max and memory.high, version 1's limit_in_bytes, less what is
// in use without what could be dropped at once (inactive_file). Kernels without control groups (Raspberry Pi's are built
// that way) have MemAvailable alone.
//
// Threads: read() may be called from any, by one at a time. It opens some files of a few hundred bytes each, some 0.1 ms
// in all, and allocates nothing. Which groups there are is found out once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace plx::memory {

class FreeMemory {
 public:
  struct Reading {
    uint64_t bytes = 0;  // to be had
    // Share of the last 10 s in percent in which some task waited for memory; 0 if the kernel does not tell (PSI).
    double pressure = 0;
  };

  // root: where /proc and the mount points lie; another one than "/" is for tests.
  explicit FreeMemory(std::string root = "/");

  // Nothing if the system does not say how much memory is available.
  std::optional<Reading> read() const;
  size_t groups() const { return groups_.size(); }

 private:
  struct Group {
    std::vector<std::string> limits;
    std::string usage;
    std::string stat;
    const char* droppable;  // key in stat
    std::string pressure;   // may not be there
  };
  std::string meminfo_;
  std::string pressure_;
  std::vector<Group> groups_;
};

}  // namespace plx::memory
