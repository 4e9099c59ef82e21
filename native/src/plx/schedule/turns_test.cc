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
      Turns::Claim claim(turns);
      for (int i = 0; i < 2000; ++i) {
        const int places = (i + t) % 5 == 0 ? 2 : 1;
        claim.hold(places);
        const int now = inside.fetch_add(places) + places;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        if (now > 2) broken = true;
        inside.fetch_sub(places);
        if (i % 7 == 0) claim.rest();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(broken) << "more than two places were taken at a time";
  EXPECT_EQ(most, 2);
}

// Claims that are told to hold places, each by a thread of its own, and who had them when.
class Queue {
 public:
  ~Queue() { join(); }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Returns when it waits, which takes a while to be sure of, or has had its turn.
  void come(Turns::Claim& claim, int name, int places) {
    threads_.emplace_back([&, name, places] {
      claim.hold(places);
      note(name);
      claim.rest();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  void note(int name) {
    const std::lock_guard lock(mutex_);
    order_.push_back(name);
  }
  std::vector<int> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  std::mutex mutex_;
  std::vector<int> order_;
  std::vector<std::thread> threads_;
};

TEST(Turns, WhoBeganFirstGoesFirst) {
  Turns turns(1);
  Turns::Claim holder(turns);
  Turns::Claim first(turns), second(turns), third(turns);
  Queue queue;
  holder.hold(1);
  queue.come(third, 3, 1);
  queue.come(second, 2, 1);
  queue.come(first, 1, 1);
  EXPECT_FALSE(holder.wanted()) << "all of them began later";
  holder.rest();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{1, 2, 3}));
}

TEST(Turns, OneThatWantsAllIsNotOvertaken) {
  Turns turns(2);
  Turns::Claim narrow(turns), wide(turns), late(turns);
  Queue queue;
  narrow.hold(1);
  queue.come(wide, 2, 2);
  queue.come(late, 3, 1);  // there is a place for it, but it began later
  EXPECT_TRUE(queue.order().empty());
  narrow.rest();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{2, 3}));
}

TEST(Turns, WhatIsHeldIsKeptUntilAnOlderRunWaits) {
  Turns turns(1);
  Turns::Claim old(turns), mine(turns), young(turns);
  Queue queue;
  mine.hold(1);
  queue.come(young, 3, 1);
  mine.hold(1);
  queue.note(2);
  EXPECT_FALSE(mine.wanted());
  queue.come(old, 1, 1);
  EXPECT_TRUE(mine.wanted());
  EXPECT_EQ(queue.order(), (std::vector<int>{2})) << "nobody takes what is held";
  mine.hold(1);
  queue.note(2);
  mine.rest();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{2, 1, 2, 3}));
}

TEST(Turns, WhoHoldsOneAndWantsAllLetsTheOneGo) {
  Turns turns(2);
  Turns::Claim first(turns), second(turns);
  Queue queue;
  first.hold(1);
  second.hold(1);
  queue.come(first, 1, 2);
  EXPECT_TRUE(queue.order().empty());
  queue.come(second, 2, 2);  // which holds one, as the other did: neither waits for the other's
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{1, 2}));
}

TEST(Turns, SomethingElseOfARunIsAsOldAsTheRun) {
  Turns turns(1);
  Turns::Claim run(turns), younger(turns);
  Turns::Claim other(turns, run);
  Queue queue;
  younger.hold(1);
  queue.come(other, 1, 1);
  EXPECT_TRUE(younger.wanted());
  EXPECT_FALSE(run.wanted());
  younger.rest();
}

}  // namespace
}  // namespace plx::schedule
