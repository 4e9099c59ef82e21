#include "plx/schedule/sharing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "plx/memory/planner.h"
#include "plx/schedule/memory_map.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;

// A model cut into nodes, one unit after the other, that has run three times.
struct Ran {
  explicit Ran(const Model& m, Tensors given, size_t outputs_count = 1) : loaded(m.bytes()), inputs(std::move(given)) {
    session = loaded.session(Units::kNodes, 1);
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) must(session->run());
    expected = Plain(runtime(), m.bytes()).run(inputs);
    made = outputs(*session, outputs_count);
    elided = report(*session)["units_elided"].get<int>();
  }
  uint64_t planned() const { return report(*session)["planned_bytes"].get<uint64_t>(); }

  Loaded loaded;
  Tensors inputs, expected, made;
  std::unique_ptr<Session> session;
  int elided = 0;
};

// Nothing that ONNX Runtime fuses with its neighbours.
Model arms(const Sizes& in, const Sizes& out, std::initializer_list<const char*> names) {
  Model m;
  m.input("x", kFloat, in).output("y", kFloat, out);
  for (const char* name : names) m.initializer(std::string("w") + name, weights({1}, static_cast<uint32_t>(name[0])));
  for (const char* name : names) m.node("Pow", {"x", std::string("w") + name}, {name});
  return m;
}

TEST(Sharing, TheInputsOfAConcatAreMadeInItsOutput) {
  Model m = arms({1, 4, 4, 4}, {1, 12, 4, 4}, {"a", "b", "c"});
  m.node("Concat", {"a", "b", "c"}, {"j"}, {attr("axis", 1)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({1, 4, 4, 4}, 1)});
  EXPECT_EQ(ran.elided, 1);
  EXPECT_EQ(ran.made, ran.expected);
  // The joined tensor and the output, and not the three beside it.
  EXPECT_EQ(ran.planned(), 2u * 12 * 16 * 4);
}

TEST(Sharing, TheOutputsOfASplitAreItsInput) {
  Model m;
  m.input("x", kFloat, {1, 4, 4, 4}).output("y", kFloat, {1, 2, 4, 4}).initializer("p", weights({1}, 1));
  m.node("Pow", {"x", "p"}, {"t"}).node("Split", {"t"}, {"a", "b"}, {attr("axis", -3)});
  m.node("Max", {"a", "b"}, {"y"});
  const Ran ran(m, {noise({1, 4, 4, 4}, 1)});
  EXPECT_EQ(ran.elided, 1);
  EXPECT_EQ(ran.made, ran.expected);
  EXPECT_EQ(ran.planned(), (4u + 2) * 16 * 4);
}

TEST(Sharing, PartsOfPartsLieWhereTheyBelong) {
  // As in yolov8n: what is split is part of what is joined.
  Model m;
  m.input("x", kFloat, {1, 8, 4, 4}).output("y", kFloat, {1, 12, 4, 4}).initializer("p", weights({1}, 1));
  m.node("Pow", {"x", "p"}, {"t"}).node("Split", {"t"}, {"a", "b"}, {attr("axis", 1)}).node("Erf", {"b"}, {"c"});
  m.node("Concat", {"a", "b", "c"}, {"j"}, {attr("axis", 1)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({1, 8, 4, 4}, 1)});
  EXPECT_EQ(ran.elided, 2);
  EXPECT_EQ(ran.made, ran.expected);
  EXPECT_EQ(ran.planned(), 2u * 12 * 16 * 4);
  // Each byte is drawn once: for the unit that writes it, as long as anything reads it.
  const MemoryMap map = must(ran.session->memory_map());
  std::vector<std::string> names;
  for (const auto& buffer : map.buffers) names.push_back(buffer.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"c", "t", "y"}));
  for (const auto& buffer : map.buffers) EXPECT_EQ(buffer.last, 4) << buffer.name;
}

TEST(Sharing, NotAlongAnInnerAxis) {
  Model m = arms({2, 4, 4, 4}, {2, 8, 4, 4}, {"a", "b"});
  m.node("Concat", {"a", "b"}, {"j"}, {attr("axis", 1)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({2, 4, 4, 4}, 1)});
  EXPECT_EQ(ran.elided, 0);
  EXPECT_EQ(ran.made, ran.expected);
}

