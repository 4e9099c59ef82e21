#include "plx/schedule/executor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <new>
#include <numeric>

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

  devices_ = std::any_of(tasks_.begin(), tasks_.end(), [](const Task& task) { return task.device; });
  bool after_wide = false;
  stretch_of_.assign(count, -1);
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const Task& task = tasks_[i];
    if (task.device) continue;
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
      if (tasks_[i].device) continue;
      for (const int p : tasks_[i].predecessors) {
        if (p >= stretch.begin && !tasks_[p].device) successors_[p].push_back(i);
      }
      if (tasks_[i].instant) continue;
      for (int j = stretch.begin; j < i && !stretch.parallel; ++j) {
        stretch.parallel = !tasks_[j].device && !tasks_[j].instant && !reaches(j, i);
      }
    }
    if (workers_ < 2) stretch.parallel = false;
    parallel_ = parallel_ || stretch.parallel;
  }
  missing_.resize(count);
  ready_.reserve(count);
  if (devices_) order_by_stretches();
}

// Adds what only the order of stretches says to what tasks depend on, and device tasks to what follows on what.
void Executor::order_by_stretches() {
  const int count = static_cast<int>(tasks_.size());
  std::vector<int> before;  // device tasks so far
  for (int i = 0; i < count; ++i) {
    std::vector<int>& predecessors = tasks_[i].predecessors;
    if (tasks_[i].barrier && tasks_[i].device) {
      predecessors.resize(static_cast<size_t>(i));
      std::iota(predecessors.begin(), predecessors.end(), 0);
    } else if (tasks_[i].barrier) {
      predecessors.insert(predecessors.end(), before.begin(), before.end());
    }
    if (tasks_[i].device) before.push_back(i);
    std::sort(predecessors.begin(), predecessors.end());
    predecessors.erase(std::unique(predecessors.begin(), predecessors.end()), predecessors.end());
    for (const int p : predecessors) {
      if (tasks_[i].device || tasks_[p].device) successors_[p].push_back(i);
    }
  }
  // After a task of a stretch comes all that comes after any of the next one; within a serial stretch, after each the next.
  std::vector<std::vector<int>> members(stretches_.size());
  for (int i = 0; i < count; ++i) {
    if (!tasks_[i].device) members[static_cast<size_t>(stretch_of_[i])].push_back(i);
  }
  std::fill(descendants_.begin(), descendants_.end(), 0);
  const auto row = [this](int task) { return &descendants_[static_cast<size_t>(task) * row_]; };
  const auto follow = [&](int task, int next) {
    for (size_t w = 0; w < row_; ++w) row(task)[w] |= row(next)[w];
    row(task)[next / 64] |= uint64_t{1} << (next % 64);
  };
  // Backwards; a device task after all that depends on it, which stands behind it in the order.
  for (int i = count; i-- > 0;) {
    for (const int s : successors_[i]) follow(i, s);
    for (int j = i + 1; j < count && !tasks_[i].device; ++j) {
      if (tasks_[j].device) continue;
      const bool later = stretch_of_[j] > stretch_of_[i];
      if (later || !stretches_[static_cast<size_t>(stretch_of_[i])].parallel) follow(i, j);
      if (later) {
        for (const int other : members[static_cast<size_t>(stretch_of_[j])]) follow(i, other);
        break;
      }
    }
  }
}

bool Executor::ordered(int before, int after) const {
  if (devices_) return reaches(before, after);
  if (stretch_of_[before] != stretch_of_[after]) return stretch_of_[before] < stretch_of_[after];
  return stretches_[stretch_of_[before]].parallel ? reaches(before, after) : before < after;
}

void Executor::unordered(std::span<const int> users, std::span<const uint64_t> among, std::vector<int>& later) const {
  later.clear();
  if (devices_) {
    for (int task = users.back() + 1; task < static_cast<int>(tasks_.size()); ++task) {
      if ((among[static_cast<size_t>(task) / 64] >> (task % 64) & 1) == 0) continue;
      if (!std::all_of(users.begin(), users.end(), [&](int user) { return reaches(user, task); })) later.push_back(task);
    }
    return;
  }
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
  if (devices_) {
    std::vector<uint64_t> rows(tasks_.size() * words);
    for (int task = 0; task < static_cast<int>(tasks_.size()); ++task) {
      for (size_t i = 0; i < others.size(); ++i) {
        const bool apart = others[i] == task || reaches(task, others[i]) || reaches(others[i], task);
        if (!apart) rows[static_cast<size_t>(task) * words + i / 64] |= uint64_t{1} << (i % 64);
      }
    }
    return rows;
  }
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
  if (entrance == nullptr || !parallel_) {
    if (!devices_) return run_serially(0, static_cast<int>(tasks_.size()));
    return run_in_stretches(nullptr);
  }
  struct Visit {
    Executor* executor;
    Status status;
  } visit{this, {}};
  Status entered = entrance->enter(
      [](void* argument, const ort::Crew::Team& team) noexcept {
        auto& v = *static_cast<Visit*>(argument);
        v.status = v.executor->run_in_stretches(&team);
      },
      &visit);
  return entered ? std::move(visit.status) : entered;
}

Status Executor::run_serially(int begin, int end) {
  for (int i = begin; i < end; ++i) {
    hold_for(tasks_[i]);
    if (Status s = work_->run_task(i, 0); !s) return s;
  }
  return {};
}

void Executor::hold_for(const Task& task) {
  if (!task.instant) work_->hold(task.wide ? workers_ : 1);
}

