#include "plx/base/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace plx {

ProcessMemory process_memory() noexcept {
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

}  // namespace plx
