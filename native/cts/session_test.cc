// Sessions with regions on the first OpenCL device; what its driver does wrong; and its cache of built kernels.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>

#include "plx/device/lent.h"
#include "plx/base/whole_file.h"
#include "plx/device/opencl/api.h"
#include "plx/device/opencl/opencl.h"
#include "plx/engine/device_testing.h"
#include "plx/engine/devices.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::cts {
namespace {

using namespace schedule::testing;
using namespace engine::testing;
using engine::PlanRequest;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using schedule::Session;

TEST(OnOpenCl, RegionsRunThere) {
  // Of small models; those of the zoo are run by ./plx compare --device opencl.
  for (const auto& [model, inputs] : {std::pair<std::string, Tensors>{convolutions(), {noise({1, 8, 16, 16}, 1)}},
                                      {attention(), {noise({2, 24, 32}, 2)}}}) {
    Loaded loaded(model);
    PlanRequest request = on("opencl");
    if (inputs[0].dims.size() == 3) request.shapes = {{"x", inputs[0].dims}};
    const auto plan = must(loaded->make_plan(request));
    const auto session = must(loaded->make_session(plan, 0));
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) {
      must(session->run());
      expect_close(outputs(*session, 1), Plain(runtime(), model).run(inputs));
    }
    EXPECT_GT(units_on(*session, "opencl"), 0u);
    EXPECT_EQ(report(*session)["device"]["fallbacks"], 0) << report(*session)["device"];
  }
}

TEST(Devices, ThatAreNotThereAreNamed) {
  Loaded loaded(convolutions());
  for (const char* name : {"opencl:99", "opencl:x", "abacus"}) {
    const auto plan = loaded->make_plan(on(name));
    ASSERT_FALSE(plan) << name;
    EXPECT_NE(plan.error().message.find(name[0] == 'o' && name[7] == '9' ? "device 99" : name), std::string::npos) << plan.error().message;
  }
  const auto whole = loaded->make_plan(on("opencl", Units::kWhole));
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, Code::kInvalidArgument);
}

// The driver fails at any step, now and then: results are right all the same.
TEST(OnOpenCl, FaultsOfTheDriverAreMadeUpForByTheCpu) {
  std::atomic<uint32_t> state{1};
  std::atomic<bool> armed{false};
  std::atomic<int> faults{0};
  device::opencl::Options options;
  options.fault = [&](const char* step) -> Status {
    const uint32_t next = state * 1664525u + 1013904223u;
    state = next;
    if (!armed || (next >> 16) % 40 != 0) return {};
    ++faults;
    return fail(Code::kRunFailed, "a fault at ", step);
  };
  const auto device = must(device::opencl::open(0, options));
  engine::register_device("faulty", device);
  int fallbacks = 0;
  for (const auto& [model, inputs] : {std::pair<std::string, Tensors>{convolutions(), {noise({1, 8, 16, 16}, 1)}},
                                      {attention(), {noise({2, 24, 32}, 2)}}}) {
    const Tensors expected = Plain(runtime(), model).run(inputs);
    for (int fresh = 0; fresh < 10; ++fresh) {
      Loaded loaded(model);
      PlanRequest request = on("faulty");
      if (inputs[0].dims.size() == 3) request.shapes = {{"x", inputs[0].dims}};
      const auto plan = must(loaded->make_plan(request));
      armed = true;
      const auto session = loaded->make_session(plan, 0);
      if (!session) {  // no memory was to be had, and it says so
        EXPECT_NE(session.error().message.find("a fault at"), std::string::npos) << session.error().message;
        armed = false;
        continue;
      }
      bind_all(**session, inputs);
      for (int i = 0; i < 50; ++i) {
        const Status status = (*session)->run();
        ASSERT_TRUE(status) << status.error().message;
        ASSERT_NO_FATAL_FAILURE(expect_close(outputs(**session, 1), expected));
      }
      armed = false;
      fallbacks += report(**session)["device"]["fallbacks"].get<int>();
    }
  }
  EXPECT_GT(faults, 50);
  EXPECT_GT(fallbacks, 50);
  engine::register_device("faulty", nullptr);
}

