#include "plx/memory/planner.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

namespace plx::memory {
namespace {

__extension__ typedef unsigned __int128 Wide;  // sums of 64-bit sizes that cannot overflow

// How much plan() may do after its first order, in looks at a placed buffer (two to three nanoseconds each). With three
// times as much no plan of the zoo's models becomes smaller by more than 0.2 %, and a new shape waits 1 to 2 ms longer.
constexpr uint64_t kWorkLimit = 300'000;
constexpr size_t kMostInMatrix = 4096;  // 2 MB
constexpr int kMaxMoves = 1000;  // small problems gain nothing from more
constexpr uint64_t kNowhere = std::numeric_limits<uint64_t>::max();

Wide aligned(uint64_t size_bytes) { return (Wide{size_bytes} + (kAlignment - 1)) / kAlignment * kAlignment; }

uint64_t saturated(Wide sum) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  return sum > kMax ? kMax : static_cast<uint64_t>(sum);
}

// A buffer that takes room. Steps are ranks among the steps at which some buffer begins: two buffers live together at
// some step iff they do at one of these.
struct Item {
  uint64_t size = 0;  // multiple of kAlignment
  int32_t first = 0;
  int32_t last = 0;
  size_t buffer = 0;  // its index in the problem
};

Result<std::vector<Item>> make_items(const Problem& problem) {
  if (problem.buffers.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return fail(Code::kInvalidArgument, problem.buffers.size(), " buffers are more than one plan can hold");
  }
  std::vector<int64_t> starts;
  starts.reserve(problem.buffers.size());
  Wide sum = 0;
  for (size_t i = 0; i < problem.buffers.size(); ++i) {
    const Buffer& buffer = problem.buffers[i];
    if (buffer.last < buffer.first) {
      return fail(Code::kInvalidArgument, "buffer ", i, " '", buffer.name, "' ends at step ", buffer.last,
                  ", before it begins at step ", buffer.first);
    }
    sum += aligned(buffer.size_bytes);
    if (sum > kMaxBytes) {
      return fail(Code::kInvalidArgument, "buffer ", i, " '", buffer.name, "' of ", buffer.size_bytes,
                  " bytes takes the sum of all sizes beyond ", kMaxBytes, " bytes");
    }
    if (buffer.size_bytes > 0) starts.push_back(buffer.first);
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  // The last start that is not after the step; there is one, the buffer's own.
  const auto rank = [&starts](int64_t step) {
    return static_cast<int32_t>(std::upper_bound(starts.begin(), starts.end(), step) - starts.begin() - 1);
  };
  std::vector<Item> items;
  for (size_t i = 0; i < problem.buffers.size(); ++i) {
    const Buffer& buffer = problem.buffers[i];
    if (buffer.size_bytes == 0) continue;
    items.push_back({static_cast<uint64_t>(aligned(buffer.size_bytes)), rank(buffer.first), rank(buffer.last), i});
  }
  for (const auto& [a, b] : problem.together) {
    if (a >= problem.buffers.size() || b >= problem.buffers.size() || a == b) {
      return fail(Code::kInvalidArgument, "buffers ", a, " and ", b, " are said to live together; there are ",
                  problem.buffers.size());
    }
  }
  return items;
}

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

// Problem::together in terms of items; what takes no room is left out.
Pairs pairs_of_items(const Problem& problem, const std::vector<Item>& items) {
  std::vector<uint32_t> item_of(problem.buffers.size(), std::numeric_limits<uint32_t>::max());
  for (size_t i = 0; i < items.size(); ++i) item_of[items[i].buffer] = static_cast<uint32_t>(i);
  Pairs pairs;
  pairs.reserve(problem.together.size());
  for (const auto& [a, b] : problem.together) {
    if (item_of[a] >= items.size() || item_of[b] >= items.size()) continue;
    const Item& x = items[item_of[a]];
    const Item& y = items[item_of[b]];
    if (x.first > y.last || y.first > x.last) pairs.emplace_back(item_of[a], item_of[b]);
  }
  return pairs;
}

// For each item the most bytes that are live at any one of its steps.
std::vector<uint64_t> breadths(const std::vector<Item>& items) {
  int32_t steps = 0;
  for (const Item& item : items) steps = std::max(steps, item.last + 1);
  // levels[k][s] is the largest sum of the 2^k steps from s on; sums wrap on the way and come out right.
  std::vector<std::vector<uint64_t>> levels(1, std::vector<uint64_t>(static_cast<size_t>(steps) + 1));
  for (const Item& item : items) {
    levels[0][static_cast<size_t>(item.first)] += item.size;
    levels[0][static_cast<size_t>(item.last) + 1] -= item.size;
  }
  std::partial_sum(levels[0].begin(), levels[0].end(), levels[0].begin());
  for (size_t width = 2; width <= levels[0].size(); width *= 2) {
    const std::vector<uint64_t>& below = levels.back();
    std::vector<uint64_t> level(levels[0].size() - width + 1);
    for (size_t s = 0; s < level.size(); ++s) level[s] = std::max(below[s], below[s + width / 2]);
    levels.push_back(std::move(level));
  }
  std::vector<uint64_t> most(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t length = static_cast<size_t>(items[i].last - items[i].first) + 1;
    const size_t k = static_cast<size_t>(std::bit_width(length)) - 1;
    most[i] = std::max(levels[k][static_cast<size_t>(items[i].first)],
                       levels[k][static_cast<size_t>(items[i].last) + 1 - (size_t{1} << k)]);
  }
  return most;
}

using Order = std::vector<uint32_t>;  // indices of items

// Largest key first, then the larger item, then the earlier buffer.
Order order_by(const std::vector<Item>& items, const std::vector<double>& keys) {
  Order order(items.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (keys[a] != keys[b]) return keys[a] > keys[b];
    if (items[a].size != items[b].size) return items[a].size > items[b].size;
    return a < b;
  });
  return order;
}

enum class Fit {
  kFirst,  // the lowest gap that is large enough, at its low end
  kWalls,  // the smallest gap that is large enough, at the end nearer to the block's, whose size is taken for the bound
};

struct Room {
  uint64_t offset;
  uint64_t end;
};

// The walk up the rooms that are taken while a new buffer lives, lowest offset first.
class Walk {
 public:
  Walk(uint64_t size, Fit fit, uint64_t bound) : size_(size), fit_(fit), bound_(bound) {}

