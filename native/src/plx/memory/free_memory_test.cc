#include "plx/memory/free_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plx::memory {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20;

// A machine made of files.
class Machine {
 public:
  Machine() {
    std::string name = (std::filesystem::temp_directory_path() / "plx-free-memory-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  Machine& file(const std::string& path, const std::string& content) {
    const std::filesystem::path whole = root_ + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << content;
    return *this;
  }
  Machine& available(uint64_t megabytes) {
    return file("/proc/meminfo", "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    " +
                                     std::to_string(megabytes * 1024) + " kB\n");
  }
  std::optional<FreeMemory::Reading> read() const { return FreeMemory(root_).read(); }
  size_t groups() const { return FreeMemory(root_).groups(); }

 private:
  std::string root_;
};

TEST(FreeMemory, IsWhatThisMachineHas) {
  const FreeMemory here;
  const auto reading = here.read();
  ASSERT_TRUE(reading);
  EXPECT_GT(reading->bytes, kMegabyte);
  EXPECT_LT(reading->bytes, uint64_t{1} << 46);
}

TEST(FreeMemory, WithoutControlGroupsIsWhatIsAvailable) {
  Machine board;
  board.available(700);
  EXPECT_EQ(board.read()->bytes, 700 * kMegabyte);
  EXPECT_EQ(board.read()->pressure, 0);
  EXPECT_EQ(board.groups(), 0u);
}

TEST(FreeMemory, IsUnknownIfTheKernelDoesNotTell) {
  Machine board;
  EXPECT_FALSE(board.read());
  board.file("/proc/meminfo", "MemTotal:        8000000 kB\n");
  EXPECT_FALSE(board.read());
}

TEST(FreeMemory, IsBoundByVersion2GroupsAndThoseAbove) {
  Machine machine;
  machine.available(4000)
      .file("/proc/self/cgroup", "0::/outer/inner\n")
      .file("/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
  const std::string inner = "/sys/fs/cgroup/outer/inner/";
  const std::string outer = "/sys/fs/cgroup/outer/";
  machine.file(inner + "memory.max", "max\n").file(inner + "memory.high", "max\n");
  machine.file(inner + "memory.current", "99999\n");
  EXPECT_EQ(machine.read()->bytes, 4000 * kMegabyte) << "no limit";
  machine.file(outer + "memory.max", std::to_string(500 * kMegabyte));
  machine.file(outer + "memory.current", std::to_string(300 * kMegabyte));
  EXPECT_EQ(machine.read()->bytes, 200 * kMegabyte) << "the outer group's";
  machine.file(outer + "memory.stat", "anon 1\nfile 5\ninactive_file " + std::to_string(100 * kMegabyte) + "\n");
  EXPECT_EQ(machine.read()->bytes, 300 * kMegabyte) << "cached files that could be dropped are free";
  machine.file(inner + "memory.high", std::to_string(50 * kMegabyte));
  EXPECT_EQ(machine.read()->bytes, 50 * kMegabyte - 99999) << "where the kernel begins to slow us down";
  machine.file(outer + "memory.current", std::to_string(700 * kMegabyte));
  EXPECT_EQ(machine.read()->bytes, 0u);
}

TEST(FreeMemory, IsBoundByVersion1Groups) {
  Machine machine;
  machine.available(4000)
      .file("/proc/self/cgroup", "9:cpu:/x\n4:hugetlb,memory:/docker/abc/job\n0::/\n")
      .file("/proc/self/mountinfo",
            "30 24 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  const std::string job = "/sys/fs/cgroup/memory/job/";
  machine.file(job + "memory.limit_in_bytes", "9223372036854771712\n");
  machine.file(job + "memory.usage_in_bytes", std::to_string(10 * kMegabyte));
  machine.file("/sys/fs/cgroup/memory/memory.limit_in_bytes", std::to_string(64 * kMegabyte));
  machine.file("/sys/fs/cgroup/memory/memory.usage_in_bytes", std::to_string(20 * kMegabyte));
  machine.file("/sys/fs/cgroup/memory/memory.stat", "cache 1\ninactive_file 7\ntotal_inactive_file " + std::to_string(4 * kMegabyte) + "\n");
  EXPECT_EQ(machine.groups(), 2u);
  EXPECT_EQ(machine.read()->bytes, 48 * kMegabyte);
}

TEST(FreeMemory, KnowsThePressureOfTheMachineAndOfTheGroup) {
  Machine machine;
  machine.available(100).file("/proc/pressure/memory", "some avg10=3.25 avg60=1.00 avg300=0.10 total=5\nfull avg10=1.0 a\n");
  EXPECT_DOUBLE_EQ(machine.read()->pressure, 3.25);
  machine.file("/proc/self/cgroup", "0::/a\n").file("/proc/self/mountinfo", "30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
  machine.file("/cg/a/memory.current", "1\n").file("/cg/a/memory.max", "1000000000\n");
  machine.file("/cg/a/memory.pressure", "some avg10=41.50 avg60=1.00\n");
  EXPECT_DOUBLE_EQ(machine.read()->pressure, 41.5);
}

}  // namespace
}  // namespace plx::memory