TEST(OnOpenCl, WhatTheCpuDoesNotNeedIsNotCopied) {
  for (const bool shares_memory : {true, false}) {
    device::opencl::Options options;
    options.shares_memory = shares_memory;
    std::atomic<bool> fails{false};
    options.fault = [&](const char* step) { return fails && std::string_view(step) == "launch" ? Status(fail(Code::kRunFailed, "a fault")) : Status{}; };
    const auto device = must(device::opencl::open(0, options));
    engine::register_device("cl", device);
    Loaded loaded(two_regions("Hardmax"));
    const Tensors inputs = {noise({64, 64}, 1)};
    const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
    const auto plan = must(loaded->make_plan(on("cl")));
    ASSERT_EQ(plan->plan->regions.size(), 2u);
    const auto session = must(loaded->make_session(plan, 0));
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) {
      must(session->run());
      expect_close(outputs(*session, 1), expected);
      // The input and what the CPU reads; what the CPU made and the output. An input is the caller's memory.
      EXPECT_EQ(copied_bytes(*session), (shares_memory ? std::vector<uint64_t>{kTensorBytes, 0} : std::vector<uint64_t>{2 * kTensorBytes, 2 * kTensorBytes}));
    }
    fails = true;
    must(session->run());
    expect_close(outputs(*session, 1), expected);
    fails = false;
    must(session->run());
    expect_close(outputs(*session, 1), expected);
    EXPECT_EQ(report(*session)["device"]["fallbacks"], 2);
    engine::register_device("cl", nullptr);
  }
}

// A region may read a tensor that says how large to make another: then it is for the sizes of the plan only, though its inputs'
// shapes are always the same.
TEST(OnOpenCl, WhatIsToldASizeRunsThereAtThePlansSizesOnly) {
  schedule::testing::Model m;
  m.input("x", kFloat, {"n", 8}).input("z", kFloat, {1, 8}).output("y", kFloat, {"n", 8}).output("u", kFloat, {"n", 8});
  m.node("Shape", {"x"}, {"size"}).node("Neg", {"z"}, {"z1"}).node("Expand", {"z1", "size"}, {"y"}).node("Hardmax", {"x"}, {"u"});
  const auto device = must(device::opencl::open(0, {}));
  engine::register_device("cl", device);
  Loaded loaded(m.bytes());
  PlanRequest request = on("cl");
  request.shapes = {{"x", {6, 8}}};
  const auto session = must(loaded->make_session(must(loaded->make_plan(request)), 0));
  Plain plain(runtime(), loaded.bytes());
  for (const int64_t n : {6, 4, 9, 6, 4}) {
    const Tensors inputs = {noise({n, 8}, 1), noise({1, 8}, 2)};
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) {
      must(session->run());
      expect_close(outputs(*session, 2), plain.run(inputs));
      EXPECT_EQ(units_on(*session, "opencl"), n == 6 ? 1u : 0u) << n;
    }
  }
  engine::register_device("cl", nullptr);
}

// A driver that shows the CPU another memory than the device's, with nothing in it while it is not mapped; and, if told so,
// at another address each time.
namespace strict {

device::opencl::Api real;
std::atomic<bool> moves{false};
std::mutex mutex;
struct Seen {
  void* really = nullptr;  // where the driver maps it; null if it does not
  std::vector<std::unique_ptr<device::HostBytes>> places;  // for the CPU, the last one now
  size_t size = 0;
};
std::map<cl_mem, Seen> seen;

void* CL_API_CALL map(cl_command_queue queue, cl_mem memory, cl_bool, cl_map_flags flags, size_t offset, size_t size, cl_uint count,
                      const cl_event* list, cl_event* event, cl_int* error) {
  void* at = real.clEnqueueMapBuffer(queue, memory, CL_TRUE, flags, offset, size, count, list, event, error);
  if (at == nullptr) return at;
  const std::lock_guard lock(mutex);
  Seen& one = seen[memory];
  if (one.places.empty() || moves) one.places.push_back(std::make_unique<device::HostBytes>(size));
  one.really = at;
  one.size = size;
  std::memcpy(one.places.back()->get(), at, size);
  return one.places.back()->get();
}

cl_int CL_API_CALL unmap(cl_command_queue queue, cl_mem memory, void* at, cl_uint count, const cl_event* list, cl_event* event) {
  const std::lock_guard lock(mutex);
  Seen& one = seen[memory];
  std::memcpy(one.really, at, one.size);
  std::memset(at, 0xff, one.size);
  return real.clEnqueueUnmapMemObject(queue, memory, std::exchange(one.really, nullptr), count, list, event);
}

cl_int CL_API_CALL release(cl_mem memory) {
  {
    const std::lock_guard lock(mutex);
    seen.erase(memory);
  }
  return real.clReleaseMemObject(memory);
}

const device::opencl::Api* calls() {
  static device::opencl::Api all;
  all = real = *must(device::opencl::load());
  all.clEnqueueMapBuffer = &map;
  all.clEnqueueUnmapMemObject = &unmap;
  all.clReleaseMemObject = &release;
  moves = false;
  return &all;
}

}  // namespace strict

