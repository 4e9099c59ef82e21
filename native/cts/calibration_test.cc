// Measured rates, and what they decide: on PoCL, and on a device that is faster than any CPU.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "plx/base/whole_file.h"
#include "plx/device/opencl/tune.h"
#include "plx/engine/calibration.h"
#include "plx/engine/calibration_models.h"
#include "plx/engine/device_testing.h"
#include "plx/engine/devices.h"
#include "plx/partition/rates.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::cts {
namespace {

using namespace schedule::testing;
using namespace engine::testing;
using engine::Calibration;
using engine::PlanRequest;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using partition::kOperatorClassNames;
using partition::kOperatorClasses;
using partition::OperatorClass;

// What was made for a machine's devices goes to a folder of the test's own.
class CacheFolder {
 public:
  CacheFolder() : path_(std::filesystem::temp_directory_path() / ("plx-calibration-" + std::to_string(::getpid()))) {
    const char* before = std::getenv("XDG_CACHE_HOME");
    if (before != nullptr) before_ = before;
    // PoCL keeps its own there, and does not bear that it goes away.
    const char* home = std::getenv("HOME");
    const std::string pocl = before_ ? *before_ : std::string(home != nullptr ? home : "/tmp") + "/.cache";
    ::setenv("POCL_CACHE_DIR", (pocl + "/pocl/kcache").c_str(), 0);
    ::setenv("XDG_CACHE_HOME", path_.c_str(), 1);
  }
  ~CacheFolder() {
    if (before_) ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    else ::unsetenv("XDG_CACHE_HOME");
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<std::string> before_;
};

// A device that is faster than any CPU, as nothing on a build machine is: it makes zeros, at once, but for parts of so many
// nodes as it is told to be slow with.
class Quick final : public device::Device {
 public:
  Quick(std::string name, std::set<std::string> takes, size_t slow) : takes_(std::move(takes)), slow_(slow) {
    info_.kind = "quick";
    info_.name = std::move(name);
    info_.shares_memory = true;
  }
  const device::Info& info() const override { return info_; }
  std::string refuses(const graph::Graph& graph, const graph::Shapes&, graph::NodeId node) const override {
    return takes_.contains(graph.nodes[node].op_type) ? "" : "it is not of those that it takes";
  }
  Result<std::unique_ptr<device::Program>> prepare(const device::Part& part) override {
    auto program = std::make_unique<Zeros>();
    program->slow = part.nodes.size() == slow_;
    for (const graph::ValueId value : part.outputs) {
      const graph::Shape& shape = *(*part.shapes)[value];
      program->sizes.push_back(*graph::tensor_bytes(shape.element, shape.dims));
    }
    ++prepared;
    return std::unique_ptr<device::Program>(std::move(program));
  }
  Result<std::unique_ptr<device::Lent>> lend(uint64_t size_bytes, device::Use) override {
    return std::unique_ptr<device::Lent>(std::make_unique<Memory>(size_bytes));
  }
  bool lost() const override { return false; }

  int prepared = 0;

