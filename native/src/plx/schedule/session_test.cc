// What sessions compute, in every cut and width, against plain ONNX Runtime.
#include "plx/schedule/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::tensor_of;
using ort::testing::text_of;

TEST(Results, OfConvolutions) {
  expect_plain_results(convolutions(), {{noise({1, 8, 16, 16}, 1)}, {noise({1, 8, 16, 16}, 2)}});
}

TEST(Results, OfAttentionAtManyShapes) {
  expect_plain_results(
      attention(), {{noise({1, 4, 32}, 1)}, {noise({2, 4, 32}, 2)}, {noise({1, 9, 32}, 3)}, {noise({3, 1, 32}, 4)}});
}

TEST(Results, OfControlFlowThatReadsOuterValues) {
  std::vector<Tensors> runs;
  for (const bool condition : {true, false}) {
    for (const int64_t times : {3, 0, 5}) {
      runs.push_back({noise({2, 4}, 7), tensor_of<bool>({}, {condition}), tensor_of<int64_t>({}, {times})});
    }
  }
  expect_plain_results(control_flow(), runs);
}

// All passes done, no node is left and no unit runs.
TEST(Results, OfModelsThatAreConstants) {
  Model sizes;
  sizes.input("x", kFloat, {3, 4}).node("Shape", {"x"}, {"y"}).output("y", kInt, {2});
  expect_plain_results(sizes.bytes(), {{noise({3, 4}, 1)}});
  Model constant;
  constant.node("Constant", {}, {"y"}, {attr("value", tensor<float>({2}, {1, 2}))}).output("y", kFloat, {2});
  expect_plain_results(constant.bytes(), {{}});
}

// ONNX Runtime's passes leave such nodes where they are.
TEST(Results, OfModelsWithNodesThatNobodyReads) {
  Model m;
  m.input("x", kFloat, {"n"}).node("Cast", {"x"}, {"unread"}, {attr("to", 7)}).node("Abs", {"x"}, {"y"}).output("y", kFloat, {"n"});
  const auto plan = Loaded(m.bytes()).plan(Units::kNodes);
  EXPECT_TRUE(std::any_of(plan->plan->units.begin(), plan->plan->units.end(), [](const auto& unit) { return unit.outputs.empty(); }));
  expect_plain_results(m.bytes(), {{noise({3}, 1)}});
}

TEST(Results, WhoseSizeDependsOnTheData) {
  expect_plain_results(non_zero(), {{noise({16}, 1)},
                                    {noise({16}, 2)},
                                    {noise({5}, 3)},
                                    {tensor_of<float>({3}, {-1, -2, -3})},
                                    {tensor_of<float>({3}, {1, 2, 3})}});
}

TEST(Results, OfReshapesToldByData) {
  const Tensor x = noise({4, 6}, 1);
  expect_plain_results(reshape_by_data(), {{x, tensor_of<int64_t>({1}, {24})},
                                           {x, tensor_of<int64_t>({1}, {-1})},
                                           {x, tensor_of<int64_t>({3}, {2, 3, 4})},
                                           {x, tensor_of<int64_t>({3}, {0, -1, 3})},
                                           {noise({1, 1}, 2), tensor_of<int64_t>({0}, {})}});
}

TEST(Results, OfStrings) {
  expect_plain_results(strings(), {{text_of({2}, {"Hello", "WORLD"}), tensor_of<int64_t>({3}, {1, 0, 2})},
                                   {text_of({2}, {"", "Grüße"}), tensor_of<int64_t>({2}, {1, 1})},
                                   {text_of({1}, {"One"}), tensor_of<int64_t>({0}, {})}});
}

TEST(Results, OfSequencesBetweenUnits) {
  expect_plain_results(sequences(), {{noise({1, 2}, 1), tensor_of<int64_t>({}, {0})},
                                     {noise({3, 2}, 2), tensor_of<int64_t>({}, {-1})},
                                     {noise({3, 2}, 2), tensor_of<int64_t>({}, {2})}});
}

