// The mixed cut: layers that gain from running their branches side by side do so, narrow; all others become wide units.
//
// Beyond the paper, whose rule compares FLOPs only. ONNX Runtime's own pool is a strong rival inside operators, so
// whether side by side is faster has to be measured: NodeTime has each node's time on one thread and on the whole pool,
// Overheads what it costs to start a unit, to enter the pool, to hand over to another worker and to wake one.
//
// The layers are cut into ranges, each either *wide* (one unit, on all threads: the sum of its nodes' wide times) or
// *narrow* (its branches by list scheduling, critical path first, on one thread each: the simulated end). Of all ways to
// cut them the fastest is taken, by dynamic programming over the layers. Then branches of a narrow range that the
// schedule puts one after the other on one worker are packed into one unit, where nobody else waits for the first
// longer than a hand-over takes.
#pragma once

#include <cstdint>
#include <vector>

#include "plx/partition/dag.h"
#include "plx/partition/plan.h"

namespace plx::partition {

// What one node takes, without what it costs to start a unit.
struct NodeTime {
  double narrow_ns = 0;  // on one thread
  double wide_ns = 0;    // on the whole pool
};

// Measured on the machine; see schedule/overheads.h.
struct Overheads {
  double unit_ns = 0;       // to start a unit, its inputs not in the cache
  double fork_ns = 0;       // to enter the pool and to leave it again
  double hand_over_ns = 0;  // until a worker that looks for work has it
  double wake_ns = 0;       // until a worker that sleeps has it
  double spin_ns = 0;       // how long a worker looks for work before it sleeps
};

struct Measured {
  std::vector<NodeTime> nodes;  // per node
  Overheads overheads;
  int workers = 1;
};

// Ranges no longer than this many layers are tried as narrow ones: the work grows with its square.
inline constexpr int kLongestNarrowRange = 64;

struct Mix {
  std::vector<int> unit_of_branch;
  std::vector<bool> wide;     // per unit
  std::vector<int> stretch;   // per unit: the range it is from, in order
  double predicted_ns = 0;    // of the whole plan
};

// `branches` holds the dependencies of plan.branches.
Mix mix(const Plan& plan, const Dag& branches, const Measured& measured);

}  // namespace plx::partition
