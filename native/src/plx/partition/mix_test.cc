#include "plx/partition/mix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace plx::partition {
namespace {

// A plan of branches of one node each, and their dependencies, with layers worked out.
struct Shape {
  Plan plan;
  Dag dag;
  Measured measured;
};

Shape shape(const std::vector<std::vector<int>>& predecessors, double narrow_ns, double wide_ns) {
  Shape s;
  std::vector<std::pair<int, int>> edges;
  for (size_t b = 0; b < predecessors.size(); ++b) {
    Branch branch;
    branch.nodes = {static_cast<NodeId>(b)};
    branch.predecessors = predecessors[b];
    for (const int p : predecessors[b]) {
      branch.layer = std::max(branch.layer, s.plan.branches[p].layer + 1);
      edges.emplace_back(p, static_cast<int>(b));
    }
    if (s.plan.layers.size() <= static_cast<size_t>(branch.layer)) s.plan.layers.resize(branch.layer + 1);
    s.plan.layers[branch.layer].branches.push_back(static_cast<int>(b));
    s.plan.branches.push_back(branch);
    s.measured.nodes.push_back({narrow_ns, wide_ns});
  }
  s.dag = Dag(static_cast<int>(predecessors.size()), edges);
  s.measured.overheads = {.unit_ns = 5'000, .fork_ns = 2'000, .hand_over_ns = 1'000, .wake_ns = 50'000, .spin_ns = 50'000};
  s.measured.workers = 2;
  return s;
}

// 0 splits into 1 to 4, which 5 merges.
const std::vector<std::vector<int>> kFan = {{}, {0}, {0}, {0}, {0}, {1, 2, 3, 4}};

TEST(Mix, SideBySideWhereThePoolDoesNotHelpInside) {
  const Shape s = shape(kFan, 100'000, 95'000);
  const Mix m = mix(s.plan, s.dag, s.measured);
  EXPECT_EQ(std::count(m.wide.begin(), m.wide.end(), true), 2);  // before and after
  EXPECT_EQ(std::count(m.wide.begin(), m.wide.end(), false), 4);
  // Two rounds of two, with their overheads, between two wide ones.
  EXPECT_NEAR(m.predicted_ns, 2 * (95'000 + 5'000) + 2 * (100'000 + 5'000) + 2'000, 1);
  EXPECT_EQ(m.stretch[m.unit_of_branch[0]], 0);
  for (int b = 1; b <= 4; ++b) EXPECT_EQ(m.stretch[m.unit_of_branch[b]], 1);
  EXPECT_EQ(m.stretch[m.unit_of_branch[5]], 2);
}

TEST(Mix, OneWideUnitWhereThePoolHelpsInside) {
  const Shape s = shape(kFan, 100'000, 50'000);
  const Mix m = mix(s.plan, s.dag, s.measured);
  EXPECT_EQ(m.wide, std::vector<bool>{true});
  EXPECT_NEAR(m.predicted_ns, 6 * 50'000 + 5'000, 1);
}

TEST(Mix, OneWideUnitWhereUnitsCostMoreThanTheyGain) {
  const Shape s = shape(kFan, 3'000, 3'000);
  EXPECT_EQ(mix(s.plan, s.dag, s.measured).wide, std::vector<bool>{true});
}

TEST(Mix, OneThreadMeansOneUnit) {
  Shape s = shape(kFan, 100'000, 100'000);
  s.measured.workers = 1;
  EXPECT_EQ(mix(s.plan, s.dag, s.measured).wide, std::vector<bool>{true});
}

TEST(Mix, NothingForAnEmptyGraph) {
  const Shape s = shape({}, 0, 0);
  EXPECT_TRUE(mix(s.plan, s.dag, s.measured).wide.empty());
}

TEST(Mix, BranchesThatFollowOneAnotherArePacked) {
  // Two chains of three between a split and a merger: no reason for more than one unit each.
  const Shape s = shape({{}, {0}, {1}, {2}, {0}, {4}, {5}, {3, 6}}, 100'000, 100'000);
  const Mix m = mix(s.plan, s.dag, s.measured);
  EXPECT_EQ(std::count(m.wide.begin(), m.wide.end(), false), 2);
  EXPECT_EQ(m.unit_of_branch[1], m.unit_of_branch[3]);
  EXPECT_EQ(m.unit_of_branch[4], m.unit_of_branch[6]);
  EXPECT_NE(m.unit_of_branch[1], m.unit_of_branch[4]);
}

TEST(Mix, WhatAnotherWorkerWaitsForIsNotHeldBack) {
  // 1 -> 2 on one worker and 3 on the other; 4 needs 1 and 3, and would have to wait for 2 if 1 and 2 were one unit.
  const Shape s = shape({{}, {0}, {1}, {0}, {1, 3}, {2, 4}}, 200'000, 200'000);
  const Mix m = mix(s.plan, s.dag, s.measured);
  EXPECT_NE(m.unit_of_branch[1], m.unit_of_branch[2]);
}

// Whatever the graph: each branch in one unit, no circle between units, stretches in order, never slower than all wide.
TEST(Mix, RandomGraphsGiveUnitsWithoutCircles) {
  std::mt19937 random(3);
  for (int n = 0; n < 400; ++n) {
    const int count = 1 + static_cast<int>(random() % 50);
    std::vector<std::vector<int>> predecessors(static_cast<size_t>(count));
    for (int b = 1; b < count; ++b) {
      for (int p = std::max(0, b - 8); p < b; ++p) {
        if (random() % 4 == 0) predecessors[b].push_back(p);
      }
    }
    Shape s = shape(predecessors, 0, 0);
    double wide = 5'000;
    for (NodeTime& time : s.measured.nodes) {
      time.narrow_ns = static_cast<double>(random() % 200'000);
      time.wide_ns = time.narrow_ns * (0.5 + static_cast<double>(random() % 100) / 150);
      wide += time.wide_ns;
    }
    s.measured.workers = 2 + static_cast<int>(random() % 3);
    const Mix m = mix(s.plan, s.dag, s.measured);
    ASSERT_LE(m.predicted_ns, wide + 1);
    const int units = static_cast<int>(m.wide.size());
    ASSERT_EQ(m.stretch.size(), m.wide.size());
    for (const int unit : m.unit_of_branch) {
      ASSERT_GE(unit, 0);
      ASSERT_LT(unit, units);
    }
    ASSERT_EQ(longest_path_levels(contract(s.dag, m.unit_of_branch, units)).size(), m.wide.size());
    for (int b = 0; b < count; ++b) {
      for (const int p : predecessors[b]) ASSERT_LE(m.stretch[m.unit_of_branch[p]], m.stretch[m.unit_of_branch[b]]);
    }
  }
}

}  // namespace
}  // namespace plx::partition
