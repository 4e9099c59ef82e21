#include "plx/engine/model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::engine {
namespace {

using namespace schedule::testing;
using OnnxModel = graph::testing::Model;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using ort::testing::tensor_of;

PlanRequest request_of(Units units) {
  PlanRequest request;
  request.options.units = units;
  return request;
}

template <class T>
void expect_error(const Result<T>& result, Code code, const std::string& part) {
  ASSERT_FALSE(result) << "accepted";
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

TEST(Info, SaysWhatTheModelIs) {
  Body body("b");
  body.node("Relu", {"x"}, {"t"}).output("t", kFloat, {"n", 4});
  OnnxModel m(19, 9);
  m.imports("com.microsoft", 1);
  m.input("x", kFloat, {"n", 4})
      .input("c", kBool, {})
      .input("r", tensor_type(kInt))
      .input("list", sequence_of(tensor_type(kFloat)));
  m.input("d", kFloat, {4}).initializer("d", tensor<float>({4}, {1, 2, 3, 4}));
  m.node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)})
      .node("Add", {"y", "d"}, {"z"})
      .output("z", kFloat, {"n", ""});
  Loaded loaded(m.bytes());
  const auto info = nlohmann::json::parse(loaded->info_json());
  EXPECT_EQ(info["name"], "test");
  EXPECT_EQ(info["ir_version"], 9);
  EXPECT_EQ(info["producer"], "tests");
  EXPECT_EQ(info["opsets"], (nlohmann::json{{"", 19}, {"com.microsoft", 1}}));
  EXPECT_EQ(info["nodes"], 4);
  EXPECT_EQ(info["initializer_bytes"], 16);
  ASSERT_EQ(info["inputs"].size(), 4u);  // a default is none
  EXPECT_EQ(info["inputs"][0], nlohmann::json::parse(R"({"name":"x","kind":"tensor","type":1,"shape":["n",4]})"));
  EXPECT_EQ(info["inputs"][1]["shape"], nlohmann::json::array());
  EXPECT_EQ(info["inputs"][2]["shape"], nullptr);
  EXPECT_EQ(info["inputs"][3]["kind"], "sequence");
  EXPECT_EQ(info["outputs"], nlohmann::json::parse(R"([{"name":"z","kind":"tensor","type":1,"shape":["n",-1]}])"));
}

TEST(Info, IsJsonWhateverTheNamesAre) {
  OnnxModel m;
  m.input("x\x1B\"", kFloat, {"\x7F\\"}).node("Relu", {"x\x1B\""}, {"y"}).output("y", kFloat, {1});
  Loaded loaded(m.bytes());
  EXPECT_EQ(nlohmann::json::parse(loaded->info_json())["inputs"][0]["name"], "x\x1B\"");
}

TEST(Plans, AskedForAlikeAreOne) {
  Loaded loaded(convolutions());
  const auto first = loaded.plan(Units::kNodes);
  EXPECT_EQ(loaded.plan(Units::kNodes), first);
  EXPECT_NE(loaded.plan(Units::kBranches), first);
  EXPECT_EQ(loaded.plan(Units::kNodes), first);
  PlanRequest other = request_of(Units::kNodes);
  other.options.beta = 2;
  const auto with_beta = must(loaded->make_plan(other));
  EXPECT_NE(with_beta, first);
  EXPECT_EQ(with_beta->subject, first->subject);  // the graph is optimised once
}

TEST(Plans, AreKeptUpToALimit) {
  Loaded loaded(attention());
  const auto first = loaded.plan(Units::kNodes);
  for (int64_t length = 1; length <= static_cast<int64_t>(kPlansKept); ++length) {
    PlanRequest request = request_of(Units::kNodes);
    request.shapes = {{"x", {1, length, 32}}};
    must(loaded->make_plan(request));
  }
  EXPECT_NE(loaded.plan(Units::kNodes), first);
}