TEST(Sharing, NotWhereAPartWouldNotBeAligned) {
  Model m = arms({5}, {10}, {"a", "b"});
  m.node("Concat", {"a", "b"}, {"j"}, {attr("axis", 0)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({5}, 1)});
  EXPECT_EQ(ran.elided, 0);
  EXPECT_EQ(ran.made, ran.expected);
}

TEST(Sharing, NotOfTheSameTensorTwice) {
  Model m = arms({16}, {32}, {"a"});
  m.node("Concat", {"a", "a"}, {"j"}, {attr("axis", 0)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({16}, 1)});
  EXPECT_EQ(ran.elided, 0);
  EXPECT_EQ(ran.made, ran.expected);
}

TEST(Sharing, NotOfInputsAndConstants) {
  Model m = arms({16}, {48}, {"a"});
  m.initializer("k", weights({16}, 9));
  m.node("Concat", {"a", "x"}, {"i"}, {attr("axis", 0)}).node("Concat", {"i", "k"}, {"j"}, {attr("axis", 0)});
  m.node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({16}, 1)});
  EXPECT_EQ(ran.elided, 0);
  EXPECT_EQ(ran.made, ran.expected);
}

TEST(Sharing, OneOfTwoWhereTheSamePartBelongsInTwoPlaces) {
  for (const bool swapped : {false, true}) {
    Model m = arms({16}, {32}, {"a", "b", "c"});
    m.node("Concat", {"a", "b"}, {"i"}, {attr("axis", 0)});
    m.node("Concat", {swapped ? "b" : "a", swapped ? "a" : "c"}, {"j"}, {attr("axis", 0)});
    m.node("Max", {"i", "j"}, {"y"});
    const Ran ran(m, {noise({16}, 1)});
    EXPECT_EQ(ran.elided, 1);
    EXPECT_EQ(ran.made, ran.expected);
  }
}

TEST(Sharing, NotWhereALargeOutputWouldBeReservedTooEarly) {
  // a is there from the start; what is made meanwhile is as large as the whole.
  Model m;
  m.input("x", kFloat, {16}).output("y", kFloat, {1040}).output("z", kFloat, {1, 1});
  m.initializer("p", weights({1}, 1)).initializer("big", weights({1024}, 3));
  m.initializer("matrix", weights({16, 1024}, 4)).initializer("column", weights({1024, 1}, 5));
  m.initializer("row", tensor<int64_t>({2}, {1, 16})).initializer("flat", tensor<int64_t>({1}, {-1}));
  m.node("Pow", {"x", "p"}, {"a"});
  m.node("Reshape", {"a", "row"}, {"r"}).node("MatMul", {"r", "matrix"}, {"wide"}).node("Erf", {"wide"}, {"wider"});
  m.node("MatMul", {"wider", "column"}, {"z"});
  m.node("Max", {"big", "z"}, {"mixed"}).node("Reshape", {"mixed", "flat"}, {"b"});
  m.node("Concat", {"a", "b"}, {"j"}, {attr("axis", 0)}).node("Erf", {"j"}, {"y"});
  const Ran ran(m, {noise({16}, 1)}, 2);
  EXPECT_EQ(ran.made, ran.expected);
  EXPECT_LE(ran.planned(), 2u * 1040 * 4 + 3 * 64);
}