TEST(OnOpenCl, WhatTheCpuReadsBesideARegionIsThere) {
  // 'from' is read by the region and, for longer than that takes to start, by a unit of the CPU's.
  schedule::testing::Model m;
  m.input("x", kFloat, {1024, 1024}).output("y", kFloat, {1024, 1024}).output("z", kFloat, {1024, 1024});
  m.initializer("axis", graph::testing::tensor<int64_t>({1}, {1}));
  m.node("Hardmax", {"x"}, {"from"}).node("Erf", {"from"}, {"y"}).node("CumSum", {"from", "axis"}, {"z"});
  device::opencl::Options options;
  options.calls = strict::calls();
  options.fault = [](const char* step) -> Status {
    if (std::string_view(step) == "launch") std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return {};
  };
  const auto device = must(device::opencl::open(0, options));
  engine::register_device("cl", device);
  Loaded loaded(m.bytes());
  const Tensors inputs = {noise({1024, 1024}, 1)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const auto session = must(loaded->make_session(must(loaded->make_plan(on("cl", Units::kNodes))), 1));
  bind_all(*session, inputs);
  for (int i = 0; i < 3; ++i) {
    must(session->run());
    expect_close(outputs(*session, 2), expected);
  }
  EXPECT_EQ(units_on(*session, "opencl"), 1u);
  engine::register_device("cl", nullptr);
}

TEST(OnOpenCl, ADriverThatDoesNotKeepAddressesIsCopiedFromThenOn) {
  std::atomic<bool> fails{false};
  device::opencl::Options options;
  options.calls = strict::calls();
  options.fault = [&](const char* step) { return fails && std::string_view(step) == "launch" ? Status(fail(Code::kRunFailed, "a fault")) : Status{}; };
  {
    const auto device = must(device::opencl::open(0, options));
    engine::register_device("moving", device);
    Loaded loaded(two_regions("Hardmax"));
    const Tensors inputs = {noise({64, 64}, 1)};
    const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
    const auto session = must(loaded->make_session(must(loaded->make_plan(on("moving"))), 0));
    bind_all(*session, inputs);
    const auto run = [&] {
      must(session->run());
      expect_close(outputs(*session, 1), expected);
    };
    run();
    EXPECT_EQ(copied_bytes(*session), (std::vector<uint64_t>{kTensorBytes, 0}));
    strict::moves = true;
    run();
    EXPECT_EQ(units_on(*session, "opencl"), 0u) << "the run that finds out is the CPU's";
    EXPECT_NE(report(*session)["device"]["problem"].get<std::string>().find("at another address"), std::string::npos);
    for (int i = 0; i < 3; ++i) {
      run();
      EXPECT_EQ(units_on(*session, "opencl"), 2u);
      EXPECT_EQ(copied_bytes(*session), (std::vector<uint64_t>{2 * kTensorBytes, 2 * kTensorBytes}));
    }
    fails = true;
    run();
    EXPECT_EQ(units_on(*session, "opencl"), 0u);
    fails = false;
    run();
    EXPECT_EQ(units_on(*session, "opencl"), 2u);
    EXPECT_EQ(report(*session)["device"]["fallbacks"], 4) << "two of each run on the CPU";
  }
  engine::register_device("moving", nullptr);
}

#ifndef __SANITIZE_ADDRESS__  // what a device that hangs may still use is never let go
TEST(OnOpenCl, ADeviceThatDoesNotAnswerAnyMoreIsDoneWithout) {
  for (const bool shares_memory : {true, false}) {
    static std::atomic<bool> hangs;
    static std::atomic<int> waits;
    static const auto really = must(device::opencl::load())->clSetEventCallback;
    hangs = false;
    waits = 0;
    device::opencl::Api calls = *must(device::opencl::load());
    calls.clSetEventCallback = [](cl_event event, cl_int state, auto notify, void* argument) {
      return hangs && waits++ == 1 ? CL_SUCCESS : really(event, state, notify, argument);
    };
    device::opencl::Options options;
    options.calls = &calls;
    options.shares_memory = shares_memory;
    options.timeout = std::chrono::milliseconds(200);
    const auto device = must(device::opencl::open(0, options));
    engine::register_device("cl", device);
    Loaded loaded(two_regions("Hardmax"));
    const Tensors inputs = {noise({64, 64}, 1)};
    const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
    const auto session = must(loaded->make_session(must(loaded->make_plan(on("cl"))), 0));
    bind_all(*session, inputs);
    for (int i = 0; i < 6; ++i) {
      hangs = i == 2;  // at the second region
      must(session->run());
      expect_close(outputs(*session, 1), expected);
      EXPECT_EQ(units_on(*session, "opencl"), i < 2 ? 2u : 0u);
      if (i != 2) continue;
      EXPECT_NE(report(*session)["device"]["problem"].get<std::string>().find("has not answered for 200 ms"), std::string::npos);
    }
    EXPECT_TRUE(device->lost());
    engine::register_device("cl", nullptr);
  }
}
#endif

TEST(OnOpenCl, BuiltKernelsAreKeptAndBrokenOnesBuiltAgain) {
  const std::string folder = ::testing::TempDir() + "plx-kernels";
  std::filesystem::remove_all(folder);
  int builds = 0;
  device::opencl::Options options;
  options.cache_folder = folder;
  options.caches = true;
  const auto only = [&]() -> std::string {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      EXPECT_TRUE(found.empty());
      found = entry.path();
    }
    return found;
  };
  static int shown;  // binaries, to the driver
  static const auto really = must(device::opencl::load())->clCreateProgramWithBinary;
  device::opencl::Api calls = *must(device::opencl::load());
  calls.clCreateProgramWithBinary = [](cl_context context, cl_uint count, const cl_device_id* devices, const size_t* sizes,
                                       const unsigned char** bytes, cl_int* states, cl_int* error) {
    ++shown;
    return really(context, count, devices, sizes, bytes, states, error);
  };
  shown = 0;
  options.calls = &calls;
  must(device::opencl::open(0, options));
  const std::string file = only();
  const auto size = std::filesystem::file_size(file);
  EXPECT_GT(size, 1000u);
  const auto written = std::filesystem::last_write_time(file);
  must(device::opencl::open(0, options));
  EXPECT_EQ(std::filesystem::last_write_time(file), written) << "it was read";
  EXPECT_EQ(shown, 1);
  std::string flipped = read_whole(file);
  flipped[size / 2] ^= 1;
  for (const std::string& content : {std::string(), std::string("no kernels"), std::string(size, 'x'), flipped}) {
    std::ofstream(file, std::ios::binary) << content;
    const auto device = must(device::opencl::open(0, options));
    EXPECT_EQ(std::filesystem::file_size(only()), size) << "it was built again";
    ++builds;
  }
  EXPECT_EQ(builds, 4);
  EXPECT_EQ(shown, 1) << "a driver may end the process over a damaged one";
  // A folder that cannot be written is none.
  options.cache_folder = "/proc/nowhere";
  must(device::opencl::open(0, options));
}

