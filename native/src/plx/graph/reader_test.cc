#include "plx/graph/reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plx/graph/onnx_builder_testing.h"

namespace plx::graph {
namespace {

using namespace testing;

Result<Graph> read(const std::string& bytes, ReadOptions options = {}) {
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return read_model(copy, std::move(storage), options);
}

// Reads a model that has to be refused; the error's text.
std::string refused(const std::string& bytes, Code code = Code::kInvalidModel, const ReadOptions& options = {}) {
  auto graph = read(bytes, options);
  if (graph) {
    ADD_FAILURE() << "the model was accepted";
    return {};
  }
  EXPECT_EQ(graph.error().code, code) << graph.error().message;
  EXPECT_NE(graph.error().message.find("model in memory"), std::string::npos) << graph.error().message;
  return graph.error().message;
}
std::string refused(const Model& model) { return refused(model.bytes()); }

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> order(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return names;
}

Model chain() {
  Model m;
  m.input("x", kFloat, {"batch", 4}).output("y", kFloat, {"batch", 4});
  m.node("Relu", {"x"}, {"a"}, {}, "first").node("Abs", {"a"}, {"y"}, {}, "second");
  return m;
}

TEST(Reader, ReadsWhatAModelSays) {
  Model m(19, 9);
  m.imports("com.example", 3).metadata("author", "somebody");
  m.input("x", kFloat, {"batch", 3, ""})
      .input("s", sequence_of(tensor_type(kFloat)))
      .input("o", optional_of(tensor_type(kFloat)));
  m.input("m", map_of(ElementType::kInt64, tensor_type(kFloat)))
      .input("p", sparse_type(kFloat))
      .input("r", tensor_type(ElementType::kInt8));
  m.initializer("w", tensor<float>({2}, {1, 2}));
  m.node("com.example:Blend", {"x", "", "w"}, {"", "y"}, {attr("axis", 1)}, "blend").output("y");
  m.value_info("y", tensor_type(ElementType::kFloat16, {1}));
  auto read_back = read(m.bytes());
  ASSERT_TRUE(read_back) << read_back.error().message;
  const Graph& g = *read_back;
  EXPECT_EQ(g.name, "test");
  EXPECT_EQ(g.ir_version, 9);
  EXPECT_EQ(g.producer, "tests");
  EXPECT_EQ(g.opsets, (std::map<std::string, int64_t>{{"", 19}, {"com.example", 3}}));
  EXPECT_EQ(g.metadata.size(), 1u);
  ASSERT_EQ(g.inputs.size(), 6u);
  const Kind kinds[] = {Kind::kTensor, Kind::kSequence,     Kind::kOptional,
                        Kind::kMap,    Kind::kSparseTensor, Kind::kTensor};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(g.values[g.inputs[i]].type.kind, kinds[i]) << i;
  const Type& x = g.values[g.inputs[0]].type;
  EXPECT_EQ(x.shape, (std::vector<Dim>{{-1, "batch"}, {3, ""}, {-1, ""}}));
  EXPECT_FALSE(g.values[g.inputs[5]].type.shape.has_value());
  ASSERT_EQ(g.nodes.size(), 1u);
  const Node& node = g.nodes[0];
  EXPECT_EQ(node.domain, "com.example");
  EXPECT_EQ(node.op_type, "Blend");
  EXPECT_EQ(node.inputs.size(), 3u);
  EXPECT_EQ(node.inputs[1], kNone);
  EXPECT_EQ(node.outputs[0], kNone);
  const Value& y = g.values[g.outputs[0]];
  EXPECT_EQ(y.producer, 0);
  EXPECT_TRUE(y.is_output);
  EXPECT_EQ(y.type.element, ElementType::kFloat16);
  EXPECT_EQ(g.values[node.inputs[2]].type.shape, (std::vector<Dim>{{2, ""}}));
}

TEST(Reader, TheDomainAiOnnxIsTheDefaultOne) {
  Model m(0);
  m.imports("ai.onnx", 17).input("x", kFloat, {1}).node("ai.onnx:Relu", {"x"}, {"y"}).output("y");
  auto g = read(m.bytes());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->opsets.at(""), 17);
  EXPECT_EQ(g->nodes[0].domain, "");
}

TEST(Reader, NegativeSizesAreOpen) {
  Model m;
  m.input("x", kFloat, {-1, 0, -7}).node("Relu", {"x"}, {"y"}).output("y");
  auto g = read(m.bytes());
  ASSERT_TRUE(g);
  EXPECT_EQ(g->values[g->inputs[0]].type.shape, (std::vector<Dim>{{-1, ""}, {0, ""}, {-1, ""}}));
}

TEST(Reader, SortsNodesAndKeepsASortedOrder) {
  Model m;
  m.input("x", kFloat, {1}).output("d");
  m.node("Add", {"b", "c"}, {"d"}, {}, "d")
      .node("Relu", {"a"}, {"c"}, {}, "c")
      .node("Abs", {"a"}, {"b"}, {}, "b")
      .node("Neg", {"x"}, {"a"}, {}, "a");
  auto g = read(m.bytes());
  ASSERT_TRUE(g);
  EXPECT_EQ(order(*g), (std::vector<std::string>{"a", "c", "b", "d"}));
  for (size_t i = 0; i < g->nodes.size(); ++i) {
    for (const ValueId out : g->nodes[i].outputs) EXPECT_EQ(g->values[out].producer, static_cast<NodeId>(i));
    for (const NodeId before : predecessors(*g, static_cast<NodeId>(i))) EXPECT_LT(before, static_cast<NodeId>(i));
  }
  auto sorted = read(chain().bytes());
  ASSERT_TRUE(sorted);
  EXPECT_EQ(order(*sorted), (std::vector<std::string>{"first", "second"}));
}

TEST(Reader, ConsumersAreEachListedOnce) {
  Model m;
  m.input("x", kFloat, {1}).output("b").node("Add", {"x", "x"}, {"a"}).node("Add", {"x", "a"}, {"b"});
  auto g = read(m.bytes());
  ASSERT_TRUE(g);
  EXPECT_EQ(g->values[g->inputs[0]].consumers, (std::vector<NodeId>{0, 1}));
}

TEST(Reader, RefusesCycles) {
  Model m;
  m.input("x", kFloat, {1})
      .output("b")
      .node("Add", {"x", "b"}, {"a"}, {}, "loop")
      .node("Relu", {"a"}, {"b"}, {}, "back");
  EXPECT_TRUE(mentions(refused(m), "cycle")) << refused(m);
  Model self;
  self.output("a").node("Relu", {"a"}, {"a"}, {}, "self");
  EXPECT_TRUE(mentions(refused(self), "'self'"));
  Body body("body");
  body.node("Identity", {"y"}, {"t"}).output("t");
  Model captured;
  captured.input("c", ElementType::kBool, {})
      .output("y")
      .node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)});
  EXPECT_TRUE(mentions(refused(captured), "cycle"));
}

