// Packed weights in files: what a cache folder gives, and what becomes of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::engine {
namespace {

using namespace schedule::testing;
namespace fs = std::filesystem;
using OnnxModel = graph::testing::Model;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;

constexpr int64_t kSide = 512;
constexpr uint64_t kWeightBytes = kSide * kSide * 4;

// Two products of a megabyte each, and one too small for a file.
std::string products(uint32_t seed) {
  OnnxModel m;
  m.input("x", kFloat, {"n", kSide});
  m.initializer("a", TensorBytes(kFloat, {kSide, kSide}).raw(noise({kSide, kSide}, seed).bytes));
  m.initializer("b", TensorBytes(kFloat, {kSide, kSide}).raw(noise({kSide, kSide}, seed + 1).bytes));
  m.initializer("c", TensorBytes(kFloat, {kSide, 8}).raw(noise({kSide, 8}, seed + 2).bytes));
  m.node("MatMul", {"x", "a"}, {"p"}).node("Tanh", {"p"}, {"q"}).node("MatMul", {"q", "b"}, {"r"});
  m.node("Relu", {"r"}, {"s"}).node("MatMul", {"s", "c"}, {"y"}).output("y", kFloat, {"n", 8});
  return m.bytes();
}

class CacheFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(top_);
    fs::create_directories(top_);
    write(1);
  }
  void TearDown() override { fs::remove_all(top_); }

  void write(uint32_t seed) {
    std::ofstream(model_, std::ios::binary | std::ios::trunc) << products(seed);
    expected_ = Plain(runtime(), model_).run({x_});
  }

  ort::ModelSettings settings() const {
    ort::ModelSettings settings;
    settings.cache_folder = cache_;
    return settings;
  }

  // A model loaded anew, as by another process, and run; what the cache did for it.
  nlohmann::json run(Units units, const ort::ModelSettings& settings) const {
    const auto model = must(Model::load_file(runtime(), model_, settings));
    PlanRequest request;
    request.options.units = units;
    const auto session = must(model->make_session(must(model->make_plan(request)), 0));
    must(schedule::testing::bind(*session, 0, x_));
    for (int i = 0; i < 2; ++i) {
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), expected_);
    }
    return nlohmann::json::parse(session->report_json())["cache"];
  }
  nlohmann::json run(Units units) const { return run(units, settings()); }

  // Of units; and of the graph that they are cut from.
  std::vector<fs::path> entries() const { return entries_with("unit.onnx"); }
  std::vector<fs::path> graphs() const { return entries_with("graph.onnx"); }
  std::vector<fs::path> entries_with(const std::string& file) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(cache_)) {
      if (entry.path().filename() == file && fs::exists(entry.path().parent_path() / "about.json")) {
        found.push_back(entry.path().parent_path());
      }
    }
    return found;
  }

  void expect_refused(const Result<std::shared_ptr<Model>>& model, const std::string& part) const {
    ASSERT_FALSE(model) << "accepted";
    EXPECT_EQ(model.error().code, Code::kInvalidArgument) << model.error().message;
    EXPECT_NE(model.error().message.find(part), std::string::npos) << model.error().message;
  }

  const std::string top_ = ::testing::TempDir() + "plx_cache";
  const std::string cache_ = top_ + "/cache";
  const std::string model_ = top_ + "/model.onnx";
  const Tensor x_ = noise({3, kSide}, 9);
  Tensors expected_;
};

TEST_F(CacheFolder, IsWrittenByTheFirstAndReadByTheNext) {
  for (const Units units : kAllUnits) {
    SCOPED_TRACE(partition::units_name(units));
    const auto first = run(units);
    const uint64_t stored = first["stored"];
    EXPECT_GE(stored, units == Units::kNodes ? 2u : 1u);
    EXPECT_LE(stored, 2u) << "small weights are not worth a file";
    EXPECT_EQ(first["loaded"], 0) << first;
    EXPECT_EQ(first["problem"], "");
    EXPECT_GE(first["bytes"], 4 * kWeightBytes) << "as they were, and packed";
    const auto second = run(units);
    EXPECT_EQ(second["loaded"], stored) << second;
    EXPECT_EQ(second["stored"], 0);
    EXPECT_EQ(second["bytes"], first["bytes"]);
    fs::remove_all(cache_);
  }
}

