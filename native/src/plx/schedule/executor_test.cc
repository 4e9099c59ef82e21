// The executor on the real pool, with tasks that only note that they ran.
#include "plx/schedule/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "plx/ort/plain_testing.h"
#include "plx/schedule/overheads.h"

namespace plx::schedule {
namespace {

using Clock = std::chrono::steady_clock;

// Notes when each task ran and checks that what it waits for had ended.
struct Notes final : Executor::Work {
  struct Note {
    std::atomic<int> runs{0};
    std::atomic<bool> ended{false};
    std::atomic<int> worker{-1};
    std::atomic<int64_t> sequence{-1};  // of starts
  };
  explicit Notes(std::vector<Task> list) : tasks(std::move(list)), notes(tasks.size()) {}

  void start_task(int task) override { on_start(task); }
  void hold(int threads) override {
    held = threads;
    if (on_hold) on_hold();
  }
  bool rest() override {
    held = 0;
    return false;
  }
  bool wanted() const override { return is_wanted; }

  Status run_task(int task, int worker) override {
    if (worker >= 0 && !tasks[task].instant && held < (tasks[task].wide ? 2 : 1)) ++not_held;
    notes[task].sequence = next++;
    for (int other = 0; ordered && other < static_cast<int>(tasks.size()); ++other) {
      if (other != task && ordered(other, task) && !notes[other].ended) ++early;
    }
    const int now = ++running;
    for (int seen = most_running; now > seen && !most_running.compare_exchange_weak(seen, now);) {}
    bytes += static_cast<int64_t>(tasks[task].bytes);
    const int64_t in_use = bytes;
    for (int64_t seen = most_bytes; in_use > seen && !most_bytes.compare_exchange_weak(seen, in_use);) {}
    for (const int p : tasks[task].predecessors) early += notes[p].ended ? 0 : 1;
    if (on_run) on_run(task);
    notes[task].worker = worker;
    ++notes[task].runs;
    bytes -= static_cast<int64_t>(tasks[task].bytes);
    --running;
    notes[task].ended = true;
    if (task == failing) return fail(Code::kRunFailed, "task ", task, " fails");
    return {};
  }

  void reset() {
    for (Note& note : notes) {
      note.runs = 0;
      note.ended = false;
      note.sequence = -1;
    }
    next = 0;
    most_running = 0;
    most_bytes = 0;
  }

  std::vector<Task> tasks;
  std::vector<Note> notes;
  std::function<void(int)> on_run;
  std::function<void(int)> on_start;        // of device tasks
  std::function<void()> on_hold;
  std::function<bool(int, int)> ordered;    // to be checked
  int failing = -1;
  std::atomic<int64_t> next{0};
  std::atomic<int> running{0};
  std::atomic<int> most_running{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> most_bytes{0};
  std::atomic<int> early{0};
  std::atomic<int> held{0};
  std::atomic<int> not_held{0};  // tasks that ran when less was held than they take
  std::atomic<bool> is_wanted{false};
};

class OnThePool : public ::testing::Test {
 protected:
  OnThePool() : runtime_(ort::testing::runtime()) {
    auto crew = runtime_->crew();
    if (!crew) throw std::runtime_error(crew.error().message);
    crew_ = *crew;
    auto entrance = crew_->entrance();
    if (!entrance) throw std::runtime_error(entrance.error().message);
    entrance_ = entrance.take();
  }
  Status run(Executor& executor, Notes& notes) {
    notes.reset();
    const ort::Crew::Shift shift(crew_);
    return executor.run(notes, entrance_.get());
  }

