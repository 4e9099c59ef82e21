#include "plx/schedule/memory_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include "plx/memory/planner.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;

class MapOfASession : public ::testing::TestWithParam<Units> {};
INSTANTIATE_TEST_SUITE_P(Units, MapOfASession, ::testing::ValuesIn(kAllUnits),
                         [](const auto& info) { return std::string(partition::units_name(info.param)); });

TEST_P(MapOfASession, ShowsBuffersThatNeverMeet) {
  Loaded loaded(convolutions());
  const auto session = loaded.session(GetParam());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) must(session->run());
  const MemoryMap map = must(session->memory_map());

  EXPECT_EQ(map.order.size(), session->last_run().size());
  ASSERT_FALSE(map.buffers.empty());
  uint64_t end = 0;
  for (const MemoryMap::Buffer& buffer : map.buffers) {
    EXPECT_LE(buffer.first, buffer.last) << buffer.name;
    EXPECT_GE(buffer.first, 0);
    EXPECT_LT(buffer.last, static_cast<int>(map.order.size()));
    EXPECT_EQ(map.order[static_cast<size_t>(buffer.first)], buffer.unit) << buffer.name;
    EXPECT_GT(buffer.bytes, 0u);
    EXPECT_EQ(buffer.name.empty(), buffer.kind == MemoryMap::Kind::kWindow);
    end = std::max(end, buffer.offset + buffer.bytes);
    for (const MemoryMap::Buffer& other : map.buffers) {
      if (&other == &buffer || buffer.last < other.first || other.last < buffer.first) continue;
      EXPECT_TRUE(buffer.offset + buffer.bytes <= other.offset || other.offset + other.bytes <= buffer.offset)
          << buffer.name << " and " << other.name;
    }
  }
  EXPECT_LE(end, map.planned_bytes);
  EXPECT_LT(map.planned_bytes, end + memory::kAlignment);
  EXPECT_GE(map.planned_bytes, map.lower_bound_bytes);
  EXPECT_LE(map.planned_bytes, map.one_buffer_per_tensor_bytes);
  // The output lies where the map says.
  const TensorView y = must(session->output(0));
  const auto output = std::find_if(map.buffers.begin(), map.buffers.end(),
                                   [](const auto& buffer) { return buffer.kind == MemoryMap::Kind::kOutput; });
  ASSERT_NE(output, map.buffers.end());
  EXPECT_EQ(output->name, "y");
  EXPECT_EQ(output->bytes, y.size_bytes);
  EXPECT_EQ(static_cast<const std::byte*>(map.block) + output->offset, y.data);
}

TEST(MemoryMap, HasATensorForEachBorder) {
  Loaded loaded(convolutions());
  const auto session = loaded.session(Units::kNodes);
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) must(session->run());
  const MemoryMap map = must(session->memory_map());
  std::multiset<std::string> names;
  for (const auto& buffer : map.buffers) names.insert(buffer.name);
  // What ONNX Runtime merges into one operator depends on the CPU; the rest is there, each once.
  for (const char* name : {"l3", "r3", "joined", "y"}) EXPECT_EQ(names.count(name), 1u) << name;
}

TEST(MemoryMap, HasAWindowForWhatAUnitTakesBesideItsOutputs) {
  Loaded loaded(convolutions());
  const auto session = loaded.session(Units::kWhole);
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) must(session->run());
  const MemoryMap map = must(session->memory_map());
  ASSERT_EQ(map.buffers.size(), 2u);
  for (const auto& buffer : map.buffers) {
    if (buffer.kind == MemoryMap::Kind::kWindow) EXPECT_EQ(buffer.bytes, session->last_run()[0].memory_bytes);
    else EXPECT_EQ(buffer.name, "y");
  }
  EXPECT_NE(map.buffers[0].kind, map.buffers[1].kind);
}

TEST(MemoryMap, IsNotThereBeforeThereIsALayout) {
  Loaded loaded(attention());
  const auto session = loaded.session(Units::kBranches);
  const auto refused = [&] {
    const auto map = session->memory_map();
    return map ? Code::kOk : map.error().code;
  };
  EXPECT_EQ(refused(), Code::kInvalidArgument);
  const Tensors inputs = {noise({2, 24, 32}, 2)};
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_EQ(refused(), Code::kInvalidArgument);
  must(session->run());
  EXPECT_EQ(refused(), Code::kOk);
  EXPECT_NE(must(session->memory_map()).block, nullptr);
  session->trim();
  EXPECT_EQ(must(session->memory_map()).block, nullptr);
}