TEST(Plans, MadeOnSeveralThreadsAtOnceAreOneToo) {
  Loaded loaded(convolutions());
  std::shared_ptr<PlanHandle> plans[4];
  std::vector<std::thread> threads;
  for (auto& plan : plans)
    threads.emplace_back([&loaded, &plan] { plan = must(loaded->make_plan(request_of(Units::kBranches))); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& plan : plans) EXPECT_EQ(plan, plans[0]);
}

// Silero VAD does this for the other one of its two sample rates: at a size that one branch takes, the other is refused.
TEST(Plans, AreMadeForSizesThatABranchNotTakenCannotHave) {
  Body one("one");
  one.initializer("first", tensor<int64_t>({1}, {0}))
      .node("Squeeze", {"t", "first"}, {"only"})
      .output("only", kFloat, Sizes{});
  Body many("many");
  many.node("ReduceSum", {"t"}, {"sum"}, {attr("keepdims", int64_t{0})}).output("sum", kFloat, Sizes{});
  OnnxModel m;
  m.input("x", kFloat, {"n"})
      .node("Neg", {"x"}, {"t"})
      .initializer("limit", tensor<int64_t>({}, {1}))
      .node("Size", {"t"}, {"size"})
      .node("Equal", {"size", "limit"}, {"c"})
      .node("If", {"c"}, {"y"}, {attr("then_branch", one), attr("else_branch", many)})
      .node("Abs", {"y"}, {"z"})
      .output("z", kFloat, Sizes{});
  Loaded loaded(m.bytes());
  Plain plain(runtime(), loaded.bytes());
  for (const Units units : kAllUnits) {
    PlanRequest request = request_of(units);
    request.estimate = true;
    request.shapes = {{"x", {3}}};
    const auto plan = must(loaded->make_plan(request));
    const graph::Graph& graph = *plan->subject->graph;
    expect_error(ort::infer(runtime(), graph, {}, {{graph.inputs[0], {3}}}, ""), Code::kInvalidModel, "Squeeze");
    const auto session = must(loaded->make_session(plan, 0));
    for (const int64_t size : {3, 1, 4}) {
      const Tensor x = noise({size}, 1);
      must(schedule::testing::bind(*session, 0, x));
      for (int run = 0; run < 2; ++run) {
        must(session->run());
        EXPECT_EQ(outputs(*session, 1), plain.run({x}));
      }
    }
  }
}

TEST(Plans, OfAnotherModelAreRefused) {
  Loaded one(convolutions());
  Loaded two(convolutions());
  for (const Units units : kAllUnits) {
    expect_error(one->make_session(two.plan(units), 0), Code::kInvalidArgument, "another model");
  }
}

TEST(Plans, ReadBackRunAlike) {
  Loaded loaded(attention());
  Plain plain(runtime(), loaded.bytes());
  const Tensor x = noise({2, 3, 32}, 1);
  for (const Units units : kAllUnits) {
    const auto plan = loaded.plan(units);
    const std::string json = partition::to_json(*plan->subject->graph, *plan->plan);
    Loaded again(attention());
    const auto read = must(again->read_plan(json));
    EXPECT_EQ(partition::to_json(*read->subject->graph, *read->plan), json);
    EXPECT_EQ(partition::to_text(*read->subject->graph, *read->plan),
              partition::to_text(*plan->subject->graph, *plan->plan));
    const auto session = must(again->make_session(read, 0));
    must(schedule::testing::bind(*session, 0, x));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({x}));
  }
}

TEST(Plans, ReadBackForAnotherModelOrFromOtherTextAreRefused) {
  Loaded loaded(attention());
  Loaded other(convolutions());
  for (const Units units : {Units::kWhole, Units::kNodes}) {
    const auto plan = other.plan(units);
    expect_error(loaded->read_plan(partition::to_json(*plan->subject->graph, *plan->plan)), Code::kInvalidPlan, "");
  }
  for (const char* text : {"", "{}", "[1,2", "null", "not json"})
    expect_error(loaded->read_plan(text), Code::kInvalidPlan, "");
}

TEST(Plans, ShapesAreCheckedAgainstTheInputs) {
  Loaded loaded(attention());
  PlanRequest request = request_of(Units::kNodes);
  request.shapes = {{"y", {1, 1, 32}}};
  expect_error(loaded->make_plan(request), Code::kInvalidArgument, "no input 'y'; the model has 'x'");
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 32}, {1, 1, 31}, {-1, 1, 32}, {}}) {
    request.shapes = {{"x", shape}};
    expect_error(loaded->make_plan(request), Code::kInvalidArgument, "input 'x' cannot have the shape");
  }
  request.shapes = {{"x", {2, 5, 32}}};
  EXPECT_TRUE(loaded->make_plan(request));
}

