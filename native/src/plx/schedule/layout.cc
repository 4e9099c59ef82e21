#include "plx/schedule/layout.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace plx::schedule {

namespace {

// Index of the buffer of a slot, -1 if it has none.
class BufferOf {
 public:
  explicit BufferOf(std::span<const int> slots) {
    if (slots.empty()) return;
    buffers_.resize(static_cast<size_t>(*std::max_element(slots.begin(), slots.end())) + 1, -1);
    for (size_t i = 0; i < slots.size(); ++i) buffers_[static_cast<size_t>(slots[i])] = static_cast<int>(i);
  }
  int operator()(int slot) const {
    return static_cast<size_t>(slot) < buffers_.size() ? buffers_[static_cast<size_t>(slot)] : -1;
  }

 private:
  std::vector<int> buffers_;
};

}  // namespace

std::shared_ptr<const memory::Conflicts> conflicts(const Executor& executor, std::span<const Use> uses,
                                                   std::span<const int> slots,
                                                   std::span<const memory::Buffer> buffers) {
  auto matrix = std::make_shared<memory::Conflicts>(buffers);
  if (!executor.parallel()) return matrix;
  const BufferOf buffer_of(slots);
  std::vector<std::vector<int>> users(slots.size());
  std::vector<std::vector<size_t>> written(uses.size());
  std::vector<uint64_t> writers((uses.size() + 63) / 64);
  for (size_t step = 0; step < uses.size(); ++step) {
    for (const int root : uses[step].roots) {
      const int buffer = buffer_of(root);
      if (buffer >= 0) users[static_cast<size_t>(buffer)].push_back(static_cast<int>(step));
    }
    for (const int slot : uses[step].written) {
      if (const int buffer = buffer_of(slot); buffer >= 0) written[step].push_back(static_cast<size_t>(buffer));
    }
    if (!written[step].empty()) writers[step / 64] |= uint64_t{1} << (step % 64);
  }
  std::vector<int> later;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (users[i].empty() || buffers[i].last >= static_cast<int64_t>(uses.size())) continue;
    executor.unordered(users[i], writers, later);
    for (const int step : later) {
      for (const size_t other : written[static_cast<size_t>(step)]) matrix->add(i, other);
    }
  }
  return matrix;
}

std::shared_ptr<const memory::Conflicts> with_windows(const memory::Conflicts& conflicts, const Executor& executor,
                                                      std::span<const Use> uses, std::span<const int> slots,
                                                      std::span<const int> windows,
                                                      std::span<const memory::Buffer> buffers) {
  auto matrix = std::make_shared<memory::Conflicts>(conflicts, buffers.size());
  if (windows.empty()) return matrix;
  const BufferOf buffer_of(slots);
  const size_t words = (windows.size() + 63) / 64;
  const auto each = [&](const uint64_t* row, auto&& add) {
    for (size_t w = 0; w < words; ++w) {
      for (uint64_t bits = row[w]; bits != 0; bits &= bits - 1) add(w * 64 + static_cast<size_t>(std::countr_zero(bits)));
    }
  };
  const std::vector<uint64_t> beside = executor.parallel() ? executor.beside(windows) : std::vector<uint64_t>();
  // The windows that meet a slot: those of steps between its first and its last, and those of steps that may run beside
  // a step that uses it.
  std::vector<uint64_t> met(slots.size() * words);
  for (size_t step = 0; step < uses.size() && !beside.empty(); ++step) {
    for (const int root : uses[step].roots) {
      const int buffer = buffer_of(root);
      for (size_t w = 0; buffer >= 0 && w < words; ++w) met[static_cast<size_t>(buffer) * words + w] |= beside[step * words + w];
    }
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto first = std::lower_bound(windows.begin(), windows.end(), buffers[i].first);
    for (auto at = first; at != windows.end() && *at <= buffers[i].last; ++at) {
      const auto window = static_cast<size_t>(at - windows.begin());
      met[i * words + window / 64] |= uint64_t{1} << (window % 64);
    }
    each(&met[i * words], [&](size_t window) { matrix->add(i, slots.size() + window); });
  }
  for (size_t i = 0; i < windows.size() && !beside.empty(); ++i) {
    each(&beside[static_cast<size_t>(windows[i]) * words], [&](size_t other) {
      if (other < i) matrix->add(slots.size() + i, slots.size() + other);
    });
  }
  return matrix;
}

std::vector<int> best_barriers(const memory::Problem& problem, const std::vector<bool>& possible, size_t count) {
  // A barrier before step s parts two buffers if all that uses the one comes before s, and the other begins at s or later.
  std::vector<int64_t> change(possible.size() + 1, 0);
  for (size_t i = 0; i < problem.buffers.size(); ++i) {
    const memory::Buffer& a = problem.buffers[i];
    if (a.size_bytes == 0) continue;
    const std::span<const uint64_t> row = problem.conflicts->row(i);
    for (size_t w = 0; w < row.size(); ++w) {
      for (uint64_t bits = row[w]; bits != 0; bits &= bits - 1) {
        const memory::Buffer& b = problem.buffers[w * 64 + static_cast<size_t>(std::countr_zero(bits))];
        if (a.last >= b.first) continue;
        const auto bytes = static_cast<int64_t>(std::min(a.size_bytes, b.size_bytes));
        change[static_cast<size_t>(a.last) + 1] += bytes;
        change[static_cast<size_t>(b.first) + 1] -= bytes;
      }
    }
  }
  std::vector<int64_t> parted(possible.size());
  std::partial_sum(change.begin(), change.begin() + static_cast<ptrdiff_t>(possible.size()), parted.begin());
  std::vector<int> steps;
  for (size_t step = 0; step < possible.size(); ++step) {
    if (possible[step] && parted[step] > 0) steps.push_back(static_cast<int>(step));
  }
  std::stable_sort(steps.begin(), steps.end(),
                   [&](int a, int b) { return parted[static_cast<size_t>(a)] > parted[static_cast<size_t>(b)]; });
  if (steps.size() > count) steps.resize(count);
  return steps;
}

}  // namespace plx::schedule
