#include "plx/graph/writer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;

Graph read(const std::string& bytes) {
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  auto graph = read_model(copy, std::move(storage), {.base_directory = ".", .load_data = false});
  if (!graph) throw std::runtime_error(graph.error().message);
  return graph.take();
}

std::vector<NodeId> all_nodes(const Graph& graph) {
  std::vector<NodeId> nodes(graph.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

ValueId value_named(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].name == name) return static_cast<ValueId>(i);
  }
  ADD_FAILURE() << "no value '" << name << "'";
  return kNone;
}

// A graph as text: everything the writer has to carry over, and nothing that depends on the order of ids.
std::string structure(const Graph& g) {
  std::string out = g.name + " ir " + std::to_string(g.ir_version) + "\n";
  const auto name = [&](ValueId id) { return id == kNone ? std::string("-") : g.values[id].name; };
  for (const auto& [domain, version] : g.opsets) out += "opset " + domain + " " + std::to_string(version) + "\n";
  for (const std::string_view function : g.functions) out += "function " + std::string(function) + "\n";
  for (const auto* list : {&g.inputs, &g.outputs}) {
    for (const ValueId id : *list) out += name(id) + " " + std::string(g.values[id].type.proto) + "\n";
    out += "--\n";
  }
  for (const Node& node : g.nodes) {
    out += node.name + " " + node.domain + "." + node.op_type + " " + node.overload + ":";
    for (const auto* list : {&node.inputs, &node.outputs, &node.captures}) {
      for (const ValueId id : *list) out += " " + name(id);
      out += ";";
    }
    for (const std::string_view attribute : node.attributes) out += std::string(attribute);
    out += "\n";
  }
  std::map<std::string, std::string> constants;
  for (const Value& value : g.values) {
    if (value.initializer == kNone) continue;
    constants[value.name] = std::string(g.initializers[value.initializer].proto) + (value.is_input ? " default" : "");
  }
  for (const auto& [constant, proto] : constants) out += constant + " = " + proto + "\n";
  return out;
}

Model sample() {
  Body body("then");
  body.node("Add", {"a", "w"}, {"t"}).output("t", kFloat, {"n", 2});
  Model m(17, 8);
  m.imports("local", 1)
      .function(function_bytes("local", "Twice", {"p"}, {"q"}, {node_bytes("Add", {"p", "p"}, {"q"})}, 17));
  m.input("x", kFloat, {"n", 2}).input("c", ElementType::kBool, {}).input("list", sequence_of(tensor_type(kFloat)));
  m.input("d", kFloat, {2}).initializer("d", tensor<float>({2}, {3, 4}));
  m.initializer("w", tensor<float>({2}, {1, 2}));
  m.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {1}), {2});
  m.node("Add", {"x", "w"}, {"a"}).node("Clip", {"a", "", "d"}, {"b"}).node("Add", {"b", "s"}, {"e"});
  m.node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)}).node("local:Twice", {"e"}, {"z"});
  m.node("SequenceLength", {"list"}, {"n"})
      .output("y", kFloat, {"n", 2})
      .output("z")
      .output("n", ElementType::kInt64, {});
  return m;
}

TEST(Writer, EverythingWrittenReadsBackTheSame) {
  const Graph g = read(sample().bytes());
  const Part part = write_part(g, all_nodes(g), g.inputs, g.outputs, {});
  EXPECT_TRUE(part.handed_over.empty());
  EXPECT_EQ(structure(read(part.bytes)), structure(g));
}

TEST(Writer, AGraphWithoutNameGetsOne) {
  Graph g = read(sample().bytes());
  g.name.clear();
  EXPECT_EQ(read(write_part(g, all_nodes(g), g.inputs, g.outputs, {}).bytes).name, "part");
}

TEST(Writer, APartHoldsWhatItReads) {
  const Graph g = read(sample().bytes());
  const ValueId a = value_named(g, "a");
  const ValueId b = value_named(g, "b");
  const Part part = write_part(g, std::vector<NodeId>{1}, std::vector<ValueId>{a}, std::vector<ValueId>{b}, {});
  const Graph cut = read(part.bytes);
  ASSERT_EQ(cut.nodes.size(), 1u);
  EXPECT_EQ(cut.nodes[0].inputs.size(), 3u);
  EXPECT_EQ(cut.nodes[0].inputs[1], kNone);
  ASSERT_EQ(cut.inputs.size(), 1u);
  EXPECT_EQ(cut.values[cut.inputs[0]].name, "a");
  ASSERT_EQ(cut.initializers.size(), 1u);  // d, still a default
  EXPECT_TRUE(cut.values[value_named(cut, "d")].is_input);
  EXPECT_EQ(cut.opsets, g.opsets);
}

