#include "plx/schedule/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace plx::schedule {
namespace {

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
  EXPECT_TRUE(queue.order().empty());
  EXPECT_FALSE(holder.wanted()) << "all of them began later";
  holder.hold(1);
  EXPECT_TRUE(queue.order().empty()) << "what is held is kept";
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

TEST(Turns, AsManyAsThereArePlacesGoAtATime) {
  Turns turns(3);
  Turns::Claim first(turns), second(turns), third(turns), fourth(turns);
  Queue queue;
  first.hold(1);
  second.hold(1);
  third.hold(1);
  EXPECT_FALSE(third.wanted());
  queue.come(fourth, 4, 1);
  EXPECT_TRUE(queue.order().empty());
  second.rest();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{4}));
}

TEST(Turns, AYoungerRunLetsAnOlderOnePassAtItsNextUnit) {
  Turns turns(2);
  Turns::Claim old(turns), young(turns);
  Queue queue;
  young.hold(2);
  EXPECT_FALSE(young.wanted());
  queue.come(old, 1, 1);
  EXPECT_TRUE(queue.order().empty()) << "not in the midst of a unit";
  EXPECT_TRUE(young.wanted());
  young.hold(2);
  queue.note(2);
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{1, 2}));
}

TEST(Turns, OneThatIsBackFromADeviceDoesNotWaitForYoungerOnes) {
  Turns turns(2);
  Turns::Claim old(turns), young(turns);
  Queue queue;
  old.hold(1);
  old.rest();
  young.hold(2);
  old.hold(1);
  EXPECT_TRUE(young.wanted());
  queue.come(young, 2, 2);
  EXPECT_TRUE(queue.order().empty());
  EXPECT_FALSE(old.wanted());
  old.hold(2);
  old.rest();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{2}));
}

TEST(Turns, AYoungerRunGoesOnBesideAnOlderOneThatLeavesEnough) {
  Turns turns(2);
  Turns::Claim old(turns), young(turns);
  young.hold(1);
  old.hold(1);
  EXPECT_FALSE(young.wanted());
  old.rest();
  old.hold(2);
  EXPECT_TRUE(young.wanted());
  old.hold(1);
  EXPECT_FALSE(young.wanted());
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

TEST(Turns, ARunThatEndsLetsGo) {
  Turns turns(1);
  auto old = std::make_unique<Turns::Claim>(turns);
  Turns::Claim young(turns);
  Queue queue;
  old->hold(1);
  queue.come(young, 1, 1);
  EXPECT_TRUE(queue.order().empty());
  old.reset();
  queue.join();
  EXPECT_EQ(queue.order(), (std::vector<int>{1}));
}

TEST(Turns, ManyRunsComeAndGo) {
  Turns turns(2);
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        Turns::Claim claim(turns);
        for (int unit = 0; unit < 6; ++unit) {
          claim.hold((i + t + unit) % 5 == 0 ? 2 : 1);
          if (unit % 3 == 1) claim.rest();
        }
        ++ended;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, 2000);
}

}  // namespace
}  // namespace plx::schedule
