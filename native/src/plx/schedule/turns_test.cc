#include "plx/schedule/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace plx::schedule {
namespace {

TEST(Turns, NoMorePlacesThanThereAre) {
  Turns turns(2);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<bool> broken{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const uint64_t run = turns.begin();
      for (int i = 0; i < 2000; ++i) {
        const int places = (i + t) % 5 == 0 ? 2 : 1;
        const Turns::Turn turn(&turns, run, places);
        const int now = inside.fetch_add(places) + places;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        if (now > 2) broken = true;
        inside.fetch_sub(places);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(broken) << "more than two places were taken at a time";
  EXPECT_EQ(most, 2);
}

TEST(Turns, WhoBeganFirstGoesFirst) {
  Turns turns(1);
  const uint64_t holder = turns.begin();
  std::vector<uint64_t> runs;
  for (int i = 0; i < 6; ++i) runs.push_back(turns.begin());
  std::mutex mutex;
  std::vector<uint64_t> order;
  std::vector<std::thread> threads;
  {
    const Turns::Turn turn(&turns, holder, 1);
    for (size_t i = runs.size(); i-- > 0;) {  // the last one comes first
      threads.emplace_back([&, run = runs[i]] {
        const Turns::Turn own(&turns, run, 1);
        const std::lock_guard lock(mutex);
        order.push_back(run);
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // until all of them wait
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order, runs);
}

TEST(Turns, OneThatWantsAllIsNotOvertaken) {
  Turns turns(2);
  const uint64_t narrow = turns.begin();
  const uint64_t wide = turns.begin();
  const uint64_t late = turns.begin();
  std::mutex mutex;
  std::vector<uint64_t> order;
  const auto note = [&](uint64_t run, int places) {
    const Turns::Turn turn(&turns, run, places);
    const std::lock_guard lock(mutex);
    order.push_back(run);
  };
  std::thread first;
  std::thread second;
  {
    const Turns::Turn turn(&turns, narrow, 1);
    first = std::thread(note, wide, 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    second = std::thread(note, late, 1);  // there is a place for it, but it came later
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(order.empty());
  }
  first.join();
  second.join();
  EXPECT_EQ(order, (std::vector<uint64_t>{wide, late}));
}

TEST(Turns, NothingWithoutTurns) { const Turns::Turn turn(nullptr, 1, 3); }

}  // namespace
}  // namespace plx::schedule
