#include "plx/graph/shape_flow.h"

#include <gtest/gtest.h>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;
constexpr ElementType kInt = ElementType::kInt64;

// The names of the values that nodes make and whose shapes are settled, in order.
Names settled(const Model& model) {
  const std::string bytes = model.bytes();
  auto graph = read_model(bytes_of(bytes), std::make_shared<Storage>(), {});
  if (!graph) return {graph.error().message};
  const std::vector<bool> flags = settled_shapes(*graph);
  Names names;
  for (const Node& node : graph->nodes) {
    for (const ValueId id : node.outputs) {
      if (id != kNone && flags[id]) names.push_back(graph->values[id].name);
    }
  }
  return names;
}

Model with_inputs() {
  Model m;
  m.input("x", kFloat, {"n", "m"}).input("i", kInt, {2}).input("c", ElementType::kBool, {});
  m.initializer("two", tensor<int64_t>({2}, {-1, 2})).initializer("one", tensor<int64_t>({1}, {1}));
  m.imports("com.example", 1);
  return m;
}

TEST(Settled, ArithmeticFollowsItsInputs) {
  Model m = with_inputs();
  m.node("Relu", {"x"}, {"a"})
      .node("MatMul", {"a", "x"}, {"b"})
      .node("Concat", {"a", "b"}, {"y"}, {attr("axis", 0)})
      .output("y");
  EXPECT_EQ(settled(m), (Names{"a", "b", "y"}));
}

TEST(Settled, AShapeMayFlowIntoReshape) {
  Model m = with_inputs();
  m.node("Shape", {"x"}, {"s"})
      .node("Gather", {"s", "one"}, {"g"})
      .node("Concat", {"one", "g"}, {"t"}, {attr("axis", 0)});
  m.node("Reshape", {"x", "t"}, {"y"})
      .node("Expand", {"y", "s"}, {"e"})
      .node("ConstantOfShape", {"s"}, {"k"})
      .output("y")
      .output("e")
      .output("k");
  EXPECT_EQ(settled(m), (Names{"s", "g", "t", "y", "e", "k"}));
}

TEST(Settled, APartSettlesByItselfIfNoOutsideContentDecidesItsShapes) {
  Model m = with_inputs();
  m.node("Shape", {"x"}, {"s"}).node("Relu", {"x"}, {"a"}).node("Expand", {"a", "s"}, {"e"}).node("Reshape", {"e", "two"}, {"y"});
  m.node("NonZero", {"y"}, {"z"}).output("y").output("z");
  const std::string bytes = m.bytes();
  const auto graph = read_model(bytes_of(bytes), std::make_shared<Storage>(), {});
  ASSERT_TRUE(graph) << graph.error().message;
  const auto value = [&](std::string_view name) {
    for (size_t i = 0; i < graph->values.size(); ++i) {
      if (graph->values[i].name == name) return static_cast<ValueId>(i);
    }
    return kNone;
  };
  const auto settles = [&](const std::vector<NodeId>& nodes, const Names& inputs) {
    std::vector<ValueId> ids;
    for (const auto& name : inputs) ids.push_back(value(name));
    return settles_by_itself(*graph, nodes, ids);
  };
  EXPECT_TRUE(settles({1}, {"x"}));
  EXPECT_FALSE(settles({1, 2}, {"x", "s"})) << "'s' comes from outside";
  EXPECT_TRUE(settles({0, 1, 2}, {"x"})) << "and here from what is inside";
  EXPECT_TRUE(settles({3}, {"e"})) << "told by a constant";
  EXPECT_FALSE(settles({3, 4}, {"e"}));
}

TEST(Settled, TheContentOfDataSettlesNothing) {
  Model m = with_inputs();
  m.node("Reshape", {"x", "i"}, {"r"})
      .node("Relu", {"r"}, {"after"})
      .node("Add", {"i", "two"}, {"j"})
      .node("Expand", {"x", "j"}, {"e"});
  m.node("Range", {"i", "i", "i"}, {"range"}).node("Reshape", {"x", "two"}, {"known"});
  m.output("after").output("e").output("range").output("known");
  EXPECT_EQ(settled(m), (Names{"j", "known"}));
}

