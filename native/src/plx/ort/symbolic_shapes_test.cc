// Symbolic shapes of small graphs, asked of the real ONNX Runtime.
#include "plx/ort/symbolic_shapes.h"

#include <gtest/gtest.h>

#include <cstring>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"
#include "plx/ort/plain_testing.h"

namespace plx::ort {
namespace {

using namespace graph::testing;
constexpr auto kInt = graph::ElementType::kInt64;

// All shapes of the model, by name.
std::map<std::string, std::string> shapes(const Model& model) {
  const std::string bytes = model.bytes();
  auto storage = std::make_shared<graph::Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  auto graph = graph::read_model(copy, std::move(storage), {});
  if (!graph) throw std::runtime_error(graph.error().message);
  const graph::SymbolicShapes symbolic = infer_symbolic(testing::runtime(), *graph, {}, "");
  std::map<std::string, std::string> texts;
  for (size_t id = 0; id < symbolic.size(); ++id) {
    std::string& text = texts[graph->values[id].name];
    if (!symbolic[id]) text = "no rank";
    for (const graph::Dim& dim : symbolic[id].value_or(std::vector<graph::Dim>{})) {
      if (!text.empty()) text += ",";
      text += dim.known() ? std::to_string(dim.size) : dim.symbol.empty() ? "?" : dim.symbol;
    }
  }
  return texts;
}

TEST(InferSymbolic, FollowsShapesThroughOperators) {
  Model m;
  m.input("x", kFloat, {"batch", "sequence", 8}).input("past", kFloat, {"batch", "", 8});
  m.initializer("flat", tensor<int64_t>({2}, {-1, 8}));
  m.node("Reshape", {"x", "flat"}, {"rows"}).node("Concat", {"past", "x"}, {"joined"}, {attr("axis", 1)});
  m.node("Concat", {"x", "x", "x"}, {"thrice"}, {attr("axis", 1)});
  m.node("Pad", {"past", "pads"}, {"longer"}).initializer("pads", tensor<int64_t>({6}, {0, 0, 0, 0, 1, 0}));
  m.node("ReduceSum", {"x"}, {"sum"}, {attr("keepdims", 0)}).node("NonZero", {"x"}, {"where"});
  m.node("MaxPool", {"x"}, {"half"}, {attr("kernel_shape", Dims{2}), attr("strides", Dims{2})});
  m.output("rows").output("joined").output("thrice").output("longer").output("sum").output("where").output("half");
  const auto of = shapes(m);
  EXPECT_EQ(of.at("x"), "batch,sequence,8");
  EXPECT_EQ(of.at("past"), "batch,past.1,8");
  EXPECT_EQ(of.at("rows"), "batch*sequence,8");
  EXPECT_EQ(of.at("joined"), "batch,?,8");  // a sum of two symbols
  EXPECT_EQ(of.at("thrice"), "batch,3*sequence,8");
  EXPECT_EQ(of.at("longer"), "batch,past.1+1,8");
  EXPECT_EQ(of.at("sum"), "");
  EXPECT_EQ(of.at("where"), "3,?");
  EXPECT_EQ(of.at("half"), "batch,sequence,4");
  EXPECT_EQ(of.at("pads"), "6");
}

TEST(InferSymbolic, ARankThatDependsOnDataIsNotKnown) {
  Model m;
  m.input("x", kFloat, {"n"}).input("target", kInt, {"r"}).node("Reshape", {"x", "target"}, {"v"});
  m.node("Abs", {"v"}, {"y"}).output("y").node("Size", {"v"}, {"count"}).output("count");
  const auto of = shapes(m);
  EXPECT_EQ(of.at("v"), "no rank");
  EXPECT_EQ(of.at("y"), "no rank");
  EXPECT_EQ(of.at("count"), "");
}

TEST(InferSymbolic, AGraphWithoutSymbolsHasNumbers) {
  Model m;
  m.input("x", kFloat, {2, 3}).node("Transpose", {"x"}, {"t"}).output("t").node("Size", {"x"}, {"n"}).output("n");
  const auto of = shapes(m);
  EXPECT_EQ(of.at("t"), "3,2");
  EXPECT_EQ(of.at("n"), "");
}

// Positions up to `room`, added to as many rows: what does not fit is refused.
Model with_positions(int64_t room) {
  Model m;
  m.input("x", kFloat, {"n", 4}).initializer("table", tensor<float>({room, 4}, std::vector<float>(4 * room, 1)));
  m.initializer("zero", tensor<int64_t>({1}, {0})).initializer("axis", tensor<int64_t>({1}, {0}));
  m.node("Shape", {"x"}, {"s"}, {attr("end", 1)}).node("Slice", {"table", "zero", "s", "axis"}, {"p"});
  m.node("Add", {"x", "p"}, {"sum"}).node("Concat", {"sum", "sum"}, {"y"}, {attr("axis", 0)});
  m.output("y", kFloat, {"m", 4});
  return m;
}

TEST(InferSymbolic, AModelWithLittleRoomIsAskedAtSmallSizes) {
  EXPECT_EQ(shapes(with_positions(100)).at("y"), "2*n,4");
  EXPECT_EQ(shapes(with_positions(20)).at("y"), "2*n,4");
}

TEST(InferSymbolic, AModelThatRefusesStaysAsDeclared) {
  const auto of = shapes(with_positions(4));
  EXPECT_EQ(of.at("x"), "n,4");
  EXPECT_EQ(of.at("sum"), "no rank");
  EXPECT_EQ(of.at("y"), "m,4");
}

}  // namespace
}  // namespace plx::ort
