#include "plx/ort/runtime.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "plx/ort/plain_testing.h"

namespace plx::ort {
namespace {

using testing::library;

std::shared_ptr<Runtime> acquired(int threads) {
  auto runtime = Runtime::acquire(library(), threads, 0);
  EXPECT_TRUE(runtime) << runtime.error().message;
  return runtime ? runtime.take() : nullptr;
}

void expect_refused(const std::string& path, int threads, Code code, const std::string& part) {
  auto runtime = Runtime::acquire(path, threads, 0);
  ASSERT_FALSE(runtime) << path;
  EXPECT_EQ(runtime.error().code, code) << runtime.error().message;
  EXPECT_NE(runtime.error().message.find(part), std::string::npos) << runtime.error().message;
}

TEST(Acquire, OpensOneRuntimePerLibrary) {
  const auto first = acquired(2);
  EXPECT_EQ(first->threads(), 2);
  EXPECT_EQ(first->path(), std::filesystem::canonical(library()).string());
  EXPECT_EQ(first->version().substr(0, 2), "1.");
  const std::filesystem::path path(library());
  auto roundabout = Runtime::acquire((path.parent_path() / "." / path.filename()).string(), 2, 0);
  ASSERT_TRUE(roundabout);
  EXPECT_EQ(roundabout->get(), first.get());
}

TEST(Acquire, OneThreadAndWhateverThereIsAgreeWithAnyPool) {
  const auto first = acquired(3);
  EXPECT_EQ(acquired(3), first);
  EXPECT_EQ(acquired(1), first);
  EXPECT_EQ(acquired(0), first);
  EXPECT_EQ(first->threads(), 3);
  expect_refused(library(), 2, Code::kLibrary, "it has 3 threads");
}

TEST(Acquire, AfterTheLastReleaseAnotherSizeIsFine) {
  for (const int threads : {2, 4, 1}) EXPECT_EQ(acquired(threads)->threads(), threads);
  EXPECT_GE(acquired(0)->threads(), 1);
}

size_t threads_of_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}
#ifdef __SANITIZE_THREAD__
constexpr size_t kSanitizerThreads = 1;  // started with the first thread of the program
#else
constexpr size_t kSanitizerThreads = 0;
#endif
const size_t threads_at_start = threads_of_process() + kSanitizerThreads;

TEST(Acquire, StartsItsPoolAndNoOtherThread) {  // such as one that uploads telemetry
  const auto settled = [](size_t wanted) {      // a thread that was joined leaves /proc a moment later
    for (int i = 0; i < 1000 && threads_of_process() != wanted; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return threads_of_process();
  };
  for (const int threads : {1, 3}) {
    const auto runtime = acquired(threads);
    const size_t wanted = threads_at_start + static_cast<size_t>(threads) - 1;
    EXPECT_EQ(settled(wanted), wanted);
  }
  EXPECT_EQ(settled(threads_at_start), threads_at_start);
}

TEST(Acquire, FromSeveralThreadsAtOnceAlwaysSucceeds) {
  // The last owner lets go on one thread while another asks anew.
  const auto work = [] {
    for (int i = 0; i < 25; ++i) {
      auto runtime = Runtime::acquire(library(), 2, 0);
      if (!runtime) ADD_FAILURE() << runtime.error().message;
    }
  };
  std::thread other(work);
  work();
  other.join();
}

TEST(Acquire, NamesWhatIsWrong) {
  expect_refused("", 2, Code::kLibrary, "no path");
  expect_refused("/nowhere/libonnxruntime.so", 2, Code::kNotFound, "/nowhere/libonnxruntime.so");
  expect_refused(library(), -1, Code::kInvalidArgument, "-1");
  const std::string text = ::testing::TempDir() + "plx_not_a_library.so";
  std::ofstream(text) << "no library";
  expect_refused(text, 2, Code::kLibrary, "plx_not_a_library.so");
  std::filesystem::remove(text);
  expect_refused(::testing::TempDir(), 2, Code::kLibrary, "cannot load");
}

TEST(Acquire, RefusesALibraryThatIsNotOnnxRuntime) {
  // The C++ library this test runs on: a sound library with other symbols.
  std::string other;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libm.so") != std::string::npos) other = line.substr(line.find('/'));
  }
  ASSERT_FALSE(other.empty());
  expect_refused(other, 2, Code::kLibrary, "is not ONNX Runtime");
}

TEST(Check, TurnsOnnxRuntimesCodesIntoOurs) {
  const auto runtime = acquired(2);
  const auto mapped = [&](OrtErrorCode code, const char* text) {
    const Status status = runtime->check(runtime->api().CreateStatus(code, text), "context");
    EXPECT_FALSE(status);
    EXPECT_EQ(status.error().message.rfind("context: ", 0), 0u) << status.error().message;
    return status.error().code;
  };
  EXPECT_TRUE(runtime->check(nullptr, "context"));
  EXPECT_EQ(mapped(ORT_FAIL, "boom"), Code::kRunFailed);
  EXPECT_EQ(mapped(ORT_RUNTIME_EXCEPTION, "boom"), Code::kRunFailed);
  EXPECT_EQ(mapped(ORT_NOT_IMPLEMENTED, "boom"), Code::kUnsupported);
  EXPECT_EQ(mapped(ORT_FAIL, "Fatal error: x:Y(-1) is not a registered function/op"), Code::kUnsupported);
  EXPECT_EQ(mapped(ORT_NO_SUCHFILE, "gone"), Code::kNotFound);
  EXPECT_EQ(mapped(ORT_INVALID_PROTOBUF, "bad"), Code::kInvalidModel);
  EXPECT_EQ(mapped(ORT_INVALID_GRAPH, "bad"), Code::kInvalidModel);
  EXPECT_EQ(mapped(ORT_INVALID_ARGUMENT, "bad"), Code::kInvalidArgument);
}

TEST(Check, KeepsOneLine) {
  const auto runtime = acquired(2);
  const Status status = runtime->check(runtime->api().CreateStatus(ORT_FAIL, "first line\nStacktrace:\nmore"), "it");
  EXPECT_EQ(status.error().message, "it: first line");
}

TEST(StandIn, IsAnEmptyFileThatGoesWithTheRuntime) {
  std::string folder;
  {
    const auto runtime = acquired(2);
    auto made = runtime->stand_in_folder();
    ASSERT_TRUE(made) << made.error().message;
    folder = *made;
    EXPECT_EQ(*runtime->stand_in_folder(), folder);
    EXPECT_EQ(std::filesystem::file_size(folder + "/" + Runtime::kStandIn), 0u);
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Handle, ReleasesOnceAndMoves) {
  static int released = 0;
  released = 0;
  struct Thing {};
  Thing thing;
  {
    Handle<Thing> first(nullptr, &thing, [](Thing*) { ++released; });
    Handle<Thing> second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_TRUE(second);
    first = std::move(second);
    EXPECT_EQ(first.get(), &thing);
    EXPECT_EQ(released, 0);
    first.reset();
    EXPECT_EQ(released, 1);
  }
  EXPECT_EQ(released, 1);
}

}  // namespace
}  // namespace plx::ort