// team: null if the caller is alone, which then runs the tasks of every stretch one after the other.
Status Executor::run_in_stretches(const ort::Crew::Team* team) {
  begin();
  Status refused;
  for (const Stretch& stretch : stretches_) {
    if (!stretch.parallel || team == nullptr) {
      if (devices_) refused = run_stretch(stretch);
      else refused = run_serially(stretch.begin, stretch.end);
    } else {
      refused = run_together(stretch, *team);
    }
    const std::lock_guard lock(mutex_);  // and so see what the others did
    if (!refused || stopped_) break;
  }
  if (!devices_) {
    const std::lock_guard lock(mutex_);
    return refused ? std::move(status_) : std::move(refused);
  }
  // What was started elsewhere has to end, whatever happened.
  std::unique_lock lock(mutex_);
  while (in_flight_ > 0) rest(lock);
  return refused ? std::move(status_) : std::move(refused);
}

void Executor::begin() {
  std::vector<int> first;
  {
    const std::lock_guard lock(mutex_);
    stretch_ = nullptr;
    stopped_ = false;
    status_ = {};
    in_flight_ = 0;
    std::fill(missing_.begin(), missing_.end(), 0);
    for (const auto& list : successors_) {
      for (const int s : list) ++missing_[static_cast<size_t>(s)];
    }
    for (size_t i = 0; i < tasks_.size() && devices_; ++i) {
      if (!tasks_[i].device || missing_[i] != 0) continue;
      first.push_back(static_cast<int>(i));
      ++in_flight_;
    }
  }
  submit(first);
}

// Not under the mutex: they may have ended when this returns.
void Executor::submit(std::vector<int>& tasks) {
  for (const int task : tasks) work_->start_task(task);
  tasks.clear();
}

void Executor::completed(int task, Status status) {
  std::vector<int> next;
  {
    const std::lock_guard lock(mutex_);
    if (status) {
      finish(task);
    } else if (!stopped_) {
      stopped_ = true;
      status_ = std::move(status);
    }
    next.swap(startable_);
    --in_flight_;
    if (stopped_) in_flight_ -= static_cast<int>(next.size());
    wake();
    if (stopped_) return;
  }
  submit(next);
}

Status Executor::run_stretch(const Stretch& stretch) {
  for (int i = stretch.begin; i < stretch.end; ++i) {
    if (tasks_[i].device) continue;
    {
      std::unique_lock lock(mutex_);
      while (missing_[i] > 0 && !stopped_) rest(lock);
      if (stopped_) return {};
    }
    hold_for(tasks_[i]);
    if (Status s = work_->run_task(i, 0); !s) {
      const std::lock_guard lock(mutex_);
      if (!stopped_) status_ = std::move(s);
      stopped_ = true;
      return {};
    }
    std::vector<int> next;
    {
      const std::lock_guard lock(mutex_);
      finish(i);
      next.swap(startable_);
    }
    submit(next);
  }
  return {};
}

Status Executor::run_together(const Stretch& stretch, const ort::Crew::Team& team) {
  start(stretch);
  for (;;) {
    work_->hold(workers_);
    is_caller = true;
    Status refused = team.parallel([](void* self, size_t) { static_cast<Executor*>(self)->work_along(); },
                                   static_cast<size_t>(workers_), this);
    is_caller = false;
    std::unique_lock lock(mutex_);
    if (!refused || left_ == 0 || stopped_) return refused;
    while (ready_.empty() && !stopped_) rest(lock);
    if (stopped_) return {};
    leaving_ = false;
  }
}

void Executor::start(const Stretch& stretch) {
  const std::lock_guard lock(mutex_);
  stretch_ = &stretch;
  left_ = 0;
  running_ = 0;
  bytes_ = 0;
  leaving_ = false;
  ready_.clear();
  for (int i = stretch.begin; i < stretch.end; ++i) left_ += tasks_[i].device ? 0 : 1;
  for (const bool instant : {true, false}) {
    for (int i = stretch.begin; i < stretch.end; ++i) {
      if (!tasks_[i].device && missing_[i] == 0 && tasks_[i].instant == instant) ready_.push_back(i);
    }
  }
}

// What each worker does: the caller's thread, and each pool thread that comes.
void Executor::work_along() {
  std::unique_lock lock(mutex_);
  const int worker = is_caller ? 0 : pool_worker();
  while (left_ > 0 && !stopped_ && !leaving_) {
    const int task = work_->wanted() ? -1 : take();
    if (task < 0) {
      leaving_ = running_ == 0;  // nothing but a device, or another run, is to go on
      if (!leaving_) wait(lock);
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
    if (startable_.empty()) continue;
    std::vector<int> next;
    next.swap(startable_);
    lock.unlock();
    submit(next);
    lock.lock();
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
  if (!tasks_[task].device) --left_;
  for (const int s : successors_[task]) {
    if (--missing_[s] != 0) continue;
    if (tasks_[s].device) {
      startable_.push_back(s);
      ++in_flight_;
      continue;
    }
    // In a later stretch, or one that the caller goes through alone, it is found when its turn comes.
    if (stretch_ == nullptr || s < stretch_->begin || s >= stretch_->end) continue;
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

void Executor::rest(std::unique_lock<std::mutex>& lock) {
  const bool others = work_->rest();
  wait(lock, !others);
}

void Executor::wait(std::unique_lock<std::mutex>& lock, bool spins) {
  const uint32_t seen = signal_.load();
  ++sleepers_;
  lock.unlock();
  const int64_t until = now_ns() + kSpinNs;
  bool called = false;
  for (int i = 1; spins && !called; ++i) {
    called = signal_.load() != seen;
    if (i % 64 == 0 && now_ns() > until) break;
    pause();
  }
  if (!called) signal_.wait(seen);
  lock.lock();
  --sleepers_;
}

}  // namespace plx::schedule
