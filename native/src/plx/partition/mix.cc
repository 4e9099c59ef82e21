#include "plx/partition/mix.h"

#include <algorithm>
#include <limits>

namespace plx::partition {

namespace {

struct Placed {
  int branch = 0;
  int worker = 0;
};

// List scheduling of the branches of some layers.
class Simulation {
 public:
  Simulation(const Plan& plan, const Dag& branches, const Measured& measured)
      : plan_(plan), branches_(branches), overheads_(measured.overheads), workers_(measured.workers),
        narrow_(plan.branches.size()), rank_(plan.branches.size()), end_(plan.branches.size()),
        worker_(plan.branches.size()), missing_(plan.branches.size()) {
    for (size_t b = 0; b < plan.branches.size(); ++b) {
      for (const NodeId node : plan.branches[b].nodes) narrow_[b] += measured.nodes[node].narrow_ns;
    }
  }

  double narrow_ns(int branch) const { return narrow_[branch]; }

  // The end of layers [first, last], all branches on one thread each; fills `placed` in the order of starts.
  double run(int first, int last, std::vector<Placed>* placed) {
    const auto inside = [&](int branch) {
      return plan_.branches[branch].layer >= first && plan_.branches[branch].layer <= last;
    };
    ready_.clear();
    for (int layer = last; layer >= first; --layer) {
      for (const int b : plan_.layers[layer].branches) {
        double behind = 0;
        for (const int s : branches_.successors(b)) {
          if (inside(s)) behind = std::max(behind, rank_[s]);
        }
        rank_[b] = narrow_[b] + overheads_.unit_ns + behind;
        missing_[b] = 0;
        for (const int p : branches_.predecessors(b)) missing_[b] += inside(p) ? 1 : 0;
        if (missing_[b] == 0) ready_.push_back(b);
      }
    }
    free_.assign(static_cast<size_t>(workers_), 0);
    double all = 0;
    while (!ready_.empty()) {
      // Of the branches that may start first, the one with the longest way to go.
      int best = -1;
      double best_start = 0;
      int best_worker = 0;
      for (size_t i = 0; i < ready_.size(); ++i) {
        const auto [start, worker] = earliest(ready_[i], inside);
        const bool better = best < 0 || start < best_start || (start == best_start && rank_[ready_[i]] > rank_[ready_[best]]);
        if (!better) continue;
        best = static_cast<int>(i);
        best_start = start;
        best_worker = worker;
      }
      const int branch = ready_[best];
      ready_.erase(ready_.begin() + best);
      worker_[branch] = best_worker;
      end_[branch] = best_start + overheads_.unit_ns + narrow_[branch];
      free_[best_worker] = end_[branch];
      all = std::max(all, end_[branch]);
      if (placed != nullptr) placed->push_back({branch, best_worker});
      for (const int s : branches_.successors(branch)) {
        if (inside(s) && --missing_[s] == 0) ready_.push_back(s);
      }
    }
    return all + overheads_.fork_ns;
  }

 private:
  template <class Inside>
  std::pair<double, int> earliest(int branch, const Inside& inside) const {
    double best = std::numeric_limits<double>::max();
    int best_worker = 0;
    for (int worker = 0; worker < workers_; ++worker) {
      double start = free_[worker];
      for (const int p : branches_.predecessors(branch)) {
        if (!inside(p)) continue;
        double there = end_[p];
        if (worker_[p] != worker) {
          const bool sleeps = there - free_[worker] > overheads_.spin_ns;
          there += sleeps ? overheads_.wake_ns : overheads_.hand_over_ns;
        }
        start = std::max(start, there);
      }
      if (start < best) {
        best = start;
        best_worker = worker;
      }
    }
    return {best, best_worker};
  }

  const Plan& plan_;
  const Dag& branches_;
  const Overheads& overheads_;
  const int workers_;
  std::vector<double> narrow_, rank_, end_;
  std::vector<int> worker_, missing_, ready_;
  std::vector<double> free_;
};

// Packs the branches of a narrow range into units; `placed` is in the order of starts, so a branch's predecessors come
// before it.
class Packer {
 public:
  Packer(const Dag& branches, const Simulation& simulation, const Overheads& overheads, Mix& mix, int stretch)
      : branches_(branches), simulation_(simulation), overheads_(overheads), mix_(mix), stretch_(stretch) {}

  void pack(const std::vector<Placed>& placed, int workers) {
    std::vector<int> last(static_cast<size_t>(workers), -1);  // per worker: the unit it got last
    for (const Placed& p : placed) {
      int unit = last[p.worker];
      if (unit < 0 || !joins(p.branch, unit)) {
        unit = static_cast<int>(mix_.wide.size());
        mix_.wide.push_back(false);
        mix_.stretch.push_back(stretch_);
        before_.emplace_back();
        first_ = first_ < 0 ? unit : first_;
      }
      add(p.branch, unit);
      last[p.worker] = unit;
    }
  }

