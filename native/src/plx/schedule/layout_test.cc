#include "plx/schedule/layout.h"

#include <gtest/gtest.h>

#include <string>

namespace plx::schedule {
namespace {

memory::Buffer buffer(int64_t first, int64_t last) { return {.size_bytes = 64, .first = first, .last = last, .name = {}}; }

// Step 0 makes slot 0; steps 1 and 2 read it and make slots 1 and 2; step 3 joins them to slot 3, an output.
std::vector<Task> diamond() {
  std::vector<Task> tasks(4);
  tasks[1].predecessors = {0};
  tasks[2].predecessors = {0};
  tasks[3].predecessors = {1, 2};
  return tasks;
}
const std::vector<Use> kDiamond = {{{0}, {0}}, {{0, 1}, {1}}, {{0, 2}, {2}}, {{1, 2, 3}, {3}}};

// "01 02": the pairs.
std::string pairs(const memory::Conflicts& matrix) {
  std::string out;
  for (size_t a = 0; a < matrix.count(); ++a) {
    for (size_t b = a + 1; b < matrix.count(); ++b) {
      EXPECT_EQ(matrix.has(a, b), matrix.has(b, a));
      if (matrix.has(a, b)) out += (out.empty() ? "" : " ") + std::to_string(a) + std::to_string(b);
    }
    EXPECT_FALSE(matrix.has(a, a));
  }
  return out;
}

TEST(Conflicts, AreOfStepsThatMeetWhereNothingRunsSideBySide) {
  const std::vector<memory::Buffer> all = {buffer(0, 2), buffer(1, 3), buffer(2, 3), buffer(3, 4)};
  const std::vector<int> slots = {0, 1, 2, 3};
  EXPECT_EQ(pairs(*conflicts(Executor(diamond(), 1, 0), kDiamond, slots, all)), "01 02 12 13 23");
}

// Two chains after a fork: 0 makes slot 0; 1 and 2 read it and make 1 and 2; 3 reads 1 and makes 3; 4 reads 2 and makes 4.
TEST(Conflicts, AreAlsoOfWhatMayRunAtTheSameTime) {
  std::vector<Task> tasks(5);
  tasks[1].predecessors = {0};
  tasks[2].predecessors = {0};
  tasks[3].predecessors = {1};
  tasks[4].predecessors = {2};
  const std::vector<Use> uses = {{{0}, {0}}, {{0, 1}, {1}}, {{0, 2}, {2}}, {{1, 3}, {3}}, {{2, 4}, {4}}};
  const std::vector<memory::Buffer> all = {buffer(0, 2), buffer(1, 3), buffer(2, 4), buffer(3, 3), buffer(4, 4)};
  const std::vector<int> slots = {0, 1, 2, 3, 4};
  const std::string alone = "01 02 12 13 23 24";
  EXPECT_EQ(pairs(*conflicts(Executor(tasks, 1, 0), uses, slots, all)), alone);
  // 0 with 3 (made while 2 may still read 0), 0 with 4, 1 with 4, 3 with 4.
  EXPECT_EQ(pairs(*conflicts(Executor(tasks, 2, 0), uses, slots, all)), "01 02 03 04 12 13 14 23 24 34");

  tasks[3].barrier = true;  // nothing crosses it: 0 is done with
  EXPECT_EQ(pairs(*conflicts(Executor(tasks, 2, 0), uses, slots, all)), "01 02 12 13 14 23 24 34");

  // Of some slots only, and others in between.
  EXPECT_EQ(pairs(*conflicts(Executor(tasks, 2, 0), uses, std::vector<int>{1, 4}, std::vector{all[1], all[4]})), "01");
  EXPECT_EQ(pairs(*conflicts(Executor(tasks, 2, 0), uses, {}, {})), "");
}

// An output is in use until the end, and conflicts with what is made later by its steps alone.
TEST(Conflicts, OfOutputsReachToTheEnd) {
  const std::vector<memory::Buffer> all = {buffer(0, 4), buffer(3, 4)};
  EXPECT_EQ(pairs(*conflicts(Executor(diamond(), 2, 0), kDiamond, std::vector<int>{0, 3}, all)), "01");
}

}  // namespace
}  // namespace plx::schedule