  // False once the search is over.
  bool pass(Room room) {
    if (room.offset > top_ && look(room.offset) && fit_ == Fit::kFirst) return false;
    top_ = std::max(top_, room.end);
    return true;
  }

  // Where the buffer goes, once the walk is over.
  uint64_t offset() {
    if (fit_ == Fit::kWalls && top_ < bound_) look(bound_);
    return found_ == kNowhere ? top_ : found_;
  }

 private:
  // The gap from top_ to end: true if it is the best so far.
  bool look(uint64_t end) {
    const uint64_t gap = end - top_;
    if (gap < size_ || gap >= found_size_) return false;
    found_size_ = gap;
    const bool upper = fit_ == Fit::kWalls && end + top_ > bound_;
    found_ = upper ? end - size_ : top_;
    return true;
  }

  const uint64_t size_;
  const Fit fit_;
  const uint64_t bound_;
  uint64_t top_ = 0;  // what lies below is taken or has been looked at
  uint64_t found_ = kNowhere;
  uint64_t found_size_ = kNowhere;
};

// Places items in a given order and counts what that costs.
class Placer {
 public:
  // `together`: items that may live together although their steps are disjoint.
  Placer(const std::vector<Item>& items, const Pairs& together, uint64_t bound)
      : items_(items), bound_(bound), offsets_(items.size()) {
    find_neighbours(together);
  }