 private:
  struct Zeros final : device::Program {
    void submit(std::span<const std::byte* const>, std::span<std::byte* const> outputs, device::Completion& completion) override {
      if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(300));
      for (size_t i = 0; i < outputs.size(); ++i) std::fill_n(outputs[i], sizes[i], std::byte{0});
      completion.done({});
    }
    uint64_t device_bytes() const override { return 0; }
    std::vector<uint64_t> sizes;
    bool slow = false;
  };
  struct Memory final : device::Lent {
    explicit Memory(uint64_t size) : bytes(size + 64) {}
    std::byte* data() override {
      const auto at = reinterpret_cast<uintptr_t>(bytes.data());
      return bytes.data() + (64 - at % 64) % 64;
    }
    uint64_t taken_bytes() const override { return bytes.size() - 64; }
    std::vector<std::byte> bytes;
  };
  device::Info info_;
  std::set<std::string> takes_;
  size_t slow_;
};

const std::set<std::string> kAll = {"Conv",  "FusedConv", "MatMul", "Sigmoid", "Tanh",  "Mul", "Softmax", "LayerNormalization",
                                    "Split", "Concat",    "Relu",   "Add",     "MaxPool"};

class WithDevice : public ::testing::Test {
 protected:
  ~WithDevice() override {
    for (const auto& device : devices_) engine::register_device(device->info().name, nullptr);
  }
  std::shared_ptr<Quick> bring(const std::string& name, std::set<std::string> takes = kAll, size_t slow = 0) {
    auto device = std::make_shared<Quick>(name, std::move(takes), slow);
    engine::register_device(name, device);
    devices_.push_back(device);
    return device;
  }
  static PlanRequest automatic(const std::string& device) {
    PlanRequest request = on(device);
    request.options.offload_all = false;
    return request;
  }
  std::vector<std::shared_ptr<Quick>> devices_;
};

TEST_F(WithDevice, RatesAreFiniteAndAFasterDeviceHasHigherOnes) {
  bring("quick");
  const auto made = must(engine::calibrate(runtime(), "quick"));
  EXPECT_GT(made.took_s, 0);
  EXPECT_EQ(made.file, "") << "it has no driver to be known by";
  ASSERT_TRUE(made.profile.measured);
  const auto& rates = *made.profile.measured;
  for (size_t c = 0; c < kOperatorClasses; ++c) {
    EXPECT_GT(rates.cpu.per_s[c], 1e6) << kOperatorClassNames[c];
    EXPECT_LT(rates.cpu.per_s[c], 1e13) << kOperatorClassNames[c];
  }
  EXPECT_GT(rates.device.per_s[0], rates.cpu.per_s[0]);
  EXPECT_GT(rates.device.per_s[1], rates.cpu.per_s[1]);
  EXPECT_LT(made.profile.latency_s, 1e-2);
  EXPECT_EQ(must(engine::calibrate(runtime(), "quick")).took_s, 0) << "known by now";
  EXPECT_GT(must(engine::calibrate(runtime(), "quick", true)).took_s, 0) << "asked for again";
  EXPECT_NE(engine::to_json(made).find("\"convolution\""), std::string::npos);
}

TEST_F(WithDevice, WhatItDoesNotTakeHasTheCpusRate) {
  bring("no rows", {"Conv", "MatMul", "Sigmoid", "Tanh", "Mul", "Split", "Concat"});
  const auto made = must(engine::calibrate(runtime(), "no rows"));
  const auto rows = static_cast<size_t>(OperatorClass::kRows);
  EXPECT_EQ(made.profile.measured->device.per_s[rows], made.profile.measured->cpu.per_s[rows]);
}

TEST_F(WithDevice, OneThatTakesNothingCannotBeCalibrated) {
  bring("idle", {});
  const auto made = engine::calibrate(runtime(), "idle");
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("device 'idle' cannot be calibrated: "), std::string::npos) << made.error().message;
  const auto none = engine::calibrate(runtime(), "nothing");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("'nothing' is no device"), std::string::npos) << none.error().message;
}

// Four convolutions of 116 million MACs, which no CPU makes at once.
Loaded heavy() { return Loaded(engine::calibration_model(OperatorClass::kConvolution, 4)); }

TEST_F(WithDevice, RegionsThatAreFasterThereRunThereAndSayWhatTheTrialTook) {
  bring("quick");
  Loaded loaded = heavy();
  const auto plan = must(loaded->make_plan(automatic("quick")));
  ASSERT_EQ(plan->plan->regions.size(), 1u);
  const partition::Region& region = plan->plan->regions[0];
  EXPECT_TRUE(region.accepted) << region.reason;
  ASSERT_TRUE(region.trial);
  EXPECT_EQ(region.trial->problem, "");
  EXPECT_LT(region.trial->device_s, region.trial->cpu_s);
  EXPECT_LT(region.device_s, region.cpu_s);
  EXPECT_GT(region.work.amount[0], 4e8);
  const Tensors inputs = {noise({1, 64, 56, 56}, 1)};
  const auto session = must(loaded->make_session(plan, 0));
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_EQ(units_on(*session, "quick"), 1u);
}