TEST(Plans, OfTheWholeAreEstimatedWhenAsked) {
  Loaded loaded(convolutions());
  PlanRequest request = request_of(Units::kWhole);
  const auto flops = [](const PlanHandle& handle) {
    double sum = 0;
    for (const auto& branch : handle.plan->branches) sum += branch.flops;
    return sum;
  };
  EXPECT_EQ(flops(*must(loaded->make_plan(request))), 0);
  request.estimate = true;
  EXPECT_GT(flops(*must(loaded->make_plan(request))), 1e6);
}

nlohmann::json tensors_of(Model& model, const PlanHandle& plan) {
  const auto shapes = model.shapes_of(plan.subject->graph);
  return nlohmann::json::parse(partition::tensors_json(*plan.subject->graph, *plan.plan, *shapes));
}

// What a plan says of its tensors, sized by hand, is what ONNX Runtime infers at that size.
TEST(Tensors, HaveShapesInSymbols) {
  Loaded loaded(attention());
  const auto plan = loaded.plan(Units::kNodes);
  const graph::Graph& graph = *plan->subject->graph;
  const auto tensors = tensors_of(*loaded, *plan);
  EXPECT_EQ(loaded->shapes_of(plan->subject->graph), loaded->shapes_of(plan->subject->graph));  // made once
  EXPECT_EQ(tensors["x"], nlohmann::json::parse(R"({"type":"float32","shape":["batch","length",32]})"));
  EXPECT_EQ(tensors["p"], nlohmann::json::parse(R"({"type":"float32","shape":["batch",4,"length","length"]})"));
  const auto at = must(ort::infer(runtime(), graph, {}, {{graph.inputs[0], {3, 70, 32}}}, ""));
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const std::string& name = graph.values[id].name;
    if (!tensors.contains(name)) continue;
    std::vector<int64_t> sizes;
    for (const auto& dim : tensors[name]["shape"]) {
      sizes.push_back(dim.is_number() ? dim.get<int64_t>() : dim == "batch" ? 3 : dim == "length" ? 70 : -1);
    }
    EXPECT_EQ(sizes, at.partial[id]) << name << tensors[name];
  }
  for (const auto& unit : plan->plan->units) {
    for (const graph::ValueId id : unit.outputs) EXPECT_TRUE(tensors.contains(graph.values[id].name));
    for (const graph::ValueId id : unit.inputs) EXPECT_TRUE(tensors.contains(graph.values[id].name));
  }
}

TEST(Tensors, OfTheWholeAreInputsAndOutputsAsDeclared) {
  Loaded loaded(many_outputs());
  const auto plan = loaded.plan(Units::kWhole);
  const auto tensors = tensors_of(*loaded, *plan);
  EXPECT_EQ(tensors, nlohmann::json::parse(R"({"x":{"type":"float32","shape":["n",4]},
      "a":{"type":"float32","shape":["n",4]}, "view":{"type":"float32","shape":["m"]},
      "wide":{"type":"float32","shape":[1,"m"]}, "input_view":{"type":"float32","shape":["m"]},
      "e":{"type":"float32","shape":["n",4]}, "w":{"type":"float32","shape":[4]}})"));
}

TEST(Tensors, OfFixedDimensionsHaveNumbers) {
  ort::ModelSettings settings;
  settings.dimensions = {{"batch", 2}};
  Loaded loaded(attention(), settings);
  const auto plan = loaded.plan(Units::kNodes);
  const auto tensors = tensors_of(*loaded, *plan);
  EXPECT_EQ(tensors["p"]["shape"], nlohmann::json::parse(R"([2,4,"length","length"])"));
}

