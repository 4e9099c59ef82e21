// What kernels are built for: what is tried, chosen, kept and used.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "cts.h"
#include "plx/base/whole_file.h"
#include "plx/device/opencl/api.h"
#include "plx/device/opencl/tune.h"
#include "plx/schedule/session_testing.h"

namespace plx::cts {
namespace {

using namespace schedule::testing;
using device::TriedTuning;
using device::Tuning;
using device::opencl::Options;
namespace fs = std::filesystem;
constexpr std::chrono::minutes kAsLongAsItTakes{30};

TEST(Tunings, FitOrDoNot) {
  EXPECT_TRUE(device::fits({}, 1, 0));
  EXPECT_TRUE(device::fits({.group = 8, .tile = 16}, 64, 6144));
  EXPECT_FALSE(device::fits({.group = 8, .tile = 16}, 63, 6144)) << "64 work items";
  EXPECT_FALSE(device::fits({.group = 8, .tile = 16}, 64, 6143)) << "8 * 16 * (8 + 4) numbers";
  for (const Tuning& odd : {Tuning{.vector = 5}, Tuning{.vector = 0}, Tuning{.rows = 3}, Tuning{.rows = -8}, Tuning{.group = 8}, Tuning{.tile = 8},
                            Tuning{.group = -8, .tile = 8}, Tuning{.group = 1024, .tile = 8}}) {
    EXPECT_FALSE(device::fits(odd, 1 << 20, 1 << 30)) << device::to_text(odd) << ", " << odd.group << ", " << odd.tile;
  }
}

TEST(Tunings, AlternativesFitAndDifferInOneThing) {
  const Tuning from{.vector = 4, .rows = 8, .group = 8, .tile = 16};
  size_t all = 0;
  for (int step = 0; step < device::kTuningSteps; ++step) {
    for (const Tuning& one : device::alternatives(from, step, 256, 12287)) {
      EXPECT_TRUE(device::fits(one, 256, 12287)) << device::to_text(one);
      EXPECT_NE(one, from);
      EXPECT_EQ(one.vector != from.vector, step == 0);
      EXPECT_EQ(one.rows != from.rows, step == 1);
      EXPECT_EQ(one.group != from.group || one.tile != from.tile, step == 2);
      ++all;
    }
  }
  EXPECT_EQ(all, 1 + 2 + 5u) << "vectors of 16, groups of 16 x 16 that are 16 deep, and of 8 x 8 that are 32 deep need 12 KB";
  EXPECT_EQ(device::alternatives({}, 2, 15, 0).size(), 0u) << "nothing fits";
}

TEST(Tunings, AreReadBackAndWhatIsNoneIsNot) {
  const TriedTuning tried{{16, 4, 8, 32}, 0.75};
  const auto again = device::tried_tuning_from_json(device::to_json(tried));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->tuning, tried.tuning);
  EXPECT_EQ(again->ratio, tried.ratio);
  EXPECT_EQ(device::to_text(tried.tuning), "vectors of 16, 4 rows an item, tiles 32 deep in groups of 8 x 8");
  for (const char* text : {"", "{", "[]", "{}", R"({"vector":4,"rows":8,"group":0,"tile":0})", R"({"vector":4,"rows":8,"group":0,"tile":"0","ratio":1})",
                           R"({"vector":4294967300,"rows":8,"group":0,"tile":0,"ratio":1})", R"({"vector":4,"rows":8.5,"group":0,"tile":0,"ratio":1})",
                           R"({"vector":4,"rows":8,"group":0,"tile":0,"ratio":0})", "\xff\xfe"}) {
    EXPECT_FALSE(device::tried_tuning_from_json(text)) << text;
  }
}

// The first driver, as if it were a slower one: each start of a kernel takes so much longer, by what the kernels are built for.
namespace slowed {

device::opencl::Api real;
std::mutex mutex;
std::map<void*, Tuning> tunings;  // of programs, and of their kernels
std::map<void*, std::string> names;  // of kernels
std::vector<Tuning> built;
int (*milliseconds)(const Tuning&) = nullptr;
bool (*starts)(const Tuning&, const std::string& kernel) = nullptr;
bool is_gpu = false;  // or so it says, with local memory of its own

Tuning tuning_of(const std::string& flags) {
  const auto number = [&](const std::string& name) {
    const size_t at = flags.find("-D" + name + "=");
    return at == std::string::npos ? 0 : std::atoi(flags.c_str() + at + name.size() + 3);
  };
  return {number("VW"), number("ROWS"), number("GROUP"), number("TILE")};
}

cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id* devices, const char* flags, void(CL_CALLBACK* notify)(cl_program, void*),
                         void* data) {
  {
    const std::lock_guard lock(mutex);
    built.push_back(tunings[program] = tuning_of(flags));
  }
  return real.clBuildProgram(program, count, devices, flags, notify, data);
}

cl_kernel CL_API_CALL create(cl_program program, const char* name, cl_int* error) {
  const cl_kernel kernel = real.clCreateKernel(program, name, error);
  const std::lock_guard lock(mutex);
  tunings[kernel] = tunings[program];
  names[kernel] = name;
  return kernel;
}

cl_int CL_API_CALL start(cl_command_queue queue, cl_kernel kernel, cl_uint axes, const size_t* offset, const size_t* items, const size_t* group,
                         cl_uint count, const cl_event* list, cl_event* event) {
  Tuning tuning;
  std::string name;
  {
    const std::lock_guard lock(mutex);
    tuning = tunings[kernel];
    name = names[kernel];
  }
  if (milliseconds != nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(tuning)));
  const size_t one[] = {group[0], group[1], group[2]};  // one work group, where all of them should be started
  const bool whole = starts == nullptr || starts(tuning, name);
  return real.clEnqueueNDRangeKernel(queue, kernel, axes, offset, whole ? items : one, group, count, list, event);
}

