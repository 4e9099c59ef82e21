#include "plx/graph/graph.h"

#include <gtest/gtest.h>

#include <limits>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;

Graph read(const Model& model) {
  static std::vector<std::unique_ptr<std::string>> kept;  // graphs point into their bytes
  kept.push_back(std::make_unique<std::string>(model.bytes()));
  auto graph = read_model(bytes_of(*kept.back()), std::make_shared<Storage>(), {});
  if (!graph) throw std::runtime_error(graph.error().message);
  return graph.take();
}

Node node_with(const std::vector<Attr>& attrs) {
  Node node;
  for (const Attr& attr : attrs) node.attributes.push_back(attr.bytes);
  return node;
}

TEST(Attributes, AreFoundByNameAndType) {
  const std::vector<Attr> attrs = {attr("axis", -3),
                                   attr("alpha", 0.25f),
                                   attr("mode", "linear"),
                                   attr("pads", Dims{1, -2}),
                                   attr("loose", Dims{7, 8}, false),
                                   attr("none", Dims{})};
  const Node node = node_with(attrs);
  EXPECT_EQ(int_attribute(node, "axis"), -3);
  EXPECT_EQ(float_attribute(node, "alpha"), 0.25f);
  EXPECT_EQ(string_attribute(node, "mode"), "linear");
  EXPECT_EQ(ints_attribute(node, "pads"), (Dims{1, -2}));
  EXPECT_EQ(ints_attribute(node, "loose"), (Dims{7, 8}));
  EXPECT_EQ(ints_attribute(node, "none"), Dims{});
}

TEST(Attributes, OfAnotherNameOrTypeAreNotThere) {
  const std::vector<Attr> attrs = {attr("axis", 1), attr("mode", "x")};
  const Node node = node_with(attrs);
  EXPECT_EQ(int_attribute(node, "axes"), std::nullopt);
  EXPECT_EQ(int_attribute(node, "mode"), std::nullopt);
  EXPECT_EQ(float_attribute(node, "axis"), std::nullopt);
  EXPECT_EQ(string_attribute(node, "axis"), std::nullopt);
  EXPECT_EQ(ints_attribute(node, "axes"), std::nullopt);
  EXPECT_EQ(float_attribute(Node{}, "axis"), std::nullopt);
}

TEST(Attributes, ABrokenPackedListIsNoList) {
  const std::vector<Attr> attrs = {{field(onnx::Attribute::kName, "axes") + field(onnx::Attribute::kInts, "\x01\xff")}};
  EXPECT_EQ(ints_attribute(node_with(attrs), "axes"), std::nullopt);
}

TEST(Views, AreOperatorsOfOnnxThatRelabelTheirInput) {
  Node node;
  node.inputs = {0, 1};
  node.outputs = {2};
  for (const char* op : {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}) {
    node.op_type = op;
    EXPECT_TRUE(is_view(node)) << op;
  }
  for (const char* op : {"Transpose", "Expand", "Cast", "reshape", ""}) {
    node.op_type = op;
    EXPECT_FALSE(is_view(node)) << op;
  }
  node.op_type = "Reshape";
  node.domain = "com.example";
  EXPECT_FALSE(is_view(node));
  node.domain = "";
  node.outputs = {2, 3};
  EXPECT_FALSE(is_view(node));
  node.outputs = {2};
  node.inputs.clear();
  EXPECT_FALSE(is_view(node));
}

TEST(TensorBytes, CountsEveryElementType) {
  const Dims five = {5};
  const std::pair<ElementType, uint64_t> expected[] = {
      {ElementType::kFloat32, 20},       {ElementType::kUint8, 5},          {ElementType::kInt8, 5},
      {ElementType::kUint16, 10},        {ElementType::kInt16, 10},         {ElementType::kInt32, 20},
      {ElementType::kInt64, 40},         {ElementType::kBool, 5},           {ElementType::kFloat16, 10},
      {ElementType::kFloat64, 40},       {ElementType::kUint32, 20},        {ElementType::kUint64, 40},
      {ElementType::kComplex64, 40},     {ElementType::kComplex128, 80},    {ElementType::kBfloat16, 10},
      {ElementType::kFloat8E4M3FN, 5},   {ElementType::kFloat8E4M3FNUZ, 5}, {ElementType::kFloat8E5M2, 5},
      {ElementType::kFloat8E5M2FNUZ, 5}, {ElementType::kUint4, 3},          {ElementType::kInt4, 3}};
  for (const auto& [type, bytes] : expected) EXPECT_EQ(tensor_bytes(type, five), bytes) << element_type_name(type);
  EXPECT_EQ(std::size(expected), 21u);
}

