// What sessions take, and that they keep their budgets.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "plx/memory/budget.h"
#include "plx/ort/unit_memory.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;

// Six equal branches of convolutions, each with tensors of its own: of 256 KB, if size is 64.
std::string six_branches(int64_t size = 64, int length = 3) {
  Model m;
  m.input("x", kFloat, {1, 16, size, size}).output("y", kFloat, {1, 16, size, size});
  const Attrs same = {attr("pads", Dims{1, 1, 1, 1})};
  Names ends;
  for (int branch = 0; branch < 6; ++branch) {
    std::string from = "x";
    for (int i = 0; i < length; ++i) {
      const std::string name = "b" + std::to_string(branch) + "_" + std::to_string(i);
      m.initializer("w" + name, weights({16, 16, 3, 3}, static_cast<uint32_t>(branch * length + i)));
      m.node("Conv", {from, "w" + name}, {name}, same);
      from = name;
    }
    ends.push_back(from);
  }
  m.node("Sum", ends, {"y"});
  return m.bytes();
}

// The plan's order, all units narrow, so that they may run side by side.
Schedule narrow(const engine::PlanHandle& plan) {
  Schedule schedule;
  for (size_t i = 0; i < plan.plan->units.size(); ++i) schedule.entries.push_back({static_cast<uint32_t>(i), 0, 1, 0});
  return schedule;
}

std::unique_ptr<Session> session_of(Loaded& loaded, Units units, MemoryLimit limit, bool side_by_side = true) {
  const auto plan = loaded.plan(units);
  std::optional<Schedule> schedule;
  if (side_by_side) schedule = narrow(*plan);
  return must(loaded->make_session(plan, 0, std::move(schedule), kShapesKept, std::move(limit)));
}
std::unique_ptr<Session> session_of(Loaded& loaded, Units units, uint64_t budget, bool side_by_side = true) {
  return session_of(loaded, units, MemoryLimit{.bytes = budget}, side_by_side);
}

uint64_t outside_of(Loaded& loaded, Units units) {
  return kOutsideBytes + kOutsideBytesPerUnit * loaded.plan(units)->plan->units.size();
}

uint64_t number(const Session& session, const char* field) { return report(session)[field].get<uint64_t>(); }

// What the session holds when all it needs has its place.
uint64_t settled_bytes(Session& session, const Tensors& inputs) {
  bind_all(session, inputs);
  for (int i = 0; i < 4; ++i) must(session.run());
  return number(session, "arena_bytes");
}

uint64_t rss_anon() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  }
  return 0;
}

class BudgetOfASession : public ::testing::TestWithParam<Units> {};
INSTANTIATE_TEST_SUITE_P(Units, BudgetOfASession, ::testing::ValuesIn(kAllUnits),
                         [](const auto& info) { return std::string(partition::units_name(info.param)); });