TEST(Tensors, ThatAreNoTensorsHaveAKind) {
  Loaded loaded(sequences());
  const auto plan = loaded.plan(Units::kNodes);
  const auto tensors = tensors_of(*loaded, *plan);
  EXPECT_EQ(tensors["list"], nlohmann::json::parse(R"({"type":"sequence","shape":null})"));
  EXPECT_EQ(tensors["n"], nlohmann::json::parse(R"({"type":"int64","shape":[]})"));
}

TEST(Sessions, OfOnePlanShareWhatIsCompiled) {
  Loaded loaded(attention());
  const auto plan = loaded.plan(Units::kNodes);
  const auto first = must(loaded->make_session(plan, 0));
  const auto live = [] { return runtime()->arena().stats().live_bytes; };
  const uint64_t before = live();
  std::vector<std::unique_ptr<schedule::Session>> more;
  for (int i = 0; i < 4; ++i) more.push_back(must(loaded->make_session(plan, 0)));
  EXPECT_EQ(live(), before);  // no further packed weights
}

TEST(Dimensions, AreFixedByName) {
  ort::ModelSettings settings;
  settings.dimensions = {{"batch", 2}};
  const Tensor right = noise({2, 3, 32}, 1);
  const Tensor wrong = noise({1, 3, 32}, 1);
  Plain plain(runtime(), attention(), settings.dimensions);
  for (const Units units : kAllUnits) {
    Loaded loaded(attention(), settings);
    const auto session = loaded.session(units);
    must(schedule::testing::bind(*session, 0, right));
    for (int repeat = 0; repeat < 2; ++repeat) {
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), plain.run({right})) << partition::units_name(units);
    }
    if (units == Units::kWhole) continue;
    EXPECT_FALSE(schedule::testing::bind(*session, 0, wrong));
  }
}

TEST(Settings, ReachEverySession) {
  ort::ModelSettings settings;
  settings.config = {{"session.disable_prepacking", "not a flag"}};
  settings.custom_op_libraries = {"/nowhere/libcustom.so"};
  for (const Units units : kAllUnits) {
    Loaded loaded(convolutions(), settings);
    auto plan = loaded->make_plan(request_of(units));
    if (!plan) {
      expect_error(plan, Code::kNotFound, "/nowhere/libcustom.so");
      continue;
    }
    EXPECT_EQ(units, Units::kWhole);
    expect_error(loaded->make_session(*plan, 0), Code::kNotFound, "/nowhere/libcustom.so");
  }
}

TEST(Load, SaysWhatIsWrong) {
  expect_error(Model::load_file(runtime(), "/nowhere/model.onnx", {}), Code::kNotFound, "/nowhere/model.onnx");
  expect_error(Model::load_memory(runtime(), "", "", {}), Code::kInvalidModel, "empty");
  expect_error(Model::load_memory(runtime(), "\x08\x08 and more", "", {}), Code::kInvalidModel, "model in memory");
}

TEST(Load, AModelWithoutOutputsIsRefused) {
  OnnxModel m;
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"});
  expect_error(Model::load_memory(runtime(), m.bytes(), "", {}), Code::kInvalidModel, "no outputs");
}

TEST(Load, AnOperatorThatIsNotThereIsReportedWithItsName) {
  OnnxModel m;
  m.imports("com.example", 1).input("x", kFloat, {1}).node("com.example:Blend", {"x"}, {"y"}).output("y", kFloat, {1});
  Loaded loaded(m.bytes());
  expect_error(loaded->make_session(loaded.plan(Units::kWhole), 0), Code::kUnsupported, "Blend");
  expect_error(loaded->make_plan(request_of(Units::kNodes)), Code::kUnsupported, "Blend");
}

// ---- where weights come from
// -----------------------------------------------------------------------------------------