TEST(TensorBytes, HasNoAnswerForStringsUnknownTypesAndNegativeDims) {
  EXPECT_EQ(tensor_bytes(ElementType::kString, Dims{2}), std::nullopt);
  EXPECT_EQ(tensor_bytes(ElementType::kUndefined, Dims{2}), std::nullopt);
  EXPECT_EQ(tensor_bytes(static_cast<ElementType>(99), Dims{2}), std::nullopt);
  EXPECT_EQ(tensor_bytes(static_cast<ElementType>(-1), Dims{2}), std::nullopt);
  EXPECT_EQ(tensor_bytes(kFloat, Dims{2, -1}), std::nullopt);
  EXPECT_EQ(tensor_bytes(kFloat, Dims{0, -1}), std::nullopt);
}

TEST(TensorBytes, OverflowIsNoAnswer) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(tensor_bytes(kFloat, Dims{}), 4u);
  EXPECT_EQ(tensor_bytes(kFloat, Dims{kMost, kMost}), std::nullopt);
  EXPECT_EQ(tensor_bytes(ElementType::kUint8, Dims{kMost, 2}), std::nullopt);  // bits overflow, though elements do not
  EXPECT_EQ(tensor_bytes(ElementType::kUint8, Dims{int64_t{1} << 60}), uint64_t{1} << 60);
  EXPECT_EQ(tensor_bytes(kFloat, Dims{int64_t{1} << 31, int64_t{1} << 31, int64_t{1} << 31}), std::nullopt);
  EXPECT_EQ(tensor_bytes(kFloat, Dims{0, 5}), 0u);
}

TEST(Neighbours, AreEachListedOnceAndThroughCaptures) {
  Body body("then");
  body.node("Add", {"a", "b"}, {"t"}).output("t", kFloat, {4});
  Body other("else");
  other.node("Identity", {"a"}, {"e"}).output("e", kFloat, {4});
  Model m;
  m.input("x", kFloat, {4}).input("c", ElementType::kBool, {}).output("y").output("z");
  m.node("Relu", {"x"}, {"a"})
      .node("Add", {"a", "a"}, {"b"})
      .node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", other)});
  m.node("Mul", {"a", "b"}, {"z"});
  const Graph graph = read(m);
  EXPECT_EQ(predecessors(graph, 0), std::vector<NodeId>{});
  EXPECT_EQ(predecessors(graph, 1), std::vector<NodeId>{0});
  EXPECT_EQ(predecessors(graph, 2), (std::vector<NodeId>{0, 1}));
  EXPECT_EQ(successors(graph, 0), (std::vector<NodeId>{1, 2, 3}));
  EXPECT_EQ(successors(graph, 2), std::vector<NodeId>{});
}

TEST(Outline, KeepsNamesTypesAndEdgesAndNoStorage) {
  Model m;
  m.input("x", kFloat, {"n", 4}).initializer("w", tensor<float>({4}, {1, 2, 3, 4})).output("y", kFloat, {"n", 4});
  m.node("Mul", {"x", "w"}, {"a"}).node("Flatten", {"a"}, {"y"}, {attr("axis", 1)});
  std::weak_ptr<Storage> storage;
  Graph kept;
  {
    const Graph graph = read(m);
    storage = graph.storage;
    kept = outline(graph);
  }
  EXPECT_TRUE(storage.expired());
  ASSERT_EQ(kept.nodes.size(), 2u);
  EXPECT_EQ(kept.nodes[1].op_type, "Flatten");
  EXPECT_TRUE(kept.nodes[1].attributes.empty());
  EXPECT_EQ(successors(kept, 0), std::vector<NodeId>{1});
  const Value& x = kept.values[kept.inputs[0]];
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ((*x.type.shape)[0].symbol, "n");
  EXPECT_TRUE(x.type.proto.empty());
  ASSERT_EQ(kept.initializers.size(), 1u);
  EXPECT_EQ(kept.initializers[0].size_bytes, 16u);
  EXPECT_EQ(kept.initializers[0].data, nullptr);
  EXPECT_TRUE(kept.initializers[0].proto.empty());
}

TEST(Names, CoverEveryEnumerator) {
  for (int32_t type = 1; type <= 22; ++type)
    EXPECT_STRNE(element_type_name(static_cast<ElementType>(type)), "undefined") << type;
  EXPECT_STREQ(element_type_name(static_cast<ElementType>(23)), "undefined");
  EXPECT_STREQ(element_type_name(ElementType::kInt4), "int4");
  EXPECT_STREQ(kind_name(Kind::kSparseTensor), "sparse_tensor");
  EXPECT_STREQ(kind_name(Kind::kUnknown), "unknown");
}

}  // namespace
}  // namespace plx::graph
