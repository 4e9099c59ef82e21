// Sessions, the optimised graph, and types and shapes, all asked of the real ONNX Runtime.
#include "plx/ort/session.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"
#include "plx/graph/writer.h"
#include "plx/ort/plain_testing.h"

namespace plx::ort {
namespace {

using namespace graph::testing;
using graph::Graph;
using graph::ValueId;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
constexpr auto kInt = graph::ElementType::kInt64;

Graph read(const std::string& bytes, const std::string& base_directory = "") {
  auto storage = std::make_shared<graph::Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  auto graph = graph::read_model(copy, std::move(storage), {.base_directory = base_directory});
  if (!graph) throw std::runtime_error(graph.error().message);
  return graph.take();
}

ValueId value_named(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].name == name) return static_cast<ValueId>(i);
  }
  throw std::runtime_error("no value " + name);
}

Error load_error(const Model& model) {
  const std::string bytes = model.bytes();
  SessionSpec spec;
  spec.source.name = "some model";
  spec.source.bytes = bytes;
  auto session = make_session(runtime(), spec);
  return session ? Error{Code::kOk, "loaded", 0, 0} : session.error();
}

TEST(MakeSession, AnOperatorThatIsNotThereIsUnsupported) {
  Model m;
  m.imports("com.example", 1).input("x", kFloat, {1}).node("com.example:Blend", {"x"}, {"y"}).output("y", kFloat, {1});
  const Error error = load_error(m);
  EXPECT_EQ(error.code, Code::kUnsupported) << error.message;
  EXPECT_NE(error.message.find("Blend"), std::string::npos);
  EXPECT_NE(error.message.find("some model"), std::string::npos);
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
}

TEST(MakeSession, AnOpsetThatIsTooNewIsUnsupported) {
  Model m(999);
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y", kFloat, {1});
  EXPECT_EQ(load_error(m).code, Code::kUnsupported) << load_error(m).message;
}

TEST(MakeSession, AModelThatContradictsItselfIsInvalid) {
  Model types;
  types.input("x", kFloat, {2}).input("i", kInt, {2}).node("Add", {"x", "i"}, {"y"}).output("y", kFloat, {2});
  EXPECT_EQ(load_error(types).code, Code::kInvalidModel) << load_error(types).message;
  Model attribute;
  attribute.input("x", kFloat, {2, 2}).node("Concat", {"x", "x"}, {"y"}).output("y", kFloat, {4, 2});
  EXPECT_EQ(load_error(attribute).code, Code::kInvalidModel) << load_error(attribute).message;
}

TEST(MakeSession, ConfigEntriesAndCustomOperatorLibrariesAreChecked) {
  Model m;
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y", kFloat, {1});
  const std::string bytes = m.bytes();
  SessionSpec spec;
  spec.source.name = "some model";
  spec.source.bytes = bytes;
  ModelSettings settings;
  settings.config = {{"", "1"}};
  spec.settings = &settings;
  EXPECT_FALSE(make_session(runtime(), spec));
  settings.config = {{"session.set_denormal_as_zero", "1"}};
  EXPECT_TRUE(make_session(runtime(), spec));
  settings.custom_op_libraries = {"/nowhere/libcustom.so"};
  auto missing = make_session(runtime(), spec);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("/nowhere/libcustom.so"), std::string::npos);
}

TEST(Optimise, FoldsWhatIsConstant) {
  Model m;
  m.input("x", kFloat, {"n", 4})
      .initializer("a", tensor<float>({4}, {1, 2, 3, 4}))
      .initializer("b", tensor<float>({4}, {5, 6, 7, 8}));
  m.node("Mul", {"a", "b"}, {"ab"})
      .node("Identity", {"x"}, {"same"})
      .node("Add", {"same", "ab"}, {"y"})
      .output("y", kFloat, {"n", 4});
  const std::string bytes = m.bytes();
  auto g = optimise(runtime(), {.name = "folded", .path = {}, .bytes = bytes, .base_directory = {}}, {});
  ASSERT_TRUE(g) << g.error().message;
  ASSERT_EQ(g->nodes.size(), 1u);
  EXPECT_EQ(g->nodes[0].op_type, "Add");
  ASSERT_EQ(g->initializers.size(), 1u);
  const float expected[] = {5, 12, 21, 32};
  EXPECT_EQ(std::memcmp(g->initializers[0].data, expected, sizeof expected), 0);
}

