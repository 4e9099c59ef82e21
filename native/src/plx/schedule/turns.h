// Turns on the CPU, for sessions whose runs go on at the same time.
//
// There are as many places as the sessions have threads each. A run takes one for units on one thread, and all for a unit on
// the whole pool or for units side by side, so that the pool's threads work for one run at a time. It keeps them from one unit
// to the next, and lets them go when it waits for a device and when it ends.
//
// The run that began first goes first, so that requests end in the order in which they came: younger ones let it pass between
// two of their units. When it comes back from a device, which may have nothing to do until it hears of it again, it does not
// even wait for these to end: for the rest of a unit both are on the CPU.
//
// Threads: any. Steady state: nothing is allocated.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace plx::schedule {

class Turns {
 public:
  explicit Turns(int places);

  // What one run holds: nothing at first, and in the end. By one thread at a time, but for wanted().
  class Claim {
   public:
    // Of a run that begins now, later than all before it.
    explicit Claim(Turns& turns) : Claim(turns, 0) {}
    // Something else of the same run.
    Claim(Turns& turns, const Claim& same) : Claim(turns, same.run_) {}
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    // Returns when it holds so many places, 1 to all. Between two units: if older runs have need of them, these come first.
    void hold(int places);
    void rest();
    // Whether older runs have need of what it holds.
    bool wanted() const { return wanted_.load(std::memory_order_relaxed); }

   private:
    friend class Turns;
    Claim(Turns& turns, uint64_t run);
    Turns& turns_;
    uint64_t run_;
    // Under the mutex, but that the thread of it may read what it holds:
    int held_ = 0;
    int asked_ = 0;  // while it waits
    bool back_ = false;  // it has rested since it held any
    std::atomic<bool> wanted_{false};
    std::condition_variable served_;
  };

 private:
  void settle();  // under the mutex

  const int places_;
  std::mutex mutex_;
  std::vector<Claim*> claims_;  // those that there are, by run
  uint64_t begun_ = 0;
};

}  // namespace plx::schedule