  std::shared_ptr<ort::Runtime> runtime_;
  ort::Crew* crew_ = nullptr;
  std::unique_ptr<ort::Crew::Entrance> entrance_;
};

Task after(std::vector<int> predecessors) {
  Task task;
  task.predecessors = std::move(predecessors);
  return task;
}

// Waits until both have come, so that it only ends if they run at the same time.
struct Rendezvous {
  std::atomic<int> arrived{0};
  void wait() {
    ++arrived;
    const auto late = Clock::now() + std::chrono::seconds(30);
    while (arrived < 2 && Clock::now() < late) std::this_thread::yield();
    EXPECT_EQ(arrived, 2);
  }
};

TEST_F(OnThePool, TasksThatAreReadyRunAtTheSameTime) {
  Notes notes({Task{}, after({0}), after({0}), after({1, 2})});
  Executor executor(notes.tasks, 2, 0);
  EXPECT_TRUE(executor.parallel());
  Rendezvous both;
  notes.on_run = [&](int task) {
    if (task == 1 || task == 2) both.wait();
  };
  ASSERT_TRUE(run(executor, notes));
  EXPECT_EQ(notes.most_running, 2);
  EXPECT_NE(notes.notes[1].worker, notes.notes[2].worker);
  EXPECT_EQ(std::min<int>(notes.notes[1].worker, notes.notes[2].worker), 0);
  EXPECT_EQ(notes.early, 0);
}

TEST_F(OnThePool, ChainsWideTasksAndBarriersAreNotParallel) {
  Task wide;
  wide.wide = true;
  Task barrier;
  barrier.barrier = true;
  Task instant;
  instant.instant = true;
  EXPECT_FALSE(Executor({Task{}, after({0}), after({1})}, 2, 0).parallel());
  EXPECT_FALSE(Executor({wide, wide, wide}, 2, 0).parallel());
  EXPECT_TRUE(Executor({wide, wide, wide}, 2, 0).wide());
  EXPECT_FALSE(Executor({Task{}, barrier, barrier}, 2, 0).parallel());
  EXPECT_FALSE(Executor({Task{}, instant, instant}, 2, 0).parallel());
  EXPECT_FALSE(Executor({Task{}, Task{}}, 1, 0).parallel());
  EXPECT_FALSE(Executor({}, 2, 0).parallel());
  EXPECT_TRUE(Executor({wide, Task{}, Task{}, wide}, 2, 0).parallel());
}

TEST_F(OnThePool, OrderedSaysWhatHasEndedForSure) {
  Task wide = after({0});
  wide.wide = true;
  Task barrier;
  barrier.barrier = true;
  //                0       1           2 wide 3       4           5        6 barrier
  Executor executor({Task{}, after({0}), wide, Task{}, after({3}), Task{}, barrier}, 2, 0);
  EXPECT_TRUE(executor.ordered(0, 1));
  EXPECT_TRUE(executor.ordered(1, 2));   // before a wide one
  EXPECT_TRUE(executor.ordered(1, 3));   // and across it
  EXPECT_TRUE(executor.ordered(3, 4));
  EXPECT_FALSE(executor.ordered(4, 5));  // side by side
  EXPECT_FALSE(executor.ordered(5, 4));
  EXPECT_TRUE(executor.ordered(5, 6));
  EXPECT_TRUE(executor.ordered(4, 6));
}

// The same by another way: everything later that `ordered` does not put after each user.
TEST_F(OnThePool, UnorderedIsWhatOrderedDenies) {
  std::mt19937 random(2);
  for (int n = 0; n < 200; ++n) {
    const int count = 1 + static_cast<int>(random() % 150);
    std::vector<Task> tasks(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      for (int p = 0; p < i; ++p) {
        if (random() % 12 == 0) tasks[i].predecessors.push_back(p);
      }
      tasks[i].wide = random() % 40 == 0;
      tasks[i].barrier = random() % 50 == 0;
    }
    const Executor executor(tasks, n % 10 == 0 ? 1 : 2, 0);
    for (int set = 0; set < 10; ++set) {
      std::vector<int> users;
      for (int i = 0; i < count; ++i) {
        if (set == 0 || random() % 10 == 0) users.push_back(i);
      }
      if (users.empty()) users.push_back(count - 1);
      std::vector<int> expected;
      for (int later = users.back() + 1; later < count; ++later) {
        const bool over = std::all_of(users.begin(), users.end(), [&](int user) { return executor.ordered(user, later); });
        if (!over) expected.push_back(later);
      }
      std::vector<int> found;
      const std::vector<uint64_t> all(tasks.size() / 64 + 1, ~uint64_t{0});
      executor.unordered(users, all, found);
      ASSERT_EQ(found, expected) << "graph " << n;
      const std::vector<uint64_t> odd(tasks.size() / 64 + 1, 0xAAAAAAAAAAAAAAAA);
      std::erase_if(expected, [](int task) { return task % 2 == 0; });
      executor.unordered(users, odd, found);
      ASSERT_EQ(found, expected) << "graph " << n << ", odd tasks alone";

      const std::vector<uint64_t> beside = executor.beside(users);
      const size_t words = (users.size() + 63) / 64;
      ASSERT_EQ(beside.size(), tasks.size() * words);
      for (int task = 0; task < count; ++task) {
        for (size_t i = 0; i < users.size(); ++i) {
          const bool found_beside = (beside[static_cast<size_t>(task) * words + i / 64] >> (i % 64) & 1) != 0;
          const bool apart = task == users[i] || executor.ordered(std::min(task, users[i]), std::max(task, users[i]));
          ASSERT_EQ(found_beside, !apart) << "graph " << n << ", tasks " << task << " and " << users[i];
        }
      }
    }
  }
}

TEST_F(OnThePool, AWideTaskHasThePoolToItself) {
  std::vector<Task> tasks(8);
  tasks[3].wide = true;
  Notes notes(tasks);
  Executor executor(tasks, 2, 0);
  std::atomic<int> beside{0};
  notes.on_run = [&](int task) {
    if (task == 3) beside = notes.running - 1;
  };
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(run(executor, notes));
    ASSERT_EQ(beside, 0);
    ASSERT_EQ(notes.notes[3].worker, 0);
    for (int t = 0; t < 3; ++t) ASSERT_LT(notes.notes[t].sequence, notes.notes[3].sequence);
    for (int t = 4; t < 8; ++t) ASSERT_GT(notes.notes[t].sequence, notes.notes[3].sequence);
  }
}

TEST_F(OnThePool, ReadyTasksStartInScheduleOrder) {
  Notes notes(std::vector<Task>(6));
  Executor executor(notes.tasks, 2, 0);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(run(executor, notes));
    // Between workers only taking a task is in order, not the moment at which it notes that it runs.
    for (int a = 0; a < 6; ++a) {
      for (int b = a + 1; b < 6; ++b) {
        if (notes.notes[a].worker == notes.notes[b].worker) {
          ASSERT_LT(notes.notes[a].sequence, notes.notes[b].sequence);
        }
      }
    }
  }
}

TEST_F(OnThePool, ABudgetLimitsWhatRunsTogetherAndOneAloneAlwaysStarts) {
  std::vector<Task> tasks(6);
  for (Task& task : tasks) task.bytes = 60;
  tasks[5].bytes = 1000;
  Notes notes(tasks);
  for (const uint64_t budget : {uint64_t{100}, uint64_t{1}}) {
    Executor executor(tasks, 2, budget);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(run(executor, notes));
      ASSERT_EQ(notes.most_running, 1);
    }
  }
  Executor executor(tasks, 2, 120);
  Rendezvous both;
  notes.on_run = [&](int task) {
    if (task < 2) both.wait();
  };
  ASSERT_TRUE(run(executor, notes));
  EXPECT_EQ(notes.most_running, 2);
  EXPECT_EQ(notes.most_bytes, 1000);  // alone
}

