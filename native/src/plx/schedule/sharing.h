// Tensors of a session that lie in one another, so that nothing has to be copied or less is taken:
//
//   - a Concat along the outermost axis (those before it are 1): its inputs are made where they belong in its output;
//   - a Split along the outermost axis: its outputs are parts of its input;
//   - an operator that writes an element only after it has read the one at the same place, on an input that nobody reads
//     afterwards: its output is made over that input.
//
// The first two then have nothing to do: the unit is *elided*. This is for units of one node, since within a unit ONNX
// Runtime plans itself. (Making units of their own of the Concat at the head of a branch and the Split at its end would elide
// more. It is not done: of seven models of the zoo, cut into nodes, the most bytes at any one time are elsewhere in six, and
// the time saved was not to be seen: yolov8n 1.00, swinv2-tiny 1.03 of what it took before, medians of five processes.)
//
// Tensors that lie in one another become one buffer of the planner's problem, in use as long as any of them is. That can
// take more than having them apart, if a large output is reserved long before it is complete; then they are left apart.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "plx/graph/shapes.h"
#include "plx/memory/planner.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/layout.h"

namespace plx::schedule {

// A step's unit that could have its tensors lie in one another, if their shapes allow it.
struct Nesting {
  enum class Kind { kConcat, kSplit, kInPlace };
  Kind kind = Kind::kConcat;
  int step = 0;
  int64_t axis = 0;        // kConcat, kSplit; may be negative
  int whole = 0;           // slot: the Concat's output, the Split's input, the in-place operator's output
  std::vector<int> parts;  // slots: the Concat's inputs, the Split's outputs, the in-place operator's first input
};

// Of the step of a unit; nothing if it could not.
std::optional<Nesting> nesting_of(const CompiledPlan& plan, int step, int unit);

// Where tensors lie in one another; indices are those of the problem's buffers.
struct Shared {
  bool any = false;
  std::vector<int> within;       // the buffer that stands for all that lie together; itself if alone
  std::vector<uint64_t> offset;  // from that one's
  std::vector<uint64_t> extent;  // of that one: what all together take
  std::vector<char> elided;      // per step
  // For people: whether a unit writes the bytes itself (it does not if it is elided), and the last step at which the bytes
  // that it wrote are in use.
  std::vector<char> written;
  std::vector<int64_t> until;
};

// Which nestings are possible and take no more memory than going without. The problem is that of an executor; its buffer i
// is that of slots[i] for all slots. shape_of: of a slot, null if not known.
Shared share(const memory::Problem& problem, std::span<const Nesting> nestings, const Executor& executor,
             std::span<const Use> uses, std::span<const int> slots, const std::vector<CompiledPlan::Slot>& all_slots,
             const std::function<const graph::Shape*(int)>& shape_of);

// The problem with a buffer for those that lie together in place of one each. Buffers keep their numbers: the one that
// stands for others has their size and lifetime, and the others have no size.
memory::Problem together(const memory::Problem& problem, const Shared& shared);
// A solution of that as one of the problem that it came from.
memory::Solution apart(memory::Solution solution, const Shared& shared);

}  // namespace plx::schedule