TEST(Results, OfViewsConstantsAndInputsHandedOut) {
  expect_plain_results(many_outputs(), {{noise({2, 4}, 1)}, {noise({3, 4}, 2)}});
}

TEST(Results, OfEmptyTensors) {
  Model m;
  m.input("x", kFloat, {"n", 3})
      .initializer("flat", tensor<int64_t>({2}, {3, -1}))
      .output("y", kFloat, {3, "n"})
      .output("z", kFloat, {"m", 3});
  m.node("Relu", {"x"}, {"a"})
      .node("Transpose", {"a"}, {"y"})
      .node("Concat", {"a", "x"}, {"b"}, {attr("axis", 0)})
      .node("Abs", {"b"}, {"z"});
  expect_plain_results(m.bytes(), {{noise({0, 3}, 1)}, {noise({2, 3}, 1)}, {noise({0, 3}, 1)}});
}

TEST(Results, OfScalars) {
  Model m;
  m.input("x", kFloat, {}).initializer("none", tensor<int64_t>({0}, {})).initializer("axis", tensor<int64_t>({1}, {0}));
  m.node("Exp", {"x"}, {"a"})
      .node("Unsqueeze", {"a", "axis"}, {"b"})
      .node("Neg", {"b"}, {"c"})
      .node("Reshape", {"c", "none"}, {"d"})
      .node("Sqrt", {"a"}, {"e"});
  m.node("Add", {"d", "e"}, {"y"}).output("y", kFloat, {}).output("d", kFloat, {});
  expect_plain_results(m.bytes(), {{tensor_of<float>({}, {0.5f})}, {tensor_of<float>({}, {2.f})}});
}

TEST(Results, OfAModelWithoutInputs) {
  Model m;
  m.initializer("w", weights({8}, 1))
      .initializer("low", tensor<int64_t>({}, {0}))
      .node("RandomNormalLike", {"w"}, {"r"}, {attr("seed", 1.f)});
  m.node("Sub", {"r", "r"}, {"zero"}).node("Add", {"zero", "w"}, {"y"}).output("y", kFloat, {8});
  expect_plain_results(m.bytes(), {Tensors{}});
}

TEST(Results, OfAModelThatDoesNothing) {
  Model m;
  m.input("x", kFloat, {"n"}).node("Identity", {"x"}, {"y"}).output("y", kFloat, {"n"});
  expect_plain_results(m.bytes(), {{noise({3}, 1)}, {noise({4}, 1)}});
}

TEST(Results, OfDefaultsOfOldModelsAndSparseConstants) {
  Model old_style(8, 3);
  old_style.input("x", kFloat, {2, 4}).input("w", kFloat, {4, 400}).initializer("w", weights({4, 400}, 1));
  old_style.node("MatMul", {"x", "w"}, {"a"}).node("Relu", {"a"}, {"y"}).output("y", kFloat, {2, 400});
  expect_plain_results(old_style.bytes(), {{noise({2, 4}, 1)}});
  Model sparse;
  sparse.input("x", kFloat, {3, 4})
      .sparse_initializer("s", tensor<float>({2}, {5, 6}), tensor<int64_t>({2}, {1, 7}), {3, 4});
  sparse.node("Abs", {"x"}, {"a"})
      .node("Add", {"a", "s"}, {"b"})
      .node("Relu", {"b"}, {"y"})
      .output("y", kFloat, {3, 4});
  expect_plain_results(sparse.bytes(), {{noise({3, 4}, 1)}});
}

TEST(Results, OfFunctionsAndHalfFloats) {
  Model m;
  m.imports("local", 1)
      .function(function_bytes("local", "Twice", {"p"}, {"q"}, {node_bytes("Add", {"p", "p"}, {"q"})}, 17));
  m.input("x", kFloat, {"n"})
      .node("local:Twice", {"x"}, {"a"})
      .node("Cast", {"a"}, {"h"}, {attr("to", 10)})
      .node("Sqrt", {"h"}, {"b"});
  m.node("Mul", {"b", "h"}, {"c"}).node("Cast", {"c"}, {"y"}, {attr("to", 1)}).output("y", kFloat, {"n"});
  expect_plain_results(m.bytes(), {{tensor_of<float>({3}, {1, 2, 3})}});
}