TEST_F(OnThePool, AnErrorStopsTheRunAndTheNextOneIsWhole) {
  std::vector<Task> tasks(40);
  for (int i = 1; i < 40; ++i) tasks[i] = after({i % 2 == 0 ? i - 2 : std::max(0, i - 2)});
  tasks[39] = after({37, 38});  // not reached unless both chains are
  Notes notes(tasks);
  Executor executor(tasks, 2, 0);
  for (int i = 0; i < 100; ++i) {
    notes.failing = 10 + i % 5;
    const Status status = run(executor, notes);
    ASSERT_FALSE(status);
    ASSERT_EQ(status.error().message, "task " + std::to_string(notes.failing) + " fails");
    ASSERT_EQ(notes.notes[39].runs, 0);
    ASSERT_EQ(notes.running, 0);
    notes.failing = -1;
    ASSERT_TRUE(run(executor, notes));
    for (const auto& note : notes.notes) ASSERT_EQ(note.runs, 1);
  }
}

TEST_F(OnThePool, OutOfMemoryInATaskIsAnError) {
  Notes notes(std::vector<Task>(2));
  Executor executor(notes.tasks, 2, 0);
  notes.on_run = [](int) { throw std::bad_alloc(); };
  const Status status = run(executor, notes);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kMemoryBudget);
}