TEST(Sharing, OutputsOfTheModelMayBePartsAndMayBeBound) {
  Model m = arms({1, 4, 4, 4}, {1, 8, 4, 4}, {"a", "b"});
  m.output("a", kFloat, {1, 4, 4, 4});
  m.node("Concat", {"a", "b"}, {"y"}, {attr("axis", 1)});
  Ran ran(m, {noise({1, 4, 4, 4}, 1)}, 2);
  EXPECT_EQ(ran.elided, 1);
  EXPECT_EQ(ran.made, ran.expected);
  const TensorView y = must(ran.session->output(0));
  EXPECT_EQ(must(ran.session->output(1)).data, y.data) << "the first part is the first half";
  // With memory of the caller's for one or the other there is something to copy.
  for (const size_t bound : {0u, 1u}) {
    std::vector<char> memory(ran.expected[bound].bytes.size());
    must(ran.session->bind_output(bound, {kFloat, ran.expected[bound].dims, memory.data(), memory.size()}));
    for (int i = 0; i < 2; ++i) {
      must(ran.session->run());
      EXPECT_EQ(outputs(*ran.session, 2), ran.expected);
      EXPECT_EQ(std::string(memory.begin(), memory.end()), ran.expected[bound].bytes);
      EXPECT_EQ(report(*ran.session)["units_elided"], 0);
    }
    must(ran.session->bind_output(bound, {kFloat, {}, nullptr, 0}));
    must(ran.session->run());
    EXPECT_EQ(outputs(*ran.session, 2), ran.expected);
    EXPECT_EQ(report(*ran.session)["units_elided"], 1);
  }
}

TEST(Sharing, AcrossViewsAndSideBySide) {
  // Both arms of a Concat write into one buffer at the same time, one of them through a view.
  Model m;
  m.input("x", kFloat, {64, 64}).output("y", kFloat, {128, 64}).initializer("s", tensor<int64_t>({2}, {64, 64}));
  for (const char* name : {"a", "b"}) {
    m.initializer(std::string("w") + name, weights({64, 64}, static_cast<uint32_t>(name[0])));
    m.node("MatMul", {"x", std::string("w") + name}, {std::string(name) + "1"});
  }
  m.initializer("flat", tensor<int64_t>({1}, {-1}));
  m.node("Reshape", {"a1", "flat"}, {"a2"}).node("Erf", {"a2"}, {"a3"}).node("Reshape", {"a3", "s"}, {"a4"});
  m.node("Erf", {"b1"}, {"b4"});
  m.node("Concat", {"a4", "b4"}, {"j"}, {attr("axis", 0)}).node("Softmax", {"j"}, {"y"}, {attr("axis", -1)});
  Loaded loaded(m.bytes());
  const Tensors inputs = {noise({64, 64}, 3)};
  const Tensors expected = Plain(runtime(), m.bytes()).run(inputs);
  const auto plan = loaded.plan(Units::kNodes);
  Schedule narrow;
  for (size_t i = 0; i < plan->plan->units.size(); ++i) narrow.entries.push_back({static_cast<uint32_t>(i), 0, 1, 0});
  const auto session = must(loaded->make_session(plan, 0, narrow));
  bind_all(*session, inputs);
  for (int i = 0; i < 200; ++i) {
    must(session->run());
    ASSERT_EQ(outputs(*session, 1), expected) << i;
  }
  EXPECT_EQ(report(*session)["units_elided"], 1);
}

// ---- in place ----

class InPlace : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Operators, InPlace,
                         ::testing::Values("Add", "Sub", "Mul", "Relu", "LeakyRelu", "Elu", "Selu", "HardSigmoid",
                                           "Sigmoid", "Softplus", "Tanh", "ThresholdedRelu", "Clip"),
                         [](const auto& info) { return std::string(info.param); });