  // The block's size, or kNowhere once it would exceed limit or the work is spent. offsets() then holds the offsets.
  uint64_t place(const Order& order, Fit fit, uint64_t limit, uint64_t work_limit) {
    std::fill(offsets_.begin(), offsets_.end(), kNowhere);
    rooms_.clear();
    lives_.clear();
    placed_.clear();
    work_ += order.size();
    uint64_t total = 0;
    for (const uint32_t i : order) {
      if (work_ > work_limit) return kNowhere;
      const uint64_t offset = gathers() ? gather(i, fit) : scan(i, fit);
      const Room room{offset, offset + items_[i].size};
      total = std::max(total, room.end);
      if (total > limit) return kNowhere;
      offsets_[i] = room.offset;
      if (!gathers()) {
        const auto at = std::upper_bound(rooms_.begin(), rooms_.end(), room, lower);
        if (conflicts_.empty()) lives_.insert(lives_.begin() + (at - rooms_.begin()), {items_[i].first, items_[i].last});
        else placed_.insert(placed_.begin() + (at - rooms_.begin()), i);
        rooms_.insert(at, room);
      }
    }
    return total;
  }

  const std::vector<uint64_t>& offsets() const { return offsets_; }  // per item
  void add_work(uint64_t work) { work_ += work; }
  uint64_t work() const { return work_; }

 private:
  struct Life {
    int32_t first;
    int32_t last;
  };
  static bool lower(Room a, Room b) { return a.offset < b.offset; }
  bool gathers() const { return !neighbours_begin_.empty(); }

  // Passes over everything placed. What lives together with the item is picked without a branch, since who does is as
  // good as random, and in pieces, so that a walk that ends early has not looked at everything.
  uint64_t scan(uint32_t i, Fit fit) {
    const Item item = items_[i];
    const uint64_t* row = conflicts_.empty() ? nullptr : &conflicts_[i * row_];
    Walk walk(item.size, fit, bound_);
    constexpr size_t kPiece = 128;
    std::array<uint32_t, kPiece> hits;
    for (size_t begin = 0; begin < rooms_.size(); begin += kPiece) {
      const auto end = static_cast<uint32_t>(std::min(begin + kPiece, rooms_.size()));
      size_t count = 0;
      for (auto k = static_cast<uint32_t>(begin); k < end; ++k) {
        hits[count] = k;
        if (row == nullptr) count += static_cast<size_t>((lives_[k].first <= item.last) & (lives_[k].last >= item.first));
        else count += row[placed_[k] / 64] >> (placed_[k] % 64) & 1;
      }
      work_ += end - begin + count;
      for (size_t k = 0; k < count; ++k) {
        if (!walk.pass(rooms_[hits[k]])) return walk.offset();
      }
    }
    return walk.offset();
  }

  // Collects the item's placed neighbours and sorts them.
  uint64_t gather(uint32_t i, Fit fit) {
    rooms_.clear();
    for (size_t k = neighbours_begin_[i]; k < neighbours_begin_[i + 1]; ++k) {
      const uint32_t j = neighbours_[k];
      if (offsets_[j] != kNowhere) rooms_.push_back({offsets_[j], offsets_[j] + items_[j].size});
    }
    std::sort(rooms_.begin(), rooms_.end(), lower);
    work_ += 2 * (neighbours_begin_[i + 1] - neighbours_begin_[i]) + 4 * rooms_.size() * std::bit_width(rooms_.size());
    Walk walk(items_[i].size, fit, bound_);
    for (const Room room : rooms_) {
      if (!walk.pass(room)) break;
    }
    return walk.offset();
  }

