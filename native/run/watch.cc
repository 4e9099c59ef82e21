#include "watch.h"

#include <algorithm>
#include <chrono>

#include "plx/base/process_memory.h"

namespace plx::run {

Watch::Watch() : thread_([this] {
  while (!over_.load(std::memory_order_relaxed)) {
    look();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  look();
}) {}

Watch::~Watch() { stop(); }

void Watch::stop() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

void Watch::look() {
  const ProcessMemory now = process_memory();
  most_anon_ = std::max(most_anon_.load(), now.rss_anon);
  most_file_ = std::max(most_file_.load(), now.rss_file);
}

}  // namespace plx::run