 private:
  // Units of this range that have surely ended when the unit starts.
  std::vector<int>& before(int unit) { return before_[unit - first_]; }
  bool here(int branch) const { return mix_.unit_of_branch[branch] >= first_ && first_ >= 0; }

  bool joins(int branch, int unit) {
    // Whatever the branch waits for must be in the unit, or over before it starts: else the unit would wait for it, or
    // even for itself.
    for (const int p : branches_.predecessors(branch)) {
      if (!here(p) || mix_.unit_of_branch[p] == unit) continue;
      const auto& over = before(unit);
      if (std::find(over.begin(), over.end(), mix_.unit_of_branch[p]) == over.end()) return false;
    }
    // Who reads the unit from outside gets its results only when the branch has ended too.
    if (simulation_.narrow_ns(branch) <= overheads_.unit_ns + overheads_.hand_over_ns) return true;
    for (const int member : members_[unit]) {
      for (const int s : branches_.successors(member)) {
        if (s != branch && mix_.unit_of_branch[s] != unit) return false;
      }
    }
    return true;
  }

  void add(int branch, int unit) {
    auto& over = before(unit);
    for (const int p : branches_.predecessors(branch)) {
      const int other = here(p) ? mix_.unit_of_branch[p] : -1;
      if (other < 0 || other == unit) continue;
      over.push_back(other);
      over.insert(over.end(), before(other).begin(), before(other).end());
    }
    std::sort(over.begin(), over.end());
    over.erase(std::unique(over.begin(), over.end()), over.end());
    mix_.unit_of_branch[branch] = unit;
    if (members_.size() <= static_cast<size_t>(unit)) members_.resize(static_cast<size_t>(unit) + 1);
    members_[unit].push_back(branch);
  }

  const Dag& branches_;
  const Simulation& simulation_;
  const Overheads& overheads_;
  Mix& mix_;
  const int stretch_;
  int first_ = -1;
  std::vector<std::vector<int>> before_;
  std::vector<std::vector<int>> members_;  // per unit
};

}  // namespace

Mix mix(const Plan& plan, const Dag& branches, const Measured& measured) {
  const int layers = static_cast<int>(plan.layers.size());
  Simulation simulation(plan, branches, measured);
  std::vector<double> wide(static_cast<size_t>(layers) + 1, 0);  // of the layers before
  for (int layer = 0; layer < layers; ++layer) {
    wide[layer + 1] = wide[layer];
    for (const int b : plan.layers[layer].branches) {
      for (const NodeId node : plan.branches[b].nodes) wide[layer + 1] += measured.nodes[node].wide_ns;
    }
  }

  // best[j]: the fastest way through the first j layers, and where its last range begins.
  constexpr double kNever = std::numeric_limits<double>::max();
  std::vector<double> best(static_cast<size_t>(layers) + 1, kNever);
  std::vector<int> from(static_cast<size_t>(layers) + 1, 0);
  std::vector<bool> is_wide(static_cast<size_t>(layers) + 1, true);
  best[0] = 0;
  for (int j = 1; j <= layers; ++j) {
    const auto offer = [&](int i, double ns, bool range_is_wide) {
      if (best[i] + ns >= best[j]) return;
      best[j] = best[i] + ns;
      from[j] = i;
      is_wide[j] = range_is_wide;
    };
    for (int i = j - 1; i >= 0; --i) {
      offer(i, wide[j] - wide[i] + measured.overheads.unit_ns, true);
      // A narrow range begins and ends with a layer of several branches: alone on one thread is never the faster way.
      const bool several = plan.layers[i].branches.size() > 1 && plan.layers[j - 1].branches.size() > 1;
      if (several && measured.workers > 1 && j - i <= kLongestNarrowRange) {
        offer(i, simulation.run(i, j - 1, nullptr), false);
      }
    }
  }

  std::vector<std::pair<int, int>> ranges;
  for (int j = layers; j > 0; j = from[j]) ranges.emplace_back(from[j], j);
  std::reverse(ranges.begin(), ranges.end());
  Mix result;
  result.unit_of_branch.assign(plan.branches.size(), -1);
  result.predicted_ns = best[layers];
  int stretch = 0;
  for (const auto& [i, j] : ranges) {
    if (is_wide[j]) {
      for (int layer = i; layer < j; ++layer) {
        for (const int b : plan.layers[layer].branches) result.unit_of_branch[b] = static_cast<int>(result.wide.size());
      }
      result.wide.push_back(true);
      result.stretch.push_back(stretch);
    } else {
      std::vector<Placed> placed;
      simulation.run(i, j - 1, &placed);
      Packer(branches, simulation, measured.overheads, result, stretch).pack(placed, measured.workers);
    }
    ++stretch;
  }
  return result;
}

}  // namespace plx::partition