TEST(OnOpenCl, PoclIsLeftToKeepBuiltKernelsItself) {
  const std::string folder = ::testing::TempDir() + "plx-no-kernels";
  std::filesystem::remove_all(folder);
  device::opencl::Options options;
  options.cache_folder = folder;
  const auto device = must(device::opencl::open(0, options));
  const bool pocl = device->info().driver.find("PoCL") != std::string::npos || device->info().driver.find("pocl") != std::string::npos;
  EXPECT_NE(std::filesystem::exists(folder), pocl);
}

TEST(OnOpenCl, WithoutADeviceSaysWhatToInstallAndHowRusticlIsTurnedOn) {
  device::opencl::Api calls = *must(device::opencl::load());
  calls.clGetPlatformIDs = [](cl_uint, cl_platform_id*, cl_uint* count) -> cl_int {
    *count = 0;
    return CL_SUCCESS;
  };
  device::opencl::Options options;
  options.calls = &calls;
  const auto none = device::opencl::open(0, options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_NE(none.error().message.find("this machine has 0: install the GPU's driver"), std::string::npos) << none.error().message;
  EXPECT_NE(none.error().message.find("RUSTICL_ENABLE=v3d"), std::string::npos) << none.error().message;
}

TEST(OnOpenCl, WithoutALoaderSaysWhatToInstall) {
  const auto none = device::opencl::list("libNoSuchOpenCL.so.1");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_NE(none.error().message.find("install"), std::string::npos);
}

// A driver may not take traps from who needs them.
TEST(OnOpenCl, TheDriverLeavesDivisionsAlone) {
  const auto driver = must(engine::open_device("opencl"));
  graph::testing::Model m;
  const auto type = graph::testing::tensor_type(graph::ElementType::kInt32);
  m.input("a", type).input("b", type).output("y", type).node("Mod", {"a", "b"}, {"y"});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kNodes);
  const Tensors inputs = {ort::testing::tensor_of<int32_t>({2}, {std::numeric_limits<int32_t>::min(), 7}), ort::testing::tensor_of<int32_t>({2}, {-1, 4})};
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_EQ(outputs(*session, 1)[0], ort::testing::tensor_of<int32_t>({2}, {0, 3}));
}

}  // namespace
}  // namespace plx::cts
