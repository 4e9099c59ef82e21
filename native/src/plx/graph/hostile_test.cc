// Models made to hurt: each is refused with one error that says what is wrong, in a moment and in little memory.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "plx/graph/computed_constants.h"
#include "plx/graph/messages.h"
#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;
using E = ElementType;

Result<Graph> read(const std::string& bytes, const ReadOptions& options = {}) {
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return read_model(copy, std::move(storage), options);
}

void refused(const std::string& bytes, const std::string& part, Code code = Code::kInvalidModel,
             const ReadOptions& options = {}) {
  const std::clock_t start = std::clock();
  auto graph = read(bytes, options);
  ASSERT_FALSE(graph) << "accepted; it should have said: " << part;
  EXPECT_EQ(graph.error().code, code) << graph.error().message;
  EXPECT_NE(graph.error().message.find(part), std::string::npos) << graph.error().message;
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 10) << part;
}

Model relu() {
  Model m;
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y");
  return m;
}

Model with_weight(const TensorBytes& tensor) {
  Model m = relu();
  m.initializer("w", tensor);
  return m;
}

std::string repeated(const std::string& text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

// A model around the fields of a GraphProto.
std::string model_of(const std::string& graph) { return relu().bytes_without_graph() + field(onnx::Model::kGraph, graph); }

ReadOptions with_limits(const Limits& limits) {
  ReadOptions options;
  options.limits = limits;
  return options;
}

// ---- sizes

TEST(HostileSizes, ThatOverflowAreRefused) {
  for (const Dims& dims : {Dims{INT64_MAX}, Dims{INT64_MAX, 2}, Dims{1ll << 32, 1ll << 32}, Dims{1ll << 31, 1ll << 31, 8},
                           Dims{-1}, Dims{INT64_MIN}, Dims{-1, -1}, Dims{0, -5}}) {
    refused(with_weight(TensorBytes(E::kFloat64, dims).raw("")).bytes(), "negative or overflowing size");
    refused(with_weight(TensorBytes(E::kString, dims).strings({"a"})).bytes(), "'w'");
    Model sparse = relu();
    sparse.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {0}), dims);
    refused(sparse.bytes(), "'s'");
  }
}

TEST(HostileSizes, ThousandsOfDimensionsAreRefused) {
  const Dims ones(100'000, 1);
  refused(with_weight(TensorBytes(kFloat, ones).raw("abcd")).bytes(), "dimensions");
  TensorBytes packed(kFloat, {});
  protozero::pbf_writer{packed.bytes}.add_packed_int64(onnx::TensorProto::kDims, ones.begin(), ones.end());
  refused(with_weight(packed.raw("abcd")).bytes(), "dimensions");
  Model input;
  input.input("x", kFloat, Sizes(5000, Size(1))).node("Relu", {"x"}, {"y"}).output("y");
  refused(input.bytes(), "dimensions");
  EXPECT_TRUE(read(with_weight(TensorBytes(kFloat, Dims(1024, 1)).raw("abcd")).bytes()));
}

TEST(HostileSizes, WeightsBeyondTheLimitAreRefused) {
  Limits limits;
  limits.weight_bytes = 100;
  Model m = relu();
  m.initializer("a", TensorBytes(E::kUint8, {60}).raw(std::string(60, 'a')));
  EXPECT_TRUE(read(m.bytes(), with_limits(limits)));
  m.initializer("b", TensorBytes(E::kUint8, {60}).raw(std::string(60, 'b')));
  refused(m.bytes(), "max_weight_bytes", Code::kInvalidModel, with_limits(limits));
}

TEST(HostileSizes, TerabytesOutOfASparseTensorAreRefused) {
  Model m = relu();
  m.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {0}), {int64_t{1} << 40});
  refused(m.bytes(), "max_constant_bytes");
  Model in_attribute;
  std::string sparse = field(onnx::SparseTensor::kValues, tensor<float>({1}, {1}).named(""));
  sparse += field(onnx::SparseTensor::kIndices, tensor<int64_t>({1}, {0}).named(""));
  sparse += number(onnx::SparseTensor::kDims, int64_t{1} << 40);
  in_attribute.node("Constant", {}, {"y"}, {attribute("sparse_value", 11, field(onnx::Attribute::kSparseTensor, sparse))});
  in_attribute.output("y");
  refused(in_attribute.bytes(), "max_constant_bytes");
}