  // Lists for each item those that live together with it, if these are few enough that gathering beats scanning, or if
  // steps do not tell all.
  void find_neighbours(const Pairs& together) {
    Order by_first(items_.size());
    std::iota(by_first.begin(), by_first.end(), 0U);
    std::sort(by_first.begin(), by_first.end(),
              [this](uint32_t a, uint32_t b) { return items_[a].first < items_[b].first; });
    std::vector<int32_t> lasts;
    for (const Item& item : items_) lasts.push_back(item.last);
    std::sort(lasts.begin(), lasts.end());
    size_t count = 0;
    size_t ended = 0;
    for (size_t begun = 0; begun < by_first.size(); ++begun) {
      while (lasts[ended] < items_[by_first[begun]].first) ++ended;
      count += begun - ended;
    }
    if (together.empty() && count > std::min(items_.size() * items_.size() / 96, 64 * items_.size())) return;

    std::vector<uint32_t> live;
    const auto each_live_pair = [&](const auto& visit) {
      live.clear();
      for (const uint32_t i : by_first) {
        std::erase_if(live, [&](uint32_t j) { return items_[j].last < items_[i].first; });
        for (const uint32_t j : live) visit(i, j);
        live.push_back(i);
      }
    };
    // Many pairs: a bit for each is quicker to ask than a list is to sort, for as many items as fit into a cache.
    if (count + together.size() > items_.size() * items_.size() / 96 && items_.size() <= kMostInMatrix) {
      row_ = (items_.size() + 63) / 64;
      conflicts_.assign(items_.size() * row_, 0);
      const auto set = [this](uint32_t a, uint32_t b) {
        conflicts_[a * row_ + b / 64] |= uint64_t{1} << (b % 64);
        conflicts_[b * row_ + a / 64] |= uint64_t{1} << (a % 64);
      };
      for (const auto& [a, b] : together) set(a, b);
      each_live_pair(set);
      work_ += 2 * (count + together.size());
      return;
    }

    Pairs pairs = together;
    pairs.reserve(count + together.size());
    each_live_pair([&pairs](uint32_t i, uint32_t j) { pairs.emplace_back(i, j); });
    neighbours_begin_.assign(items_.size() + 1, 0);
    for (const auto& [a, b] : pairs) {
      ++neighbours_begin_[a];
      ++neighbours_begin_[b];
    }
    std::partial_sum(neighbours_begin_.begin(), neighbours_begin_.end(), neighbours_begin_.begin());
    neighbours_.resize(2 * pairs.size());
    for (const auto& [a, b] : pairs) {
      neighbours_[--neighbours_begin_[a]] = b;
      neighbours_[--neighbours_begin_[b]] = a;
    }
    work_ += 4 * pairs.size();
  }

  const std::vector<Item>& items_;
  const uint64_t bound_;
  std::vector<uint64_t> offsets_;
  std::vector<Room> rooms_;  // what is placed, lowest offset first: everything, or the neighbours gathered last
  std::vector<Life> lives_;  // beside it when everything is there, and steps tell all
  std::vector<uint32_t> placed_;     // or else which items those are
  std::vector<uint64_t> conflicts_;  // a row of bits per item: those that it lives together with; empty: see the others
  size_t row_ = 0;                   // words of a row
  std::vector<uint32_t> neighbours_;      // of item i: from neighbours_begin_[i] to neighbours_begin_[i + 1]
  std::vector<size_t> neighbours_begin_;  // empty: scan
  uint64_t work_ = 0;
};

}  // namespace

