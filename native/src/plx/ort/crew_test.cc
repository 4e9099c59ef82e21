// The real pool of the real ONNX Runtime.
#include "plx/ort/crew.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "plx/ort/plain_testing.h"

namespace plx::ort {
namespace {

using ort::testing::runtime;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return result.take();
}

struct Meeting {
  std::mutex mutex;
  std::set<long> threads;
  std::atomic<int> arrived{0};
  Status status;
};

TEST(Crew, WorksOnTheCallerAndOnThePoolAtTheSameTime) {
  const auto rt = runtime();
  Crew* crew = must(rt->crew());
  ASSERT_NE(crew, nullptr);
  const auto entrance = must(crew->entrance());
  Meeting meeting;
  const Crew::Shift shift(crew);
  const Status entered = entrance->enter(
      [](void* argument, const Crew::Team& team) noexcept {
        auto& m = *static_cast<Meeting*>(argument);
        m.status = team.parallel(
            [](void* inner, size_t) {
              auto& met = *static_cast<Meeting*>(inner);
              met.arrived.fetch_add(1);
              // Each waits for the other: only two threads at once get through.
              const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(30);
              while (met.arrived.load() < 2 && std::chrono::steady_clock::now() < late) std::this_thread::yield();
              const std::lock_guard lock(met.mutex);
              met.threads.insert(::syscall(SYS_gettid));
            },
            2, &m);
      },
      &meeting);
  ASSERT_TRUE(entered) << entered.error().message;
  ASSERT_TRUE(meeting.status) << meeting.status.error().message;
  const std::lock_guard lock(meeting.mutex);
  EXPECT_EQ(meeting.threads.size(), 2u);
  EXPECT_TRUE(meeting.threads.contains(::syscall(SYS_gettid)));
}

// Processor time of all threads of the process but the calling one, in clock ticks.
long ticks_of_others() {
  long sum = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(::syscall(SYS_gettid))) continue;
    std::ifstream file(task.path() / "stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const size_t end = text.rfind(')');
    if (end == std::string::npos) continue;
    std::istringstream fields(text.substr(end + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    long user = 0;
    long system = 0;
    fields >> user >> system;
    sum += user + system;
  }
  return sum;
}

TEST(Crew, ParksWhenTheLastShiftEndsAndBurnsNothing) {
  const auto rt = runtime();
  Crew* crew = must(rt->crew());
  const auto entrance = must(crew->entrance());
  for (int i = 0; i < 50; ++i) {
    const Crew::Shift outer(crew);
    const Crew::Shift inner(crew);
    ASSERT_TRUE(entrance->enter(
        [](void*, const Crew::Team& team) noexcept {
          (void)static_cast<bool>(team.parallel([](void*, size_t) {}, 2, nullptr));
        },
        nullptr));
  }
  // The last shift's end has parked the one thread there is, or it is on its way.
  EXPECT_GE(crew->parked(), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const long before = ticks_of_others();
  for (int i = 0; i < 10; ++i) {
    // Each of these would have the thread spin for tens of milliseconds.
    {
      const Crew::Shift shift(crew);
      ASSERT_TRUE(entrance->enter([](void*, const Crew::Team&) noexcept {}, nullptr));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  EXPECT_LE(ticks_of_others() - before, 10);  // of some 30 ticks of 10 ms
  EXPECT_GE(crew->parked(), 1);  // one more may be on its way out
}

TEST(Crew, ManyCallersShareOnePool) {
  const auto rt = runtime();
  Crew* crew = must(rt->crew());
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const auto entrance = must(crew->entrance());
      for (int j = 0; j < 50; ++j) {
        const Crew::Shift shift(crew);
        EXPECT_TRUE(entrance->enter(
            [](void* argument, const Crew::Team& team) noexcept {
              const Status status = team.parallel(
                  [](void* inner, size_t) { static_cast<std::atomic<int>*>(inner)->fetch_add(1); }, 3, argument);
              EXPECT_TRUE(status);
            },
            &calls));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(calls.load(), 4 * 50 * 3);
}

}  // namespace
}  // namespace plx::ort