TEST(Results, OfOneOutputNamedTwiceInSeveralPlaces) {
  Model m;
  m.input("x", kFloat, {4})
      .node("Split", {"x"}, {"a", "b"}, {attr("axis", 0)})
      .node("Add", {"a", "a"}, {"c"})
      .node("Mul", {"c", "b"}, {"d"});
  m.node("Add", {"c", "d"}, {"e"})
      .output("c", kFloat, {2})
      .output("e", kFloat, {2})
      .output("d", kFloat, {2})
      .output("b", kFloat, {2});
  expect_plain_results(m.bytes(), {{noise({4}, 1)}});
}

TEST(Results, TextConstantsHandedOutAreUnsupportedAndSayWhatHelps) {
  Model m;
  m.input("x", kFloat, {1})
      .initializer("t", TensorBytes(kText, {1}).strings({"a"}))
      .node("Abs", {"x"}, {"y"})
      .output("y", kFloat, {1})
      .output("t", kText, {1});
  Loaded loaded(m.bytes());
  for (const Units units : {Units::kWhole, Units::kNodes}) {
    auto session = loaded->make_session(loaded.plan(units), 0);
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, Code::kUnsupported);
    EXPECT_NE(session.error().message.find("'t'"), std::string::npos);
  }
  Model helped;
  helped.initializer("t", TensorBytes(kText, {1}).strings({"a"}))
      .node("Identity", {"t"}, {"y"})
      .output("y", kText, {1});
  Loaded loaded_again(helped.bytes());
  const auto session = loaded_again.session(Units::kWhole);
  must(session->run());
  EXPECT_EQ(read_output(*session, 0), text_of({1}, {"a"}));
}

// ---- shapes and memory
// -----------------------------------------------------------------------------------------------

TEST(Shapes, AreRememberedUpToALimitAndStayRight) {
  Loaded loaded(attention());
  ort::testing::Plain plain(ort::testing::runtime(), loaded.bytes());
  const auto session = loaded.session(Units::kNodes);
  std::vector<Tensors> expected;
  for (int64_t length = 1; length <= 24; ++length) expected.push_back(plain.run({noise({1, length, 32}, 9)}));
  for (int round = 0; round < 3; ++round) {
    for (int64_t length = 1; length <= 24; ++length) {
      const Tensor input = noise({1, length, 32}, 9);
      must(bind(*session, 0, input));
      for (int repeat = 0; repeat < 1 + round; ++repeat) must(session->run());
      ASSERT_EQ(outputs(*session, 1), expected[static_cast<size_t>(length) - 1]) << "length " << length;
      EXPECT_LE(report(*session)["shapes_cached"], kShapesKept);
    }
  }
  EXPECT_EQ(report(*session)["shapes_cached"], kShapesKept);
}

TEST(Shapes, AreForgottenLeastRecentlyUsedFirst) {
  Loaded loaded(attention());
  const auto session = must(loaded->make_session(loaded.plan(Units::kNodes), 0, {}, 2));
  const Tensor a = noise({1, 2, 32}, 1);
  const Tensor b = noise({1, 3, 32}, 2);
  const Tensor c = noise({1, 4, 32}, 3);
  const auto run = [&](const Tensor& input) {
    must(bind(*session, 0, input));
    must(session->run());
  };
  const auto expect = [&](int hits, int misses, int evictions, int planned) {
    const auto r = report(*session);
    EXPECT_EQ(r["shape_hits"], hits);
    EXPECT_EQ(r["shape_misses"], misses);
    EXPECT_EQ(r["shape_evictions"], evictions);
    EXPECT_EQ(r["shapes_planned"], planned);
    EXPECT_EQ(r["shapes_cached"], std::min(misses, 2));
  };
  run(a);
  run(b);
  expect(0, 2, 0, 0);
  run(a);
  expect(1, 2, 0, 1);
  run(c);  // b was used longest ago
  expect(1, 3, 1, 1);
  run(a);
  expect(2, 3, 1, 1);  // and is still planned
  run(b);
  expect(2, 4, 2, 1);
  run(b);
  must(session->run());  // nothing bound anew
  expect(4, 4, 2, 2);
  const auto sizing = report(*session)["sizing_ns"].get<int64_t>();
  EXPECT_GT(sizing, 0);
  must(session->run());
  EXPECT_EQ(report(*session)["sizing_ns"], sizing);  // a run at the last run's shapes has nothing to size
}

