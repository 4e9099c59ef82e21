#include "plx/memory/budget.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

TEST(Budget, LeavesWhatIsSetAside) {
  Budget budget(100);
  budget.set_aside(30);
  EXPECT_EQ(budget.left_bytes(), 70u);
  EXPECT_FALSE(budget.take(71));
  EXPECT_TRUE(budget.take(70));
  EXPECT_EQ(budget.high_water_bytes(), 100u);
  budget.set_aside(50);
  EXPECT_EQ(budget.left_bytes(), 0u);
  budget.give(70);
  EXPECT_EQ(budget.left_bytes(), 20u);
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

TEST(Budget, WhoseLimitFallsBelowWhatIsTakenGivesNothingUntilThatIsLess) {
  Budget budget(100);
  ASSERT_TRUE(budget.take(80));
  budget.set_limit(50);
  EXPECT_EQ(budget.left_bytes(), 0u);
  EXPECT_FALSE(budget.take(1));
  EXPECT_FALSE(budget.take(0));
  budget.give(40);
  EXPECT_TRUE(budget.take(10));
  EXPECT_FALSE(budget.take(1));
  budget.set_limit(Budget::kNone);
  EXPECT_FALSE(budget.limited());
  EXPECT_TRUE(budget.take(1000));
}

class AdaptiveBudget : public ::testing::Test {
 protected:
  AdaptiveBudget() {
    std::string name = (std::filesystem::temp_directory_path() / "plx-adaptive-XXXXXX").string();
    root_ = mkdtemp(name.data());
    std::filesystem::create_directories(root_ + "/proc/pressure");
    available(1000);
  }
  ~AdaptiveBudget() override { std::filesystem::remove_all(root_); }
  void available(uint64_t megabytes) {
    std::ofstream(root_ + "/proc/meminfo") << "MemAvailable: " << megabytes * 1024 << " kB\n";
  }
  void pressure(double percent) { std::ofstream(root_ + "/proc/pressure/memory") << "some avg10=" << percent << " avg60=0\n"; }
  uint64_t limit() const { return budget_->limit_bytes() / kMegabyte; }

  std::string root_;
  const std::shared_ptr<Budget> budget_ = std::make_shared<Budget>();
};

TEST_F(AdaptiveBudget, DoesNotDependOnWhatIsTaken) {
  AdaptiveLimit adaptive(budget_, 0.4, FreeMemory(root_));
  EXPECT_TRUE(adaptive.works());
  EXPECT_EQ(limit(), 600u);
  ASSERT_TRUE(budget_->take(500 * kMegabyte));
  available(500);
  EXPECT_FALSE(adaptive.look(1));
  EXPECT_EQ(limit(), 600u);
  available(200);  // somebody else took 300
  EXPECT_TRUE(adaptive.look(1 + AdaptiveLimit::kEveryNs));
  EXPECT_EQ(limit(), 420u);
}

TEST_F(AdaptiveBudget, FollowsButNotEveryBreath) {
  AdaptiveLimit adaptive(budget_, 0.4, FreeMemory(root_));
  int64_t now = 1;
  const auto after = [&](uint64_t megabytes) {
    available(megabytes);
    now += AdaptiveLimit::kEveryNs;
    return adaptive.look(now);
  };
  ASSERT_EQ(limit(), 600u);
  EXPECT_FALSE(after(960));
  EXPECT_EQ(limit(), 600u);
  EXPECT_TRUE(after(900));
  EXPECT_EQ(limit(), 540u);
  EXPECT_FALSE(after(1100));
  EXPECT_EQ(limit(), 540u);
  EXPECT_TRUE(after(1200));
  EXPECT_EQ(limit(), 720u);
  EXPECT_TRUE(after(0));
  EXPECT_EQ(limit(), 0u);
  EXPECT_TRUE(after(10));
  EXPECT_EQ(limit(), 6u);
}

TEST_F(AdaptiveBudget, IsReadAgainOnlyWhenTheLastReadingIsOld) {
  AdaptiveLimit adaptive(budget_, 0.4, FreeMemory(root_));
  ASSERT_FALSE(adaptive.look(1000));
  available(100);
  EXPECT_FALSE(adaptive.look(1000 + AdaptiveLimit::kEveryNs - 1));
  EXPECT_TRUE(adaptive.look(1000 + AdaptiveLimit::kEveryNs));
  EXPECT_EQ(limit(), 60u);
}

TEST_F(AdaptiveBudget, CountsWhatIsFreeHalfWhileTasksWaitForMemory) {
  AdaptiveLimit adaptive(budget_, 0.5, FreeMemory(root_));
  ASSERT_EQ(limit(), 500u);
  pressure(9.99);
  EXPECT_FALSE(adaptive.look(1));
  pressure(10);
  EXPECT_TRUE(adaptive.look(1 + AdaptiveLimit::kEveryNs));
  EXPECT_EQ(limit(), 250u);
}

TEST_F(AdaptiveBudget, NeedsAMachineThatTells) {
  std::filesystem::remove(root_ + "/proc/meminfo");
  AdaptiveLimit adaptive(budget_, 0.4, FreeMemory(root_));
  EXPECT_FALSE(adaptive.works());
  EXPECT_FALSE(budget_->limited());
}

TEST_F(AdaptiveBudget, KeepsItsLimitWhileTheMachineIsSilent) {
  AdaptiveLimit adaptive(budget_, 0.4, FreeMemory(root_));
  std::filesystem::remove(root_ + "/proc/meminfo");
  EXPECT_FALSE(adaptive.look(1));
  EXPECT_EQ(limit(), 600u);
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
