// A thread that does what it is given, in order: what waits for a device.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "plx/base/short_slice.h"

namespace plx::device {

// What is queued is done before the worker is gone, which may be by its own thread: whoever is told that something has ended
// may be the last to hold the device.
class Worker {
 public:
  Worker() : state_(std::make_shared<State>()), thread_([state = state_] { serve(*state); }) {}
  Worker(const Worker&) = delete;
  ~Worker() {
    {
      const std::lock_guard lock(state_->mutex);
      state_->ending = true;
    }
    state_->wake.notify_all();
    if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();
    else thread_.join();
  }

  void enqueue(std::function<void()> work) {
    {
      const std::lock_guard lock(state_->mutex);
      state_->waiting.push_back(std::move(work));
    }
    state_->wake.notify_all();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::function<void()>> waiting;
    bool ending = false;
  };
  static void serve(State& state) {
    const ShortSlice slice;
    std::unique_lock lock(state.mutex);
    for (;;) {
      state.wake.wait(lock, [&] { return state.ending || !state.waiting.empty(); });
      if (state.waiting.empty()) return;
      std::function<void()> work = std::move(state.waiting.front());
      state.waiting.pop_front();
      lock.unlock();
      work();
      work = nullptr;  // and what it holds
      lock.lock();
    }
  }
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace plx::device
