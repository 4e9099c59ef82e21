#include "plx/graph/storage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace plx::graph {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

// Pages of files that this process has mapped and touched, in bytes.
uint64_t resident_of_files() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssFile:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  }
  return 0;
}

class GivingBack : public testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (size_t i = 0; i < 16 * kMegabyte / 8; ++i) text += "01234567";
    std::ofstream(path_, std::ios::binary) << text;
    auto opened = Mapping::open(path_);
    ASSERT_TRUE(opened) << opened.error().message;
    mapping_ = opened.take();
    bytes_ = storage_.keep(mapping_);
    ASSERT_EQ(bytes_.size(), 16 * kMegabyte);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  // Reads everything; what it adds up to is the file's affair alone.
  uint64_t sum() const {
    uint64_t total = 0;
    for (const std::byte byte : bytes_) total += std::to_integer<uint64_t>(byte);
    return total;
  }

  const std::string path_ = testing::TempDir() + "plx_giving_back.bin";
  Storage storage_;
  std::shared_ptr<Mapping> mapping_;
  std::span<const std::byte> bytes_;
};

TEST_F(GivingBack, UnmapsPagesAndLosesNothing) {
  const uint64_t before = sum();
  const uint64_t resident = resident_of_files();
  storage_.give_back(bytes_.subspan(kMegabyte + 100, 8 * kMegabyte));
  const uint64_t left = resident_of_files();
  EXPECT_LE(left + 7 * kMegabyte, resident);
  EXPECT_GE(left + 10 * kMegabyte, resident) << "more than asked for";  // Linux counts roughly
  EXPECT_EQ(sum(), before);
}

TEST_F(GivingBack, LeavesWhatIsNotMappedAlone) {
  const std::span<std::byte> own = storage_.allocate(2 * kMegabyte);
  std::fill(own.begin(), own.end(), std::byte{7});
  storage_.give_back(own);
  storage_.give_back({});
  storage_.give_back(bytes_.first(10));  // less than a page
  EXPECT_EQ(own[0], std::byte{7});
  EXPECT_EQ(own[kMegabyte], std::byte{7});
  EXPECT_EQ(std::to_integer<char>(bytes_[1]), '1');
}

}  // namespace
}  // namespace plx::graph
