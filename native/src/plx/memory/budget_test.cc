#include "plx/memory/budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "plx/memory/arena.h"

namespace plx::memory {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

TEST(Budget, CountsToItsLimitAndNoFurther) {
  Budget budget(100);
  EXPECT_TRUE(budget.limited());
  EXPECT_TRUE(budget.take(60));
  EXPECT_FALSE(budget.take(41));
  EXPECT_EQ(budget.left_bytes(), 40u);
  EXPECT_TRUE(budget.take(40));
  EXPECT_FALSE(budget.take(1));
  EXPECT_FALSE(budget.take(UINT64_MAX));
  budget.give(70);
  EXPECT_EQ(budget.taken_bytes(), 30u);
  EXPECT_EQ(budget.high_water_bytes(), 100u);
}

TEST(Budget, WithoutALimitOnlyCounts) {
  Budget budget;
  EXPECT_FALSE(budget.limited());
  EXPECT_TRUE(budget.take(uint64_t{1} << 62));
  EXPECT_EQ(budget.high_water_bytes(), uint64_t{1} << 62);
}

TEST(Budget, IsNeverExceededByThreadsThatTakeAtTheSameTime) {
  Budget budget(1000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&budget] {
      for (int round = 0; round < 10000; ++round) {
        if (budget.take(300)) budget.give(300);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.taken_bytes(), 0u);
  EXPECT_LE(budget.high_water_bytes(), 900u);
}

TEST(BudgetOfArenas, IsWhatTheyMapTogether) {
  const auto budget = std::make_shared<Budget>(4 * kMegabyte);
  Arena one("one", budget);
  Arena other("other", budget);
  void* const block = one.allocate(3 * kMegabyte);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(budget->taken_bytes(), one.stats().capacity_bytes);
  EXPECT_EQ(other.allocate(2 * kMegabyte), nullptr);
  void* const small = other.allocate(kMegabyte);
  ASSERT_NE(small, nullptr) << "what is left is exactly enough";
  EXPECT_EQ(budget->taken_bytes(), 4 * kMegabyte);
  EXPECT_EQ(one.allocate(1), nullptr);
  other.free(small);
  EXPECT_EQ(other.trim(), kMegabyte);
  EXPECT_NE(one.allocate(1), nullptr);
  EXPECT_LE(budget->high_water_bytes(), 4 * kMegabyte);
}

// A quarter is mapped in advance where there is room, and where there is none only what is asked for.
TEST(BudgetOfArenas, LeavesNoRoomForSpares) {
  const auto budget = std::make_shared<Budget>(uint64_t{8} << 12);
  Arena arena("test", budget);
  for (int i = 0; i < 8; ++i) EXPECT_NE(arena.allocate(4096), nullptr);
  EXPECT_EQ(arena.allocate(1), nullptr);
  EXPECT_EQ(budget->taken_bytes(), uint64_t{8} << 12);
}

TEST(BudgetOfArenas, FreeRegionsMakeRoomForLargerOnes) {
  const auto budget = std::make_shared<Budget>(4 * kMegabyte);
  Arena arena("test", budget);
  void* const kept = arena.allocate(kMegabyte);
  arena.free(arena.allocate(2 * kMegabyte));
  void* const large = arena.allocate(3 * kMegabyte);
  EXPECT_NE(large, nullptr) << "the free region of 2 MB goes back first";
  EXPECT_EQ(budget->taken_bytes(), 4 * kMegabyte);
  arena.free(kept);
  arena.free(large);
}

TEST(BudgetOfArenas, IsWholeAgainAtTheirEnd) {
  const auto budget = std::make_shared<Budget>(kMegabyte);
  { EXPECT_NE(Arena("test", budget).allocate(1000), nullptr); }
  EXPECT_EQ(budget->taken_bytes(), 0u);
}

}  // namespace
}  // namespace plx::memory