TEST_F(WithDevice, WhatTheTrialFindsSlowIsGivenBack) {
  // Calibration runs no four convolutions at a time: the rates promise what the trial does not find.
  bring("quick but for four", kAll, 4);
  Loaded loaded = heavy();
  const auto plan = must(loaded->make_plan(automatic("quick but for four")));
  ASSERT_EQ(plan->plan->regions.size(), 1u);
  const partition::Region& region = plan->plan->regions[0];
  EXPECT_FALSE(region.accepted);
  EXPECT_LT(region.device_s, region.cpu_s);
  ASSERT_TRUE(region.trial);
  EXPECT_GT(region.trial->device_s, 0.3);
  EXPECT_NE(region.reason.find("when tried the device took 3"), std::string::npos) << region.reason;
  const Tensors inputs = {noise({1, 64, 56, 56}, 1)};
  const auto session = must(loaded->make_session(plan, 0));
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_EQ(units_on(*session, "cpu"), plan->plan->units.size());
  expect_close(outputs(*session, 1), Plain(runtime(), loaded.bytes()).run(inputs));
}

TEST_F(WithDevice, ThePapersConstantsNeedNoMeasuring) {
  const auto device = bring("quick");
  Loaded loaded(convolutions());
  PlanRequest request = automatic("quick");
  request.paper_rates = true;
  const auto plan = must(loaded->make_plan(request));
  EXPECT_FALSE(plan->plan->options.device->measured);
  EXPECT_EQ(device->prepared, 0);
  for (const auto& region : plan->plan->regions) EXPECT_FALSE(region.accepted) << "far fewer MACs than a billion";
}

TEST_F(WithDevice, PlacementsOverrideRates) {
  bring("quick");
  Loaded loaded(convolutions());
  PlanRequest request = automatic("quick");
  request.options.placements = must(partition::placements_from_text("MaxPool=cpu"));
  const auto plan = must(loaded->make_plan(request));
  for (const auto& region : plan->plan->regions) {
    for (const graph::NodeId node : region.nodes) EXPECT_NE(plan->subject->graph->nodes[node].op_type, "MaxPool");
  }
  request.paper_rates = true;
  request.options.placements = must(partition::placements_from_text("region 0=device"));
  EXPECT_TRUE(must(loaded->make_plan(request))->plan->regions[0].accepted);
}

// ---- PoCL: this machine's CPU under another name ------------------------------------------------------------------------

class CalibrationOfOpenCl : public ::testing::Test {
 protected:
  CacheFolder folder_;
};

TEST_F(CalibrationOfOpenCl, IsCalibratedOnceAndKeptInAFile) {
  const auto made = must(engine::calibrate(runtime(), "opencl"));
  EXPECT_GT(made.took_s, 0);
  EXPECT_LT(made.took_s, 60);
  ASSERT_TRUE(std::filesystem::exists(made.file)) << made.file;
  EXPECT_EQ(std::filesystem::path(made.file).parent_path(), folder_.path() / "parallax");
  const auto again = must(engine::calibrate(runtime(), "opencl"));
  EXPECT_EQ(again.took_s, 0);
  EXPECT_EQ(again.profile.measured->device.per_s, made.profile.measured->device.per_s);
  EXPECT_EQ(again.profile.b_bw, made.profile.b_bw);

  for (const char* broken : {"", "{", "{\"name\":\"opencl\",\"operators\":[]}", "\xff\xfe"}) {
    std::ofstream(made.file, std::ios::binary) << broken;
    EXPECT_FALSE(engine::known_calibration(runtime(), "opencl")) << broken;
  }
  EXPECT_GT(must(engine::calibrate(runtime(), "opencl")).took_s, 0) << "a broken file is measured anew";
  EXPECT_TRUE(engine::known_calibration(runtime(), "opencl"));
}

