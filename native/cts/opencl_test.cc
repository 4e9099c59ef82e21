// The suite on the first OpenCL device, as it is and with the limits of a small board's GPU. Without a driver the tests
// fail: where they run, PoCL is installed.
//
// PLX_CTS_DRAWS says how many draws of each case (default 12; ./plx test --long sets 200).
#include <gtest/gtest.h>

#include <cstdlib>

#include "cts.h"
#include "plx/device/opencl/opencl.h"

namespace plx::cts {
namespace {

std::shared_ptr<device::Device> open(bool small) {
  device::opencl::Options options;
  if (small) {
    options.most_work_group = 256;
    options.most_local_bytes = 16 << 10;
    options.vector = 4;
  }
  auto device = device::opencl::open(0, options);
  if (!device) throw std::runtime_error(device.error().message);
  return device.take();
}

// One for all tests: building the kernels takes a while.
device::Device& device_of(bool small) {
  static const std::shared_ptr<device::Device> devices[] = {open(false), open(true)};
  return *devices[small ? 1 : 0];
}

int draws() {
  const char* text = std::getenv("PLX_CTS_DRAWS");
  return text == nullptr || *text == '\0' ? 12 : std::atoi(text);
}

class OnOpenCl : public ::testing::TestWithParam<std::tuple<bool, size_t>> {
 protected:
  void run(const Case& drawn) {
    for (int i = 0; i < draws(); ++i) {
      const auto seed = static_cast<uint32_t>(i + 1);
      EXPECT_EQ(check(device_of(std::get<0>(GetParam())), drawn, seed), "") << drawn.name << ", seed " << seed;
    }
  }
};
class Operators : public OnOpenCl {};
class Parts : public OnOpenCl {};

std::string name_of(const std::vector<Case>& cases, const ::testing::TestParamInfo<std::tuple<bool, size_t>>& info) {
  std::string name = std::to_string(std::get<1>(info.param)) + "_" + cases[std::get<1>(info.param)].name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name + (std::get<0>(info.param) ? "_small" : "");
}

INSTANTIATE_TEST_SUITE_P(OpenCl, Operators, ::testing::Combine(::testing::Bool(), ::testing::Range<size_t>(0, operators().size())),
                         [](const auto& info) { return name_of(operators(), info); });
INSTANTIATE_TEST_SUITE_P(OpenCl, Parts, ::testing::Combine(::testing::Bool(), ::testing::Range<size_t>(0, parts().size())),
                         [](const auto& info) { return name_of(parts(), info); });

TEST_P(Operators, AgreeWithOnnxRuntime) { run(operators()[std::get<1>(GetParam())]); }
TEST_P(Parts, AgreeWithOnnxRuntime) { run(parts()[std::get<1>(GetParam())]); }

}  // namespace
}  // namespace plx::cts
