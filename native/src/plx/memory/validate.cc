// The planner's checker. It shares nothing with the planner on purpose: a step-by-step replay of the plan, with the
// live buffers held in address order.
#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <vector>

#include "plx/memory/planner.h"

namespace plx::memory {
namespace {

// "buffer 3 'conv' (bytes 64 to 128, steps 1 to 4)"; the end is the first byte after it.
template <class... Parts>
Error refuse(const Problem& problem, const Solution& solution, size_t i, Parts&&... parts) {
  const Buffer& buffer = problem.buffers[i];
  const uint64_t offset = solution.offsets[i];
  return fail(Code::kInvalidPlan, "buffer ", i, " '", buffer.name, "' (", buffer.size_bytes, " bytes at ", offset,
              ", steps ", buffer.first, " to ", buffer.last, ") ", std::forward<Parts>(parts)...);
}

}  // namespace

Status validate(const Problem& problem, const Solution& solution) {
  const std::vector<Buffer>& buffers = problem.buffers;
  if (solution.offsets.size() != buffers.size()) {
    return fail(Code::kInvalidPlan, "the plan has ", solution.offsets.size(), " offsets for ", buffers.size(),
                " buffers");
  }
  if (problem.conflicts != nullptr && problem.conflicts->count() != buffers.size()) {
    return fail(Code::kInvalidArgument, "the matrix of conflicts is one of ", problem.conflicts->count(),
                " buffers; there are ", buffers.size());
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].last < buffers[i].first) {
      return fail(Code::kInvalidArgument, "buffer ", i, " '", buffers[i].name, "' ends at step ", buffers[i].last,
                  ", before it begins at step ", buffers[i].first);
    }
    if (solution.offsets[i] % kAlignment != 0) {
      return refuse(problem, solution, i, "does not begin at a multiple of ", kAlignment, " bytes");
    }
    if (solution.offsets[i] > solution.total_bytes ||
        buffers[i].size_bytes > solution.total_bytes - solution.offsets[i]) {
      return refuse(problem, solution, i, "does not fit into the plan's total of ", solution.total_bytes, " bytes");
    }
  }

  std::vector<size_t> begins;
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].size_bytes > 0) begins.push_back(i);
  }
  std::vector<size_t> ends = begins;
  std::sort(begins.begin(), begins.end(), [&](size_t a, size_t b) { return buffers[a].first < buffers[b].first; });
  std::sort(ends.begin(), ends.end(), [&](size_t a, size_t b) { return buffers[a].last < buffers[b].last; });

  std::map<uint64_t, size_t> live;  // offset to buffer; as long as all are disjoint, only neighbours can collide
  size_t ended = 0;
  for (const size_t i : begins) {
    for (; buffers[ends[ended]].last < buffers[i].first; ++ended) live.erase(solution.offsets[ends[ended]]);
    const auto [at, fresh] = live.emplace(solution.offsets[i], i);
    // The other buffer's index if the one that lies lower reaches into the other.
    const auto collides = [&](size_t low, size_t high) {
      return solution.offsets[high] - solution.offsets[low] < buffers[low].size_bytes;
    };
    size_t other = i;
    if (!fresh) {
      other = at->second;
    } else if (at != live.begin() && collides(std::prev(at)->second, i)) {
      other = std::prev(at)->second;
    } else if (std::next(at) != live.end() && collides(i, std::next(at)->second)) {
      other = std::next(at)->second;
    }
    if (other != i) {
      return refuse(problem, solution, i, "shares bytes with buffer ", other, " '", buffers[other].name, "' (",
                    buffers[other].size_bytes, " bytes at ", solution.offsets[other], ", steps ",
                    buffers[other].first, " to ", buffers[other].last, ") while both are live");
    }
  }
  if (problem.conflicts == nullptr) return {};
  for (size_t a = 0; a < buffers.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      if (!problem.conflicts->has(a, b) || buffers[a].size_bytes == 0 || buffers[b].size_bytes == 0) continue;
      const uint64_t end_of_a = solution.offsets[a] + buffers[a].size_bytes;
      const uint64_t end_of_b = solution.offsets[b] + buffers[b].size_bytes;
      if (solution.offsets[a] >= end_of_b || solution.offsets[b] >= end_of_a) continue;
      return refuse(problem, solution, a, "shares bytes with buffer ", b, " '", buffers[b].name, "' (",
                    buffers[b].size_bytes, " bytes at ", solution.offsets[b], "), which may be live at the same time");
    }
  }
  return {};
}

}  // namespace plx::memory
