// Turns on the CPU, for sessions whose runs go on at the same time.
//
// There are as many places as the sessions have threads each. A run takes one for units on one thread, and all for a unit on
// the whole pool or for units side by side, so that the pool's threads work for one run at a time. It keeps them from one unit
// to the next, and lets them go when it waits for a device, when it ends, and between two units if a run waits that began
// before it. Of those that wait the one that began first is given what it asks for as soon as there is enough; who came later
// waits behind it, so that requests end in the order in which they came.
//
// Threads: any. Steady state: nothing is allocated.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
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
    explicit Claim(Turns& turns);
    // Something else of the same run.
    Claim(Turns& turns, const Claim& same) : turns_(turns), run_(same.run_) {}
    ~Claim() { rest(); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    // Returns when it holds so many places, none of which it has had all along if a run waits that began before it.
    // places: 1 to all.
    void hold(int places);
    void rest();
    // Whether a run waits that began before this one.
    bool wanted() const { return turns_.oldest_.load(std::memory_order_relaxed) < run_; }

   private:
    friend class Turns;
    Turns& turns_;
    const uint64_t run_;
    // Under the mutex while it waits, else its own:
    int held_ = 0;
    int asked_ = 0;
    std::condition_variable served_;
  };

 private:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  void serve();  // under the mutex

  std::mutex mutex_;
  std::vector<Claim*> waiting_;           // in the order in which they came
  std::atomic<uint64_t> oldest_{kNone};   // run of those
  uint64_t begun_ = 0;
  int free_;
};

}  // namespace plx::schedule