// Many elements, so that ONNX Runtime divides the work among its threads, and a number that no vector divides.
TEST_P(InPlace, WritesTheSameBitsOverItsInput) {
  const std::string op = GetParam();
  const bool two = op == "Add" || op == "Sub" || op == "Mul";
  for (const int64_t n : {int64_t{1}, int64_t{67}, int64_t{300'001}}) {
    for (const int threads : {0, 1}) {
      for (const bool broadcast : {false, true}) {
        if (broadcast && !two) continue;
        Model m;
        m.input("x", kFloat, {n, 3}).output("y", kFloat, {n, 1}).initializer("p", weights({1}, 1));
        m.node("Erf", {"x"}, {"a"}).initializer("b", broadcast ? weights({1, 3}, 5) : weights({n, 3}, 5));
        m.initializer("low", tensor<float>({}, {-0.5f})).initializer("high", tensor<float>({}, {0.4f}));
        Names inputs = {"a"};
        if (two) inputs.push_back("b");
        if (op == "Clip") inputs.insert(inputs.end(), {"low", "high"});
        m.node(op, inputs, {"c"});
        m.node("ReduceMax", {"c"}, {"y"}, {attr("axes", Dims{1})});
        Loaded loaded(m.bytes());
        const Tensors given = {noise({n, 3}, 2)};
        const auto session = loaded.session(Units::kNodes, threads);
        bind_all(*session, given);
        for (int i = 0; i < 3; ++i) must(session->run());
        EXPECT_EQ(outputs(*session, 1), Plain(runtime(), m.bytes()).run(given));
        const auto aligned = [](int64_t bytes) { return static_cast<uint64_t>((bytes + 63) / 64 * 64); };
        const uint64_t planned = report(*session)["planned_bytes"].get<uint64_t>();
        EXPECT_LE(planned, aligned(n * 12) + aligned(n * 4) + 4096) << "one of the two large tensors, and the output";
      }
    }
  }
}

TEST(InPlace, NotOverWhatIsReadLater) {
  Model m;
  m.input("x", kFloat, {64}).output("y", kFloat, {64}).output("z", kFloat, {64});
  m.node("Erf", {"x"}, {"a"}).node("Tanh", {"a"}, {"b"}).node("Max", {"a", "b"}, {"y"}).node("Sigmoid", {"y"}, {"z"});
  const Ran ran(m, {noise({64}, 1)}, 2);
  EXPECT_EQ(ran.made, ran.expected);
}

TEST(InPlace, NotOverWhatItReadsInAnotherPlace) {
  // a is part of the tensor that Sub could write over.
  Model m;
  m.input("x", kFloat, {2, 16}).output("y", kFloat, {2, 16});
  m.node("Erf", {"x"}, {"t"}).node("Split", {"t"}, {"a", "b"}, {attr("axis", 0)}).node("Max", {"a", "b"}, {"c"});
  m.node("Sub", {"t", "a"}, {"d"}).node("Max", {"d", "c"}, {"y"});
  const Ran ran(m, {noise({2, 16}, 1)});
  EXPECT_EQ(ran.elided, 1);
  EXPECT_EQ(ran.made, ran.expected);
}

// ---- the functions by themselves ----

TEST(Together, StandsForAllAndConflictsWithWhatAnyDoes) {
  memory::Problem problem;
  for (const auto& [first, last] : {std::pair{0, 2}, {1, 2}, {2, 4}, {0, 0}, {5, 5}}) {
    problem.buffers.push_back({.size_bytes = 64, .first = first, .last = last, .name = {}});
  }
  auto conflicts = std::make_shared<memory::Conflicts>(problem.buffers);
  conflicts->add(1, 4);  // because they may run side by side
  problem.conflicts = conflicts;
  problem.buffers[2].size_bytes = 128;
  Shared shared;
  shared.any = true;
  shared.within = {0, 0, 0, 3, 4};
  shared.offset = {0, 64, 0, 0, 0};
  shared.extent = {128, 0, 0, 64, 64};
  const memory::Problem merged = together(problem, shared);
  EXPECT_EQ(merged.buffers[0].size_bytes, 128u);
  EXPECT_EQ(merged.buffers[0].first, 0);
  EXPECT_EQ(merged.buffers[0].last, 4);
  EXPECT_EQ(merged.buffers[1].size_bytes, 0u);
  EXPECT_EQ(merged.buffers[2].size_bytes, 0u);
  EXPECT_TRUE(merged.conflicts->has(0, 3));
  EXPECT_TRUE(merged.conflicts->has(0, 4));
  EXPECT_FALSE(merged.conflicts->has(3, 4));
  const memory::Solution solution = apart(must(memory::plan(merged)), shared);
  EXPECT_TRUE(memory::validate(merged, must(memory::plan(merged))));
  EXPECT_EQ(solution.total_bytes, 192u);
  EXPECT_EQ(solution.offsets[1], solution.offsets[0] + 64);
  EXPECT_EQ(solution.offsets[2], solution.offsets[0]);
}

}  // namespace
}  // namespace plx::schedule