TEST(Writer, CapturesOfABodyComeAlong) {
  const Graph g = read(sample().bytes());
  const std::vector<ValueId> inputs = {value_named(g, "c"), value_named(g, "a")};
  const Part part = write_part(g, std::vector<NodeId>{3}, inputs, std::vector<ValueId>{value_named(g, "y")}, {});
  const Graph cut = read(part.bytes);
  ASSERT_EQ(cut.nodes.size(), 1u);
  EXPECT_EQ(cut.nodes[0].captures.size(), 2u);
  EXPECT_NE(cut.values[value_named(cut, "w")].initializer, kNone);
}

TEST(Writer, AConstantMayBeAnOutput) {
  Model m;
  m.initializer("w", tensor<float>({2}, {1, 2}))
      .input("x", kFloat, {2})
      .node("Relu", {"x"}, {"y"})
      .output("y")
      .output("w", kFloat, {2});
  const Graph g = read(m.bytes());
  EXPECT_EQ(structure(read(write_part(g, all_nodes(g), g.inputs, g.outputs, {}).bytes)), structure(g));
}

TEST(Writer, LargeConstantsAreHandedOver) {
  Model m;
  m.initializer("big", tensor<float>({3}, {1, 2, 3})).initializer("small", tensor<float>({2}, {1, 2}));
  m.input("x", kFloat, {3})
      .node("Add", {"x", "big"}, {"a"})
      .node("Add", {"a", "big"}, {"y"})
      .node("Relu", {"small"}, {"z"});
  m.output("y").output("z");
  const Graph g = read(m.bytes());
  const Part part =
      write_part(g, all_nodes(g), g.inputs, g.outputs, {.inline_limit_bytes = 8, .stand_in = "over there"});
  ASSERT_EQ(part.handed_over.size(), 1u);
  EXPECT_EQ(g.values[part.handed_over[0]].name, "big");
  EXPECT_EQ(part.bytes.find(std::string(g.initializers[g.values[part.handed_over[0]].initializer].proto)),
            std::string::npos);
  EXPECT_NE(part.bytes.find("over there"), std::string::npos);
  EXPECT_NE(part.bytes.find(std::string(g.initializers[g.values[value_named(g, "small")].initializer].proto)),
            std::string::npos);
}

TEST(Writer, LargeConstantsMayBecomeInputs) {
  Model m;
  m.initializer("big", tensor<float>({3}, {1, 2, 3}))
      .input("x", kFloat, {"n"})
      .node("Add", {"x", "big"}, {"y"})
      .output("y", kFloat, {"n"});
  const Graph g = read(m.bytes());
  Shapes sizes(g.values.size());
  sizes[g.inputs[0]] = Shape{kFloat, {3}};
  const WriteOptions options{.inline_limit_bytes = 8,
                             .stand_in = {},
                             .large_as_inputs = true,
                             .untyped_outputs = true,
                             .input_shapes = &sizes};
  const Part part = write_part(g, all_nodes(g), g.inputs, g.outputs, options);
  EXPECT_TRUE(part.handed_over.empty());
  const Graph probe = read(part.bytes);
  ASSERT_EQ(probe.inputs.size(), 2u);
  for (const ValueId id : probe.inputs)
    EXPECT_EQ(probe.values[id].type.shape, (std::vector<Dim>{{3, ""}})) << probe.values[id].name;
  EXPECT_TRUE(probe.initializers.empty());
  EXPECT_EQ(probe.values[probe.outputs[0]].type.kind, Kind::kUnknown);
}

TEST(Writer, KnownTypesWithoutAProtoAreWritten) {
  Model m;
  m.input("x", kFloat, {2}).node("Relu", {"x"}, {"a"}).node("Abs", {"a"}, {"y"}).output("y");
  Graph g = read(m.bytes());
  const ValueId a = value_named(g, "a");
  g.values[a].type = Type{.kind = Kind::kTensor, .element = kFloat, .shape = {}, .proto = {}};
  const Part part = write_part(g, std::vector<NodeId>{1}, std::vector<ValueId>{a}, g.outputs, {});
  const Graph cut = read(part.bytes);
  EXPECT_EQ(cut.values[cut.inputs[0]].type.element, kFloat);
  EXPECT_FALSE(cut.values[cut.inputs[0]].type.shape.has_value());  // of any rank
}

}  // namespace
}  // namespace plx::graph