TEST(Reader, RefusesValuesThatNothingMakes) {
  Model reads;
  reads.output("y").node("Relu", {"ghost"}, {"y"}, {}, "r");
  EXPECT_TRUE(mentions(refused(reads), "'ghost'"));
  Model puts;
  puts.input("x", kFloat, {1}).output("ghost").node("Relu", {"x"}, {"y"});
  EXPECT_TRUE(mentions(refused(puts), "'ghost'"));
  Body body("body");
  body.node("Identity", {"ghost"}, {"t"}).output("t");
  Model inner;
  inner.input("c", ElementType::kBool, {})
      .output("y")
      .node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)});
  EXPECT_TRUE(mentions(refused(inner), "'ghost'"));
}

TEST(Reader, RefusesValuesMadeTwice) {
  Model twice;
  twice.input("x", kFloat, {1}).output("y").node("Relu", {"x"}, {"y"}).node("Abs", {"x"}, {"y"}, {}, "again");
  EXPECT_TRUE(mentions(refused(twice), "'again'"));
  Model in_one;
  in_one.input("x", kFloat, {1}).output("y").node("Split", {"x"}, {"y", "y"});
  EXPECT_TRUE(mentions(refused(in_one), "'y'"));
  Model over_input;
  over_input.input("x", kFloat, {1}).output("x").node("Relu", {"x"}, {"x"});
  EXPECT_TRUE(mentions(refused(over_input), "'x'"));
  Model over_weight;
  over_weight.initializer("w", tensor<float>({1}, {1})).output("w").node("Relu", {"w"}, {"w"});
  EXPECT_TRUE(mentions(refused(over_weight), "'w'"));
}

TEST(Reader, RefusesDuplicatesAndNamelessThings) {
  Model inputs = chain();
  inputs.input("x", kFloat, {1});
  EXPECT_TRUE(mentions(refused(inputs), "the input 'x' twice"));
  Model weights = chain();
  weights.initializer("w", tensor<float>({1}, {1})).initializer("w", tensor<float>({1}, {1}));
  EXPECT_TRUE(mentions(refused(weights), "the initializer 'w' twice"));
  Model nameless = chain();
  nameless.initializer("", tensor<float>({1}, {1}));
  EXPECT_TRUE(mentions(refused(nameless), "without a name"));
  Model without_operator = chain();
  without_operator.node("", {"x"}, {"z"});
  EXPECT_TRUE(mentions(refused(without_operator), "without an operator"));
}