Result<Solution> plan(const Problem& problem) {
  Result<std::vector<Item>> made = make_items(problem);
  if (!made) return std::move(made.error());
  const std::vector<Item>& items = *made;

  Solution solution;
  solution.offsets.assign(problem.buffers.size(), 0);
  if (items.empty()) return solution;
  const uint64_t bound = lower_bound(problem);
  // A search for the last hundredths of a percent takes all its time, at every new set of shapes.
  const uint64_t good_enough = bound + bound / 512;

  Placer placer(items, pairs_of_items(problem, items), bound);
  uint64_t best = kNowhere;
  std::vector<uint64_t> best_offsets;
  Order best_order;
  Fit best_fit = Fit::kFirst;
  uint64_t work_limit = kNowhere;  // the first order runs to its end, however large the problem
  const auto try_order = [&](const Order& order, Fit fit, uint64_t limit) {
    const uint64_t total = placer.place(order, fit, limit, work_limit);
    if (total == kNowhere) return false;
    best = total;
    best_offsets = placer.offsets();
    best_order = order;
    best_fit = fit;
    return true;
  };

  // Found by trial: large buffers first wins most often, then buffers that live when most is live; weighing by lifetime
  // wins on large problems with long lives. In order of time, only walls are of use, but then they pack what repeats
  // itself: a residual block's buffers keep clear of the next one's.
  enum class By { kSize, kBreadth, kSizeAndSomeLength, kSizeAndLength, kTime };
  const auto keys = [&items, most = breadths(items)](By by) {
    std::vector<double> keys;
    for (size_t i = 0; i < items.size(); ++i) {
      const double size = static_cast<double>(items[i].size);
      const double length = static_cast<double>(items[i].last) - items[i].first + 1;
      switch (by) {
        case By::kSize: keys.push_back(size); break;
        case By::kBreadth: keys.push_back(static_cast<double>(most[i])); break;
        case By::kSizeAndSomeLength: keys.push_back(size * std::sqrt(length)); break;
        case By::kSizeAndLength: keys.push_back(size * length); break;
        case By::kTime: keys.push_back(-static_cast<double>(items[i].first)); break;
      }
    }
    return keys;
  };
  constexpr std::pair<By, Fit> kTrials[] = {
      {By::kSize, Fit::kFirst},           {By::kBreadth, Fit::kFirst},
      {By::kTime, Fit::kWalls},           {By::kSizeAndSomeLength, Fit::kFirst},
      {By::kSizeAndLength, Fit::kFirst},  {By::kBreadth, Fit::kWalls},
      {By::kSizeAndLength, Fit::kWalls},  {By::kSizeAndSomeLength, Fit::kWalls},
  };
  for (const auto& [by, fit] : kTrials) {
    if (best <= good_enough || placer.work() >= work_limit) break;
    placer.add_work(4 * items.size() * std::bit_width(items.size()));
    try_order(order_by(items, keys(by)), fit, best - 1);
    if (work_limit == kNowhere) work_limit = std::max(kWorkLimit, placer.work());
  }

  std::mt19937 random(1);  // the standard fixes its numbers, and so the plan
  for (int move = 0; move < kMaxMoves && best > good_enough && placer.work() < work_limit; ++move) {
    std::vector<size_t> tops;
    for (size_t at = 0; at < best_order.size(); ++at) {
      const uint32_t i = best_order[at];
      if (best_offsets[i] + items[i].size == best) tops.push_back(at);
    }
    const size_t from = tops[random() % tops.size()];
    if (from == 0) break;  // the order's first lies at 0, so this is one buffer's size: nothing is smaller
    const size_t to = random() % from;
    Order order = best_order;
    std::rotate(order.begin() + static_cast<ptrdiff_t>(to), order.begin() + static_cast<ptrdiff_t>(from),
                order.begin() + static_cast<ptrdiff_t>(from) + 1);
    placer.add_work(2 * items.size());
    try_order(order, best_fit, best);
  }

  for (size_t i = 0; i < items.size(); ++i) solution.offsets[items[i].buffer] = best_offsets[i];
  solution.total_bytes = best;
  return solution;
}

uint64_t lower_bound(const Problem& problem) {
  using Event = std::pair<int64_t, uint64_t>;  // step, size
  std::vector<Event> begins;
  std::vector<Event> ends;
  for (const Buffer& buffer : problem.buffers) {
    if (buffer.last < buffer.first) continue;
    begins.emplace_back(buffer.first, buffer.size_bytes);
    ends.emplace_back(buffer.last, buffer.size_bytes);
  }
  std::sort(begins.begin(), begins.end());
  std::sort(ends.begin(), ends.end());
  Wide live = 0;
  Wide most = 0;
  auto end = ends.begin();
  for (const auto& [step, size_bytes] : begins) {
    for (; end->first < step; ++end) live -= aligned(end->second);
    live += aligned(size_bytes);
    most = std::max(most, live);
  }
  return saturated(most);
}

uint64_t naive_bytes(const Problem& problem) {
  Wide sum = 0;
  for (const Buffer& buffer : problem.buffers) sum += aligned(buffer.size_bytes);
  return saturated(sum);
}

}  // namespace plx::memory