// One external weight and one inside the model, both too large to be written into a unit; a body reads the external
// file too.
class Weights : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ + "/data");
    std::ofstream(folder_ + "/data/w.bin", std::ios::binary) << std::string(12, '\0') << noise({32, 32}, 1).bytes;
    std::ofstream(path_, std::ios::binary) << model();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string model() {
    const auto external =
        TensorBytes(kFloat, {32, 32}).external({{"location", "data/w.bin"}, {"offset", "12"}, {"length", "4096"}});
    Body body("b");
    body.initializer("inner", external).node("MatMul", {"a", "inner"}, {"t"}).output("t", kFloat, {"n", 32});
    Body other("o");
    other.node("MatMul", {"a", "v"}, {"e"}).output("e", kFloat, {"n", 32});
    OnnxModel m;
    m.input("x", kFloat, {"n", 32})
        .input("c", kBool, {})
        .initializer("w", external)
        .initializer("v", weights({32, 32}, 2));
    m.node("MatMul", {"x", "w"}, {"p"})
        .node("Tanh", {"p"}, {"a"})
        .node("MatMul", {"a", "v"}, {"q"})
        .node("Relu", {"q"}, {"r"});
    m.node("If", {"c"}, {"s"}, {attr("then_branch", body), attr("else_branch", other)})
        .node("Add", {"r", "s"}, {"y"})
        .output("y", kFloat, {"n", 32});
    return m.bytes();
  }
  void expect_plain_results_of(Model& model) {
    Plain plain(runtime(), path_);
    const Tensor x = noise({3, 32}, 3);
    for (const bool condition : {true, false}) {
      const Tensor c = tensor_of<bool>({}, {condition});
      const Tensors expected = plain.run({x, c});
      for (const Units units : kAllUnits) {
        SCOPED_TRACE(partition::units_name(units));
        const auto session = must(model.make_session(must(model.make_plan(request_of(units))), 0));
        must(schedule::testing::bind(*session, 0, x));
        must(schedule::testing::bind(*session, 1, c));
        for (int repeat = 0; repeat < 2; ++repeat) {
          must(session->run());
          EXPECT_EQ(outputs(*session, 1), expected);
        }
      }
    }
  }

  const std::string folder_ = ::testing::TempDir() + "plx_weights";
  const std::string path_ = folder_ + "/model.onnx";
};

TEST_F(Weights, InsideAndBesideAModelFile) { expect_plain_results_of(*must(Model::load_file(runtime(), path_, {}))); }

TEST_F(Weights, BesideAModelInMemory) {
  const std::string bytes = model();
  expect_plain_results_of(*must(Model::load_memory(runtime(), bytes, folder_, {})));
  expect_error(Model::load_memory(runtime(), bytes, "", {}), Code::kInvalidArgument, "base directory");
  expect_error(Model::load_memory(runtime(), bytes, folder_ + "/data", {}), Code::kNotFound, "data/w.bin");
}

TEST_F(Weights, OfAModelFileNamedFromItsOwnFolder) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  auto model = Model::load_file(runtime(), "model.onnx", {});
  if (model) expect_plain_results_of(**model);
  std::filesystem::current_path(before);
  EXPECT_TRUE(model) << model.error().message;
}

// How much of a file this process has resident, in bytes, through whatever mappings.
uint64_t resident_of(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  uint64_t bytes = 0;
  bool ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) ours = line.ends_with(path);  // "7f00-7f10 r--s 0 08:01 123   /the/file"
    else if (ours && line.starts_with("Rss:")) bytes += std::strtoull(line.c_str() + 4, nullptr, 10) * 1024;
  }
  return bytes;
}

// ONNX Runtime packs the factor of a product into memory of its own; who cut the unit reads the file no more.
TEST(PackedWeights, LeaveTheFileOnceTheyArePacked) {
  const std::string folder = ::testing::TempDir() + "plx_packed_weights-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const std::string file = std::filesystem::canonical(folder).string() + "/w.bin";
  std::ofstream(file, std::ios::binary) << noise({1024, 1024}, 1).bytes;
  OnnxModel m;
  m.input("x", kFloat, {"n", 1024})
      .initializer("w", TensorBytes(kFloat, {1024, 1024}).external({{"location", "w.bin"}, {"length", "4194304"}}));
  m.node("MatMul", {"x", "w"}, {"p"}).node("Tanh", {"p"}, {"y"}).output("y", kFloat, {"n", 1024});
  const std::string bytes = m.bytes();
  {
    const auto model = must(Model::load_memory(runtime(), bytes, folder, {}));
    const auto session = must(model->make_session(must(model->make_plan(request_of(Units::kNodes))), 0));
    const Tensor x = noise({3, 1024}, 3);
    must(schedule::testing::bind(*session, 0, x));
    must(session->run());
    EXPECT_LT(resident_of(file), uint64_t{1} << 20);
    const std::string on_disk = folder + "/model.onnx";
    std::ofstream(on_disk, std::ios::binary) << bytes;
    EXPECT_EQ(outputs(*session, 1), Plain(runtime(), on_disk).run({x}));
  }
  std::filesystem::remove_all(folder);
}