cl_int CL_API_CALL ask(cl_device_id device, cl_device_info what, size_t size, void* value, size_t* needed) {
  const cl_int error = real.clGetDeviceInfo(device, what, size, value, needed);
  if (is_gpu && error == CL_SUCCESS && value != nullptr) {
    if (what == CL_DEVICE_TYPE) *static_cast<cl_device_type*>(value) = CL_DEVICE_TYPE_GPU;
    if (what == CL_DEVICE_LOCAL_MEM_TYPE) *static_cast<cl_device_local_mem_type*>(value) = CL_LOCAL;
  }
  return error;
}

const device::opencl::Api* calls() {
  static device::opencl::Api all;
  all = real = *must(device::opencl::load());
  all.clGetDeviceInfo = &ask;
  is_gpu = false;
  all.clBuildProgram = &build;
  all.clCreateKernel = &create;
  all.clEnqueueNDRangeKernel = &start;
  built.clear();
  milliseconds = nullptr;
  starts = nullptr;
  return &all;
}

}  // namespace slowed

class Tuner : public ::testing::Test {
 protected:
  Tuner() : folder_(::testing::TempDir() + "plx-tuner-" + std::to_string(::getpid())) {
    fs::remove_all(folder_);
    options_.cache_folder = folder_;
    options_.calls = slowed::calls();
  }
  ~Tuner() override { fs::remove_all(folder_); }

  std::string problem_of(const device::opencl::Tuned& tuned, const Tuning& tuning) {
    for (const auto& tried : tuned.tried) {
      if (tried.tuning == tuning) return tried.problem;
    }
    return "it was not tried";
  }
  static std::optional<TriedTuning> kept(const std::string& file) { return device::tried_tuning_from_json(read_whole(file)); }

  const std::string folder_;
  Options options_;
};

