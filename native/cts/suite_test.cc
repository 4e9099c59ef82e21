// The suite on each device: the first OpenCL one, with its own limits, and with those of a small GPU and memory of its own, both
// also with products by tiles as on a GPU, and between them all vectors and rows that a tuner may choose; and those that need no hardware, where a few draws of each case are enough. Without an
// OpenCL driver the tests fail: where they run, PoCL is installed.
//
// PLX_CTS_DRAWS says how many draws of each case on OpenCL (default 12; ./plx test --long sets 200).
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "cts.h"
#include "plx/device/cpu/cpu.h"
#include "plx/device/null/null.h"
#include "plx/device/opencl/opencl.h"

namespace plx::cts {
namespace {

enum class Limits { kAsTheyAre, kSmall };

std::shared_ptr<device::Device> open_cl(Limits limits, const device::Tuning& tuning, bool tiles) {
  device::opencl::Options options;
  if (limits == Limits::kSmall) {
    options.most_work_group = 256;
    options.most_local_bytes = 16 << 10;
    options.shares_memory = false;
  }
  const auto all = device::opencl::list();
  if (!all || all->empty()) throw std::runtime_error("there is no OpenCL device");
  options.tuning = device::TriedTuning{tuning, 0};
  if (tiles) options.tuning->tuning = device::tiled(tuning, 256, std::min<uint64_t>(16 << 10, all->front().local_bytes));
  auto device = device::opencl::open(0, options);
  if (!device) throw std::runtime_error(device.error().message);
  return device.take();
}

std::shared_ptr<device::Device> null(bool shares_memory) {
  device::null::Script script;
  script.shares_memory = shares_memory;
  return device::null::make(ort::testing::runtime(), std::move(script));
}

int draws_on_hardware() {
  const char* text = std::getenv("PLX_CTS_DRAWS");
  return text == nullptr || *text == '\0' ? 12 : std::atoi(text);
}

struct Target {
  const char* name;
  std::shared_ptr<device::Device> (*open)();
  int draws;
  bool products = false;  // alone: the rest is the same
};
std::vector<Target> targets() {
  return {{"opencl", [] { return open_cl(Limits::kAsTheyAre, {16, 8}, false); }, draws_on_hardware()},
          {"opencl_small", [] { return open_cl(Limits::kSmall, {4, 8}, false); }, draws_on_hardware()},
          {"opencl_rows", [] { return open_cl(Limits::kAsTheyAre, {8, 16}, false); }, draws_on_hardware()},
          {"opencl_tiled", [] { return open_cl(Limits::kAsTheyAre, {16, 8}, true); }, draws_on_hardware(), true},
          {"opencl_tiled_small", [] { return open_cl(Limits::kSmall, {4, 4}, true); }, draws_on_hardware(), true},
          {"cpu", [] { return device::cpu::make(ort::testing::runtime()); }, 2},
          {"null", [] { return null(true); }, 2},
          {"null_apart", [] { return null(false); }, 2}};
}

// One for all tests: building the kernels takes a while.
device::Device& device_of(const Target& target) {
  static std::map<std::string, std::shared_ptr<device::Device>> open;
  std::shared_ptr<device::Device>& device = open[target.name];
  if (device == nullptr) device = target.open();
  return *device;
}

using Which = std::pair<Target, size_t>;  // and the case

std::vector<Which> on_all(const std::vector<Case>& cases) {
  std::vector<Which> all;
  for (const Target& target : targets()) {
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto about = [&](const char* what) { return cases[i].name.find(what) != std::string::npos; };
      const bool products = about("Conv") || about("MatMul") || about("Gemm") || about("product") || about("convolution") || about("attention");
      if (!target.products || products) all.emplace_back(target, i);
    }
  }
  return all;
}

class OnDevice : public ::testing::TestWithParam<Which> {
 protected:
  void run(const std::vector<Case>& cases) {
    const auto& [target, index] = GetParam();
    for (int i = 0; i < target.draws; ++i) {
      const auto seed = static_cast<uint32_t>(i + 1);
      EXPECT_EQ(check(device_of(target), cases[index], seed), "") << cases[index].name << ", seed " << seed;
    }
  }
};
class Operators : public OnDevice {};
class Parts : public OnDevice {};

std::string name_of(const std::vector<Case>& cases, const Which& param) {
  const auto& [target, index] = param;
  std::string name = std::string(target.name) + "_" + std::to_string(index) + "_" + cases[index].name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cts, Operators, ::testing::ValuesIn(on_all(operators())),
                         [](const auto& info) { return name_of(operators(), info.param); });
INSTANTIATE_TEST_SUITE_P(Cts, Parts, ::testing::ValuesIn(on_all(parts())),
                         [](const auto& info) { return name_of(parts(), info.param); });

TEST_P(Operators, AgreeWithOnnxRuntime) { run(operators()); }
TEST_P(Parts, AgreeWithOnnxRuntime) { run(parts()); }

}  // namespace
}  // namespace plx::cts
