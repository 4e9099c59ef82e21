// Looks at the process's memory all the time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace plx::run {

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