TEST_F(Tuner, FindsTheFastestAndOpeningTheDeviceBuildsIt) {
  slowed::milliseconds = [](const Tuning& t) { return (t.vector == 4 ? 0 : 40) + (t.rows == 16 ? 0 : 40) + (t.group == 0 ? 0 : 100); };
  const Tuning fastest{4, 16, 0, 0};
  const auto tuned = must(device::opencl::tune(0, options_, kAsLongAsItTakes));
  EXPECT_EQ(tuned.best.tuning, fastest) << device::to_text(tuned.best.tuning);
  EXPECT_LT(tuned.best.ratio, 0.95);
  ASSERT_TRUE(kept(tuned.file)) << tuned.file;
  EXPECT_EQ(kept(tuned.file)->tuning, fastest);

  slowed::built.clear();
  const auto device = must(device::opencl::open(0, options_));
  EXPECT_EQ(device->info().tuning->tuning, fastest);
  EXPECT_EQ(device->info().tuning->ratio, tuned.best.ratio);
  EXPECT_EQ(slowed::built, std::vector{fastest});
  EXPECT_EQ(tuned.tried.size(), device->info().is_cpu ? 4u : 11u) << "no tiles on a CPU";
  const auto& cases = operators();
  const auto product = std::find_if(cases.begin(), cases.end(), [](const Case& one) { return one.name.find("MatMul") != std::string::npos; });
  ASSERT_NE(product, cases.end());
  EXPECT_EQ(check(*device, *product, 1), "");
}

TEST_F(Tuner, GpusHaveTilesUntilTheyAreFoundToBeSlower) {
  slowed::is_gpu = true;
  slowed::milliseconds = [](const Tuning& t) { return t.group == 0 ? 0 : 40; };
  options_.most_work_group = 16;
  options_.most_local_bytes = 3072;  // 4 x 4 items, 8 deep, for the widest vectors
  const auto device = must(device::opencl::open(0, options_));
  const Tuning first = device->info().tuning->tuning;
  EXPECT_EQ(first, device::tiled({.vector = first.vector}, 16, 3072));
  EXPECT_EQ(first.group, 4);
  const auto tuned = must(device::opencl::tune(0, options_, kAsLongAsItTakes));
  EXPECT_EQ(tuned.best.tuning.group, 0) << device::to_text(tuned.best.tuning);
  EXPECT_LT(tuned.best.ratio, 0.95);
}

TEST_F(Tuner, KeepsToWhatFollowsFromTheLimitsWhereNothingIsFaster) {
  static Tuning first;
  first = must(device::opencl::open(0, options_))->info().tuning->tuning;
  slowed::milliseconds = [](const Tuning& t) { return t == first ? 0 : 60; };
  Options asked = options_;
  asked.tuning = TriedTuning{{4, 4, 0, 0}, 0};
  const auto tuned = must(device::opencl::tune(0, asked, kAsLongAsItTakes));
  EXPECT_EQ(tuned.best.tuning, first) << "what is asked for is no start";
  EXPECT_EQ(tuned.best.ratio, 1);
  EXPECT_FALSE(tuned.tried.empty());
  for (const auto& tried : tuned.tried) EXPECT_GT(tried.ratio, 0.95) << device::to_text(tried.tuning) << tried.problem;
}

TEST_F(Tuner, WhatMakesOtherNumbersOrDoesNotBuildIsNotTaken) {
  options_.most_local_bytes = 1;
  const Tuning first = must(device::opencl::open(0, options_))->info().tuning->tuning;
  slowed::milliseconds = [](const Tuning& t) { return t.rows == 8 ? 40 : 0; };
  slowed::starts = [](const Tuning& t, const std::string& kernel) { return t.rows != 4 || kernel != "multiply"; };
  int builds = 0;
  options_.fault = [&](const char* step) -> Status {
    if (std::string_view(step) != "build" || ++builds != 2) return {};
    return fail(Code::kRunFailed, "the compiler gives up");
  };
  const auto tuned = must(device::opencl::tune(0, options_, kAsLongAsItTakes));
  Tuning wrong = tuned.best.tuning;
  wrong.rows = 4;
  EXPECT_NE(problem_of(tuned, wrong).find("it makes other numbers than vectors of"), std::string::npos) << problem_of(tuned, wrong);
  EXPECT_EQ(tuned.best.tuning.rows, 16);
  ASSERT_FALSE(tuned.tried.empty());
  EXPECT_NE(tuned.tried[0].problem.find("the compiler gives up"), std::string::npos);
  EXPECT_NE(tuned.best.tuning, first);
  EXPECT_NE(tuned.best.tuning, tuned.tried[0].tuning);
}

