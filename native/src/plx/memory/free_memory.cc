#include "plx/memory/free_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace plx::memory {

namespace {

// A file's beginning; an empty text if it is not there.
class Text {
 public:
  explicit Text(const std::string& path) {
    text_[0] = '\0';
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    size_t size = 0;
    while (size < sizeof text_ - 1) {
      const ssize_t more = ::read(file, text_ + size, sizeof text_ - 1 - size);
      if (more <= 0) break;
      size += static_cast<size_t>(more);
    }
    close(file);
    text_[size] = '\0';
  }

  // What follows the key at the beginning of a line; of the first line if the key is empty.
  std::optional<std::string_view> after(std::string_view key) const {
    for (const char* line = text_; *line != '\0';) {
      const char* const end = line + std::strcspn(line, "\n");
      const std::string_view whole(line, static_cast<size_t>(end - line));
      if (whole.starts_with(key)) return whole.substr(key.size());
      line = *end == '\0' ? end : end + 1;
    }
    return std::nullopt;
  }
  std::optional<uint64_t> number_after(std::string_view key) const {
    const auto rest = after(key);
    if (!rest) return std::nullopt;
    const char* const begin = rest->data() + std::min(rest->find_first_not_of(" \t"), rest->size());
    char* end = nullptr;
    const uint64_t value = std::strtoull(begin, &end, 10);
    if (end == begin) return std::nullopt;  // "max"
    return value;
  }

 private:
  char text_[8192];
};

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

bool has(const std::string& list, std::string_view item) {
  std::istringstream stream(list);
  for (std::string one; std::getline(stream, one, ',');) {
    if (one == item) return true;
  }
  return false;
}

// Where a hierarchy is mounted, and which of its folders is seen there.
struct Mount {
  std::string root;
  std::string point;
};

// "36 35 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,..."
std::vector<Mount> mounts(const std::string& mountinfo, std::string_view type) {
  std::vector<Mount> found;
  std::ifstream file(mountinfo);
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto left = words(line.substr(0, dash));
    const auto right = words(line.substr(dash + 3));
    if (left.size() < 5 || right.size() < 3 || right[0] != type) continue;
    if (type == "cgroup" && !has(right[2], "memory")) continue;
    found.push_back({left[3] == "/" ? "" : left[3], left[4]});
  }
  return found;
}

// This process's group in a hierarchy, as "/a/b": "4:memory:/a/b" of version 1, "0::/a/b" of version 2.
std::optional<std::string> own_group(const std::string& cgroup, bool version_2) {
  std::ifstream file(cgroup);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version_2 ? controllers.empty() : has(controllers, "memory")) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The folders of the group and of all above it, as far as the mount shows them.
std::vector<std::string> folders(const Mount& mount, std::string group) {
  if (group.starts_with(mount.root)) group = group.substr(mount.root.size());
  std::vector<std::string> all;
  while (group.size() > 1) {
    all.push_back(mount.point + group);
    group = group.substr(0, group.rfind('/'));
  }
  all.push_back(mount.point);
  return all;
}

}  // namespace

FreeMemory::FreeMemory(std::string root) {
  while (root.ends_with('/')) root.pop_back();
  meminfo_ = root + "/proc/meminfo";
  pressure_ = root + "/proc/pressure/memory";
  for (const bool version_2 : {true, false}) {
    const auto group = own_group(root + "/proc/self/cgroup", version_2);
    if (!group) continue;
    for (const Mount& mount : mounts(root + "/proc/self/mountinfo", version_2 ? "cgroup2" : "cgroup")) {
      for (const std::string& inside : folders(mount, *group)) {
        const std::string folder = root + inside;
        Group one;
        if (version_2) {
          one = {{folder + "/memory.max", folder + "/memory.high"}, folder + "/memory.current", folder + "/memory.stat",
                 "inactive_file ", folder + "/memory.pressure"};
        } else {
          one = {{folder + "/memory.limit_in_bytes"}, folder + "/memory.usage_in_bytes", folder + "/memory.stat",
                 "total_inactive_file ", {}};
        }
        if (access(one.usage.c_str(), R_OK) == 0) groups_.push_back(std::move(one));
      }
    }
  }
}

std::optional<FreeMemory::Reading> FreeMemory::read() const {
  const auto available = Text(meminfo_).number_after("MemAvailable:");
  if (!available) return std::nullopt;
  Reading reading{.bytes = *available * 1024};
  const auto look_at_pressure = [&](const std::string& path) {
    const Text text(path);
    const auto some = text.after("some avg10=");
    if (some) reading.pressure = std::max(reading.pressure, std::strtod(some->data(), nullptr));
  };
  look_at_pressure(pressure_);
  for (const Group& group : groups_) {
    std::optional<uint64_t> limit;
    for (const std::string& path : group.limits) {
      const auto one = Text(path).number_after("");
      if (one && (!limit || *one < *limit)) limit = one;
    }
    if (!limit) continue;
    const uint64_t used = Text(group.usage).number_after("").value_or(0);
    const uint64_t droppable = std::min(used, Text(group.stat).number_after(group.droppable).value_or(0));
    const uint64_t in_use = used - droppable;
    reading.bytes = std::min(reading.bytes, *limit > in_use ? *limit - in_use : 0);
    if (!group.pressure.empty()) look_at_pressure(group.pressure);
  }
  return reading;
}

}  // namespace plx::memory