TEST(HostileSizes, AModelBeyondTheLimitIsNotRead) {
  Limits limits;
  limits.model_bytes = 50;
  refused(relu().bytes(), "max_model_bytes", Code::kInvalidModel, with_limits(limits));
}

TEST(HostileSizes, DataThatContradictsTheShapeOfAnAttributeIsRefused) {
  Model m;
  m.node("Constant", {}, {"y"}, {attr("value", TensorBytes(kFloat, {int64_t{1} << 20}).raw("abcd"))}).output("y");
  refused(m.bytes(), "has 4 bytes of data");
  Model terabytes;
  terabytes.node("Constant", {}, {"y"}, {attr("value", TensorBytes(kFloat, {int64_t{1} << 40}).raw("abcd"))}).output("y");
  refused(terabytes.bytes(), "max_weight_bytes");
}

// ---- how many, how deep

TEST(HostileCounts, MillionsOfNodesAreRefused) {
  const std::string empty_node = field(onnx::GraphProto::kNode, "");
  refused(model_of(repeated(empty_node, 3'000'000)), "more nodes than the limit of 200000 (max_nodes)");
  Limits limits;
  limits.nodes = 3;
  Model m;
  m.input("x", kFloat, {1}).output("c");
  m.node("Relu", {"x"}, {"a"}).node("Relu", {"a"}, {"b"}).node("Relu", {"b"}, {"c"});
  EXPECT_TRUE(read(m.bytes(), with_limits(limits)));
  m.node("Relu", {"c"}, {"d"});
  refused(m.bytes(), "max_nodes", Code::kInvalidModel, with_limits(limits));
}

TEST(HostileCounts, NodesOfBodiesCount) {
  Body body("body");
  for (int i = 0; i < 5; ++i) body.node("Relu", {"x"}, {"t" + std::to_string(i)});
  body.output("t0");
  Model m;
  m.input("c", E::kBool, {}).input("x", kFloat, {1}).output("y");
  m.node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)});
  Limits limits;
  limits.nodes = 11;
  EXPECT_TRUE(read(m.bytes(), with_limits(limits)));
  limits.nodes = 10;
  refused(m.bytes(), "max_nodes", Code::kInvalidModel, with_limits(limits));
}

TEST(HostileCounts, WhatIsSmallInTheFileAndLargeInMemoryIsRefused) {
  // A few bytes each, and up to 250 in memory.
  Limits limits;
  limits.nodes = 1000;
  const ReadOptions options = with_limits(limits);
  constexpr size_t kMany = 20'000;
  const auto too_many = [&](const std::string& graph) { refused(model_of(graph), "max_nodes", Code::kInvalidModel, options); };
  std::string inputs;
  for (size_t i = 0; i < kMany; ++i) inputs += field(onnx::GraphProto::kInput, field(1, std::to_string(i)));
  too_many(inputs);
  too_many(repeated(field(onnx::GraphProto::kValueInfo, ""), kMany));
  const std::string attributes = repeated(field(onnx::NodeProto::kAttribute, ""), kMany);
  too_many(field(onnx::GraphProto::kNode, field(onnx::NodeProto::kOpType, "Relu") + attributes));
  const std::string dims = repeated(field(onnx::ShapeProto::kDim, ""), 1000);
  const std::string type = field(onnx::TypeProto::kTensor, field(onnx::TensorType::kShape, dims));
  too_many(repeated(field(onnx::GraphProto::kValueInfo, field(onnx::ValueInfo::kType, type)), kMany / 1000));
}

