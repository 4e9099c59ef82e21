// The program itself, as its users start it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "command_testing.h"
#include "plx/graph/onnx_builder_testing.h"

namespace {

using namespace plx::graph::testing;
using plx::graph::ElementType;

using plx::run::testing::Outcome;

Outcome plx_run(const std::string& arguments) { return plx::run::testing::start(std::string(PLX_RUN_COMMAND) + " " + arguments); }

// Two arms of products, joined: something to cut.
class PlxRun : public ::testing::Test {
 protected:
  void SetUp() override {
    Model m;
    std::vector<float> weights(64 * 64);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13) * 0.01f - 0.06f;
    m.input("x", kFloat, {"n", 64}).initializer("w", tensor<float>({64, 64}, weights));
    m.node("MatMul", {"x", "w"}, {"a"}).node("Tanh", {"a"}, {"b"});
    m.node("Exp", {"x"}, {"c"}).node("MatMul", {"c", "w"}, {"d"});
    m.node("Add", {"b", "d"}, {"y"}).output("y", kFloat, {"n", 64});
    std::ofstream(model_, std::ios::binary) << m.bytes();
  }
  void TearDown() override { std::filesystem::remove(model_); }

  // Six arms of products, with tensors of 512 bytes a row.
  void write_six_arms() {
    Model m;
    m.input("x", kFloat, {"n", 128}).output("y", kFloat, {"n", 128});
    Names ends;
    for (int branch = 0; branch < 6; ++branch) {
      std::string from = "x";
      const std::string w = "w" + std::to_string(branch);  // equal arms would be made one
      std::vector<float> weights(128 * 128);
      for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % (11 + static_cast<size_t>(branch))) * 0.01f - 0.06f;
      m.initializer(w, tensor<float>({128, 128}, weights));
      for (int i = 0; i < 4; ++i) {
        const std::string name = "b" + std::to_string(branch) + "_" + std::to_string(i);
        m.node(i % 2 == 0 ? "MatMul" : "Tanh", i % 2 == 0 ? Names{from, w} : Names{from}, {name});
        from = name;
      }
      ends.push_back(from);
    }
    m.node("Sum", ends, {"y"});
    std::ofstream(model_, std::ios::binary) << m.bytes();
  }

  nlohmann::json measured(const std::string& arguments) {
    const Outcome outcome = plx_run(model_ + " --threads 2 --runs 5 --warm-ups 2 " + arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.out;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  void expect_refused(const std::string& arguments, const std::string& part) {
    const Outcome outcome = plx_run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_NE(outcome.out.find(part), std::string::npos) << arguments << ": " << outcome.out;
  }

  const std::string model_ = ::testing::TempDir() + "plx_run_model-" + std::to_string(getpid()) + ".onnx";
};

TEST_F(PlxRun, BothEnginesMakeTheSameOfTheSame) {
  const auto plain = measured("--engine ort --shape x=3x64");
  for (const std::string units : {"whole", "layers", "branches", "nodes", "mixed"}) {
    const auto ours = measured("--shape x=3x64 --units " + units);
    EXPECT_EQ(ours["outputs_digest"], plain["outputs_digest"]) << units;
    EXPECT_EQ(ours["session"]["runs"], 7);
    // Mixed measures, and may find that nothing is worth a cut.
    if (units == "mixed") continue;
    EXPECT_EQ(ours["session"]["unit_count"].get<int>() > 1, units != "whole") << units;
  }
  EXPECT_NE(measured("--engine ort --shape x=4x64")["outputs_digest"], plain["outputs_digest"]);
  EXPECT_NE(measured("--engine ort --shape x=3x64 --seed 1")["outputs_digest"], plain["outputs_digest"]);
}

TEST_F(PlxRun, WritesThePlannersProblem) {
  write_six_arms();
  const std::string file = model_ + ".problem";
  const auto lines = [&](const std::string& arguments) {
    measured("--units nodes --problem " + file + " " + arguments);
    std::ifstream text(file);
    size_t buffers = 0;
    size_t pairs = 0;
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with('#')) ++(std::count(line.begin(), line.end(), '\t') == 3 ? buffers : pairs);
    }
    std::filesystem::remove(file);
    return std::pair(buffers, pairs);
  };
  const auto [buffers, pairs] = lines("--side-by-side none");
  EXPECT_GE(buffers, 4u) << "tensors between nodes, and the output";
  EXPECT_EQ(pairs, 0u) << "one after the other, times tell everything";
  EXPECT_GT(lines("--side-by-side all").second, 0u);
  expect_refused(model_ + " --problem /nowhere/problem", "--problem /nowhere/problem");
  expect_refused(model_ + " --engine ort --problem " + file, "--engine parallax");
  expect_refused(model_ + " --side-by-side some", "--side-by-side");
}

TEST_F(PlxRun, CountsWhatLinuxCounts) {
  for (const std::string engine : {"ort", "parallax"}) {
    const auto measurement = measured("--engine " + engine);
    EXPECT_GT(measurement["median_ms"].get<double>(), 0);
    EXPECT_GT(measurement["ready_ms"].get<double>(), measurement["median_ms"].get<double>());
    EXPECT_GE(measurement["rss_anon_peak_bytes"].get<uint64_t>(), measurement["rss_anon_bytes"].get<uint64_t>());
    EXPECT_GT(measurement["rss_anon_ready_bytes"].get<uint64_t>(), measurement["rss_anon_before_bytes"].get<uint64_t>());
    // Of one process: pages of files and of none, at some moment each, cannot have been less than the most of both.
    EXPECT_LE(measurement["vm_hwm_bytes"].get<uint64_t>(), (uint64_t{32} << 20) + measurement["rss_anon_peak_bytes"].get<uint64_t>() +
                                                               measurement["rss_file_peak_bytes"].get<uint64_t>());
  }
}

