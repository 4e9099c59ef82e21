// What Linux counts for this process, in bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace plx::run {

struct ProcessMemory {
  uint64_t vm_hwm = 0;    // most resident at once, since the process began
  uint64_t rss_anon = 0;  // resident now, backed by no file
  uint64_t rss_file = 0;  // resident now, pages of files
};
ProcessMemory process_memory();

// Looks at RssAnon and RssFile every millisecond and keeps the largest.
class Watch {
 public:
  Watch();
  ~Watch();
  // Looks for the last time.
  void stop();
  uint64_t most_anon() const { return most_anon_; }
  uint64_t most_file() const { return most_file_; }

 private:
  void look();
  std::atomic<bool> over_{false};
  std::atomic<uint64_t> most_anon_{0};
  std::atomic<uint64_t> most_file_{0};
  std::thread thread_;
};

}  // namespace plx::run