TEST(Optimise, FixesDimensionsByName) {
  Model m;
  m.input("x", kFloat, {"n", 4}).node("Shape", {"x"}, {"s"}).node("Identity", {"s"}, {"y"}).output("y", kInt, {2});
  const std::string bytes = m.bytes();
  ModelSettings settings;
  settings.dimensions = {{"n", 3}};
  auto g = optimise(runtime(), {.name = "fixed", .path = {}, .bytes = bytes, .base_directory = {}}, settings);
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_TRUE(g->nodes.empty());  // the shape is constant now
  EXPECT_EQ(g->values[g->inputs[0]].type.shape->at(0).size, 3);
}

TEST(Optimise, LeavesExternalWeightsWhereTheyAre) {
  const std::string folder = ::testing::TempDir() + "plx_optimise";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/weights.bin", std::ios::binary) << std::string(4096, 'w');
  Model m;
  m.input("x", kFloat, {"n", 32})
      .initializer("w", TensorBytes(kFloat, {32, 32}).external({{"location", "weights.bin"}}));
  m.node("MatMul", {"x", "w"}, {"a"}).node("Relu", {"a"}, {"y"}).output("y", kFloat, {"n", 32});
  const std::string path = folder + "/model.onnx";
  std::ofstream(path, std::ios::binary) << m.bytes();
  auto g = optimise(runtime(), {.name = path, .path = path, .bytes = {}, .base_directory = folder}, {});
  ASSERT_TRUE(g) << g.error().message;
  ASSERT_EQ(g->initializers.size(), 1u);
  EXPECT_TRUE(g->initializers[0].external);
  EXPECT_EQ(g->files.size(), 1u);
  EXPECT_TRUE(g->files.contains("weights.bin"));
  EXPECT_EQ(static_cast<char>(g->initializers[0].data[100]), 'w');
  std::filesystem::remove_all(folder);
}

TEST(Optimise, WeightsApartAreTheSameWeights) {
  Model m;
  m.input("x", kFloat, {1, 16, 8, 8})
      .initializer("w", tensor<float>({32, 16, 3, 3}, std::vector<float>(4608, 0.5f)))
      .initializer("b", tensor<float>({32}, std::vector<float>(32, 0.25f)))
      .initializer("h", TensorBytes(graph::ElementType::kFloat16, {64, 64}).raw(std::string(8192, 'h')))
      .initializer("flat", tensor<int64_t>({2}, {1, -1}));
  m.node("Conv", {"x", "w", "b"}, {"c"}, {attr("kernel_shape", Dims{3, 3})})
      .node("Relu", {"c"}, {"r"})
      .node("Reshape", {"r", "flat"}, {"y"})
      .node("Cast", {"h"}, {"same"}, {attr("to", 10)})
      .node("Transpose", {"same"}, {"t"})
      .output("y", kFloat, {1, "n"})
      .output("t", graph::ElementType::kFloat16, {64, 64});
  const std::string bytes = m.bytes();
  const ModelSource source{.name = "apart", .path = {}, .bytes = bytes, .base_directory = {}};
  auto in_place = optimise(runtime(), source, {}, ORT_ENABLE_ALL, Weights::kInPlace);
  auto apart = optimise(runtime(), source, {}, ORT_ENABLE_ALL, Weights::kApart);
  ASSERT_TRUE(in_place) << in_place.error().message;
  ASSERT_TRUE(apart) << apart.error().message;
  EXPECT_TRUE(apart->files.empty());  // nobody may look for a file that is gone
  ASSERT_EQ(apart->nodes.size(), in_place->nodes.size());
  ASSERT_EQ(apart->initializers.size(), in_place->initializers.size());
  size_t outside = 0;
  for (const graph::Value& value : apart->values) {
    if (value.initializer == graph::kNone) continue;
    const auto& mine = apart->initializers[value.initializer];
    const auto twin = std::find_if(in_place->values.begin(), in_place->values.end(), [&](const graph::Value& v) { return v.name == value.name; });
    ASSERT_NE(twin, in_place->values.end()) << value.name;
    const auto& theirs = in_place->initializers[twin->initializer];
    ASSERT_EQ(mine.size_bytes, theirs.size_bytes) << value.name;
    EXPECT_EQ(std::memcmp(mine.data, theirs.data, mine.size_bytes), 0) << value.name;
    if (mine.external) {
      ++outside;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(mine.data) % 64, 0u) << value.name;  // used where it is mapped
    }
  }
  EXPECT_EQ(outside, 2u);  // the convolution's weights, reordered, and h; what is small stays in the graph
}

