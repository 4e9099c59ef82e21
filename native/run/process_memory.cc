#include "process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace plx::run {

ProcessMemory process_memory() {
  // No streams: looking must allocate nothing.
  char text[4096];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return {};
  text[size] = '\0';
  const auto bytes_of = [&](const char* key) -> uint64_t {
    const char* const at = std::strstr(text, key);
    return at == nullptr ? 0 : std::strtoull(at + std::strlen(key), nullptr, 10) * 1024;
  };
  return {bytes_of("\nVmHWM:"), bytes_of("\nRssAnon:"), bytes_of("\nRssFile:")};
}

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