TEST(HostileDepth, ThousandsOfSubgraphsInSubgraphsAreRefused) {
  Body body("innermost");
  body.node("Identity", {"x"}, {"v"}).output("v");
  for (int i = 1; i < 2'000; ++i) {  // each is copied into the next
    Body outer("");
    outer.node("If", {"c"}, {"v"}, {attr("b", body)}).output("v");
    body = outer;
  }
  Model m;
  m.input("c", E::kBool, {}).input("x", kFloat, {1}).output("y").node("If", {"c"}, {"y"}, {attr("then_branch", body)});
  refused(m.bytes(), "nests subgraphs too deeply");
  // The same in a function.
  Model function;
  function.imports("local", 1).function(function_bytes(
      "local", "Deep", {"x"}, {"y"}, {node_bytes("If", {"x"}, {"y"}, {attr("then_branch", body)})}, 17));
  function.input("x", kFloat, {1}).node("local:Deep", {"x"}, {"y"}).output("y");
  refused(function.bytes(), "nests subgraphs too deeply");
}

TEST(HostileDepth, TypesInTypesAreNotFollowed) {
  std::string type = tensor_type(kFloat).bytes;
  for (int i = 0; i < 10'000; ++i) type = sequence_of({type}).bytes;
  Model m;
  m.input("x", TypeBytes{type}).node("Identity", {"x"}, {"y"}).output("y");
  auto graph = read(m.bytes());  // ONNX Runtime's parser refuses it; here nothing reads that far
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->values[graph->inputs[0]].type.kind, Kind::kSequence);
}

Model laughing(int levels, int calls) {
  Model m;
  m.imports("local", 1);
  for (int i = 0; i < levels; ++i) {
    std::vector<std::string> nodes;
    for (int k = 0; k < calls; ++k) {
      const std::string op = i == 0 ? "Relu" : "local:F" + std::to_string(i - 1);
      nodes.push_back(node_bytes(op, {k == 0 ? "x" : "t" + std::to_string(k - 1)}, {"t" + std::to_string(k)}));
    }
    m.function(function_bytes("local", "F" + std::to_string(i), {"x"}, {"t" + std::to_string(calls - 1)}, nodes, 17));
  }
  m.input("x", kFloat, {1}).node("local:F" + std::to_string(levels - 1), {"x"}, {"y"}).output("y");
  return m;
}

TEST(HostileFunctions, AreCountedWrittenOut) {
  EXPECT_TRUE(read(laughing(5, 10).bytes()));
  refused(laughing(30, 10).bytes(), "max_nodes");
  refused(laughing(200, 2).bytes(), "functions");
  auto graph = read(laughing(3, 2).bytes());
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->function_calls, (std::vector<uint64_t>{4, 2, 1}));
}

TEST(HostileFunctions, ThatCallThemselvesAreRefused) {
  const auto calls = [](const std::string& own, const std::string& other) {
    return function_bytes("local", own, {"a"}, {"b"}, {node_bytes("local:" + other, {"a"}, {"b"})}, 17);
  };
  Model self;
  self.imports("local", 1).function(calls("F", "F")).input("x", kFloat, {1}).node("local:F", {"x"}, {"y"}).output("y");
  refused(self.bytes(), "call themselves");
  Model ring;
  ring.imports("local", 1).function(calls("F", "G")).function(calls("G", "F"));
  ring.input("x", kFloat, {1}).node("local:F", {"x"}, {"y"}).output("y");
  refused(ring.bytes(), "call themselves");
  Body body("body");
  body.node("local:F", {"a"}, {"t"}).output("t");
  Model through_a_body;
  through_a_body.imports("local", 1).function(
      function_bytes("local", "F", {"a"}, {"b"}, {node_bytes("If", {"a"}, {"b"}, {attr("then_branch", body)})}, 17));
  through_a_body.input("x", E::kBool, {}).node("local:F", {"x"}, {"y"}).output("y");
  refused(through_a_body.bytes(), "call themselves");
  Model twice;
  twice.imports("local", 1).function(calls("F", "G")).function(calls("F", "H"));
  twice.input("x", kFloat, {1}).node("local:F", {"x"}, {"y"}).output("y");
  refused(twice.bytes(), "twice");
}