TEST(Shapes, CanBeKeptFromOneOnAndNotLess) {
  Loaded loaded(attention());
  EXPECT_FALSE(loaded->make_session(loaded.plan(Units::kNodes), 0, {}, 0));
  ort::testing::Plain plain(ort::testing::runtime(), loaded.bytes());
  const auto session = must(loaded->make_session(loaded.plan(Units::kNodes), 0, {}, 1));
  for (const int64_t length : {2, 2, 3, 2, 3, 3, 3}) {
    const Tensor input = noise({1, length, 32}, 9);
    must(bind(*session, 0, input));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({input}));
  }
  EXPECT_EQ(report(*session)["shapes_cached"], 1);
}

TEST(Shapes, AThousandTakeNoMoreMemoryThanAFew) {
  Model m;
  m.input("x", kFloat, {"n"}).output("y", kFloat, {"k"});
  m.node("Exp", {"x"}, {"a"}).node("Neg", {"a"}, {"b"}).node("Concat", {"a", "b"}, {"c"}, {attr("axis", 0)});
  m.node("Tanh", {"c"}, {"y"});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kNodes, 1);
  const memory::Arena& arena = ort::testing::runtime()->arena();
  const Tensor all = noise({1000}, 1);
  uint64_t early = 0;  // bytes of both arenas after the first shapes, which are the largest
  uint64_t late = 0;   // the most after later ones
  for (int64_t n = 1000; n >= 1; --n) {
    const int64_t dims[] = {n};
    must(session->bind_input(0, {all.element, dims, const_cast<char*>(all.bytes.data()), all.bytes.size()}));
    must(session->run());
    must(session->run());
    if (n % 50 != 0) continue;
    const auto r = report(*session);
    EXPECT_LE(r["shapes_cached"], kShapesKept);
    uint64_t& most = n > 900 ? early : late;
    most = std::max(most, r["arena_bytes"].get<uint64_t>() + arena.stats().live_bytes);
  }
  const auto r = report(*session);
  EXPECT_EQ(r["shape_misses"], 1000);
  EXPECT_EQ(r["shape_evictions"], 1000 - kShapesKept);
  EXPECT_EQ(r["shapes_planned"], 1000);
  EXPECT_GT(early, 0u);
  EXPECT_LE(late, early);
}

// Memory bound anew moves views of inputs and nothing else.
TEST(Shapes, WhoseInputsAreBoundAnewKeepTheirPlaces) {
  Loaded loaded(many_outputs());
  ort::testing::Plain plain(ort::testing::runtime(), loaded.bytes());
  const auto session = loaded.session(Units::kNodes);
  std::vector<Tensor> inputs;
  for (uint32_t seed = 1; seed <= 4; ++seed) inputs.push_back(noise({3, 4}, seed));
  uint64_t generation = 0;
  for (int run = 0; run < 8; ++run) {
    const Tensor& input = inputs[static_cast<size_t>(run) % inputs.size()];
    must(bind(*session, 0, input));
    must(session->run());
    EXPECT_EQ(outputs(*session, 7), plain.run({input})) << "run " << run;
    EXPECT_NE(session->outputs_generation(), generation);  // an output that views the input has moved
    generation = session->outputs_generation();
  }
  EXPECT_EQ(report(*session)["shapes_planned"], 1);
}

