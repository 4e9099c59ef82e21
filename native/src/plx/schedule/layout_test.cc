#include "plx/schedule/layout.h"

#include <gtest/gtest.h>

#include <string>

namespace plx::schedule {
namespace {

// Two chains after a fork: 0 makes slot 0; 1 and 2 read it and make slots 1 and 2; 3 reads 1 and makes 3; 4 reads 2 and
// makes 4.
std::vector<Task> fork() {
  std::vector<Task> tasks(5);
  tasks[1].predecessors = {0};
  tasks[2].predecessors = {0};
  tasks[3].predecessors = {1};
  tasks[4].predecessors = {2};
  return tasks;
}
const std::vector<Use> kFork = {{{0}, {0}}, {{0, 1}, {1}}, {{0, 2}, {2}}, {{1, 3}, {3}}, {{2, 4}, {4}}};
const std::vector<int> kSlots = {0, 1, 2, 3, 4};

memory::Buffer buffer(uint64_t bytes, int64_t first, int64_t last) {
  return {.size_bytes = bytes, .first = first, .last = last, .name = {}};
}
const std::vector<int> kSteps = {0, 1, 2, 3, 4};

std::vector<memory::Buffer> tensors_of_fork() {
  return {buffer(640, 0, 2), buffer(640, 1, 3), buffer(640, 2, 4), buffer(640, 3, 3), buffer(640, 4, 4)};
}

// "01 02": the pairs, from one buffer to another.
std::string pairs(const memory::Conflicts& matrix, size_t begin, size_t end) {
  std::string out;
  for (size_t a = begin; a < end; ++a) {
    for (size_t b = a + 1; b < end; ++b) {
      EXPECT_EQ(matrix.has(a, b), matrix.has(b, a));
      if (matrix.has(a, b)) out += (out.empty() ? "" : " ") + std::to_string(a) + std::to_string(b);
    }
    EXPECT_FALSE(matrix.has(a, a));
  }
  return out;
}

TEST(Conflicts, OfTensors) {
  const auto all = tensors_of_fork();
  EXPECT_EQ(pairs(*conflicts(Executor(fork(), 1, 0), kFork, kSlots, all), 0, 5), "01 02 12 13 23 24") << "steps that meet";
  // 0 with 3 (made while 2 may still read 0), 0 with 4, 1 with 4, 3 with 4.
  EXPECT_EQ(pairs(*conflicts(Executor(fork(), 2, 0), kFork, kSlots, all), 0, 5), "01 02 03 04 12 13 14 23 24 34");
  std::vector<Task> parted = fork();
  parted[3].barrier = true;  // nothing crosses it: 0 is done with
  EXPECT_EQ(pairs(*conflicts(Executor(parted, 2, 0), kFork, kSlots, all), 0, 5), "01 02 12 13 14 23 24 34");
}

TEST(Conflicts, OfSomeSlotsAndOfNone) {
  const auto all = tensors_of_fork();
  EXPECT_EQ(pairs(*conflicts(Executor(fork(), 2, 0), kFork, std::vector<int>{1, 4}, std::vector{all[1], all[4]}), 0, 2), "01");
  EXPECT_EQ(conflicts(Executor(fork(), 2, 0), kFork, {}, {})->count(), 0U);
  EXPECT_EQ(conflicts(Executor(), {}, {}, {})->count(), 0U);
}

// An output is in use until the end, and conflicts with what is made later by its steps alone.
TEST(Conflicts, OfOutputsReachToTheEnd) {
  std::vector<memory::Buffer> all = tensors_of_fork();
  all[0].last = 5;
  EXPECT_TRUE(conflicts(Executor(fork(), 2, 0), kFork, kSlots, all)->has(0, 4));
}

class WindowConflicts : public ::testing::Test {
 protected:
  // Of the slots, then of what these steps take.
  std::shared_ptr<const memory::Conflicts> matrix(const Executor& executor, const std::vector<int>& steps) {
    std::vector<memory::Buffer> all = tensors_of_fork();
    const auto tensors = conflicts(executor, kFork, kSlots, all);
    for (const int step : steps) all.push_back(buffer(6400, step, step));
    return with_windows(*tensors, executor, kFork, kSlots, steps, all);
  }
};

TEST_F(WindowConflicts, ConflictWithWhatIsUsedMeanwhile) {
  const auto serial = matrix(Executor(fork(), 1, 0), kSteps);
  EXPECT_EQ(pairs(*serial, 0, 5), "01 02 12 13 23 24") << "as before";
  EXPECT_EQ(pairs(*serial, 5, 10), "") << "one after the other";
  for (int step = 0; step < 5; ++step) {
    for (int slot = 0; slot < 5; ++slot) {
      const memory::Buffer tensor = tensors_of_fork()[static_cast<size_t>(slot)];
      EXPECT_EQ(serial->has(static_cast<size_t>(slot), static_cast<size_t>(5 + step)), tensor.first <= step && step <= tensor.last);
    }
  }
}

TEST_F(WindowConflicts, ConflictWithWhatMayRunAtTheSameTime) {
  const auto both = matrix(Executor(fork(), 2, 0), kSteps);
  EXPECT_EQ(pairs(*both, 0, 5), "01 02 03 04 12 13 14 23 24 34");
  EXPECT_EQ(pairs(*both, 5, 10), "67 69 78 89");  // steps 1 with 2 and 4, 2 with 3, 3 with 4
  EXPECT_TRUE(both->has(6, 2)) << "step 2 writes while step 1 runs";
  EXPECT_TRUE(both->has(8, 0)) << "step 3 runs while step 2 reads";
  EXPECT_TRUE(both->has(9, 3)) << "step 3 writes while step 4 runs";
  EXPECT_TRUE(both->has(9, 1)) << "step 3 reads while step 4 runs";
  EXPECT_FALSE(both->has(5, 1)) << "step 0 has ended";
  EXPECT_FALSE(both->has(5, 4));
  // Of some steps only.
  EXPECT_EQ(pairs(*matrix(Executor(fork(), 2, 0), {1, 4}), 5, 7), "56");
  EXPECT_EQ(pairs(*matrix(Executor(fork(), 2, 0), {1, 3}), 5, 7), "");
  EXPECT_EQ(matrix(Executor(fork(), 2, 0), {})->count(), 5U);
}

TEST(Barriers, GoWhereTheyPartMost) {
  // Conflicts across steps 1|2, 2|3, and a small one across 0|1.
  memory::Problem problem{{buffer(100, 0, 0), buffer(1000, 1, 1), buffer(5000, 2, 2), buffer(4000, 3, 3)}, nullptr};
  auto matrix = std::make_shared<memory::Conflicts>(problem.buffers);
  problem.conflicts = matrix;
  EXPECT_TRUE(best_barriers(problem, {true, true, true, true}, 9).empty());
  matrix->add(0, 1);
  matrix->add(1, 2);
  matrix->add(2, 3);
  EXPECT_EQ(best_barriers(problem, {true, true, true, true}, 9), (std::vector<int>{3, 2, 1}));
  EXPECT_EQ(best_barriers(problem, {true, true, true, true}, 1), (std::vector<int>{3}));
  EXPECT_EQ(best_barriers(problem, {true, true, true, false}, 1), (std::vector<int>{2}));
  problem.buffers[0].size_bytes = 0;
  EXPECT_EQ(best_barriers(problem, {true, true, true, true}, 9), (std::vector<int>{3, 2}));
}

}  // namespace
}  // namespace plx::schedule
