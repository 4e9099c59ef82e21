#include "plx/schedule/overheads.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "plx/schedule/executor.h"

namespace plx::schedule {

namespace {

constexpr int kRepetitions = 21;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Tasks that take a given time.
struct Waiting final : Executor::Work {
  struct Ran {
    int64_t start_ns = 0;
    int64_t end_ns = 0;
    int worker = 0;
  };
  std::vector<int64_t> lengths_ns;
  std::vector<Ran> ran;

  void start_task(int /*task*/) override {}
  Status run_task(int task, int worker) override {
    const int64_t start = now_ns();
    int64_t now = start;
    while (now - start < lengths_ns[task]) now = now_ns();
    ran[task] = {start, now, worker};
    return {};
  }
};

}  // namespace

Result<ExecutorCosts> measure_executor(const std::shared_ptr<ort::Runtime>& runtime) {
  auto crew = runtime->crew();
  if (!crew) return crew.error();
  if (*crew == nullptr) return ExecutorCosts{};
  auto entrance = (*crew)->entrance();
  if (!entrance) return entrance.error();
  const ort::Crew::Shift shift(*crew);

  ExecutorCosts costs;
  std::vector<double> forks;
  {
    Waiting work;
    work.lengths_ns = {0, 0};
    work.ran.resize(2);
    Executor executor({Task{}, Task{}}, 2, 0);
    for (int i = 0; i < kRepetitions; ++i) {
      const int64_t start = now_ns();
      if (auto s = executor.run(work, entrance->get()); !s) return s.error();
      forks.push_back(static_cast<double>(now_ns() - start));
    }
  }
  // Task 0 is short and task 1 long, so one worker waits; then both successors of 1 start, one of them over there if it
  // lasts longer than the way.
  const auto latency = [&](int64_t long_ns) -> Result<double> {
    Waiting work;
    work.lengths_ns = {1'000, long_ns, long_ns, long_ns};
    work.ran.resize(4);
    std::vector<Task> tasks(4);
    tasks[2].predecessors = {1};
    tasks[3].predecessors = {1};
    Executor executor(std::move(tasks), 2, 0);
    std::vector<double> found;
    for (int i = 0; i < kRepetitions; ++i) {
      if (auto s = executor.run(work, entrance->get()); !s) return s.error();
      for (const int task : {2, 3}) {
        if (work.ran[task].worker == work.ran[1].worker) continue;
        found.push_back(static_cast<double>(work.ran[task].start_ns - work.ran[1].end_ns));
      }
    }
    // Never taken over there before the others were done: it takes longer than that.
    return found.empty() ? static_cast<double>(long_ns) : median(found);
  };
  auto hand_over = latency(Executor::kSpinNs / 2);
  if (!hand_over) return hand_over.error();
  auto wake = latency(Executor::kSpinNs * 6);
  if (!wake) return wake.error();
  costs.fork_ns = median(forks);
  costs.hand_over_ns = *hand_over;
  costs.wake_ns = *wake;
  return costs;
}

}  // namespace plx::schedule