TEST(Settled, ARangeOfASizeIsSettledAndSoIsItsContent) {
  Model m = with_inputs();
  m.initializer("zero", tensor<int64_t>({}, {0})).initializer("step", tensor<int64_t>({}, {1}));
  m.node("Size", {"x"}, {"n"})
      .node("Range", {"zero", "n", "step"}, {"r"})
      .node("Expand", {"x", "r"}, {"y"})
      .output("y");
  EXPECT_EQ(settled(m), (Names{"n", "r", "y"}));
}

TEST(Settled, DataDependentOperatorsAndWhatFollowsAreNot) {
  for (const char* op : {"NonZero", "Unique", "Compress", "NonMaxSuppression"}) {
    Model m = with_inputs();
    m.node(op, {"x"}, {"z"})
        .node("Transpose", {"z"}, {"t"})
        .node("Relu", {"x"}, {"other"})
        .node("Shape", {"z"}, {"s"})
        .output("t")
        .output("other")
        .output("s");
    EXPECT_EQ(settled(m), Names{"other"}) << op;
  }
}

TEST(Settled, OperandsThatShapeAreNamedPerOperator) {
  const auto with_data = [](const char* op, Names inputs) {
    Model m = with_inputs();
    m.node(op, inputs, {"y"}).output("y");
    return settled(m) == Names{"y"};
  };
  for (const char* op : {"Tile", "Pad", "TopK", "OneHot", "Unsqueeze", "Squeeze", "Split", "ReduceSum", "ReduceMax"}) {
    EXPECT_FALSE(with_data(op, {"x", "i"})) << op;
    EXPECT_TRUE(with_data(op, {"x", "two"})) << op;
  }
  EXPECT_FALSE(with_data("Slice", {"x", "two", "i"}));
  EXPECT_FALSE(with_data("Slice", {"x", "two", "two", "two", "i"}));
  EXPECT_TRUE(with_data("Slice", {"x", "two", "two"}));
  EXPECT_FALSE(with_data("Resize", {"x", "", "", "i"}));
  EXPECT_TRUE(with_data("Resize", {"x", "x", "", "two"}) == false);  // the region of interest counts too
  EXPECT_TRUE(with_data("Gather", {"x", "i"}));                      // which rows is data, how many is not
}

TEST(Settled, OutputsOfControlFlowAreNot) {
  Body body("b");
  body.node("Relu", {"x"}, {"t"}).output("t");
  Model m = with_inputs();
  m.node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)})
      .node("Abs", {"y"}, {"z"})
      .output("z");
  EXPECT_EQ(settled(m), Names{});
}

TEST(Settled, RandomContentShapesNothing) {
  Model m = with_inputs();
  m.node("Shape", {"x"}, {"s"}).node("RandomUniformLike", {"s"}, {"r"}).node("Reshape", {"x", "r"}, {"y"}).output("y");
  EXPECT_EQ(settled(m), (Names{"s", "r"}));
}

TEST(Settled, ADefaultMayBeOverriddenSoItsContentIsData) {
  Model m = with_inputs();
  m.input("target", kInt, {2})
      .initializer("target", tensor<int64_t>({2}, {1, -1}))
      .node("Reshape", {"x", "target"}, {"y"})
      .output("y");
  EXPECT_EQ(settled(m), Names{});
}

TEST(Settled, SequencesAreNot) {
  Model m = with_inputs();
  m.input("list", sequence_of(tensor_type(kFloat)))
      .node("SequenceAt", {"list", "one"}, {"y"})
      .node("Relu", {"y"}, {"z"})
      .output("z");
  EXPECT_EQ(settled(m), Names{});
}

TEST(Settled, OperatorsOfOtherDomainsAreTrusted) {
  Model m = with_inputs();
  m.node("com.example:NonZero", {"x"}, {"y"}).node("com.example:Reshape", {"x", "i"}, {"z"}).output("y").output("z");
  EXPECT_EQ(settled(m), (Names{"y", "z"}));
}

}  // namespace
}  // namespace plx::graph