// What comes from a file takes no memory of ours.
TEST_F(CacheFolder, KeepsPackedWeightsOutOfMemory) {
  const auto packed = [&](const ort::ModelSettings& settings) {
    const auto model = must(Model::load_file(runtime(), model_, settings));
    const uint64_t before = runtime()->arena().stats().live_bytes;
    PlanRequest request;
    request.options.units = Units::kNodes;
    const auto session = must(model->make_session(must(model->make_plan(request)), 0));
    return runtime()->arena().stats().live_bytes - before;
  };
  EXPECT_GE(packed({}), 2 * kWeightBytes);
  EXPECT_LT(packed(settings()), kWeightBytes / 4) << "when it is written";
  EXPECT_LT(packed(settings()), kWeightBytes / 4) << "when it is read";
}

// The model has two weights of a megabyte, and one of 16 KB.
TEST_F(CacheFolder, IsNotTheOnlyWayToHaveLessPackedWeights) {
  const auto packed = [&](ort::Prepack prepack) {
    ort::ModelSettings settings;
    settings.prepack = prepack;
    const auto model = must(Model::load_file(runtime(), model_, settings));
    const uint64_t before = runtime()->arena().stats().live_bytes;
    PlanRequest request;
    request.options.units = Units::kNodes;
    const auto session = must(model->make_session(must(model->make_plan(request)), 0));
    const uint64_t taken = runtime()->arena().stats().live_bytes - before;
    must(schedule::testing::bind(*session, 0, x_));
    for (int i = 0; i < 2; ++i) must(session->run());
    // Other kernels: a tolerance in place of the same bits.
    const Tensors made = outputs(*session, 1);
    const auto* const ours = reinterpret_cast<const float*>(made[0].bytes.data());
    const auto* const theirs = reinterpret_cast<const float*>(expected_[0].bytes.data());
    for (size_t i = 0; i < made[0].bytes.size() / 4; ++i) EXPECT_NEAR(ours[i], theirs[i], 1e-3 + 1e-4 * std::abs(theirs[i]));
    return taken;
  };
  const uint64_t all = packed(ort::Prepack::kAll);
  const uint64_t heavy = packed(ort::Prepack::kHeavy);
  EXPECT_GE(heavy, 2 * kWeightBytes);
  EXPECT_LT(packed(ort::Prepack::kNone), kWeightBytes / 4);
  EXPECT_LE(heavy, all);
}

TEST_F(CacheFolder, ForgetsAModelWhoseFileHasChanged) {
  run(Units::kNodes);
  const auto before = entries();
  EXPECT_EQ(before.size(), 2u);
  write(7);
  EXPECT_EQ(run(Units::kNodes)["stored"], 2);
  const auto after = entries();
  EXPECT_EQ(after.size(), 2u);
  for (const fs::path& entry : before) EXPECT_FALSE(fs::exists(entry));
}

TEST_F(CacheFolder, KnowsSettingsApart) {
  ort::ModelSettings other = settings();
  other.config.emplace_back("session.disable_prepacking", "1");
  run(Units::kNodes);
  const auto model = must(Model::load_file(runtime(), model_, other));
  PlanRequest request;
  request.options.units = Units::kNodes;
  const auto session = must(model->make_session(must(model->make_plan(request)), 0));
  EXPECT_EQ(nlohmann::json::parse(session->report_json())["cache"]["loaded"], 0);
  EXPECT_EQ(entries().size(), 4u);
  EXPECT_EQ(run(Units::kNodes)["loaded"], 2);
}

