// Offsets for buffers with known lifetimes inside one block.
//
// Planning is a plain value, Problem to Solution, with a file format, and a validator that shares no code with the
// planner. Lifetimes are closed intervals of steps (unit positions in the schedule): two buffers may share bytes iff
// their intervals are disjoint, and nothing says that they may live together all the same, because the units that use
// them may run at the same time.
//
// The best plan is NP-hard to find. plan() places the buffers one by one, each in a gap between the buffers placed
// before it that live at the same time, and does so for several orders; then it moves buffers that reach the top to an
// earlier place in the order and keeps what gets no worse. It stops within 0.2 % of lower_bound() or when a fixed amount
// of work is spent (counted, not timed: one problem has one answer on every machine). Up to 534 buffers, as the zoo's
// models have but one, take at most 1.1 ms on a server's core, and 1,006 of which 75,939 pairs may live together 2 ms;
// where many do, the first order alone takes time that grows with the square.
//
// Sizes count rounded up to kAlignment. Functions are pure and may be called from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/base/result.h"

namespace plx::memory {

inline constexpr uint64_t kAlignment = 64;
// What all buffers of a problem may add up to; leaves room for every sum of offsets.
inline constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

struct Buffer {
  uint64_t size_bytes = 0;  // 0 is allowed and takes no room
  int64_t first = 0;        // the step that writes it
  int64_t last = 0;         // the last step that reads it, >= first
  std::string name;         // for people
};

struct Problem {
  std::vector<Buffer> buffers;
  // Pairs of buffers, by index, that may live together although their intervals are disjoint. Each pair once.
  std::vector<std::pair<uint32_t, uint32_t>> together;
};

struct Solution {
  std::vector<uint64_t> offsets;  // per buffer, multiples of kAlignment
  uint64_t total_bytes = 0;
};

// kInvalidArgument, naming the buffer, if one ends before it begins or all together exceed kMaxBytes, and for a pair
// that names no buffer.
Result<Solution> plan(const Problem& problem);
// kInvalidPlan, naming the buffers, unless every offset is aligned, every buffer lies inside total_bytes, and no two
// buffers share bytes at the same time; kInvalidArgument if the problem itself is not sound.
Status validate(const Problem& problem, const Solution& solution);
// The largest sum of live bytes at any step, one step after the other: no plan is smaller. A buffer with last < first never lives. UINT64_MAX if
// the sum is larger than that.
uint64_t lower_bound(const Problem& problem);
// What one buffer per tensor would take. UINT64_MAX if the sum is larger than that.
uint64_t naive_bytes(const Problem& problem);

// One buffer a line: "name<TAB>size_bytes<TAB>first<TAB>last"; then one pair of Problem::together a line:
// "index<TAB>index". Empty lines and lines that start with '#' are skipped.
// In names, tab, line feed, carriage return and backslash are written \t, \n, \r and \\, and a '#' in front \#, so that
// every sound problem is read back as it was.
std::string to_text(const Problem& problem);
Result<Problem> from_text(std::string_view text);

}  // namespace plx::memory