TEST_F(Tuner, WithoutTimeTriesNothingAndSaysThatNothingIsFaster) {
  const auto tuned = must(device::opencl::tune(0, options_, std::chrono::milliseconds(0)));
  EXPECT_TRUE(tuned.tried.empty());
  EXPECT_EQ(tuned.best.ratio, 1);
  EXPECT_EQ(kept(tuned.file)->tuning, tuned.best.tuning) << "and is not tried again";
}

TEST_F(Tuner, ADeviceThatRunsNothingIsAnError) {
  options_.fault = [](const char* step) -> Status {
    return std::string_view(step) == "launch" ? Status(fail(Code::kRunFailed, "out of order")) : Status{};
  };
  const auto tuned = device::opencl::tune(0, options_, kAsLongAsItTakes);
  ASSERT_FALSE(tuned);
  EXPECT_EQ(tuned.error().message, "out of order");
  EXPECT_FALSE(fs::exists(folder_));
  EXPECT_FALSE(device::opencl::tune(99, options_));
}

TEST_F(Tuner, WhatIsKeptIsReadAndWhatIsBrokenOrDoesNotFitIsLeftAlone) {
  const device::Info plain = must(device::opencl::open(0, options_))->info();
  EXPECT_EQ(plain.tuning->ratio, 0) << "not tried";
  const std::string file = device::opencl::tuning_file(folder_, plain);
  EXPECT_EQ(device::opencl::tuning_file("", plain), "");
  const Tuning other{plain.tuning->tuning.vector == 4 ? 8 : 4, 4, 0, 0};
  ASSERT_TRUE(write_whole(file, device::to_json({other, 0.5})));
  EXPECT_EQ(must(device::opencl::open(0, options_))->info().tuning->tuning, other);
  EXPECT_EQ(slowed::built.back(), other);
  for (const std::string& text : {std::string(), std::string("{"), device::to_json({{5, 8, 0, 0}, 1}), device::to_json({{4, 8, 65, 8}, 1})}) {
    ASSERT_TRUE(write_whole(file, text));
    EXPECT_EQ(must(device::opencl::open(0, options_))->info().tuning->tuning, plain.tuning->tuning) << text;
  }
  // Other limits are another device.
  ASSERT_TRUE(write_whole(file, device::to_json({other, 0.5})));
  options_.most_work_group = 16;
  EXPECT_EQ(must(device::opencl::open(0, options_))->info().tuning->ratio, 0);
}

TEST_F(Tuner, AFolderThatCannotBeWrittenKeepsNothing) {
  options_.cache_folder = "/proc/nowhere";
  options_.most_local_bytes = 1;
  EXPECT_EQ(must(device::opencl::tune(0, options_, kAsLongAsItTakes)).file, "");
}

TEST_F(Tuner, WhatDoesNotFitIsRefusedWithTheLimits) {
  options_.most_work_group = 256;
  options_.tuning = TriedTuning{{4, 8, 64, 16}, 0};
  const auto device = device::opencl::open(0, options_);
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, Code::kInvalidArgument);
  EXPECT_NE(device.error().message.find("cannot have vectors of 4, 8 rows an item, tiles 16 deep in groups of 64 x 64: its groups have"), std::string::npos)
      << device.error().message;
}

}  // namespace
}  // namespace plx::cts