TEST_F(CacheFolder, WritesAnewWhatIsDamaged) {
  run(Units::kNodes);
  const std::vector<std::pair<const char*, void (*)(const fs::path&)>> damages = {
      {"cut short", [](const fs::path& entry) { fs::resize_file(entry / "unit.onnx.weights", kWeightBytes); }},
      {"no weights", [](const fs::path& entry) { fs::remove(entry / "unit.onnx.weights"); }},
      {"no model", [](const fs::path& entry) { fs::remove(entry / "unit.onnx"); }},
      {"another model", [](const fs::path& entry) {
         const auto size = fs::file_size(entry / "unit.onnx");
         std::ofstream(entry / "unit.onnx", std::ios::trunc) << std::string(size, 'x');
       }},
      {"no JSON", [](const fs::path& entry) { std::ofstream(entry / "about.json", std::ios::trunc) << "{"; }},
      {"nothing about it", [](const fs::path& entry) { std::ofstream(entry / "about.json", std::ios::trunc) << "[]"; }},
      {"nothing", [](const fs::path& entry) { fs::remove_all(entry); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    ASSERT_EQ(entries().size(), 2u);
    damage(entries().front());
    const auto mended = run(Units::kNodes);
    EXPECT_EQ(mended["stored"], 1) << mended;
    EXPECT_EQ(mended["loaded"], 1) << mended;
    EXPECT_EQ(mended["problem"], "") << mended;
    EXPECT_EQ(run(Units::kNodes)["loaded"], 2);
  }
  for (const auto& entry : fs::recursive_directory_iterator(cache_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".new-")) << "left behind: " << entry.path();
  }
}

// The graph that units are cut from is there too: what stands in its file is what runs.
TEST_F(CacheFolder, HoldsTheOptimisedGraph) {
  run(Units::kWhole);
  EXPECT_EQ(graphs().size(), 0u) << "the model as given needs none";
  run(Units::kNodes);
  ASSERT_EQ(graphs().size(), 1u);
  const fs::path file = graphs().front() / "graph.onnx";
  const auto written = fs::last_write_time(file);
  run(Units::kBranches);
  EXPECT_EQ(fs::last_write_time(file), written);

  std::stringstream content;
  content << std::ifstream(file, std::ios::binary).rdbuf();
  std::string bytes = content.str();
  int changed = 0;
  for (size_t at = 0; (at = bytes.find("Tanh", at)) != std::string::npos; ++changed) bytes.replace(at, 4, "Atan");
  ASSERT_GT(changed, 0);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  const auto model = must(Model::load_file(runtime(), model_, settings()));
  PlanRequest request;
  request.options.units = Units::kNodes;
  const auto session = must(model->make_session(must(model->make_plan(request)), 0));
  must(schedule::testing::bind(*session, 0, x_));
  must(session->run());
  EXPECT_NE(outputs(*session, 1), expected_);
}

TEST_F(CacheFolder, WritesTheGraphAnewIfItIsDamaged) {
  run(Units::kNodes);
  const std::vector<std::pair<const char*, void (*)(const fs::path&)>> damages = {
      {"cut short", [](const fs::path& entry) { fs::resize_file(entry / "graph.onnx", 100); }},
      {"no model", [](const fs::path& entry) { fs::remove(entry / "graph.onnx"); }},
      {"another model", [](const fs::path& entry) {
         const auto size = fs::file_size(entry / "graph.onnx");
         std::ofstream(entry / "graph.onnx", std::ios::trunc) << std::string(size, 'x');
       }},
      {"no weights", [](const fs::path& entry) { fs::remove(entry / "graph.onnx.weights"); }},
      {"weights cut short", [](const fs::path& entry) { fs::resize_file(entry / "graph.onnx.weights", kWeightBytes); }},
      {"no JSON", [](const fs::path& entry) { std::ofstream(entry / "about.json", std::ios::trunc) << "{"; }},
      {"nothing", [](const fs::path& entry) { fs::remove_all(entry); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    ASSERT_EQ(graphs().size(), 1u);
    damage(graphs().front());
    const auto mended = run(Units::kNodes);
    EXPECT_EQ(mended["problem"], "") << mended;
    EXPECT_EQ(mended["loaded"], 2) << mended;
  }
  EXPECT_EQ(graphs().size(), 1u);
}

// Weights in a file beside the model stay there, and the graph finds them again in a process where files have other numbers.
TEST_F(CacheFolder, FindsTheModelsOwnWeightsAgain) {
  const Tensor a = noise({kSide, kSide}, 1);
  OnnxModel m;
  m.input("x", kFloat, {"n", kSide}).output("y", kFloat, {"n", kSide});
  // A large one, and a small one, which units have within.
  m.initializer("a", TensorBytes(kFloat, {kSide, kSide}).external({{"location", "a.bin"}, {"offset", "0"}, {"length", std::to_string(a.bytes.size())}}));
  m.initializer("b", TensorBytes(kFloat, {kSide}).external({{"location", "a.bin"}, {"offset", "4096"}, {"length", std::to_string(4 * kSide)}}));
  m.node("MatMul", {"x", "a"}, {"p"}).node("Add", {"p", "b"}, {"q"}).node("Tanh", {"q"}, {"y"});
  std::ofstream(top_ + "/a.bin", std::ios::binary) << a.bytes;
  std::ofstream(model_, std::ios::binary | std::ios::trunc) << m.bytes();
  expected_ = Plain(runtime(), model_).run({x_});
  run(Units::kNodes);
  ASSERT_EQ(graphs().size(), 1u);
  EXPECT_FALSE(fs::exists(graphs().front() / "graph.onnx.weights"));
  const auto written = fs::last_write_time(graphs().front() / "graph.onnx");
  std::vector<graph::Descriptor> others;
  for (int i = 0; i < 5; ++i) others.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(run(Units::kNodes)["loaded"], 1);
  EXPECT_EQ(run(Units::kBranches)["problem"], "");
  EXPECT_EQ(fs::last_write_time(graphs().front() / "graph.onnx"), written) << "it was used";
}

TEST_F(CacheFolder, ThatCannotBeWrittenIsNoErrorOfTheSession) {
  run(Units::kNodes);
  const fs::path of_model = fs::directory_iterator(cache_)->path();
  fs::remove_all(of_model);
  std::ofstream(of_model) << "in the way";
  const auto cache = run(Units::kNodes);
  EXPECT_EQ(cache["stored"], 0);
  EXPECT_EQ(cache["loaded"], 0);
  EXPECT_NE(cache["problem"].get<std::string>().find("cannot make"), std::string::npos) << cache;
}

TEST_F(CacheFolder, MustBeAFolderOfOnesOwn) {
  fs::create_directories(cache_);
  ASSERT_EQ(::chmod(cache_.c_str(), 0777), 0);
  expect_refused(Model::load_file(runtime(), model_, settings()), "may be written by others");
  fs::remove_all(cache_);
  std::ofstream(cache_) << "a file";
  expect_refused(Model::load_file(runtime(), model_, settings()), "not a folder");
  fs::remove_all(cache_);
  const std::string bytes = products(1);
  expect_refused(Model::load_memory(runtime(), bytes, "", settings()), "in memory");
  EXPECT_FALSE(fs::exists(cache_));
  ort::ModelSettings deeper = settings();
  deeper.cache_folder = cache_ + "/a/b";
  EXPECT_EQ(run(Units::kWhole, deeper)["stored"], 1);
  EXPECT_EQ(fs::status(deeper.cache_folder).permissions(), fs::perms::owner_all);
}

TEST_F(CacheFolder, IsSharedByThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 3; ++repeat) EXPECT_EQ(run(Units::kNodes)["problem"], "");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(entries().size(), 2u);
  EXPECT_EQ(run(Units::kNodes)["loaded"], 2);
}

// What a graph inside a node holds is saved twice by ONNX Runtime, and not read back: such units do without.
TEST_F(CacheFolder, IsNotForGraphsInsideNodes) {
  graph::testing::Body then_body("then"), else_body("else");
  then_body.node("MatMul", {"x", "a"}, {"t"}).output("t", kFloat, {"n", kSide});
  else_body.node("Neg", {"x"}, {"e"}).output("e", kFloat, {"n", kSide});
  OnnxModel m;
  m.input("x", kFloat, {"n", kSide}).initializer("yes", tensor<bool>({}, {true}));
  m.initializer("a", TensorBytes(kFloat, {kSide, kSide}).raw(noise({kSide, kSide}, 1).bytes));
  m.input("c", kBool, {});
  m.node("If", {"c"}, {"y"}, {graph::testing::attr("then_branch", then_body), graph::testing::attr("else_branch", else_body)});
  m.output("y", kFloat, {"n", kSide});
  std::ofstream(model_, std::ios::binary | std::ios::trunc) << m.bytes();
  const auto model = must(Model::load_file(runtime(), model_, settings()));
  const auto session = must(model->make_session(must(model->make_plan({})), 0));
  EXPECT_EQ(nlohmann::json::parse(session->report_json())["cache"],
            nlohmann::json::parse(R"({"loaded":0,"stored":0,"bytes":0,"problem":""})"));
}

}  // namespace
}  // namespace plx::engine