// The less there is, the less runs side by side.
TEST_F(PlxRun, KeepsABudgetAsTheSystemCountsOrRefusesIt) {
  write_six_arms();
  const bool emulated = std::string(PLX_RUN_COMMAND).find(' ') != std::string::npos;  // the emulator's own memory grows, too
  std::mt19937 random(1);
  int kept = 0;
  int refused = 0;
  for (int i = 0; i < (emulated ? 6 : 24); ++i) {
    const std::string units = std::vector<std::string>{"whole", "branches", "nodes"}[random() % 3];
    const uint64_t rows = 256 + random() % 4096;
    const uint64_t budget = (random() % 24 + 4) * rows * 128 * 4 / 2 + (256 << 10);
    const std::string common = "--shape x=" + std::to_string(rows) + "x128";
    const Outcome outcome = plx_run(model_ + " --threads 2 --runs 3 --warm-ups 2 " + common + " --units " + units + " --memory-budget " +
                                    std::to_string(budget));
    ASSERT_TRUE(outcome.status == 0 || outcome.status == 3) << outcome.out;
    const auto measured = nlohmann::json::parse(outcome.out);
    SCOPED_TRACE(outcome.out);
    if (!emulated) {
      EXPECT_LE(measured["rss_anon_growth_bytes"].get<uint64_t>(), budget);
    }
    EXPECT_LE(measured["session"]["arena_high_water_bytes"].get<uint64_t>() + measured["session"]["outside_bytes"].get<uint64_t>(),
              std::max(budget, measured["session"]["outside_bytes"].get<uint64_t>()));
    if (outcome.status == 0) {
      ++kept;
      EXPECT_EQ(measured["outputs_digest"], this->measured("--engine ort " + common)["outputs_digest"]);
    } else {
      ++refused;
      EXPECT_GT(measured["refused"]["requested_bytes"].get<uint64_t>(), measured["refused"]["available_bytes"].get<uint64_t>());
      EXPECT_LT(measured["refused"]["available_bytes"].get<uint64_t>(), budget);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(PlxRun, SaysWhatIsWrong) {
  expect_refused("", "MODEL");
  expect_refused("/nowhere/model.onnx", "/nowhere/model.onnx");
  expect_refused("/nowhere/model.onnx --engine ort", "/nowhere/model.onnx");
  expect_refused(model_ + " --engine other", "--engine");
  expect_refused(model_ + " --units halves", "halves");
  expect_refused(model_ + " --runs 0", "--runs");
  expect_refused(model_ + " --threads -1", "--threads");
  expect_refused(model_ + " --shape y=1", "no input of that name");
  expect_refused(model_ + " --shape x=1x5", "does not fit");
  expect_refused(model_ + " --memory-budget lots", "--memory-budget");
  expect_refused(model_ + " --memory-budget 1MB --engine ort", "--engine parallax");
  expect_refused(model_ + " --ort-library /nowhere/libonnxruntime.so", "/nowhere/libonnxruntime.so");
  expect_refused(model_ + " --ort-library /nowhere/libonnxruntime.so --engine ort", "/nowhere/libonnxruntime.so");
  expect_refused(model_ + " --sped", "--sped");
}

TEST_F(PlxRun, RunsAModelThatWasMadeOneFile) {
  const std::string folder = model_ + ".folder";
  std::filesystem::create_directories(folder);
  const std::string beside = folder + "/beside.onnx";
  const std::string single = folder + "/single.onnx";
  std::vector<float> weights(64 * 64);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13) * 0.01f - 0.06f;
  std::ofstream(folder + "/w.bin", std::ios::binary).write(reinterpret_cast<const char*>(weights.data()), 64 * 64 * 4);
  Model m;
  m.input("x", kFloat, {"n", 64}).initializer("w", TensorBytes(kFloat, {64, 64}).external({{"location", "w.bin"}}));
  m.node("MatMul", {"x", "w"}, {"a"}).node("Tanh", {"a"}, {"y"}).output("y", kFloat, {"n", 64});
  std::ofstream(beside, std::ios::binary) << m.bytes();
  const auto convert = [](const std::string& arguments) {
    return WEXITSTATUS(std::system((std::string(PLX_SINGLE_FILE_COMMAND) + " " + arguments + " 2>/dev/null").c_str()));
  };
  EXPECT_EQ(convert(beside + " " + single), 0);
  const auto digest = [](const std::string& model) {
    const Outcome outcome = plx_run(model + " --threads 2 --runs 2 --units whole");
    EXPECT_EQ(outcome.status, 0) << outcome.out;
    return nlohmann::json::parse(outcome.out)["outputs_digest"];
  };
  const auto expected = digest(beside);
  std::filesystem::remove(folder + "/w.bin");
  EXPECT_EQ(digest(single), expected) << "without the file beside it";
  EXPECT_EQ(convert(beside + " " + single), 2) << "whose weights are gone";
  EXPECT_EQ(convert(single + " /nowhere/model.onnx"), 2);
  EXPECT_EQ(convert(""), 2);
  std::filesystem::remove_all(folder);
}

TEST_F(PlxRun, ExplainsItself) {
  const Outcome help = plx_run("--help");
  EXPECT_EQ(help.status, 0);
  for (const char* option : {"--engine", "--threads", "--runs", "--shape", "--memory-budget", "MODEL"}) {
    EXPECT_NE(help.out.find(option), std::string::npos) << option;
  }
}

}  // namespace
