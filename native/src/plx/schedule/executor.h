// The executor: tasks that depend on one another, on the calling thread and on the pool's.
//
// Tasks come in the order of a schedule. That order is cut into *stretches*: a wide task, which uses the whole pool
// itself, is one, and so is what lies between wide tasks and barriers. Stretches run one after the other. Within one it
// is dataflow: a task is ready when those it depends on have ended, and of the ready ones the first in schedule order
// starts when a worker is free and its bytes fit into the budget beside those of the tasks that run. A task alone may
// always start. A stretch whose tasks all depend on one another runs on the calling thread, without any hand-over.
//
// A *device task* runs elsewhere: it is started as soon as those it depends on have ended, whatever the CPU's tasks do,
// and ends when completed() is called. It belongs to no stretch; CPU tasks that depend on it wait for it, and what comes after
// a CPU task's barrier for all device tasks before it. One with a barrier waits for all that comes before it, and parts nothing
// else.
//
// A worker that finds nothing to do looks again for kSpinNs and then sleeps until it is woken; nobody spins longer. If nothing
// is left to do until a device's task has ended, the pool's threads are let go and called again afterwards, since other runs may
// want them meanwhile; and where there are others, the caller sleeps at once.
//
// Threads: run() by one thread at a time. Steady state: run() allocates nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "plx/base/result.h"
#include "plx/ort/crew.h"

namespace plx::schedule {

struct Task {
  std::vector<int> predecessors;  // all of them earlier in the order
  bool instant = false;           // takes no time worth a worker: goes before everything that does
  bool wide = false;
  bool barrier = false;           // everything before it has ended when it starts
  bool device = false;
  uint64_t bytes = 0;             // what it takes of the budget while it runs
};

class Executor {
 public:
  static constexpr int64_t kSpinNs = 50'000;  // about what waking a thread takes

  // What tasks do. run_task is called once for each task of a run, from any worker; an error stops the run.
  class Work {
   public:
    virtual Status run_task(int task, int worker) = 0;
    // The same for a device task: it has been started when this returns, and completed() will be called, or has been.
    virtual void start_task(int task) = 0;
    // Where runs take turns on the CPU (turns.h): before tasks that take so many threads; when there is nothing to do until a
    // device's task has ended, which returns whether others may want the caller's core; and whether another run is to go first,
    // asked between two tasks. The first two by the caller.
    virtual void hold(int /*threads*/) {}
    virtual bool rest() { return false; }
    virtual bool wanted() const { return false; }

   protected:
    ~Work() = default;
  };

  Executor() = default;
  // workers: the calling thread and that many less one of the pool. budget_bytes: 0 = none.
  Executor(std::vector<Task> tasks, int workers, uint64_t budget_bytes);

  // Whether any two tasks may run at the same time.
  bool parallel() const { return parallel_ || devices_; }
  // Whether any task is wide, so that the pool is of use although nothing runs side by side.
  bool wide() const { return wide_; }
  // Whether `before` has always ended when `after` starts.
  bool ordered(int before, int after) const;
  // The tasks later than all `users` that may start before each of these has ended, as far as they are `among` those
  // asked for: a bit per task, in words of 64. users: ascending, not empty.
  void unordered(std::span<const int> users, std::span<const uint64_t> among, std::vector<int>& later) const;
  // For each task a row of bits, one for each of `others`: whether that one may run at the same time. others: ascending.
  std::vector<uint64_t> beside(std::span<const int> others) const;

  // A device task has ended, by any thread.
  void completed(int task, Status status);

  // The first error of a task, after all tasks that ran then have ended. `entrance` may be null if nothing is parallel.
  Status run(Work& work, ort::Crew::Entrance* entrance);

 private:
  struct Stretch {
    int begin = 0;
    int end = 0;
    bool parallel = false;
  };
  void cut();
  void order_by_stretches();
  void begin();
  void submit(std::vector<int>& tasks);
  Status run_in_stretches(const ort::Crew::Team* team);
  Status run_stretch(const Stretch& stretch);  // of a device's plan, by the caller alone
  bool reaches(int from, int to) const {
    return (descendants_[static_cast<size_t>(from) * row_ + static_cast<size_t>(to) / 64] >> (to % 64) & 1) != 0;
  }
  Status run_serially(int begin, int end);
  void start(const Stretch& stretch);
  Status run_together(const Stretch& stretch, const ort::Crew::Team& team);
  void work_along();
  int take();                // under the mutex: the task to start now, or -1
  void finish(int task);     // under the mutex
  void wake();               // under the mutex
  void hold_for(const Task& task);
  void rest(std::unique_lock<std::mutex>& lock);
  void wait(std::unique_lock<std::mutex>& lock, bool spins = true);

  std::vector<Task> tasks_;
  std::vector<std::vector<int>> successors_;  // within the stretch
  std::vector<int> stretch_of_;
  std::vector<Stretch> stretches_;
  std::vector<uint64_t> descendants_;  // a row of bits per task
  size_t row_ = 0;
  int workers_ = 1;
  uint64_t budget_bytes_ = 0;
  bool parallel_ = false;  // on the CPU
  bool wide_ = false;
  bool devices_ = false;  // there are device tasks; then descendants_ has the order of stretches, too

  // Of the run in progress.
  Work* work_ = nullptr;
  std::mutex mutex_;
  const Stretch* stretch_ = nullptr;
  std::vector<int> missing_;  // per task: predecessors in its stretch that have not ended
  std::vector<int> ready_;    // by rank
  std::vector<int> startable_;  // device tasks, by whoever has the mutex
  int left_ = 0;
  int in_flight_ = 0;  // device tasks
  int running_ = 0;
  uint64_t bytes_ = 0;
  int sleepers_ = 0;
  bool leaving_ = false;  // all are to return from the stretch, although it is not done
  bool stopped_ = false;
  Status status_;
  std::atomic<uint32_t> signal_{0};
};

}  // namespace plx::schedule
