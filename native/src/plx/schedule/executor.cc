#include "plx/schedule/executor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <new>

namespace plx::schedule {

namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A pool thread's number in traces: the same for as long as the thread lives. 0 is whoever calls run().
int pool_worker() {
  static std::atomic<int> next{1};
  thread_local const int number = next++;
  return number;
}
thread_local bool is_caller = false;

}  // namespace

Executor::Executor(std::vector<Task> tasks, int workers, uint64_t budget_bytes)
    : tasks_(std::move(tasks)), workers_(workers), budget_bytes_(budget_bytes) {
  cut();
}

void Executor::cut() {
  const size_t count = tasks_.size();
  row_ = (count + 63) / 64;
  descendants_.assign(count * row_, 0);
  for (size_t i = count; i-- > 0;) {
    for (const int p : tasks_[i].predecessors) {
      uint64_t* row = &descendants_[static_cast<size_t>(p) * row_];
      for (size_t w = 0; w < row_; ++w) row[w] |= descendants_[i * row_ + w];
      row[i / 64] |= uint64_t{1} << (i % 64);
    }
  }

  bool after_wide = false;
  stretch_of_.resize(count);
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const Task& task = tasks_[i];
    // What is instant goes along with what came before it, so that it separates nothing.
    const bool fresh = stretches_.empty() || (!task.instant && (task.wide || task.barrier || after_wide));
    if (fresh) stretches_.push_back({.begin = i});
    if (!task.instant) after_wide = task.wide;
    wide_ = wide_ || task.wide;
    stretches_.back().end = i + 1;
    stretch_of_[i] = static_cast<int>(stretches_.size()) - 1;
  }
  successors_.resize(count);
  for (Stretch& stretch : stretches_) {
    for (int i = stretch.begin; i < stretch.end; ++i) {
      for (const int p : tasks_[i].predecessors) {
        if (p >= stretch.begin) successors_[p].push_back(i);
      }
      if (tasks_[i].instant) continue;
      for (int j = stretch.begin; j < i && !stretch.parallel; ++j) {
        stretch.parallel = !tasks_[j].instant && !reaches(j, i);
      }
    }
    if (workers_ < 2) stretch.parallel = false;
    parallel_ = parallel_ || stretch.parallel;
  }
  missing_.resize(count);
  ready_.reserve(count);
}

bool Executor::ordered(int before, int after) const {
  if (stretch_of_[before] != stretch_of_[after]) return stretch_of_[before] < stretch_of_[after];
  return stretches_[stretch_of_[before]].parallel ? reaches(before, after) : before < after;
}

void Executor::unordered(std::span<const int> users, std::span<const uint64_t> among, std::vector<int>& later) const {
  later.clear();
  const Stretch& stretch = stretches_[stretch_of_[users.back()]];
  if (!stretch.parallel) return;  // and what is in later stretches starts when this one has ended
  const auto begin = static_cast<size_t>(users.back()) + 1;
  const auto end = static_cast<size_t>(stretch.end);
  for (size_t w = begin / 64; w * 64 < end; ++w) {
    uint64_t after_all = ~uint64_t{0};
    for (size_t i = users.size(); i-- > 0 && users[i] >= stretch.begin;) {
      after_all &= descendants_[static_cast<size_t>(users[i]) * row_ + w];
    }
    uint64_t open = ~after_all & among[w];
    if (w == begin / 64) open &= ~uint64_t{0} << (begin % 64);
    if (w == end / 64) open &= ~(~uint64_t{0} << (end % 64));
    for (; open != 0; open &= open - 1) later.push_back(static_cast<int>(w * 64) + std::countr_zero(open));
  }
}

std::vector<uint64_t> Executor::beside(std::span<const int> others) const {
  const size_t words = (others.size() + 63) / 64;
  std::vector<uint64_t> related(tasks_.size() * words);  // to those that it depends on, that depend on it, and itself
  const auto row = [&](std::vector<uint64_t>& rows, int task) { return &rows[static_cast<size_t>(task) * words]; };
  for (size_t i = 0; i < others.size(); ++i) row(related, others[i])[i / 64] |= uint64_t{1} << (i % 64);
  std::vector<uint64_t> before = related;
  const int count = static_cast<int>(tasks_.size());
  for (int task = 0; task < count; ++task) {
    for (const int p : tasks_[static_cast<size_t>(task)].predecessors) {
      for (size_t w = 0; w < words; ++w) row(before, task)[w] |= row(before, p)[w];
    }
  }
  for (int task = count; task-- > 0;) {  // `related` holds what comes after, until this task's own turn is over
    for (const int p : tasks_[static_cast<size_t>(task)].predecessors) {
      for (size_t w = 0; w < words; ++w) row(related, p)[w] |= row(related, task)[w];
    }
    for (size_t w = 0; w < words; ++w) row(related, task)[w] |= row(before, task)[w];
  }
  std::vector<uint64_t>& open = before;
  std::fill(open.begin(), open.end(), 0);
  size_t first = 0;
  for (const Stretch& stretch : stretches_) {
    size_t end = first;
    while (end < others.size() && others[end] < stretch.end) ++end;
    for (int task = stretch.begin; stretch.parallel && task < stretch.end; ++task) {
      for (size_t i = first; i < end;) {
        const size_t w = i / 64;
        const size_t until = std::min(end, (w + 1) * 64);
        const uint64_t here = (~uint64_t{0} << (i % 64)) & (~uint64_t{0} >> ((w + 1) * 64 - until));
        row(open, task)[w] |= here & ~row(related, task)[w];
        i = until;
      }
    }
    first = end;
  }
  return std::move(open);
}

