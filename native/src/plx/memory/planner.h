// Offsets for buffers with known lifetimes inside one block.
//
// Planning is a plain value, Problem to Solution, with a file format, and a validator that shares no code with the
// planner. Lifetimes are closed intervals of steps (unit positions in the schedule): two buffers may share bytes iff
// their intervals are disjoint, and nothing says that they conflict all the same, because the units that use them may
// run at the same time. Which do depends on the schedule alone, not on sizes: the matrix is made once and shared.
//
// The best plan is NP-hard to find. plan() places the buffers one by one, each in a gap between the buffers placed
// before it that live at the same time, and does so for several orders; from the best of them it goes on by annealing:
// mostly it moves a buffer that reaches the top to an earlier place in the order, and takes what gets no worse or, ever more
// seldom, a little worse. It stops within 0.4 % of lower_bound() or when a given amount of work is spent (counted, not
// timed: one problem has one answer on every machine).
// With n buffers, an order takes time that grows with n * n where many of them conflict, and n * n / 8 bytes.
//
// Sizes count rounded up to kAlignment. Functions are pure and may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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

// Which buffers, by index, may live at the same time: a symmetric matrix of bits.
class Conflicts {
 public:
  // Those whose intervals meet; sizes do not count.
  explicit Conflicts(std::span<const Buffer> buffers);
  // The same and more buffers behind, that conflict with none yet.
  Conflicts(const Conflicts& fewer, size_t count);
  // These two as well, a != b.
  void add(size_t a, size_t b) {
    rows_[a * row_words_ + b / 64] |= uint64_t{1} << (b % 64);
    rows_[b * row_words_ + a / 64] |= uint64_t{1} << (a % 64);
  }
  size_t count() const { return count_; }
  bool has(size_t a, size_t b) const { return (rows_[a * row_words_ + b / 64] >> (b % 64) & 1) != 0; }
  // Of one buffer, bit b % 64 of word b / 64 being buffer b; its own is 0.
  std::span<const uint64_t> row(size_t a) const { return {&rows_[a * row_words_], row_words_}; }

 private:
  size_t count_;
  size_t row_words_;
  std::vector<uint64_t> rows_;
};

struct Problem {
  std::vector<Buffer> buffers;
  std::shared_ptr<const Conflicts> conflicts;  // made of these buffers' intervals; null: intervals tell all
};

struct Solution {
  std::vector<uint64_t> offsets;  // per buffer, multiples of kAlignment
  uint64_t total_bytes = 0;
  uint64_t lower_bound_bytes = 0;  // no plan is smaller; lower_bound() may find a better one
};

// How much plan() may do after its first order, in looks at a placed buffer (one to three nanoseconds each). Of 44 problems
// from the zoo's models (bench/planner), the quick search brings 41 within 1.03 of their bounds, in at most 0.5 ms on a
// server's core and 1.1 ms where the first order alone takes that (1,006 buffers); the thorough one all within 1.02, in at
// most 20 ms.
inline constexpr uint64_t kQuickSearch = 100'000;
inline constexpr uint64_t kThoroughSearch = 10'000'000;

// kInvalidArgument, naming the buffer, if one ends before it begins or all together exceed kMaxBytes, and for a matrix
// of another number of buffers.
Result<Solution> plan(const Problem& problem, uint64_t search = kQuickSearch);
// kInvalidPlan, naming the buffers, unless every offset is aligned, every buffer lies inside total_bytes, and no two
// buffers share bytes at the same time; kInvalidArgument if the problem itself is not sound.
Status validate(const Problem& problem, const Solution& solution);
// No plan is smaller: the largest sum of live bytes at any step, or the heaviest set of buffers that all conflict with
// one another among those grown greedily from each buffer, if that is more. A buffer with last < first never lives. UINT64_MAX
// if the sum is larger than that.
uint64_t lower_bound(const Problem& problem);
// What one buffer per tensor would take. UINT64_MAX if the sum is larger than that.
uint64_t naive_bytes(const Problem& problem);

// One buffer a line: "name<TAB>size_bytes<TAB>first<TAB>last"; then one pair a line, "index<TAB>index", of those that
// conflict although their intervals are disjoint. Empty lines and lines that start with '#' are skipped.
// In names, tab, line feed, carriage return and backslash are written \t, \n, \r and \\, and a '#' in front \#, so that
// every sound problem is read back as it was.
std::string to_text(const Problem& problem);
Result<Problem> from_text(std::string_view text);

}  // namespace plx::memory
