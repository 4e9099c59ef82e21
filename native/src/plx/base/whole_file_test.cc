#include "plx/base/whole_file.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace plx {
namespace {

namespace fs = std::filesystem;

TEST(WholeFile, IsWrittenWithItsFolderAndReadBack) {
  const fs::path folder = fs::path(::testing::TempDir()) / "plx-whole-file";
  fs::remove_all(folder);
  const std::string path = folder / "deeper" / "file";
  const std::string bytes("a\0b\n", 4);
  EXPECT_EQ(read_whole(path), "");
  EXPECT_EQ(read_whole(::testing::TempDir()), "") << "a folder";
  EXPECT_TRUE(write_whole(path, bytes));
  EXPECT_EQ(read_whole(path), bytes);
  EXPECT_TRUE(write_whole(path, "other"));
  EXPECT_EQ(read_whole(path), "other");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "deeper"), {}), 1) << "nothing is left beside it";
}

TEST(WholeFile, WhatCannotBeWrittenIsSaidAndLeavesNothing) {
  EXPECT_FALSE(write_whole("/proc/nowhere/file", "x"));
  const fs::path folder = fs::path(::testing::TempDir()) / "plx-whole-file-in-the-way";
  fs::create_directories(folder / "file" / "full");
  EXPECT_FALSE(write_whole(folder / "file", "x")) << "a folder is in its place";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

}  // namespace
}  // namespace plx
