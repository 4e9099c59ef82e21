#include "watch.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "plx/base/process_memory.h"

namespace plx::run {
namespace {

constexpr size_t kBytes = size_t{32} << 20;

TEST(ProcessMemory, CountsWhatIsTouchedAndTheWatchKeepsTheMost) {
  const ProcessMemory before = process_memory();
  ASSERT_GT(before.vm_hwm, 0u);
  ASSERT_GT(before.rss_file, 0u);
  uint64_t most = 0;
  {
    const Watch watch;
    void* const block = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(block, MAP_FAILED);
    EXPECT_LT(process_memory().rss_anon, before.rss_anon + kBytes / 2) << "nothing is touched yet";
    std::memset(block, 1, kBytes);
    EXPECT_GE(process_memory().rss_anon + kBytes / 16, before.rss_anon + kBytes);
    while (watch.most_anon() + kBytes / 16 < before.rss_anon + kBytes) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    munmap(block, kBytes);
    most = watch.most_anon();
  }
  EXPECT_LT(process_memory().rss_anon + kBytes / 2, most);
  EXPECT_GE(process_memory().vm_hwm + kBytes / 16, before.rss_anon + kBytes);
}

}  // namespace
}  // namespace plx::run
