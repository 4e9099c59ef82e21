// ONNX Runtime's pool threads as Parallax's workers.
//
// A second set of threads beside ONNX Runtime's pool would fight with it for the cores: its idle threads spin. So units
// that run side by side do so on that pool's own threads: a session of one custom operator is run, and inside the
// operator the pool is asked for help through KernelContext_ParallelFor.
//
// Between runs the pool's threads would spin for tens of milliseconds, since ONNX Runtime cannot know that nothing
// comes; and told not to spin at all, they would have to be woken for every operator. So they are *parked*: when the
// last run that uses the pool ends, each is given a run of the same operator that waits on a futex, and when the next
// one begins they are let go.
//
// ONNX Runtime hands work to its threads in ways that ThreadSanitizer cannot see, so whatever goes from thread to thread
// here goes through an atomic or a mutex of our own as well.
//
// Threads: everything may be called from any thread. Lifetime: the Runtime's; nothing may be inside when it ends.
#pragma once

#include <onnxruntime_c_api.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "plx/base/result.h"

namespace plx::ort {

class Runtime;

class Crew {
 public:
  static constexpr const char* kDomain = "dev.parallax";  // of its operator
  // What runs inside the operator may call for the pool here.
  class Team {
   public:
    Team(const OrtApi& api, OrtKernelContext* context) : api_(api), context_(context) {}
    // Calls work(argument, 0) to work(argument, count - 1) on the calling thread and on whichever pool threads are
    // free, and returns when all have returned. One thread may make several of the calls, one after the other.
    Status parallel(void (*work)(void* argument, size_t index), size_t count, void* argument) const;

   private:
    const OrtApi& api_;
    OrtKernelContext* context_;
  };
  using Work = void (*)(void* argument, const Team& team) noexcept;

  // One caller's way in, made once: entering allocates nothing of ours.
  class Entrance {
   public:
    ~Entrance();
    Entrance(const Entrance&) = delete;
    Entrance& operator=(const Entrance&) = delete;
    // Runs work(argument, team) on the calling thread. One thread at a time.
    Status enter(Work work, void* argument);

   private:
    friend class Crew;
    explicit Entrance(Crew& crew) : crew_(crew) {}
    Crew& crew_;
    struct Task {
      Work work = nullptr;
      void* argument = nullptr;
    } task_;
    Task* content_ = &task_;  // the content of the operator's input
    int64_t nothing_ = 0;     // of its output
    OrtValue* input_ = nullptr;
    OrtValue* output_ = nullptr;
  };

  // A time in which the pool's threads are wanted. They are let go when the first one begins and parked when the last
  // one ends. Letting a thread go takes some tens of microseconds until it helps.
  class Shift {
   public:
    explicit Shift(Crew* crew) : crew_(crew) {
      if (crew_ != nullptr) crew_->begin_shift();
    }
    ~Shift() {
      if (crew_ != nullptr) crew_->end_shift();
    }
    Shift(const Shift&) = delete;
    Shift& operator=(const Shift&) = delete;

   private:
    Crew* crew_;
  };

  // For a pool of two threads or more, the caller's included.
  static Result<std::unique_ptr<Crew>> make(Runtime& runtime);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  Result<std::unique_ptr<Entrance>> entrance();

  // Pool threads that wait here now, are about to, or are on their way out.
  int parked() const;

 private:
  struct Operator : OrtCustomOp {
    const OrtApi* api = nullptr;
  };
  struct Berth {  // where one pool thread waits
    Crew* crew = nullptr;
    std::unique_ptr<Entrance> entrance;
    std::atomic<uint32_t> ebb{0};  // the tide at which it was parked
    bool taken = false;
    // RunAsync reads these arrays of one when the run begins.
    const OrtValue* input = nullptr;
    OrtValue* output = nullptr;
  };
  explicit Crew(Runtime& runtime) : runtime_(runtime) {}
  Status open();
  void begin_shift() noexcept;
  void end_shift() noexcept;
  bool park(Berth& berth) noexcept;
  void leave(Berth& berth) noexcept;

  Runtime& runtime_;
  Operator operator_;
  OrtCustomOpDomain* domain_ = nullptr;
  OrtSession* session_ = nullptr;
  std::vector<std::unique_ptr<Berth>> berths_;
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  int shifts_ = 0;
  int parked_ = 0;  // berths taken
  std::atomic<uint32_t> tide_{0};  // raised to let everybody go
};

}  // namespace plx::ort
