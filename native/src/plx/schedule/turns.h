// Turns on the CPU, for sessions whose runs go on at the same time.
//
// There are as many places as the sessions have threads each. A unit on one thread takes one while it runs, one on the whole
// pool takes all; a run holds none while it waits for a device. Who comes when there are not enough waits, and of those that
// wait the run that began first goes first, so that requests end in the order in which they came.
//
// Threads: any. Steady state: nothing is allocated.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace plx::schedule {

class Turns {
 public:
  explicit Turns(int places);

  // The number of a run that begins now: larger than those of all before it.
  uint64_t begin();

  // A place, or all, while this lives. turns may be null: then it is nothing.
  class Turn {
   public:
    Turn(Turns* turns, uint64_t run, int places) : turns_(turns), places_(places) {
      if (turns_ != nullptr) turns_->take(run, places_);
    }
    ~Turn() {
      if (turns_ != nullptr) turns_->give(places_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Turns* turns_;
    int places_;
  };

 private:
  void take(uint64_t run, int places);
  void give(int places);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint64_t> waiting_;  // numbers of runs, as often as they wait
  uint64_t begun_ = 0;
  int free_;
};

}  // namespace plx::schedule