TEST(Reader, RefusesWhatIsNoModel) {
  EXPECT_TRUE(mentions(refused(""), "is empty"));
  EXPECT_TRUE(mentions(refused("<!DOCTYPE html><html>not found</html>"), "model"));
  EXPECT_TRUE(mentions(refused(chain().bytes_without_graph()), "no graph"));
  Model no_opset(0);
  no_opset.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_TRUE(mentions(refused(no_opset), "no operator set"));
}

TEST(Reader, AnInitializerThatIsAnInputIsADefault) {
  Model m;
  m.input("x", kFloat, {2}).input("w", kFloat, {2}).initializer("w", tensor<float>({2}, {1, 2}));
  m.node("Add", {"x", "w"}, {"y"}).output("y");
  Model initializer_first;
  initializer_first.initializer("w", tensor<float>({2}, {1, 2})).input("x", kFloat, {2}).input("w", kFloat, {2});
  initializer_first.node("Add", {"x", "w"}, {"y"}).output("y");
  for (const Model& model : {m, initializer_first}) {
    auto g = read(model.bytes());
    ASSERT_TRUE(g) << g.error().message;
    ASSERT_EQ(g->inputs.size(), 1u);
    EXPECT_EQ(g->values[g->inputs[0]].name, "x");
    const Value& w = g->values[g->nodes[0].inputs[1]];
    EXPECT_TRUE(w.is_input);
    EXPECT_NE(w.initializer, kNone);
  }
}

TEST(Reader, SparseInitializersKeepTheirDims) {
  Model m;
  m.input("x", kFloat, {3, 4})
      .sparse_initializer("s", tensor<float>({2}, {1, 2}), tensor<int64_t>({2}, {1, 7}), {3, 4});
  m.node("Add", {"x", "s"}, {"y"}).output("y");
  auto g = read(m.bytes());
  ASSERT_TRUE(g) << g.error().message;
  ASSERT_EQ(g->initializers.size(), 1u);
  EXPECT_TRUE(g->initializers[0].sparse);
  EXPECT_EQ(g->initializers[0].dims, (Dims{3, 4}));
  EXPECT_EQ(g->initializers[0].element, kFloat);
  EXPECT_EQ(g->initializers[0].data, nullptr);
  Model nameless;
  nameless.sparse_initializer("", tensor<float>({1}, {1}), tensor<int64_t>({1}, {0}), {4});
  EXPECT_TRUE(mentions(refused(nameless), "without a name"));
}

TEST(Reader, FunctionsAreCopiedThrough) {
  const std::string twice = function_bytes("local", "Twice", {"a"}, {"b"}, {node_bytes("Add", {"a", "a"}, {"b"})}, 17);
  Model m;
  m.imports("local", 1).function(twice);
  m.input("x", kFloat, {1}).node("local:Twice", {"x"}, {"y"}).output("y");
  auto g = read(m.bytes());
  ASSERT_TRUE(g);
  ASSERT_EQ(g->functions.size(), 1u);
  EXPECT_EQ(g->functions[0], twice);
}

TEST(Reader, UnknownFieldsAreSkipped) {
  Model m;
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y");
  m.add(10, "a doc string").add(99, "from the future");
  auto g = read(m.bytes() + number(5, 3) + field(1000, "more"));
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->nodes.size(), 1u);
}

TEST(Reader, FilesAreMappedAndNamedInErrors) {
  const std::string folder = ::testing::TempDir() + "plx_reader_test";
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/model.onnx";
  std::ofstream(path, std::ios::binary) << chain().bytes();
  auto g = read_model_file(path, {});
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->nodes.size(), 2u);

  const auto error_of = [](const std::string& name) {
    auto graph = read_model_file(name, {});
    return graph ? Error{Code::kOk, "accepted", 0, 0} : graph.error();
  };
  EXPECT_EQ(error_of(folder + "/absent.onnx").code, Code::kNotFound);
  EXPECT_TRUE(mentions(error_of(folder + "/absent.onnx").message, folder + "/absent.onnx"));
  EXPECT_EQ(error_of(folder).code, Code::kInvalidArgument);
  EXPECT_EQ(error_of("/dev/null").code, Code::kInvalidArgument);
  EXPECT_EQ(error_of("").code, Code::kNotFound);
  std::ofstream(folder + "/empty.onnx").flush();
  EXPECT_EQ(error_of(folder + "/empty.onnx").code, Code::kInvalidModel);
  EXPECT_TRUE(mentions(error_of(folder + "/empty.onnx").message, "empty.onnx' is empty"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace plx::graph