TEST_F(CalibrationOfOpenCl, TunesFirstAndRatesAreOfWhatWasFound) {
  const auto made = must(engine::calibrate(runtime(), "opencl"));
  ASSERT_TRUE(made.tuning);
  EXPECT_GT(made.tuning->ratio, 0);
  const device::Info info = must(engine::open_device("opencl"))->info();
  EXPECT_EQ(info.tuning->tuning, made.tuning->tuning);
  EXPECT_EQ(info.tuning->ratio, made.tuning->ratio) << "it was read";
  const std::string file = device::opencl::tuning_file(folder_.path() / "parallax", info);
  ASSERT_TRUE(std::filesystem::exists(file)) << file;
  EXPECT_NE(engine::to_json(made).find("\"kernels\":\"vectors of "), std::string::npos) << engine::to_json(made);

  // Another one in its place is used by whoever opens the device next, and nothing is known of it.
  device::Tuning other = made.tuning->tuning;
  other.rows = other.rows == 4 ? 8 : 4;
  ASSERT_TRUE(write_whole(file, device::to_json({other, 0.5})));
  EXPECT_EQ(must(engine::open_device("opencl"))->info().tuning->tuning, other);
  EXPECT_FALSE(engine::known_calibration(runtime(), "opencl"));
  const auto held = must(engine::open_device("opencl"));
  const auto again = must(engine::calibrate(runtime(), "opencl", true));
  EXPECT_NE(again.tuning->ratio, 0.5) << "tried again";
  EXPECT_EQ(held->info().tuning->tuning, other) << "who holds it goes on with it";
  EXPECT_EQ(must(engine::open_device("opencl"))->info().tuning->ratio, again.tuning->ratio);
}

TEST_F(CalibrationOfOpenCl, TheFirstPlanByRatesIsOfTheDeviceAsItWasTuned) {
  const auto before = must(engine::open_device("opencl"));
  ASSERT_EQ(before->info().tuning->ratio, 0);
  Loaded loaded(convolutions());
  PlanRequest request = on("opencl");
  request.options.offload_all = false;
  const auto plan = must(loaded->make_plan(request));
  EXPECT_GT(plan->device->info().tuning->ratio, 0);
  EXPECT_EQ(plan->device, must(engine::open_device("opencl")));
  EXPECT_NE(plan->device, before);
}

TEST_F(CalibrationOfOpenCl, RatesWithoutATuningAreNotEnough) {
  const auto made = must(engine::calibrate(runtime(), "opencl"));
  std::filesystem::remove(device::opencl::tuning_file(folder_.path() / "parallax", must(engine::open_device("opencl"))->info()));
  const auto again = must(engine::calibrate(runtime(), "opencl"));
  EXPECT_GT(again.took_s, 0);
  EXPECT_GT(again.tuning->ratio, 0);
}

TEST_F(CalibrationOfOpenCl, ASlowerDeviceIsLeftAloneAndThePlanSaysWhy) {
  Loaded loaded(convolutions());
  PlanRequest request = on("opencl");
  request.options.offload_all = false;
  const auto plan = must(loaded->make_plan(request));
  ASSERT_FALSE(plan->plan->regions.empty());
  for (const auto& region : plan->plan->regions) {
    EXPECT_FALSE(region.accepted) << region.device_s << " s against " << region.cpu_s;
    EXPECT_NE(region.reason.find("the device"), std::string::npos) << region.reason;
  }
  // What was measured is told where all of it runs there, too.
  const auto all = must(loaded->make_plan(on("opencl")));
  EXPECT_TRUE(all->plan->options.device->measured);
  EXPECT_TRUE(all->plan->regions[0].accepted);
}

// The last one: what it leaves is the process's.
TEST_F(CalibrationOfOpenCl, WhatNoFileKeepsIsKeptAsLongAsTheProcess) {
  ::setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
  const auto made = must(engine::calibrate(runtime(), "opencl"));
  EXPECT_EQ(made.file, "");
  EXPECT_GT(made.tuning->ratio, 0);
  EXPECT_EQ(must(engine::open_device("opencl"))->info().tuning->ratio, made.tuning->ratio);
  EXPECT_EQ(must(engine::calibrate(runtime(), "opencl")).took_s, 0);
}

}  // namespace
}  // namespace plx::cts