// Memory comes in pages: what is asked for counts as what it takes, so that a refusal is one by its own numbers.
TEST_P(BudgetOfASession, CountsWholePages) {
  Model m;
  m.input("x", kFloat, {1500}).output("y", kFloat, {1500}).node("Erf", {"x"}, {"a"}).node("Softmax", {"a"}, {"y"});
  const Tensors inputs = {noise({1500}, 1)};
  Loaded loaded(m.bytes());
  const auto free = session_of(loaded, GetParam(), 0);
  settled_bytes(*free, inputs);
  const uint64_t planned = number(*free, "planned_bytes");
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::vector<uint64_t> rooms;
  for (uint64_t room = page; room < planned; room += page / 3 + 1) rooms.push_back(room);
  for (uint64_t room = planned; room < planned + page; room += page / 16 + 1) rooms.push_back(room);
  int refused = 0;
  for (const uint64_t room : rooms) {
    const auto session = session_of(loaded, GetParam(), outside_of(loaded, GetParam()) + room);
    bind_all(*session, inputs);
    for (int run = 0; run < 3; ++run) {
      const Status status = session->run();
      if (status) continue;
      ++refused;
      EXPECT_GT(status.error().requested_bytes, status.error().available_bytes) << status.error().message;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_P(BudgetOfASession, IsKeptOrRefusedAndCostsNoBits) {
  std::vector<std::pair<std::string, Tensors>> cases = {{convolutions(), {noise({1, 8, 16, 16}, 1)}},
                                                        {attention(), {noise({2, 24, 32}, 2)}}};
  if (GetParam() == Units::kBranches) cases.emplace_back(six_branches(), Tensors{noise({1, 16, 64, 64}, 3)});
  for (const auto& [model, inputs] : cases) {
    Plain plain(runtime(), model);
    const Tensors expected = plain.run(inputs);
    Loaded loaded(model);
    const uint64_t all = settled_bytes(*session_of(loaded, GetParam(), 0), inputs);
    int refused = 0;
    int kept = 0;
    for (const uint64_t percent : {400, 150, 100, 75, 45, 15, 5}) {
      const uint64_t budget = all * percent / 100 + outside_of(loaded, GetParam());
      SCOPED_TRACE("budget " + std::to_string(budget) + " of " + std::to_string(all));
      const auto session = session_of(loaded, GetParam(), budget);
      bind_all(*session, inputs);
      for (int run = 0; run < 3; ++run) {
        const Status status = session->run();
        EXPECT_LE(number(*session, "arena_high_water_bytes") + number(*session, "outside_bytes"), budget);
        if (status) {
          ++kept;
          EXPECT_EQ(outputs(*session, expected.size()), expected);
          continue;
        }
        ++refused;
        EXPECT_EQ(status.error().code, Code::kMemoryBudget) << status.error().message;
        EXPECT_GT(status.error().requested_bytes, status.error().available_bytes) << status.error().message;
        EXPECT_FALSE(session->output(0)) << "of a run that failed";
      }
      // Whoever is short of memory gets it all back, and a larger budget serves at once.
      const auto larger = session_of(loaded, GetParam(), all * 4 + (2 << 20));
      bind_all(*larger, inputs);
      must(larger->run());
      EXPECT_EQ(outputs(*larger, expected.size()), expected);
    }
    EXPECT_GT(kept, 5);
    EXPECT_GT(refused, 4);
  }
}

TEST(BudgetOfASession, SmallerMeansLessSideBySideUntilNothingFits) {
  Loaded loaded(six_branches());
  const Tensors inputs = {noise({1, 16, 64, 64}, 3)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const uint64_t all = settled_bytes(*session_of(loaded, Units::kBranches, 0), inputs);
  const uint64_t least = settled_bytes(*session_of(loaded, Units::kBranches, 0, false), inputs);
  ASSERT_LT(least, all);
  uint64_t before = 0;
  std::vector<uint64_t> steps;
  for (uint64_t budget = all + (64 << 10); budget > least; budget -= (all - least) / 5) {
    SCOPED_TRACE(budget);
    const auto session = session_of(loaded, Units::kBranches, budget + outside_of(loaded, Units::kBranches));
    bind_all(*session, inputs);
    Status status;
    for (int run = 0; run < 4 && status; ++run) status = session->run();
    if (!status) {
      EXPECT_EQ(status.error().code, Code::kMemoryBudget);
      break;  // the last pages: a block has them whole
    }
    EXPECT_EQ(outputs(*session, 1), expected);
    const uint64_t barriers = number(*session, "barriers_for_memory");
    EXPECT_GE(barriers, before);
    if (barriers != before || steps.empty()) steps.push_back(barriers);
    before = barriers;
  }
  EXPECT_EQ(steps.front(), 0u);
  EXPECT_GE(steps.size(), 3u) << "step by step";
}

// A machine that has as much memory as the test says: a file in place of /proc/meminfo.
class BudgetThatFollows : public ::testing::Test {
 protected:
  BudgetThatFollows() {
    std::string name = (std::filesystem::temp_directory_path() / "plx-machine-XXXXXX").string();
    root_ = mkdtemp(name.data());
    std::filesystem::create_directories(root_ + "/proc");
  }
  ~BudgetThatFollows() override { std::filesystem::remove_all(root_); }
  static constexpr double kMargin = 0.99;  // so that what the session itself takes hardly shows in what is free
  // So that the budget becomes that. Written aside and moved, so that nobody reads half a file.
  void free_for(uint64_t budget) {
    std::ofstream(root_ + "/next") << "MemAvailable: " << budget * 100 / 1024 << " kB\n";
    std::filesystem::rename(root_ + "/next", root_ + "/proc/meminfo");
  }
  MemoryLimit limit(double margin = kMargin) const { return {.bytes = 0, .margin = margin, .root = root_}; }
  // Until the machine is asked again.
  static void wait() { std::this_thread::sleep_for(std::chrono::nanoseconds(memory::AdaptiveLimit::kEveryNs * 11 / 10)); }

  std::string root_;
};

TEST_F(BudgetThatFollows, MakesLessRunSideBySideWhenThereIsLessAndMoreWhenThereIsMore) {
  Loaded loaded(six_branches());
  const Tensors inputs = {noise({1, 16, 64, 64}, 3)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const uint64_t all = settled_bytes(*session_of(loaded, Units::kBranches, 0), inputs);
  const uint64_t least = settled_bytes(*session_of(loaded, Units::kBranches, 0, false), inputs);
  const uint64_t between = least + (all - least) / 2;

  free_for(all * 4);
  const auto session = session_of(loaded, Units::kBranches, limit());
  bind_all(*session, inputs);
  const auto run_with = [&](uint64_t bytes) {
    free_for(bytes + outside_of(loaded, Units::kBranches));
    wait();
    Status status;
    for (int i = 0; i < 3 && status; ++i) status = session->run();
    if (status) {
      EXPECT_EQ(outputs(*session, 1), expected);
    }
    EXPECT_LE(number(*session, "arena_bytes"), bytes + bytes / 20);
    return status;
  };
  must(run_with(all * 4));
  EXPECT_EQ(number(*session, "barriers_for_memory"), 0u);
  EXPECT_GE(number(*session, "arena_bytes"), between);

  must(run_with(between));
  EXPECT_GT(number(*session, "barriers_for_memory"), 0u);
  EXPECT_GE(number(*session, "limits_followed"), 1u);

  must(run_with(all * 4));
  EXPECT_EQ(number(*session, "barriers_for_memory"), 0u);

  const Status refused = run_with(least / 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kMemoryBudget);
  EXPECT_GT(refused.error().requested_bytes, refused.error().available_bytes);
  EXPECT_NE(refused.error().message.find("margin"), std::string::npos) << refused.error().message;
  must(run_with(all * 4));
}

TEST_F(BudgetThatFollows, IsObeyedByTheRunInProgress) {
  // Large enough that the machine is asked several times in a run, however fast it is.
  std::optional<Loaded> made;
  Tensors inputs;
  for (int64_t size = 32; size <= 512; size *= 2) {
    made.emplace(six_branches(size, 9));
    inputs = {noise({1, 16, size, size}, 3)};
    const auto session = session_of(*made, Units::kNodes, 0);
    bind_all(*session, inputs);
    must(session->run());
    const auto start = std::chrono::steady_clock::now();
    must(session->run());
    if (std::chrono::steady_clock::now() - start > 3 * std::chrono::nanoseconds(memory::AdaptiveLimit::kEveryNs)) break;
  }
  Loaded& loaded = *made;
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const uint64_t all = settled_bytes(*session_of(loaded, Units::kNodes, 0), inputs);
  const uint64_t least = settled_bytes(*session_of(loaded, Units::kNodes, 0, false), inputs);
  const uint64_t between = least + (all - least) / 2;
  free_for(all * 4);
  const auto session = session_of(loaded, Units::kNodes, limit());
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) must(session->run());
  const uint64_t taken = number(*session, "arena_bytes");
  ASSERT_GT(taken, between + between / 20);
  ASSERT_EQ(number(*session, "reruns_for_memory"), 0u);
  wait();  // so that the run looks when it begins, and then in its midst
  std::thread neighbour([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    free_for(between + outside_of(loaded, Units::kNodes));
  });
  const Status status = session->run();
  neighbour.join();
  must(status);
  EXPECT_EQ(outputs(*session, 1), expected);
  EXPECT_GE(number(*session, "reruns_for_memory"), 1u);
  EXPECT_LE(number(*session, "arena_bytes"), between + between / 20);
  EXPECT_GT(number(*session, "barriers_for_memory"), 0u);
}

TEST_F(BudgetThatFollows, NeedsAMarginAndAMachineThatTells) {
  Loaded loaded(convolutions());
  const auto refused = [&](MemoryLimit limit) {
    const auto session = loaded->make_session(loaded.plan(Units::kWhole), 0, {}, kShapesKept, std::move(limit));
    return session ? Code::kOk : session.error().code;
  };
  EXPECT_EQ(refused(limit()), Code::kUnsupported) << "no meminfo";
  free_for(1 << 30);
  EXPECT_EQ(refused(limit(0.4)), Code::kOk);
  for (const double margin : {-0.1, 1.0, 7.0, std::nan("")}) EXPECT_EQ(refused(limit(margin)), Code::kInvalidArgument) << margin;
  EXPECT_EQ(refused({.bytes = 1000, .margin = 0.4}), Code::kInvalidArgument);
}

// What units take while they run is not known before the first run, which therefore goes without a layout if there is no
// room for it beside one.
TEST_P(BudgetOfASession, OfLittleMoreThanThePlanTakesIsEnoughForTheFirstRunToo) {
  Loaded loaded(six_branches());
  const Tensors inputs = {noise({1, 16, 64, 64}, 3)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const uint64_t planned = settled_bytes(*session_of(loaded, GetParam(), 0, false), inputs);
  const auto session = session_of(loaded, GetParam(), planned + planned / 8 + outside_of(loaded, GetParam()), false);
  bind_all(*session, inputs);
  for (int run = 0; run < 3; ++run) {
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), expected);
  }
}

// Nor is one of nothing but what is set aside; sizes are known late here.
TEST(BudgetOfASession, ThatIsLessThanWhatOnnxRuntimeTakesByItselfIsRefused) {
  Loaded loaded(attention());
  const Tensors inputs = {noise({2, 24, 32}, 2)};
  for (const uint64_t budget : {uint64_t{1}, outside_of(loaded, Units::kNodes)}) {
    const auto session = session_of(loaded, Units::kNodes, budget);
    bind_all(*session, inputs);
    const Status status = session->run();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kMemoryBudget);
    EXPECT_EQ(status.error().available_bytes, 0u);
    EXPECT_EQ(number(*session, "arena_bytes"), 0u);
  }
}

// All sizes are known before anything has run, so nothing runs that cannot end.
TEST(BudgetOfASession, ThatCannotBeKeptIsRefusedBeforeAnythingRuns) {
  Loaded loaded(six_branches());
  const uint64_t budget = 100'000 + outside_of(loaded, Units::kBranches);
  const auto session = session_of(loaded, Units::kBranches, budget);
  const Tensors inputs = {noise({1, 16, 64, 64}, 3)};
  bind_all(*session, inputs);
  const Status status = session->run();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kMemoryBudget);
  EXPECT_EQ(status.error().available_bytes, 100'000u);
  EXPECT_GT(status.error().requested_bytes, 256u << 10);
  EXPECT_EQ(number(*session, "arena_high_water_bytes"), 0u);
  for (const UnitRun& run : session->last_run()) EXPECT_EQ(run.end_ns - run.start_ns, 0) << "unit " << run.unit << " ran";
}

// Everything that ONNX Runtime allocates while units run is a unit's: nothing comes from elsewhere, whatever the threads.
TEST_P(BudgetOfASession, CoversAllThatOnnxRuntimeAllocatesInRuns) {
  std::vector<std::pair<std::string, Tensors>> cases = {{convolutions(), {noise({1, 8, 16, 16}, 1)}},
                                                        {attention(), {noise({2, 24, 32}, 2)}}};
  if (GetParam() == Units::kBranches) cases.emplace_back(six_branches(), Tensors{noise({1, 16, 64, 64}, 3)});
  for (const auto& [model, inputs] : cases) {
    Loaded loaded(model);
    for (const bool side_by_side : {false, true}) {
      const auto session = session_of(loaded, GetParam(), 0, side_by_side);
      bind_all(*session, inputs);
      const uint64_t before = runtime()->arena().stats().allocations;
      for (int run = 0; run < 5; ++run) must(session->run());
      EXPECT_EQ(runtime()->arena().stats().allocations, before);
      uint64_t taken = 0;
      for (const UnitRun& run : session->last_run()) taken += run.memory_bytes;
      EXPECT_GT(GetParam() == Units::kWhole ? taken : 1, 0u) << "whole models have tensors inside";
      // In the end all of it has its place in the block, and nothing is beside it but what is spare.
      EXPECT_LE(number(*session, "arena_bytes"), number(*session, "planned_bytes") + (256 << 10) + 4096);
    }
  }
}

// What a unit takes while it runs shares bytes with what is not needed then, and is known after one run.
TEST(Windows, ShareTheBlock) {
  Loaded loaded(six_branches());
  const auto session = session_of(loaded, Units::kLayers, 0, false);
  const Tensors inputs = {noise({1, 16, 64, 64}, 3)};
  bind_all(*session, inputs);
  must(session->run());
  uint64_t taken = 0;
  for (const UnitRun& run : session->last_run()) taken += run.memory_bytes;
  must(session->run());
  uint64_t tensors = 0;
  for (const UnitRun& run : session->last_run()) tensors += run.bytes;
  EXPECT_GT(number(*session, "one_buffer_per_tensor_bytes"), tensors) << "units' temporaries are in it";
  EXPECT_LE(number(*session, "one_buffer_per_tensor_bytes"), tensors + taken);
  EXPECT_LT(number(*session, "planned_bytes"), number(*session, "one_buffer_per_tensor_bytes"));
  EXPECT_EQ(number(*session, "shapes_planned"), 1u);
  for (int run = 0; run < 5; ++run) must(session->run());
  EXPECT_EQ(number(*session, "shapes_planned"), 1u) << "and that was that";
}

// The first allocation of a run fails, the second, and so on, at every stage a session goes through.
TEST_P(BudgetOfASession, AllocationsThatFailAreErrorsAndNothingIsLost) {
  const std::string model = attention();
  const Tensors inputs = {noise({2, 6, 32}, 2)};
  const Tensors expected = Plain(runtime(), model).run(inputs);
  Loaded loaded(model);
  uint64_t failures = 0;
  for (int runs_before = 0; runs_before < 4; ++runs_before) {
    for (uint64_t allowed = 0;; ++allowed) {
      SCOPED_TRACE(std::to_string(allowed) + " allocations of run " + std::to_string(runs_before));
      const auto session = loaded.session(GetParam(), 1);
      bind_all(*session, inputs);
      for (int run = 0; run < runs_before; ++run) must(session->run());
      ort::UnitMemory::allocations_left = allowed;
      const Status status = session->run();
      const bool all = ort::UnitMemory::allocations_left != 0 || status;
      ort::UnitMemory::allocations_left = ort::UnitMemory::kAll;
      if (status) {
        EXPECT_EQ(outputs(*session, 1), expected);
      } else {
        ++failures;
        EXPECT_EQ(status.error().code, Code::kMemoryBudget) << status.error().message;
        EXPECT_NE(status.error().message.find("unit "), std::string::npos) << status.error().message;
      }
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), expected);
      if (all) break;
    }
  }
  EXPECT_GT(failures, 0u);
}

TEST(Trimming, GivesBackWhatTheSystemCounts) {
  Model m;
  m.input("x", kFloat, {"n"}).output("y", kFloat, {"n"});
  m.node("Exp", {"x"}, {"a"}).node("Tanh", {"a"}, {"b"}).node("Add", {"a", "b"}, {"y"});
  Loaded loaded(m.bytes());
  constexpr int64_t kMany = 4 << 20;
  const Tensor x = noise({kMany}, 1);
  const Tensors expected = Plain(runtime(), loaded.bytes()).run({x});
  for (const Units units : kAllUnits) {
    SCOPED_TRACE(partition::units_name(units));
    const auto session = loaded.session(units);
    must(bind(*session, 0, x));
    EXPECT_EQ(session->trim(), 0u);
    for (int run = 0; run < 4; ++run) must(session->run());
    const uint64_t before = rss_anon();
    const uint64_t given_back = session->trim();
    EXPECT_GE(given_back, kMany * 4u);
    EXPECT_LE(rss_anon() + given_back * 9 / 10, before);
    EXPECT_EQ(number(*session, "arena_bytes"), 0u);
    EXPECT_FALSE(session->output(0));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), expected);
  }
}

}  // namespace
}  // namespace plx::schedule
