// The program that judges the memory planner, on the instances that are checked in.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "command_testing.h"

namespace {

using plx::run::testing::Outcome;

Outcome plan_memory(const std::string& arguments) { return plx::run::testing::start(std::string(PLX_PLAN_MEMORY_COMMAND) + " " + arguments); }

std::string write(const std::string& name, const std::string& content) {
  const std::string folder = ::testing::TempDir() + "plan-memory-" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/" + name;
  std::ofstream(path) << content;
  return path;
}

TEST(PlanMemory, BringsTheZoosProblemsWithinFivePercentOfTheirBounds) {
  std::string files;
  for (const auto& entry : std::filesystem::directory_iterator(PLX_INSTANCES)) {
    if (entry.path().extension() == ".txt") files += " " + entry.path().string();
  }
  ASSERT_FALSE(files.empty());
  const std::string json = write("figures.json", "");
  const Outcome outcome = plan_memory("--repeat 1 --check 1.05 --json " + json + files);
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  std::ifstream file(json);
  const auto rows = nlohmann::json::parse(file);
  EXPECT_GE(rows.size(), 12u);
  for (const auto& row : rows) {
    EXPECT_GE(row["thorough_bytes"], row["lower_bound_bytes"]) << row;
    EXPECT_LE(row["thorough_bytes"], row["quick_bytes"]) << row;
    EXPECT_LE(row["quick_bytes"], row["one_buffer_each_bytes"]) << row;
  }
}

TEST(PlanMemory, SaysWhatMissesItsTarget) {
  // Three buffers of 64 bytes, each beside one other, in a ring of five: no two of these fit into 2 * 64, which is the bound.
  const std::string ring = write("ring.txt", "a\t64\t0\t0\nb\t64\t1\t1\nc\t64\t2\t2\nd\t64\t3\t3\ne\t64\t4\t4\n0\t1\n1\t2\n2\t3\n3\t4\n4\t0\n");
  EXPECT_EQ(plan_memory(ring).status, 0);
  EXPECT_EQ(plan_memory("--check 1.5 " + ring).status, 0);
  const Outcome missed = plan_memory("--check 1.4 " + ring);
  EXPECT_EQ(missed.status, 1);
  EXPECT_NE(missed.out.find("MISSED: ring takes 1.500 times"), std::string::npos) << missed.out;
}

TEST(PlanMemory, RefusesWhatIsNoProblem) {
  EXPECT_EQ(plan_memory("").status, 2);
  EXPECT_EQ(plan_memory("--repeat 0 x.txt").status, 2);
  const Outcome missing = plan_memory("/nowhere/problem.txt");
  EXPECT_EQ(missing.status, 2);
  EXPECT_NE(missing.out.find("/nowhere/problem.txt"), std::string::npos);
  EXPECT_EQ(plan_memory(write("odd.txt", "a\tb\tc\n")).status, 2);
  EXPECT_EQ(plan_memory("--json /nowhere/x.json " + write("empty.txt", "")).status, 2);
  EXPECT_EQ(plan_memory("--help").status, 0);
}

}  // namespace