Inferred inferred(const Graph& graph, const InputDims& dims = {}, const ModelSettings& settings = {}) {
  auto result = infer(runtime(), graph, settings, dims, "");
  if (!result) throw std::runtime_error(result.error().message);
  return result.take();
}

TEST(Infer, GivesTypesAndShapesOfEveryValue) {
  Model m;
  m.input("x", kFloat, {2, 3, 8, 8}).initializer("w", tensor<float>({4, 3, 3, 3}, std::vector<float>(108, 0.5f)));
  m.node("Conv", {"x", "w"}, {"a"}, {attr("pads", Dims{1, 1, 1, 1})})
      .node("Relu", {"a"}, {"b"})
      .node("Shape", {"b"}, {"s"});
  m.node("Cast", {"b"}, {"y"}, {attr("to", 10)}).output("y").output("s");
  const Graph g = read(m.bytes());
  const Inferred result = inferred(g);
  const auto shape = [&](const char* name) { return result.shapes[value_named(g, name)].value_or(graph::Shape{}); };
  EXPECT_EQ(shape("a").dims, (Dims{2, 4, 8, 8}));
  EXPECT_EQ(shape("y").dims, (Dims{2, 4, 8, 8}));
  EXPECT_EQ(shape("y").element, graph::ElementType::kFloat16);
  EXPECT_EQ(shape("s").dims, Dims{4});
  EXPECT_EQ(shape("s").element, kInt);
  EXPECT_EQ(shape("w").dims, (Dims{4, 3, 3, 3}));
  EXPECT_EQ(result.types[value_named(g, "b")].kind, graph::Kind::kTensor);
  EXPECT_EQ(result.types[value_named(g, "b")].element, kFloat);
}

TEST(Infer, OpenDimensionsAreGivenFixedOrOne) {
  Model m;
  m.input("x", kFloat, {"n", "m", 4}).node("Relu", {"x"}, {"a"}).node("Transpose", {"a"}, {"y"}).output("y");
  const Graph g = read(m.bytes());
  const auto dims = [&](const Inferred& result) {
    return result.shapes[value_named(g, "y")].value_or(graph::Shape{}).dims;
  };
  EXPECT_EQ(dims(inferred(g)), (Dims{4, 1, 1}));
  EXPECT_EQ(dims(inferred(g, {{g.inputs[0], {5, 6, 4}}})), (Dims{4, 6, 5}));
  ModelSettings settings;
  settings.dimensions = {{"m", 7}};
  EXPECT_EQ(dims(inferred(g, {}, settings)), (Dims{4, 7, 1}));
}

TEST(Infer, SizesThatDependOnDataAreUnknown) {
  Model m;
  m.input("x", kFloat, {3, 4}).node("NonZero", {"x"}, {"z"}).node("Cast", {"z"}, {"y"}, {attr("to", 1)}).output("y");
  const Graph g = read(m.bytes());
  const Inferred result = inferred(g);
  EXPECT_FALSE(result.shapes[value_named(g, "z")]);
  EXPECT_FALSE(result.shapes[value_named(g, "y")]);
  EXPECT_EQ(result.partial[value_named(g, "z")], (Dims{2, -1}));
  EXPECT_EQ(result.types[value_named(g, "z")].element, kInt);
}

TEST(Infer, ScalarsAreToldFromUnknownRanksWhereDoubted) {
  Model m;
  m.input("x", kFloat, {3, 4}).input("target", kInt, {"r"});
  m.node("Reshape", {"x", "target"}, {"v"}).node("Abs", {"v"}, {"y"}).output("y");
  m.node("Size", {"x"}, {"n"}).node("Neg", {"n"}, {"z"}).output("z");
  const Graph g = read(m.bytes());
  const std::vector<ValueId> doubtful = {value_named(g, "y"), value_named(g, "z")};
  auto result = infer(runtime(), g, {}, {}, "", doubtful);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->partial[value_named(g, "y")], std::nullopt);
  EXPECT_FALSE(result->shapes[value_named(g, "y")]);
  EXPECT_EQ(result->partial[value_named(g, "z")], Dims{});
  EXPECT_TRUE(result->shapes[value_named(g, "z")]);
  EXPECT_EQ(result->types[value_named(g, "y")].element, kFloat);
}

