#include "plx/schedule/layout.h"

#include <algorithm>

namespace plx::schedule {

std::shared_ptr<const memory::Conflicts> conflicts(const Executor& executor, std::span<const Use> uses,
                                                   std::span<const int> slots, std::span<const memory::Buffer> buffers) {
  auto matrix = std::make_shared<memory::Conflicts>(buffers);
  if (!executor.parallel() || slots.empty()) return matrix;
  std::vector<int> buffer_of(static_cast<size_t>(*std::max_element(slots.begin(), slots.end())) + 1, -1);
  for (size_t i = 0; i < slots.size(); ++i) buffer_of[static_cast<size_t>(slots[i])] = static_cast<int>(i);
  const auto find = [&](int slot) {
    return static_cast<size_t>(slot) < buffer_of.size() ? buffer_of[static_cast<size_t>(slot)] : -1;
  };
  std::vector<std::vector<int>> users(buffers.size());
  std::vector<std::vector<size_t>> written(uses.size());
  std::vector<uint64_t> writers((uses.size() + 63) / 64);
  for (size_t step = 0; step < uses.size(); ++step) {
    for (const int root : uses[step].roots) {
      const int buffer = find(root);
      if (buffer >= 0) users[static_cast<size_t>(buffer)].push_back(static_cast<int>(step));
    }
    for (const int slot : uses[step].written) {
      if (const int buffer = find(slot); buffer >= 0) written[step].push_back(static_cast<size_t>(buffer));
    }
    if (!written[step].empty()) writers[step / 64] |= uint64_t{1} << (step % 64);
  }
  std::vector<int> later;
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (users[i].empty() || buffers[i].last >= static_cast<int64_t>(uses.size())) continue;
    executor.unordered(users[i], writers, later);
    for (const int step : later) {
      for (const size_t other : written[static_cast<size_t>(step)]) matrix->add(i, other);
    }
  }
  return matrix;
}

}  // namespace plx::schedule
