#include "plx/schedule/memory_map.h"

#include <gtest/gtest.h>

#include <algorithm>
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
  // What ONNX Runtime has not merged into one operator is there, each once.
  for (const char* name : {"l3", "l4", "r3", "r4", "joined", "y"}) EXPECT_EQ(names.count(name), 1u) << name;
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
  m.node("Reshape", {"other", "shape"}, {"w"}).node("Add", {"v", "w"}, {"y"});
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
