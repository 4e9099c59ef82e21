// A short time slice for threads that hand work to a device.
//
// Linux lets a thread that wakes up on a busy core wait until the slice of the one that runs there is over, 2.8 ms by default,
// and a device has nothing to do meanwhile. A thread with short slices takes no more of the core than others, in smaller
// pieces, and gets there sooner. Threads may ask for them from Linux 6.12 on, without privileges (sched_setattr(2):
// sched_runtime of SCHED_OTHER); before, or where it is refused, this does nothing.
#pragma once

#include <cstdint>

namespace plx {

// Of the calling thread, while this lives; by that thread only. What was set before is set again.
class ShortSlice {
 public:
  static constexpr uint64_t kNs = 100'000;  // the least that Linux takes

  explicit ShortSlice(bool wanted = true);
  ~ShortSlice();
  ShortSlice(const ShortSlice&) = delete;
  ShortSlice& operator=(const ShortSlice&) = delete;

  // The calling thread's slice; 0 where it is not known.
  static uint64_t now_ns();

 private:
  uint64_t before_ns_ = 0;  // 0: nothing was set
};

}  // namespace plx