// Reading takes time in proportion to the model, whatever the names are.
TEST(HostileNames, ThatClashEverywhereAreRenamedInAMoment) {
  Body body("body");
  body.node("Identity", {"x"}, {"v7"}).output("v7");
  Model m;
  m.input("c", E::kBool, {}).input("x", kFloat, {1}).output("v0");
  for (int i = 0; i < 15'000; ++i) m.node("Identity", {"x"}, {"v" + std::to_string(i)});
  for (int i = 0; i < 15'000; ++i) m.node("Identity", {"x"}, {"v7/local" + std::to_string(i)});
  for (int i = 0; i < 5'000; ++i) m.node("If", {"c"}, {"r" + std::to_string(i)}, {attr("then_branch", body)});
  const std::clock_t start = std::clock();
  EXPECT_TRUE(read(m.bytes()));
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 10);
}

// ---- names

TEST(HostileNames, ThatAreNoTextOrEndlessAreRefused) {
  const std::string bad[] = {"a\xFF", std::string("a\0b", 3), "\xED\xA0\x80", std::string(70'000, 'n')};
  for (const std::string& name : bad) {
    Model value;
    value.input(name, kFloat, {1}).node("Relu", {name}, {"y"}).output("y");
    refused(value.bytes(), "name");
    Model node;
    node.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}, {}, name).output("y");
    refused(node.bytes(), "name");
    Model operation;
    operation.input("x", kFloat, {1}).node(name, {"x"}, {"y"}).output("y");
    refused(operation.bytes(), "name");
    Model symbol;
    symbol.input("x", tensor_type(kFloat, {name.find('\0') == std::string::npos ? name.c_str() : "\xFF"}));
    symbol.node("Relu", {"x"}, {"y"}).output("y");
    refused(symbol.bytes(), "name");
    Model weight = relu();
    weight.initializer(name, tensor<float>({1}, {1}));
    refused(weight.bytes(), "name");
  }
}

TEST(HostileNames, MayHoldWhatATerminalObeys) {
  // Legal, and shown as bytes wherever a person reads it (base/text.h).
  Model m;
  m.input("\x1B[2J", kFloat, {1}).node("Relu", {"\x1B[2J"}, {"y"}).output("y");
  EXPECT_TRUE(read(m.bytes()));
}

// ---- contradictions

TEST(HostileModels, WithTwoGraphsAreRefused) {
  // Protobuf merges them: ONNX Runtime would run what nobody checked.
  refused(relu().bytes() + field(onnx::Model::kGraph, Body("other").graph()), "two graphs");
  Body body("body");
  body.node("Identity", {"x"}, {"t"}).output("t");
  const Attr twice{attr("then_branch", body).bytes + field(onnx::Attribute::kG, body.graph())};
  Model m;
  m.input("c", E::kBool, {}).input("x", kFloat, {1}).node("If", {"c"}, {"y"}, {twice}).output("y");
  refused(m.bytes(), "twice");
  const Attr two_tensors{attr("value", tensor<float>({1}, {1})).bytes +
                         field(onnx::Attribute::kT, tensor<float>({1}, {1}).bytes)};
  Model constant;
  constant.node("Constant", {}, {"y"}, {two_tensors}).output("y");
  refused(constant.bytes(), "twice");
}

TEST(HostileModels, WithImpossibleVersionsAreRefused) {
  for (const int64_t version : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    Model m(0);
    m.imports("", version).input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y");
    refused(m.bytes(), "versions count from 1");
  }
}

TEST(HostileModels, WithUnknownElementTypesAreRefused) {
  for (const int type : {-1, 23, 99, INT32_MAX, INT32_MIN}) {
    Model in;
    in.input("x", static_cast<E>(type), {1}).node("Relu", {"x"}, {"y"}).output("y");
    refused(in.bytes(), "element type", Code::kUnsupported);
    Model out;
    out.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y", static_cast<E>(type), {1});
    refused(out.bytes(), "element type", Code::kUnsupported);
    refused(with_weight(TensorBytes(static_cast<E>(type), {1}).raw("abcd")).bytes(), "element type");
  }
}

TEST(HostileModels, WithCyclesThroughBodiesAreRefused) {
  // The body reads what only the node after it makes, which reads what the If makes.
  Body body("body");
  body.node("Identity", {"z"}, {"t"}).output("t");
  Model m;
  m.input("c", E::kBool, {}).node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)});
  m.node("Relu", {"y"}, {"z"}).output("z");
  refused(m.bytes(), "cycle");
}

// ---- external data