Status Executor::run(Work& work, ort::Crew::Entrance* entrance) {
  work_ = &work;
  if (!parallel_ || entrance == nullptr) return run_serially(0, static_cast<int>(tasks_.size()));
  struct Visit {
    Executor* executor;
    Status status;
  } visit{this, {}};
  Status entered = entrance->enter(
      [](void* argument, const ort::Crew::Team& team) noexcept {
        auto& v = *static_cast<Visit*>(argument);
        v.status = v.executor->run_stretches(team);
      },
      &visit);
  return entered ? std::move(visit.status) : entered;
}

Status Executor::run_serially(int begin, int end) {
  for (int i = begin; i < end; ++i) {
    if (Status s = work_->run_task(i, 0); !s) return s;
  }
  return {};
}

Status Executor::run_stretches(const ort::Crew::Team& team) {
  for (const Stretch& stretch : stretches_) {
    if (!stretch.parallel) {
      if (Status s = run_serially(stretch.begin, stretch.end); !s) return s;
      continue;
    }
    start(stretch);
    is_caller = true;
    Status refused = team.parallel([](void* self, size_t) { static_cast<Executor*>(self)->work_along(); },
                                   static_cast<size_t>(workers_), this);
    is_caller = false;
    const std::lock_guard lock(mutex_);  // and so see what the others did
    if (!refused) return refused;
    if (!status_) return std::move(status_);
  }
  return {};
}

void Executor::start(const Stretch& stretch) {
  const std::lock_guard lock(mutex_);
  stretch_ = &stretch;
  left_ = stretch.end - stretch.begin;
  running_ = 0;
  bytes_ = 0;
  stopped_ = false;
  status_ = {};
  ready_.clear();
  std::fill(missing_.begin() + stretch.begin, missing_.begin() + stretch.end, 0);
  for (int i = stretch.begin; i < stretch.end; ++i) {
    for (const int s : successors_[i]) ++missing_[s];
  }
  for (const bool instant : {true, false}) {
    for (int i = stretch.begin; i < stretch.end; ++i) {
      if (missing_[i] == 0 && tasks_[i].instant == instant) ready_.push_back(i);
    }
  }
}

// What each worker does: the caller's thread, and each pool thread that comes.
void Executor::work_along() {
  std::unique_lock lock(mutex_);
  const int worker = is_caller ? 0 : pool_worker();
  while (left_ > 0 && !stopped_) {
    const int task = take();
    if (task < 0) {
      wait(lock);
      continue;
    }
    ++running_;
    bytes_ += tasks_[task].bytes;
    if (!ready_.empty()) wake();
    lock.unlock();
    Status status;
    try {
      status = work_->run_task(task, worker);
    } catch (const std::bad_alloc&) {  // an exception must not go through ONNX Runtime's pool
      status = fail(Code::kMemoryBudget, "out of memory while running a unit");
    }
    lock.lock();
    --running_;
    bytes_ -= tasks_[task].bytes;
    if (status) {
      finish(task);
    } else if (!stopped_) {
      stopped_ = true;
      status_ = std::move(status);
    }
  }
  wake();
}

int Executor::take() {
  for (size_t i = 0; i < ready_.size(); ++i) {
    const uint64_t bytes = tasks_[ready_[i]].bytes;
    const bool fits = budget_bytes_ == 0 || (bytes <= budget_bytes_ && bytes_ <= budget_bytes_ - bytes);
    if (!fits && running_ > 0) continue;
    const int task = ready_[i];
    ready_.erase(ready_.begin() + static_cast<ptrdiff_t>(i));
    return task;
  }
  return -1;
}

void Executor::finish(int task) {
  --left_;
  for (const int s : successors_[task]) {
    if (--missing_[s] != 0) continue;
    const auto place = std::find_if(ready_.begin(), ready_.end(), [&](int other) {
      if (tasks_[other].instant != tasks_[s].instant) return tasks_[s].instant;
      return other > s;
    });
    ready_.insert(place, s);
  }
}

void Executor::wake() {
  if (sleepers_ == 0) return;
  signal_.fetch_add(1);
  signal_.notify_all();
}

void Executor::wait(std::unique_lock<std::mutex>& lock) {
  const uint32_t seen = signal_.load();
  ++sleepers_;
  lock.unlock();
  const int64_t until = now_ns() + kSpinNs;
  bool called = false;
  for (int i = 1; !called; ++i) {
    called = signal_.load() != seen;
    if (i % 64 == 0 && now_ns() > until) break;
    pause();
  }
  if (!called) signal_.wait(seen);
  lock.lock();
  --sleepers_;
}

}  // namespace plx::schedule