// Random graphs with wide and instant tasks and barriers: everything once, nothing early.
TEST_F(OnThePool, RandomGraphsRunWhole) {
  std::mt19937 random(1);
  for (int n = 0; n < 300; ++n) {
    const int count = 1 + static_cast<int>(random() % 60);
    std::vector<Task> tasks(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      for (int p = 0; p < i; ++p) {
        if (random() % 8 == 0) tasks[i].predecessors.push_back(p);
      }
      tasks[i].wide = random() % 12 == 0;
      tasks[i].instant = !tasks[i].wide && random() % 6 == 0;
      tasks[i].barrier = !tasks[i].instant && random() % 15 == 0;
      tasks[i].bytes = random() % 100;
    }
    Notes notes(tasks);
    Executor executor(tasks, 2, n % 3 == 0 ? 120 : 0);
    for (int repeat = 0; repeat < 3; ++repeat) {
      ASSERT_TRUE(run(executor, notes));
      for (const auto& note : notes.notes) ASSERT_EQ(note.runs, 1);
      ASSERT_EQ(notes.early, 0);
      // `ordered` keeps its word.
      for (int a = 0; a < count; ++a) {
        for (int b = 0; b < a; ++b) {
          if (executor.ordered(b, a)) {
            ASSERT_LT(notes.notes[b].sequence, notes.notes[a].sequence);
          }
        }
      }
    }
  }
}

// Something that works by itself, one task after the other.
class Elsewhere {
 public:
  Elsewhere(Executor& executor, Notes& notes) : executor_(executor), notes_(notes), thread_([this] { serve(); }) {
    notes.on_start = [this](int task) {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(task);
      wake_.notify_all();
    };
  }
  ~Elsewhere() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      wake_.notify_all();
    }
    thread_.join();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const int task = tasks_.front();
      tasks_.pop_front();
      lock.unlock();
      executor_.completed(task, notes_.run_task(task, -1));
      lock.lock();
    }
  }
  Executor& executor_;
  Notes& notes_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<int> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

Task on_device(std::vector<int> predecessors = {}) {
  Task task = after(std::move(predecessors));
  task.device = true;
  return task;
}

TEST_F(OnThePool, ADeviceWorksBesideTheCpuWhateverItRuns) {
  Task wide = after({0});
  wide.wide = true;
  for (const bool alone : {false, true}) {
    for (const Task& cpu : {after({0}), wide}) {
      // 1 on the device beside 2 on the CPU, which is wide or not, with one worker or two.
      Notes notes({Task{}, on_device({0}), cpu, after({1, 2})});
      Executor executor(notes.tasks, alone ? 1 : 2, 0);
      Rendezvous both;
      notes.on_run = [&](int task) {
        if (task == 1 || task == 2) both.wait();
      };
      Elsewhere device(executor, notes);
      notes.reset();
      ASSERT_TRUE(executor.run(notes, nullptr));
      EXPECT_EQ(notes.most_running, 2);
      EXPECT_EQ(notes.notes[1].worker, -1);
      EXPECT_EQ(notes.early, 0);
      EXPECT_EQ(notes.notes[3].runs, 1);
    }
  }
}