// The block grows under tensors that were placed before.
TEST(Shapes, OfDifferentSizeInTurnShareTheBlock) {
  Loaded loaded(attention());
  ort::testing::Plain plain(ort::testing::runtime(), loaded.bytes());
  const auto session = loaded.session(Units::kNodes);
  const Tensor small = noise({1, 2, 32}, 1);
  const Tensor large = noise({4, 16, 32}, 2);
  for (const Tensor* input : {&large, &small, &small, &large, &small, &large, &large, &small}) {
    must(bind(*session, 0, *input));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({*input})) << input->dims[0];
  }
}

// When the block grows, new tensors may be described at the addresses of old ones.
TEST(Shapes, ThatMakeTheBlockGrowAreReportedAnew) {
  Model m;
  m.input("x", kFloat, {"n"}).node("Exp", {"x"}, {"y"}).output("y", kFloat, {"n"});
  Loaded loaded(m.bytes());
  ort::testing::Plain plain(ort::testing::runtime(), loaded.bytes());
  const auto session = loaded.session(Units::kNodes);
  const Tensor small = noise({8}, 1);
  const Tensor large = noise({100000}, 2);
  for (const Tensor* input : {&large, &small, &small, &large, &small}) {
    must(bind(*session, 0, *input));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({*input})) << input->dims[0];
  }
}

TEST(Memory, OfSmallerShapesIsGivenBackWhenTheBlockGrows) {
  Model m;
  m.input("x", kFloat, {"n"}).node("Exp", {"x"}, {"y"}).output("y", kFloat, {"n"});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kNodes);
  std::vector<Tensor> inputs;
  for (int64_t megabytes = 1; megabytes <= 8; ++megabytes) inputs.push_back(noise({megabytes << 18}, 1));
  for (const Tensor& input : inputs) {
    must(bind(*session, 0, input));
    must(session->run());
    must(session->run());
  }
  const auto r = report(*session);
  EXPECT_EQ(r["planned_bytes"], 8 << 20);
  EXPECT_LE(r["arena_bytes"], 12 << 20);
}

TEST(Memory, IsPlannedBetweenItsBounds) {
  Loaded loaded(convolutions());
  const auto session = loaded.session(Units::kNodes);
  const Tensor input = noise({1, 8, 16, 16}, 1);
  must(bind(*session, 0, input));
  EXPECT_EQ(report(*session)["runs"], 0);
  must(session->run());
  must(session->run());
  const auto r = report(*session);
  EXPECT_EQ(r["runs"], 2);
  EXPECT_EQ(r["shapes_cached"], 1);
  const uint64_t planned = r["planned_bytes"];
  EXPECT_GT(planned, 0u);
  EXPECT_GE(planned, r["lower_bound_bytes"].get<uint64_t>());
  EXPECT_LT(planned, r["one_buffer_per_tensor_bytes"].get<uint64_t>());
  EXPECT_LE(planned, r["arena_bytes"].get<uint64_t>());
}

TEST(Report, NamesEveryUnitInOrder) {
  Loaded loaded(convolutions());
  const auto plan = loaded.plan(Units::kNodes);
  for (const int threads : {0, 1}) {
    const auto session = must(loaded->make_session(plan, threads));
    const Tensor input = noise({1, 8, 16, 16}, 1);
    must(bind(*session, 0, input));
    must(session->run());
    const auto r = report(*session);
    ASSERT_EQ(r["units"].size(), plan->plan->units.size());
    EXPECT_EQ(r["aliases"], plan->plan->aliases.size());
    int64_t before = 0;
    for (const auto& unit : r["units"]) {
      EXPECT_EQ(unit["device"], "cpu");
      EXPECT_EQ(unit["threads"], threads == 1 ? 1 : 2);
      EXPECT_GE(unit["start_ns"].get<int64_t>(), before);
      EXPECT_GE(unit["end_ns"].get<int64_t>(), unit["start_ns"].get<int64_t>());
      before = unit["end_ns"];
    }
  }
}

}  // namespace
}  // namespace plx::schedule