TEST(Infer, SmallConstantsShapeAndLargeOnesAreNotNeeded) {
  Model m;
  m.input("x", kFloat, {2, 2048})
      .initializer("target", tensor<int64_t>({3}, {2, -1, 4}))
      .initializer("w", tensor<float>({2048}, std::vector<float>(2048, 1)));
  m.node("Add", {"x", "w"}, {"a"}).node("Reshape", {"a", "target"}, {"y"}).output("y");
  const Graph g = read(m.bytes());
  EXPECT_EQ(inferred(g).shapes[value_named(g, "y")].value_or(graph::Shape{}).dims, (Dims{2, 512, 4}));
}

TEST(Infer, SequencesOptionalsAndMapsKeepAWrittenType) {
  Model m;
  m.input("x", kFloat, {2})
      .node("SequenceConstruct", {"x", "x"}, {"list"})
      .node("SequenceLength", {"list"}, {"n"})
      .output("n");
  m.node("Optional", {"x"}, {"maybe"}).node("OptionalHasElement", {"maybe"}, {"has"}).output("has");
  const Graph g = read(m.bytes());
  const Inferred result = inferred(g);
  const graph::Type& list = result.types[value_named(g, "list")];
  EXPECT_EQ(list.kind, graph::Kind::kSequence);
  EXPECT_EQ(list.proto, sequence_of(tensor_type(kFloat)).bytes);
  const graph::Type& maybe = result.types[value_named(g, "maybe")];
  EXPECT_EQ(maybe.kind, graph::Kind::kOptional);
  EXPECT_EQ(maybe.proto, optional_of(tensor_type(kFloat)).bytes);
  EXPECT_FALSE(result.shapes[value_named(g, "list")]);
  EXPECT_EQ(result.types[value_named(g, "n")].element, kInt);
}

// A body and the graph around it both define "t", as ONNX Runtime's own passes write it. Read (which renames), write,
// run.
TEST(WrittenParts, WithRenamedClashesStillRun) {
  const auto model = [](const std::string& inner_name) {
    Body then_branch("then");
    then_branch.node("Mul", {"t", "x"}, {"u"}).node("Neg", {"u"}, {"r"}).output("r", kFloat, {4});
    Body inner("inner");
    inner.initializer(inner_name, tensor<float>({4}, {1, 2, 3, 4}))
        .node("Add", {inner_name, "x"}, {"q"})
        .output("q", kFloat, {4});
    Body else_branch("else");
    else_branch.node("If", {"c"}, {"r"}, {attr("then_branch", then_branch), attr("else_branch", inner)})
        .output("r", kFloat, {4});
    Model m;
    m.input("x", kFloat, {4}).input("c", graph::ElementType::kBool, {}).input("d", graph::ElementType::kBool, {});
    m.node("Abs", {"x"}, {"t"})
        .node("If", {"d"}, {"y"}, {attr("then_branch", then_branch), attr("else_branch", else_branch)});
    m.node("Relu", {"t"}, {"z"}).output("y", kFloat, {4}).output("z", kFloat, {4});
    return m.bytes();
  };
  Plain clean(runtime(), model("own"));
  const Graph g = read(model("z"));  // "z" is an outer value too
  std::vector<graph::NodeId> nodes = {0, 1, 2};
  Plain renamed(runtime(), graph::write_part(g, nodes, g.inputs, g.outputs, {}).bytes);
  for (const bool c : {false, true}) {
    for (const bool d : {false, true}) {
      const testing::Tensors inputs = {noise({4}, 7), testing::tensor_of<bool>({}, {c}),
                                       testing::tensor_of<bool>({}, {d})};
      EXPECT_EQ(renamed.run(inputs), clean.run(inputs)) << c << d;
    }
  }
}

}  // namespace
}  // namespace plx::ort