TEST_F(OnThePool, WhileThereIsNothingButTheDeviceToWaitForThePoolIsFree) {
  // What comes after the device's task runs side by side, with pool threads that help: one stretch with what comes before it.
  Notes notes({Task{}, on_device({0}), after({1}), after({1}), after({2, 3})});
  Executor executor(notes.tasks, 2, 0);
  ASSERT_TRUE(executor.parallel());
  auto another = crew_->entrance();
  ASSERT_TRUE(another);
  Rendezvous two;  // of the device's thread and of the pool's one thread
  Rendezvous after_it;
  notes.on_run = [&](int task) {
    if (task == 2 || task == 3) after_it.wait();
    if (task != 1) return;
    const auto late = Clock::now() + std::chrono::seconds(30);
    while (notes.held != 0 && Clock::now() < late) std::this_thread::yield();
    EXPECT_EQ(notes.held, 0) << "the CPU is held while there is nothing to do";
    EXPECT_TRUE((*another)->enter(
        [](void* argument, const ort::Crew::Team& team) noexcept {
          EXPECT_TRUE(team.parallel([](void* rendezvous, size_t) { static_cast<Rendezvous*>(rendezvous)->wait(); }, 2, argument));
        },
        &two));
  };
  Elsewhere device(executor, notes);
  ASSERT_TRUE(run(executor, notes));
  EXPECT_EQ(two.arrived, 2);
  EXPECT_EQ(notes.not_held, 0);
  EXPECT_EQ(notes.early, 0);
  EXPECT_EQ(notes.notes[4].runs, 1);
}

TEST_F(OnThePool, BetweenTwoTasksARunThatIsToGoFirstIsLetIn) {
  for (const bool side_by_side : {false, true}) {
    std::vector<Task> tasks(12);
    for (int i = 1; i < 12; ++i) tasks[i] = after({side_by_side ? std::max(0, i - 2) : i - 1});
    Notes notes(tasks);
    Executor executor(notes.tasks, 2, 0);
    ASSERT_EQ(executor.parallel(), side_by_side);
    std::atomic<int64_t> started{0};
    std::atomic<int64_t> started_when_let_in{-1};
    notes.on_run = [&](int task) {
      if (task != 3) return;
      notes.is_wanted = true;
      started = notes.next.load();
    };
    notes.on_hold = [&] {
      if (!notes.is_wanted.exchange(false)) return;
      EXPECT_EQ(notes.running, 0);
      started_when_let_in = notes.next.load();
    };
    ASSERT_TRUE(run(executor, notes));
    EXPECT_GE(started_when_let_in, started);
    EXPECT_LE(started_when_let_in, started + 1) << "but for one that was about to start, on the other thread";
    for (const auto& note : notes.notes) EXPECT_EQ(note.runs, 1);
    EXPECT_EQ(notes.not_held, 0);
    EXPECT_EQ(notes.early, 0);
  }
}

