// Bodies of control-flow nodes: captures at any depth, clashing names, nesting.
#include "plx/graph/subgraphs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;

Result<Graph> read(const Model& model, const ReadOptions& options = {}) {
  const std::string bytes = model.bytes();
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return read_model(copy, std::move(storage), options);
}

Names names(const Graph& graph, const std::vector<ValueId>& ids) {
  Names out;
  for (const ValueId id : ids) out.push_back(graph.values[id].name);
  std::sort(out.begin(), out.end());
  return out;
}

Attrs branches(const Body& then_branch, const Body& else_branch) {
  return {attr("then_branch", then_branch), attr("else_branch", else_branch)};
}

SubgraphScan scan(const Body& body) {
  SubgraphScan result;
  scan_subgraph(body.graph(), 64, result);
  return result;
}

TEST(Scan, TellsReadsFromDefinitions) {
  Body body("b");
  body.input("i", kFloat, {1}).initializer("w", tensor<float>({1}, {1}));
  body.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {0}), {4});
  body.node("Add", {"i", "outer"}, {"t"}).node("Add", {"t", "w"}, {"u", ""}).node("Add", {"u", "s"}, {"r"}).output("r");
  const SubgraphScan result = scan(body);
  EXPECT_EQ(result.reads, (NameSet{"outer"}));
  EXPECT_EQ(result.definitions, (NameSet{"i", "w", "s", "t", "u", "r"}));
}

TEST(Scan, LooksThroughEveryDepth) {
  Body innermost("3");
  innermost.node("Add", {"far", "middle"}, {"deep"}).output("deep");
  Body inner("2");
  inner.node("Relu", {"near"}, {"middle"}).node("If", {"c"}, {"q"}, branches(innermost, innermost)).output("q");
  Body body("1");
  body.node("Relu", {"x"}, {"near"}).node("If", {"c"}, {"p"}, branches(inner, inner)).output("p");
  const SubgraphScan result = scan(body);
  EXPECT_EQ(result.reads, (NameSet{"x", "c", "far"}));
  EXPECT_TRUE(result.definitions.contains("deep"));
}

TEST(Captures, OfSeveralDepthsBelongToTheOuterNode) {
  Body innermost("3");
  innermost.node("Add", {"a", "w"}, {"deep"}).output("deep");
  Body inner("2");
  inner.node("If", {"c"}, {"q"}, branches(innermost, innermost)).output("q");
  Body other("else");
  other.node("Identity", {"b"}, {"e"}).output("e");
  Model m;
  m.input("c", ElementType::kBool, {}).input("x", kFloat, {1}).initializer("w", tensor<float>({1}, {1})).output("y");
  m.node("If", {"c"}, {"y"}, branches(inner, other)).node("Relu", {"x"}, {"a"}).node("Abs", {"x"}, {"b"});
  auto g = read(m);
  ASSERT_TRUE(g) << g.error().message;
  const Node& node = g->nodes.back();
  EXPECT_EQ(node.op_type, "If");
  EXPECT_TRUE(node.has_subgraph);
  EXPECT_EQ(names(*g, node.captures), (Names{"a", "b", "c", "w"}));
  EXPECT_EQ(g->total_nodes, 3u + 1 + 2 + 1);
  EXPECT_EQ(predecessors(*g, 2), (std::vector<NodeId>{0, 1}));
}

TEST(Clashes, AreRenamedInDefinitionsAndReads) {
  Body body("body");
  body.node("Relu", {"x"}, {"t"}).node("Abs", {"t"}, {"r"}).output("r");
  Model m;
  m.input("c", ElementType::kBool, {}).input("x", kFloat, {1}).output("y").output("t");
  m.node("Neg", {"x"}, {"t"}).node("If", {"c"}, {"y"}, branches(body, body));
  auto g = read(m);
  ASSERT_TRUE(g) << g.error().message;
  const Node& node = g->nodes.back();
  EXPECT_EQ(names(*g, node.captures), Names{"x"});
  for (const std::string_view attribute : node.attributes) {
    protozero::pbf_reader reader(attribute.data(), attribute.size());
    ASSERT_TRUE(reader.next(onnx::Attribute::kG));
    SubgraphScan after;
    scan_subgraph(onnx::view(reader.get_view()), 64, after);
    EXPECT_EQ(after.reads, (NameSet{"x"}));
    EXPECT_FALSE(after.definitions.contains("t"));
    EXPECT_EQ(after.definitions.size(), 2u);
  }
}

TEST(Clashes, NamesThatDoNotClashStay) {
  Body body("body");
  body.node("Relu", {"x"}, {"own"}).output("own");
  Model m;
  m.input("c", ElementType::kBool, {})
      .input("x", kFloat, {1})
      .output("y")
      .node("If", {"c"}, {"y"}, branches(body, body));
  auto g = read(m);
  ASSERT_TRUE(g);
  EXPECT_EQ(g->nodes[0].attributes[0], attr("then_branch", body).bytes);
}

TEST(Clashes, ShadowingAtSeveralDepthsIsResolvedByScope) {
  // t: outer value, and a value of each of two nested bodies; each body reads its own.
  Body inner("inner");
  inner.node("Abs", {"t"}, {"seen"}).node("Neg", {"seen"}, {"t2"}).output("t2");
  Body body("body");
  body.initializer("t", tensor<float>({1}, {1})).node("If", {"c"}, {"r"}, branches(inner, inner)).output("r");
  int serial = 0;
  const NameSet outer{"t", "t2", "t/local0", "c"};
  const std::string renamed = rename_clashes(attr("then_branch", body).bytes, outer, serial);
  protozero::pbf_reader reader(renamed);
  ASSERT_TRUE(reader.next(onnx::Attribute::kG));
  SubgraphScan after;
  scan_subgraph(onnx::view(reader.get_view()), 64, after);
  EXPECT_EQ(after.reads, NameSet{"c"});
  for (const char* taken : {"t", "t2", "t/local0"}) EXPECT_FALSE(after.definitions.contains(taken)) << taken;
  EXPECT_EQ(after.definitions.size(), 5u);  // t, seen and r, and t2 of each branch, renamed apart
}

TEST(Nesting, IsRefusedBeyondItsLimit) {
  const auto nested = [](int depth) {
    Body body("innermost");
    body.node("Identity", {"x"}, {"v0"}).output("v0");
    for (int i = 1; i < depth; ++i) {
      Body outer("body");
      const std::string made = "v" + std::to_string(i);
      outer.node("If", {"c"}, {made}, {attr("then_branch", body)}).output(made);
      body = outer;
    }
    Model m;
    m.input("c", ElementType::kBool, {})
        .input("x", kFloat, {1})
        .output("y")
        .node("If", {"c"}, {"y"}, {attr("then_branch", body)});
    return m;
  };
  EXPECT_TRUE(read(nested(32)));
  auto deep = read(nested(33));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, Code::kInvalidModel);
  EXPECT_NE(deep.error().message.find("nests subgraphs too deeply"), std::string::npos);
  EXPECT_FALSE(read(nested(2000)));
  ReadOptions shallow;
  shallow.limits.depth = 3;
  EXPECT_TRUE(read(nested(3), shallow));
  EXPECT_FALSE(read(nested(4), shallow));
}

}  // namespace
}  // namespace plx::graph