class HostileData : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(top_);
    std::filesystem::create_directories(model_ + "/sub");
    std::filesystem::create_directories(top_ + "/blobs");
    write(top_ + "/secret.bin", "SECRETS!");
    write(top_ + "/blobs/abc", "weights!");
    write(model_ + "/weights.bin", "01234567");
    options_.base_directory = model_;
  }
  void TearDown() override { std::filesystem::remove_all(top_); }
  static void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
  void link(const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, model_ + "/" + name);
  }

  static TensorBytes at(const std::string& location) { return TensorBytes(E::kUint8, {8}).external({{"location", location}}); }
  std::string content(const std::string& location) {
    auto graph = read(with_weight(at(location)).bytes(), options_);
    if (!graph) return graph.error().message;
    return {reinterpret_cast<const char*>(graph->initializers[0].data), 8};
  }
  void expect_refused(const std::string& location, Code code, const std::string& part) {
    // Wherever a tensor may stand.
    Body body("body");
    body.initializer("inner", at(location)).node("Identity", {"inner"}, {"t"}).output("t");
    Model in_body;
    in_body.input("c", E::kBool, {}).node("If", {"c"}, {"y"}, {attr("then_branch", body)}).output("y");
    Model in_attribute;
    in_attribute.node("Constant", {}, {"y"}, {attr("value", at(location))}).output("y");
    Model in_function;
    in_function.imports("local", 1).function(function_bytes(
        "local", "F", {}, {"b"}, {node_bytes("Constant", {}, {"b"}, {attr("value", at(location))})}, 17));
    in_function.node("local:F", {}, {"y"}).output("y");
    Model in_sparse = relu();
    in_sparse.sparse_initializer("s", at(location), tensor<int64_t>({8}, {0, 1, 2, 3, 4, 5, 6, 7}), {8});
    Model in_indices = relu();
    in_indices.sparse_initializer("s", tensor<float>({1}, {1}), at(location), {8});
    for (const Model& m : {with_weight(at(location)), in_body, in_attribute, in_function, in_sparse, in_indices}) {
      refused(m.bytes(), part, code, options_);
    }
  }

  const std::string top_ = ::testing::TempDir() + "plx_hostile_data";
  const std::string model_ = top_ + "/model";
  ReadOptions options_;
};

TEST_F(HostileData, LinksThatLeaveTheFolderAreNotFollowed) {
  link("../secret.bin", "file.bin");
  link(top_, "folder");
  link("file.bin", "link_to_link.bin");
  link("/etc/passwd", "passwd.bin");
  for (const char* name : {"file.bin", "link_to_link.bin", "passwd.bin", "folder/secret.bin", "folder/blobs/abc"}) {
    expect_refused(name, Code::kInvalidModel, "leads outside the model's folder");
    EXPECT_EQ(content(name).find("SECRETS!"), std::string::npos);
    EXPECT_NE(content(name).find("--data-folder"), std::string::npos);
  }
}

TEST_F(HostileData, LinksThatStayAreFollowed) {
  link("weights.bin", "file.bin");
  link("../model/weights.bin", "around.bin");
  link(".", "here");
  std::filesystem::create_hard_link(model_ + "/weights.bin", model_ + "/sub/hard.bin");
  for (const char* name : {"file.bin", "around.bin", "here/here/weights.bin", "sub/hard.bin", "./sub//hard.bin"}) {
    EXPECT_EQ(content(name), "01234567") << name;
  }
  // The folder itself may be reached by a link.
  std::filesystem::create_symlink(model_, top_ + "/alias");
  options_.base_directory = top_ + "/alias";
  EXPECT_EQ(content("weights.bin"), "01234567");
}

TEST_F(HostileData, LinksMayLeadToDataFolders) {
  link("../blobs/abc", "weights.onnx_data");
  link("../secret.bin", "file.bin");
  options_.data_folders = {top_ + "/nowhere", top_ + "/blobs"};
  EXPECT_EQ(content("weights.onnx_data"), "weights!");
  expect_refused("file.bin", Code::kInvalidModel, "leads outside the model's folder");
  // A folder whose name begins alike is another one.
  std::filesystem::create_directories(top_ + "/blobs2");
  write(top_ + "/blobs2/abc", "SECRETS!");
  link("../blobs2/abc", "alike.bin");
  expect_refused("alike.bin", Code::kInvalidModel, "leads outside the model's folder");
  // What the model itself says stays inside.
  expect_refused("../blobs/abc", Code::kInvalidModel, "points outside the model's folder");
}

