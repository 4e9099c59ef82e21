// A session's regions on the plan's device: the memory that the device lends for what crosses, submissions, and what
// becomes of those that fail.
//
// What crosses, between a region and other units, lies in memory that the device lends for as long as the schedule stays the
// same; it is no part of the session's block. Lent is what has a known shape: all that a region makes, and of what it reads
// what is settled (graph/shape_flow.h). Where the device lends none, what crosses lies in the block and is copied, and until
// it has its place there the CPU runs everything.
//
// What regions alone make and read is resident (device.h): it stays with a device that does not share the CPU's memory. What a
// region and a unit of the CPU's may read at the same time is lent for that, and takes a copy.
//
// A region that the device cannot run, does not run in time or runs into an error is the CPU's for this run: on the device's
// thread, with what it reads and makes where it is, and what is with the device is fetched. Why is in the report. What was lent
// may be gone, because the device is lost or its driver does not keep to addresses: then the run fails, and memory_lost() says
// that it is to start over, after set_up(), which lets go of all that was lent, and with the CPU running everything until the
// next begin_run().
//
// Threads: start() by the executor, completions by the device's threads; everything else while no run is in progress.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"
#include "plx/ort/runtime.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/schedule.h"
#include "plx/schedule/steps.h"

namespace plx::schedule {

class Offload {
 public:
  // The session, as regions need it in a run. Steps and slots are those of set_up() and of the plan.
  class Host {
   public:
    virtual const OrtValue* value(int slot) const = 0;       // null before it is made
    virtual void made(int slot, OrtValue* value) = 0;
    virtual OrtValue* place(int slot) const = 0;             // where it is to be made; null if nowhere
    virtual Status may_go_on() const = 0;                    // an error once the run is to stop
    virtual Status run_on_cpu(int step) = 0;                 // by this thread
    virtual void ended(int step, Status status) noexcept = 0;

   protected:
    ~Host() = default;
  };

  // What a region did in the last run.
  struct Run {
    int64_t device_ns = 0;  // that the device worked, as far as it tells
    uint64_t copied_bytes = 0;
    std::string fell_back;  // why the CPU ran it; empty if it did not
  };

  // host: outlives this.
  Offload(std::shared_ptr<CompiledPlan> plan, Host& host) : plan_(std::move(plan)), host_(host) {}
  Offload(const Offload&) = delete;

  // Gives to the CPU the units that the device cannot prepare.
  void leave_out(Schedule& schedule);
  // For another order of steps: what was lent is given back, and memory lent for these.
  // executor: of its tasks, which says what may run beside what.
  void set_up(const Steps& order, const Executor& executor);
  void begin_run() { resting_ = false; }
  // Whether the run has failed for what was lent, since set_up().
  bool memory_lost() const { return memory_lost_.load(); }

  // Where a slot's tensor lies for every run, in the device's memory; null if elsewhere.
  OrtValue* lent(int slot) const { return lent_value_[static_cast<size_t>(slot)].get(); }
  // Per slot, whether it does.
  const std::vector<char>& lent_to() const { return lent_to_; }
  // What is lent, and what the regions hold on the device.
  uint64_t bytes() const { return bytes_; }

  // Starts a region; host.ended() comes when it has, from any thread, or has come when this returns.
  void start(int step);

  // Null for a step that is no region.
  const Run* run_of(int step) const;
  // Of the device, for the session's report; null without one.
  nlohmann::json report() const;

 private:
  struct Submission final : device::Completion {
    void done(device::Outcome outcome) noexcept override { owner->done(*this, std::move(outcome)); }

    Offload* owner = nullptr;
    int step = 0;
    const CompiledPlan::Region* prepared = nullptr;
    const CompiledPlan::Unit* unit = nullptr;
    std::vector<const std::byte*> inputs;
    std::vector<std::byte*> outputs;
    std::vector<OrtValue*> places;  // of the outputs
    Run run;
  };

  std::vector<device::Use> uses(const Steps& order, const Executor& executor) const;
  Status lend_all(const std::vector<device::Use>& uses, uint64_t& bytes);
  Status lend_for(const std::vector<int>& slots, bool made_there, const std::vector<device::Use>& uses, uint64_t& bytes);
  void take_back();
  Status ready(Submission& region) const;
  bool fits(const Submission& region) const;
  Status hand_over(Submission& region) const;
  Status fetch(Submission& region);
  void done(Submission& region, device::Outcome outcome) noexcept;
  void fall_back(Submission& region, Error why) noexcept;
  void lose_memory(Submission& region, Error why) noexcept;

  const std::shared_ptr<CompiledPlan> plan_;
  Host& host_;
  std::vector<std::unique_ptr<Submission>> regions_;  // per step, null for those that are none
  std::vector<std::unique_ptr<device::Lent>> lent_;  // per slot
  std::vector<ort::Value> lent_value_;               // over it
  std::vector<char> lent_to_;
  uint64_t bytes_ = 0;
  bool resting_ = false;
  std::atomic<bool> memory_lost_{false};
  mutable std::mutex mutex_;  // for what follows
  uint64_t fallbacks_ = 0;    // regions that the CPU had to run, in all runs
  std::string problem_;       // why, the last time
};

}  // namespace plx::schedule