TEST_F(OnThePool, ABarrierWaitsForTheDeviceToo) {
  Task barrier;
  barrier.barrier = true;
  Notes notes({on_device(), Task{}, barrier});
  Executor executor(notes.tasks, 2, 0);
  EXPECT_TRUE(executor.ordered(0, 2));
  EXPECT_FALSE(executor.ordered(0, 1));
  notes.on_run = [&](int task) {
    if (task == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (task == 2) {
      EXPECT_TRUE(notes.notes[0].ended);
    }
  };
  Elsewhere device(executor, notes);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(run(executor, notes));
}

TEST_F(OnThePool, ADeviceWaitsAtItsOwnBarrier) {
  Task barrier = on_device();
  barrier.barrier = true;
  Notes notes({on_device(), Task{}, Task{}, barrier});
  Executor executor(notes.tasks, 2, 0);
  notes.on_run = [&](int task) {
    if (task != 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (int before = 0; task == 3 && before < 3; ++before) {
      EXPECT_TRUE(executor.ordered(before, 3));
      EXPECT_TRUE(notes.notes[static_cast<size_t>(before)].ended);
    }
  };
  Elsewhere device(executor, notes);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(run(executor, notes));
}

TEST_F(OnThePool, AnErrorOnADeviceOrBesideItEndsTheRunWhenAllHasEnded) {
  std::vector<Task> tasks = {on_device(), Task{}, after({1}), on_device({0, 1}), after({2, 3}), on_device({4})};
  Notes notes(tasks);
  Executor executor(tasks, 2, 0);
  notes.on_run = [](int) { std::this_thread::sleep_for(std::chrono::microseconds(200)); };
  Elsewhere device(executor, notes);
  for (int i = 0; i < 60; ++i) {
    notes.failing = i % 5;
    const Status status = run(executor, notes);
    ASSERT_FALSE(status);
    ASSERT_EQ(status.error().message, "task " + std::to_string(notes.failing) + " fails");
    ASSERT_EQ(notes.running, 0) << "nothing runs on";
    ASSERT_EQ(notes.notes[5].runs, 0);
    notes.failing = -1;
    ASSERT_TRUE(run(executor, notes));
    for (const auto& note : notes.notes) ASSERT_EQ(note.runs, 1);
  }
}

TEST_F(OnThePool, RandomGraphsRunWholeWithADevice) {
  std::mt19937 random(7);
  for (int n = 0; n < 300; ++n) {
    const int count = 1 + static_cast<int>(random() % 60);
    std::vector<Task> tasks(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      for (int p = 0; p < i; ++p) {
        if (random() % 8 == 0) tasks[i].predecessors.push_back(p);
      }
      tasks[i].device = random() % 4 == 0;
      tasks[i].wide = !tasks[i].device && random() % 8 == 0;
      tasks[i].instant = !tasks[i].device && !tasks[i].wide && random() % 6 == 0;
      tasks[i].barrier = !tasks[i].instant && random() % 15 == 0;
      tasks[i].bytes = random() % 100;
    }
    Notes notes(tasks);
    Executor executor(tasks, n % 4 == 0 ? 1 : 2, n % 3 == 0 ? 120 : 0);
    notes.ordered = [&](int a, int b) { return executor.ordered(a, b); };
    Elsewhere device(executor, notes);
    for (int repeat = 0; repeat < 3; ++repeat) {
      if (n % 5 == 0) {
        notes.reset();
        ASSERT_TRUE(executor.run(notes, nullptr));
      } else {
        ASSERT_TRUE(run(executor, notes));
      }
      for (const auto& note : notes.notes) ASSERT_EQ(note.runs, 1);
      ASSERT_EQ(notes.early, 0) << "graph " << n;
    }
    // What `unordered` and `beside` say is what `ordered` does.
    std::vector<int> users;
    for (int i = 0; i < count; ++i) {
      if (random() % 5 == 0) users.push_back(i);
    }
    if (users.empty()) continue;
    std::vector<int> expected;
    for (int later = users.back() + 1; later < count; ++later) {
      if (!std::all_of(users.begin(), users.end(), [&](int user) { return executor.ordered(user, later); })) expected.push_back(later);
    }
    std::vector<int> found;
    executor.unordered(users, std::vector<uint64_t>(tasks.size() / 64 + 1, ~uint64_t{0}), found);
    ASSERT_EQ(found, expected);
    const std::vector<uint64_t> beside = executor.beside(users);
    for (int task = 0; task < count; ++task) {
      for (size_t i = 0; i < users.size(); ++i) {
        const bool apart = task == users[i] || executor.ordered(task, users[i]) || executor.ordered(users[i], task);
        ASSERT_EQ((beside[static_cast<size_t>(task)] >> i & 1) != 0, !apart);
      }
    }
  }
}

TEST_F(OnThePool, ItsCostsAreMeasured) {
  const auto costs = measure_executor(runtime_);
  ASSERT_TRUE(costs) << costs.error().message;
  EXPECT_GT(costs->fork_ns, 0);
  EXPECT_GT(costs->hand_over_ns, 0);
  EXPECT_GT(costs->wake_ns, 0);
}

}  // namespace
}  // namespace plx::schedule
