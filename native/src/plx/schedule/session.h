// A session: one caller's tensors around a compiled plan, and the executor that runs it.
//
// Memory. On the first run at new input shapes ONNX Runtime allocates what crosses unit borders, and the shapes are
// recorded; from the second run on every settled tensor has its place in one block, at an offset planned from
// liveness over the schedule, where tensors of units that may run side by side share nothing. The first run also shows
// what each unit takes beside its outputs, and that has its place in the block, too: the unit's window, which is others'
// bytes while the unit does not run. What was not foreseen comes from the loose arena beside the block. Preset outputs of
// the wrong shape are an error inside ONNX Runtime, so a tensor wrongly thought settled is found out: the unit, being
// pure, runs again without presets and the tensor counts as unsettled from then on. The price of this design is one
// slower run per new set of input shapes; shape inference would cost 6 to 15 ms instead. A number of sets of shapes is
// remembered, kShapesKept unless told otherwise; the least recently used goes first. What this bookkeeping costs is
// counted (report: sizing_ns), and bench/shapes judges it.
//
// A layout is found by a quick search. Shapes that have run for kRefineAfterNs and whose layout is not at its lower bound get a
// thorough one, once, which takes 1 % of that; a layout smaller by 1 % or more takes the former one's place.
//
// Budget. Block and loose arena together map no more than the session's budget. If the layout of what may run side by
// side is larger, barriers are put where they part most bytes, until it fits: the fewer bytes, the less runs side by side.
// Runs before there is a layout go one unit at a time. What is refused in the middle of a run makes the run start over,
// one unit after the other, and only if that does not fit either it fails, with kMemoryBudget; the session stays usable.
// What ONNX Runtime takes by malloc (names, shapes, what a session remembers after its first run) is not ours to refuse, and
// is in the budget all the same: kOutsideBytes and kOutsideBytesPerUnit are set aside for it, so that the budget holds as
// the system counts. Measured on the zoo's models at every cut: 13 to 33 KB for a whole graph, 0.4 to 2.1 KB a unit beyond
// 40 units; and malloc grows by 132 KB at a time. Packed weights are not in the budget: sessions share them.
// A budget may follow what the machine has free: then that is looked at before a run and before each of its units (at most
// every 50 ms). Layouts that fit no more, or that had been made narrower than they now need to be, are made anew before
// the next run; if what is taken already is too much, the run in progress starts over in less.
//
// Cancelling. A request stops the run at its next operator, in loops' bodies and on the pool's threads too, and is over
// with the run: the next one starts afresh. Who means one run and no other, because its time is up for example, cannot
// know whether that run has begun; so run() takes the address of a word that says it is to stop, which is raised before
// cancel() is called: a request that comes before the run is read there, one that comes later ends it.
//
// Threads: one mutex; calls from several threads run one after the other. cancel() waits for none of them. Sessions beside one
// another run at the same time and take turns on the CPU (turns.h).
// Steady state: a run at known shapes allocates nothing here.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/memory/arena.h"
#include "plx/memory/planner.h"
#include "plx/ort/value.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/memory_map.h"
#include "plx/schedule/schedule.h"

namespace plx::schedule {

inline constexpr uint64_t kOutsideBytes = 224 << 10;
inline constexpr uint64_t kOutsideBytesPerUnit = 1792;
inline constexpr int64_t kRefineAfterNs = 2'000'000'000;
inline constexpr size_t kShapesKept = 16;  // each costs some 200 bytes a tensor

// A tensor in memory, as bound by callers and reported to them.
struct TensorView {
  graph::ElementType element = graph::ElementType::kUndefined;
  std::span<const int64_t> dims;
  void* data = nullptr;
  uint64_t size_bytes = 0;
};

// What a session may take: a number of bytes; or what the machine would have free without it, less a margin of that; or both
// 0, no limit.
struct MemoryLimit {
  uint64_t bytes = 0;
  double margin = 0;       // 0 < margin < 1: this part of what is free stays free
  std::string root = "/";  // of the machine; another one is for tests
};

// A unit's part in the last run.
struct UnitRun {
  int unit = 0;
  int device = 0;              // 0: the CPU; 1: the plan's
  int64_t device_ns = 0;       // that the device worked, as far as it tells
  int64_t predicted_ns = 0;    // that the plan expected it to
  uint64_t copied_bytes = 0;   // between the CPU's memory and the device's
  std::string fell_back;       // why the CPU ran what was to run on the device
  int threads = 0;       // it could use
  int worker = 0;        // 0 is the thread that called run(), -1 a device
  int64_t start_ns = 0;  // after the first unit's start
  int64_t end_ns = 0;
  uint64_t bytes = 0;    // of its outputs, as far as they are settled
  uint64_t memory_bytes = 0;  // what ONNX Runtime took for it at most, outputs without a place included
};

class Session {
 public:
  // threads: 1 = everything on the calling thread; 0 = what the model's settings say. Without a schedule: the plan's
  // order, all units wide. shapes_kept: sets of input shapes to remember, at least one.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<CompiledPlan> plan, int threads,
                                                 std::optional<Schedule> schedule = {},
                                                 size_t shapes_kept = kShapesKept, MemoryLimit limit = {});
  // One more with this one's plan, schedule and settings, to run at the same time. limit_bytes: in place of this one's; 0: the
  // same.
  Result<std::unique_ptr<Session>> create_beside(uint64_t limit_bytes = 0) const;
  ~Session();

  Status set_schedule(Schedule schedule);
  Status bind_input(size_t index, const TensorView& tensor);
  Status bind_input_strings(size_t index, std::span<const int64_t> dims, std::string_view bytes, const size_t* offsets);
  // A value of any kind, which is copied.
  Status bind_input_value(size_t index, const ort::Content& content);
  // data null: back to memory of the session's own.
  Status bind_output(size_t index, const TensorView& tensor);
  // stop: see above; may be null.
  Status run(const int32_t* stop = nullptr);
  // Changes whenever an output's address, shape or type does.
  uint64_t outputs_generation() const;
  // Until the next run, bind or the end of the session.
  Result<TensorView> output(size_t index);
  Result<std::vector<std::string>> output_strings(size_t index);
  // A copy of an output of any kind.
  Result<ort::Content> output_value(size_t index);
  // In the schedule's order.
  std::vector<UnitRun> last_run() const;
  std::string report_json() const;
  // kInvalidArgument until a layout is made, which takes two runs at the same shapes.
  Result<MemoryMap> memory_map() const;
  // What was planned for the last run's shapes, as memory/planner.h has it; likewise.
  Result<memory::Problem> memory_problem() const;
  // Gives back what the session's tensors and units have mapped; the last run's outputs are gone. Bytes given back.
  uint64_t trim();
  void cancel() noexcept;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace plx::schedule