// 4 KB of weights inside a model in memory, without any folder: units cannot hold them, and there is no file to name.
TEST(WeightsInMemory, NeedNoFolder) {
  const std::string model = attention();
  schedule::testing::expect_plain_results(model, {{noise({2, 4, 32}, 1)}});
}

TEST(WeightsInMemory, MayHaveAFolderThatHoldsNothing) {
  const std::string folder = ::testing::TempDir() + "plx_empty_folder";
  std::filesystem::create_directories(folder);
  const std::string bytes = convolutions();
  const auto model = must(Model::load_memory(runtime(), bytes, folder, {}));
  const auto session = must(model->make_session(must(model->make_plan(request_of(Units::kNodes))), 0));
  const Tensor x = noise({1, 8, 16, 16}, 1);
  must(schedule::testing::bind(*session, 0, x));
  must(session->run());
  EXPECT_EQ(outputs(*session, 1), Plain(runtime(), bytes).run({x}));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

// ---- what mutated models brought to light
// -----------------------------------------------------------------------------------------

TEST(Oddities, NodesThatNobodyReads) {
  OnnxModel m;
  m.input("x", kFloat, {"n"}).output("y", kFloat, {"n"});
  m.node("Relu", {"x"}, {"y"}).node("Exp", {"x"}, {"e"}).node("Neg", {"e"}, {"unread"});
  schedule::testing::expect_plain_results(m.bytes(), {{noise({4}, 1)}});
}

// ONNX Runtime infers the right sizes and goes on.
TEST(Oddities, WrongSizesDeclaredInside) {
  OnnxModel m;
  m.input("x", kFloat, {1, 5}).output("y", kFloat, {1, 5}).value_info("a", graph::testing::tensor_type(kFloat, {1, 8}));
  m.node("Tanh", {"x"}, {"a"}).node("Exp", {"a"}, {"b"}).node("Add", {"a", "b"}, {"y"});
  schedule::testing::expect_plain_results(m.bytes(), {{noise({1, 5}, 1)}});
}

TEST(Oddities, NothingButConstants) {
  OnnxModel m;
  m.input("x", kFloat, {2}).initializer("c", tensor<float>({2}, {-1, 2})).output("y", kFloat, {2});
  m.node("Relu", {"c"}, {"y"});
  schedule::testing::expect_plain_results(m.bytes(), {{noise({2}, 1)}});
}

// Sizes are guessed for a plan's estimates, and here the guess cannot be right.
TEST(Oddities, OpenSizesThatMustNotBeOne) {
  OnnxModel m;
  m.input("x", kFloat, {"n", "m"}).output("y", kFloat, {"n", 3}).initializer("w", weights({4, 3}, 1));
  m.node("Tanh", {"x"}, {"a"}).node("MatMul", {"a", "w"}, {"b"}).node("Exp", {"b"}, {"y"});
  schedule::testing::expect_plain_results(m.bytes(), {{noise({2, 4}, 1)}});
}

// As exporters wrote them until 2018: every constant is an input as well, also those that passes fold away.
TEST(Oddities, OldModelsWhoseConstantsAreInputs) {
  OnnxModel m(8, 3);
  m.input("x", kFloat, {1, 2, 4, 4}).output("y", kFloat, {1, 2, 4, 4});
  m.initializer("w", weights({2, 2, 1, 1}, 1)).input("w", kFloat, {2, 2, 1, 1});
  for (const char* name : {"scale", "bias", "mean"}) m.initializer(name, weights({2}, 2)).input(name, kFloat, {2});
  m.initializer("var", tensor<float>({2}, {1, 2})).input("var", kFloat, {2});
  m.node("Conv", {"x", "w"}, {"c"})
      .node("BatchNormalization", {"c", "scale", "bias", "mean", "var"}, {"b"})
      .node("Tanh", {"b"}, {"y"});
  schedule::testing::expect_plain_results(m.bytes(), {{noise({1, 2, 4, 4}, 3)}});
}

template <class T>
void expect_divisions_end() {
  const T least = std::numeric_limits<T>::min();
  for (const char* op : {"Div", "Mod"}) {
    SCOPED_TRACE(std::string(op) + " of " + std::to_string(sizeof(T)) + " bytes");
    OnnxModel m;
    const auto type = graph::testing::tensor_type(graph::testing::element_of<T>());
    m.input("a", type).input("b", type).output("y", type).node(op, {"a", "b"}, {"y"});
    Loaded loaded(m.bytes());
    const auto session = loaded.session(Units::kNodes);
    for (const Dims& dims : {Dims{3}, Dims{}}) {  // a divisor for each, and one for all
      const Tensor a = tensor_of<T>({3}, {least, 7, -7});
      const Tensor ones = dims.empty() ? tensor_of<T>({}, {-1}) : tensor_of<T>({3}, {-1, 2, -1});
      must(schedule::testing::bind(*session, 0, a));
      must(schedule::testing::bind(*session, 1, ones));
      must(session->run());
      EXPECT_EQ(Plain(runtime(), m.bytes()).run({a, ones}), outputs(*session, 1));
      T first = 1;
      std::memcpy(&first, outputs(*session, 1)[0].bytes.data(), sizeof first);
      EXPECT_EQ(first, *op == 'D' ? least : 0);
      const Tensor zeros = dims.empty() ? tensor_of<T>({}, {0}) : tensor_of<T>({3}, {0, 1, 1});
      must(schedule::testing::bind(*session, 1, zeros));
      const Status ran = session->run();
      ASSERT_FALSE(ran);
      EXPECT_NE(ran.error().message.find("by zero"), std::string::npos) << ran.error().message;
    }
  }
}

// Two numbers in an input must not end the process; see ort/division.h.
TEST(Oddities, DivisionsOfTheLeastIntegerByMinusOne) {
  expect_divisions_end<int32_t>();
  expect_divisions_end<int64_t>();
}

// Aliases are as strict about their operands as the kernels whose place they take.
TEST(Oddities, OperandsOfViewsThatAreNoLists) {
  for (const char* op : {"Reshape", "Squeeze", "Unsqueeze"}) {
    for (const Dims& dims : {Dims{1, 1}, Dims{}, Dims{1}}) {
      if (dims.empty() && op == std::string("Squeeze")) continue;  // some releases of ONNX Runtime take it
      SCOPED_TRACE(std::string(op) + ", an operand of rank " + std::to_string(dims.size()));
      OnnxModel m;
      m.input("x", kFloat, {1, 2, 1}).input("operand", graph::testing::tensor_type(kInt));
      m.output("y", graph::testing::tensor_type(kFloat));
      m.node("Tanh", {"x"}, {"a"}).node(op, {"a", "operand"}, {"v"}).node("Exp", {"v"}, {"y"});
      const Tensor x = noise({1, 2, 1}, 1);
      const Tensor operand = tensor_of<int64_t>(dims, {op == std::string("Reshape") ? 2 : 0});
      Plain plain(runtime(), m.bytes());
      std::optional<Tensors> expected;
      try {
        expected = plain.run({x, operand});
      } catch (const std::runtime_error&) {
      }
      EXPECT_EQ(expected.has_value(), dims.size() == 1 || (dims.empty() && op != std::string("Reshape")));
      Loaded loaded(m.bytes());
      const auto session = loaded.session(Units::kNodes);
      must(schedule::testing::bind(*session, 0, x));
      must(schedule::testing::bind(*session, 1, operand));
      const Status ran = session->run();
      EXPECT_EQ(static_cast<bool>(ran), expected.has_value());
      if (ran && expected) {
        EXPECT_EQ(outputs(*session, 1), *expected);
      }
      if (!ran) {
        EXPECT_NE(ran.error().message.find("wants a list of numbers in 'operand'"), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace plx::engine