TEST(MemoryMap, ThatAViewReadsLastsAsLongAsTheViewIsRead) {
  // t is read through the view v after `other` has run: its bytes are in use until then.
  Model m;
  m.input("x", kFloat, {4, 64}).output("y", kFloat, {64, 4});
  m.initializer("shape", tensor<int64_t>({2}, {64, 4}));
  m.node("Sin", {"x"}, {"t"}).node("Reshape", {"t", "shape"}, {"v"}).node("Cos", {"x"}, {"other"});
  m.node("Reshape", {"other", "shape"}, {"w"}).node("Max", {"v", "w"}, {"y"});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kNodes);
  const Tensors inputs = {noise({4, 64}, 3)};
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) must(session->run());
  const MemoryMap map = must(session->memory_map());
  ASSERT_EQ(map.order.size(), 3u);
  for (const auto& buffer : map.buffers) {
    EXPECT_EQ(buffer.last, 2) << buffer.name;
  }
}

// Tensors of many sizes and lifetimes, each made of the largest element of an earlier one.
std::string many_sizes(uint32_t seed) {
  std::mt19937 random(seed);
  Model m;
  m.input("x", kFloat, {64});
  constexpr int kCount = 100;
  std::vector<std::string> made = {"x"};
  Names ends;
  for (int i = 0; i < kCount; ++i) {
    const std::string name = std::to_string(i);
    const auto size = static_cast<int64_t>(64 * (1 + random() % 128));
    const std::string& from = made[made.size() - 1 - random() % std::min<size_t>(made.size(), 12)];
    m.initializer("w" + name, weights({size}, seed * 100 + static_cast<uint32_t>(i)));
    m.node("ReduceMax", {from}, {"r" + name}, {attr("keepdims", 1)}).node("Add", {"r" + name, "w" + name}, {"t" + name});
    made.push_back("t" + name);
    if (i + 6 >= kCount) ends.push_back("r_end" + name);
    if (i + 6 >= kCount) m.node("ReduceMax", {"t" + name}, {"r_end" + name}, {attr("keepdims", 1)});
  }
  m.node("Sum", ends, {"y"}).output("y", kFloat, {1});
  return m.bytes();
}

// A plan that the quick search leaves above its bound is found better once the shapes have run for a while.
TEST(MemoryMap, GetsSmallerForShapesThatKeepRunning) {
  const Tensors inputs = {noise({64}, 1)};
  for (uint32_t seed = 1; seed < 60; ++seed) {
    Loaded loaded(many_sizes(seed));
    const auto plan = loaded.plan(Units::kNodes);
    Schedule narrow;  // all units may run side by side, so that most tensors keep apart from many
    for (size_t i = 0; i < plan->plan->units.size(); ++i) narrow.entries.push_back({static_cast<uint32_t>(i), 0, 1, 0});
    const auto session = must(loaded->make_session(plan, 0, narrow));
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) must(session->run());
    const memory::Problem problem = must(session->memory_problem());
    const uint64_t quick = must(memory::plan(problem)).total_bytes;
    const uint64_t thorough = must(memory::plan(problem, memory::kThoroughSearch)).total_bytes;
    ASSERT_EQ(quick, must(session->memory_map()).planned_bytes);
    if (thorough > quick - quick / 100) continue;

    const Tensors expected = outputs(*session, 1);
    const auto start = std::chrono::steady_clock::now();
    while (report(*session)["layouts_refined"] == 0) {
      for (int i = 0; i < 100; ++i) must(session->run());
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(2));
    }
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::nanoseconds(kRefineAfterNs) * 9 / 10);
    EXPECT_EQ(must(session->memory_map()).planned_bytes, thorough);
    EXPECT_EQ(outputs(*session, 1), expected);
    EXPECT_EQ(report(*session)["shapes_planned"], 1);
    for (int i = 0; i < 100; ++i) must(session->run());
    EXPECT_EQ(report(*session)["layouts_refined"], 1) << "and that was that";
    return;
  }
  FAIL() << "the quick search found the best plan of all of them";
}

TEST(MemoryMap, AsJsonHoldsWhatItHolds) {
  MemoryMap map;
  map.order = {1, 0};
  map.buffers = {{MemoryMap::Kind::kOutput, "y\"", 0, 1, 1, 64, 12}, {MemoryMap::Kind::kWindow, "", 1, 0, 0, 128, 7}};
  map.planned_bytes = 192;
  map.one_buffer_per_tensor_bytes = 193;
  map.lower_bound_bytes = 128;
  const auto json = nlohmann::json::parse(to_json(map));
  EXPECT_EQ(json["order"], (std::vector<int>{1, 0}));
  EXPECT_EQ(json["buffers"][0], (nlohmann::json{{"kind", "output"}, {"name", "y\""}, {"unit", 0}, {"first", 1}, {"last", 1}, {"offset", 64}, {"bytes", 12}}));
  EXPECT_EQ(json["buffers"][1]["kind"], "window");
  EXPECT_EQ(json["planned_bytes"], 192);
  EXPECT_EQ(json["block_address"], 0);
}

}  // namespace
}  // namespace plx::schedule