TEST_F(HostileData, WhatIsNoFileIsNotOpened) {
  ASSERT_EQ(::mkfifo((model_ + "/pipe").c_str(), 0600), 0);
  link("/dev/zero", "zero");
  link("/proc/self/mem", "memory");
  link("loop", "loop");
  expect_refused("pipe", Code::kInvalidArgument, "is not a regular file");  // or this would wait for a writer
  expect_refused("sub", Code::kInvalidArgument, "is a folder");
  expect_refused("zero", Code::kInvalidModel, "leads outside");
  expect_refused("memory", Code::kInvalidModel, "leads outside");
  expect_refused("loop", Code::kIo, "loop");
  auto model = read_model_file(model_ + "/pipe", {});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kInvalidArgument);
}

TEST_F(HostileData, AddressesInMemoryAreNoLocations) {
  // ONNX Runtime's own marks for "the offset is an address": here they are names of files like any other.
  for (const char* mark : {"*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"}) {
    expect_refused(mark, Code::kNotFound, "_ADDR_");
    std::filesystem::create_directories(std::filesystem::path(model_ + "/" + mark).parent_path());
    write(model_ + "/" + mark, "01234567");
    const auto tensor = TensorBytes(E::kUint8, {8}).external({{"location", mark}, {"offset", "4096"}});
    refused(with_weight(tensor).bytes(), "which has 8", Code::kInvalidModel, options_);
    auto graph = read(with_weight(at(mark)).bytes(), options_);
    ASSERT_TRUE(graph);
    auto pinned = pin_files(graph.take(), options_);
    ASSERT_TRUE(pinned) << pinned.error().message;
    EXPECT_EQ(pinned->model.find("_ADDR_"), std::string::npos);
  }
}

TEST_F(HostileData, SaidTwiceIsRefused) {
  const auto twice = TensorBytes(E::kUint8, {8}).external({{"location", "../secret.bin"}, {"location", "weights.bin"}});
  refused(with_weight(twice).bytes(), "twice", Code::kInvalidModel, options_);
}

TEST_F(HostileData, PinnedFilesAreTheOnesThatWereChecked) {
  Body body("body");
  body.initializer("inner", at("./weights.bin")).node("Identity", {"inner"}, {"t"}).output("t");
  Model m = with_weight(at("weights.bin"));
  m.input("c", E::kBool, {}).node("If", {"c"}, {"z"}, {attr("then_branch", body), attr("else_branch", body)});
  m.node("Constant", {}, {"k"}, {attr("value", at("weights.bin"))}).output("z");
  // A place that no reader knows, where ONNX Runtime's next release might look.
  const std::string bytes = m.bytes() + field(onnx::Model::kTrainingInfo, with_weight(at("../secret.bin")).graph());
  auto graph = read(bytes, options_);
  ASSERT_TRUE(graph) << graph.error().message;
  auto pinned = pin_files(graph.take(), options_);
  ASSERT_TRUE(pinned) << pinned.error().message;
  EXPECT_EQ(pinned->model.find("weights.bin"), std::string::npos);
  EXPECT_EQ(pinned->model.find("secret.bin"), std::string::npos);
  ASSERT_EQ(pinned->files.size(), 1u) << "one file, however it is spelled";
  // The body's and the attribute's copies.
  const size_t inlined = pinned->model.find("01234567");
  ASSERT_NE(inlined, std::string::npos);
  EXPECT_NE(pinned->model.find("01234567", inlined + 8), std::string::npos);
  // Whatever takes the name now: the old file is what opens.
  std::filesystem::remove(model_ + "/weights.bin");
  link("../secret.bin", "weights.bin");
  std::ifstream file(kPinnedFolder + pinned->files.begin()->first, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "01234567");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(pinned->initializers[0].data), 8), "01234567");
}

}  // namespace
}  // namespace plx::graph
