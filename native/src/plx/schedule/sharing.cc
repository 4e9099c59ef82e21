#include "plx/schedule/sharing.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string_view>

namespace plx::schedule {

namespace {

// Operators of which ONNX Runtime itself writes the output over the first input when it can (MayInplace in its kernels'
// definitions), and the arithmetic of two tensors, which goes through both from front to back. sharing_test.cc tries each.
// Softsign is left out: on ARM its last bits came out otherwise there.
constexpr std::string_view kInPlace[] = {"Add", "Sub", "Mul", "Relu", "LeakyRelu", "Elu", "Selu", "HardSigmoid",
                                         "Sigmoid", "Softplus", "Tanh", "ThresholdedRelu", "Clip"};

// Sets of buffers that lie in one another.
class Sets {
 public:
  struct Member {
    int buffer = 0;
    int64_t at = 0;  // from any origin that the set's members have in common
  };

  Sets(const memory::Problem& problem, size_t steps)
      : problem_(problem), of_(problem.buffers.size()), next_(problem.buffers.size()), at_(problem.buffers.size()),
        written_(problem.buffers.size(), 1), live_(steps + 2) {
    std::iota(of_.begin(), of_.end(), 0);
    std::iota(next_.begin(), next_.end(), 0);
    for (const memory::Buffer& b : problem.buffers) add({0, aligned(b), b.first, b.last}, 1);
    most_ = *std::max_element(live_.begin(), live_.end());
  }

  int of(int buffer) const { return of_[static_cast<size_t>(buffer)]; }
  bool alone(int buffer) const { return next_[static_cast<size_t>(buffer)] == buffer; }
  std::vector<Member> members(int set) const {
    std::vector<Member> all;
    int buffer = set;
    do {
      all.push_back({buffer, at(buffer)});
      buffer = next_[static_cast<size_t>(buffer)];
    } while (buffer != set);
    return all;
  }
  const memory::Buffer& buffer(int i) const { return problem_.buffers[static_cast<size_t>(i)]; }
  bool written(int buffer) const { return written_[static_cast<size_t>(buffer)] != 0; }
  int64_t at(int buffer) const { return at_[static_cast<size_t>(buffer)]; }

  // What a set takes, and when.
  struct Span {
    int64_t begin = 0, end = 0;   // bytes
    int64_t first = 0, last = 0;  // steps
  };
  Span span_of(int set) const { return span_of(members(set)); }

  // Puts parts into the whole at these places, unless that cannot be or takes more memory. `copies`: those that nobody
  // writes from then on, since their bytes are others'.
  bool join(int whole, const std::vector<std::pair<int, int64_t>>& parts, const std::vector<int>& copies) {
    std::vector<int> sets = {of(whole)};
    std::vector<Member> all = members(of(whole));
    for (const auto& [part, place] : parts) {
      const auto there = std::find_if(all.begin(), all.end(), [&](const Member& m) { return m.buffer == part; });
      const int64_t wanted = at(whole) + place;
      if (there != all.end()) {
        if (there->at != wanted) return false;
        continue;
      }
      const int64_t shift = wanted - at(part);
      for (const Member& member : members(of(part))) all.push_back({member.buffer, member.at + shift});
      sets.push_back(of(part));
    }
    std::vector<Member> writers;
    for (const Member& member : all) {
      const bool copy = std::find(copies.begin(), copies.end(), member.buffer) != copies.end();
      if (written(member.buffer) && !copy && buffer(member.buffer).size_bytes != 0) writers.push_back(member);
    }
    std::sort(writers.begin(), writers.end(), [](const Member& a, const Member& b) { return a.at < b.at; });
    for (size_t i = 1; i < writers.size(); ++i) {
      const auto bytes = static_cast<int64_t>(buffer(writers[i - 1].buffer).size_bytes);
      if (writers[i - 1].at + bytes > writers[i].at) return false;
    }
    const Span together = span_of(all);
    for (const int set : sets) add(span_of(set), -1);
    add(together, 1);
    const auto begin = live_.begin() + clamped(together.first);
    const auto end = live_.begin() + clamped(together.last) + 1;
    if (*std::max_element(begin, end) > most_) {
      add(together, -1);
      for (const int set : sets) add(span_of(set), 1);
      return false;
    }
    merge(sets.front(), all);
    for (const int copy : copies) written_[static_cast<size_t>(copy)] = 0;
    return true;
  }

  // Puts what lies together with `under` where `over` is.
  void put(int over, int under) {
    std::vector<Member> all = members(of(over));
    const int64_t shift = at(over) - at(under);
    for (const Member& member : members(of(under))) all.push_back({member.buffer, member.at + shift});
    merge(of(over), all);
  }

 private:
  Span span_of(const std::vector<Member>& all) const {
    Span span{INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN};
    for (const Member& member : all) {
      const memory::Buffer& b = buffer(member.buffer);
      span.begin = std::min(span.begin, member.at);
      span.end = std::max(span.end, member.at + aligned(b));
      span.first = std::min(span.first, b.first);
      span.last = std::max(span.last, b.last);
    }
    return span;
  }

  static int64_t aligned(const memory::Buffer& b) {
    return static_cast<int64_t>((b.size_bytes + memory::kAlignment - 1) / memory::kAlignment * memory::kAlignment);
  }

  ptrdiff_t clamped(int64_t step) const { return static_cast<ptrdiff_t>(std::min(step, static_cast<int64_t>(live_.size()) - 1)); }

  void add(const Span& span, int64_t sign) {
    for (ptrdiff_t step = clamped(span.first); step <= clamped(span.last); ++step) {
      live_[static_cast<size_t>(step)] += sign * (span.end - span.begin);
    }
  }

  void merge(int set, const std::vector<Member>& all) {
    for (size_t i = 0; i < all.size(); ++i) {
      const auto buffer = static_cast<size_t>(all[i].buffer);
      of_[buffer] = set;
      at_[buffer] = all[i].at;
      next_[buffer] = all[(i + 1) % all.size()].buffer;
    }
  }

  const memory::Problem& problem_;
  std::vector<int> of_;       // per buffer: the one that its set is known by
  std::vector<int> next_;     // of its set, in a ring
  std::vector<int64_t> at_;   // from an origin that its set has in common
  std::vector<char> written_;
  std::vector<int64_t> live_;  // bytes, per step
  int64_t most_ = 0;           // at any step, with nothing lying in anything
};

// The steps that use a buffer.
class Users {
 public:
  Users(std::span<const Use> uses, std::span<const int> buffer_of, size_t buffers) : begin_(buffers + 1) {
    const auto each = [&](auto&& visit) {
      for (size_t step = 0; step < uses.size(); ++step) {
        for (const int root : uses[step].roots) {
          const int buffer = buffer_of[static_cast<size_t>(root)];
          if (buffer >= 0) visit(static_cast<size_t>(buffer), static_cast<int>(step));
        }
      }
    };
    each([&](size_t buffer, int) { ++begin_[buffer + 1]; });
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    list_.resize(begin_.back());
    std::vector<size_t> end(begin_.begin(), begin_.end() - 1);
    each([&](size_t buffer, int step) { list_[end[buffer]++] = step; });
  }
  std::span<const int> of(int buffer) const {
    const auto b = static_cast<size_t>(buffer);
    return {list_.data() + begin_[b], begin_[b + 1] - begin_[b]};
  }

 private:
  std::vector<size_t> begin_;
  std::vector<int> list_;
};

}  // namespace

std::optional<Nesting> nesting_of(const CompiledPlan& plan, int step, int unit) {
  const partition::Unit& u = plan.plan().units[static_cast<size_t>(unit)];
  if (u.nodes.size() != 1 || plan.subject().as_given) return std::nullopt;
  const graph::Node& node = plan.subject().graph->nodes[u.nodes[0]];
  if (!node.domain.empty() || node.inputs.empty()) return std::nullopt;
  const CompiledPlan::Unit& compiled = plan.units()[static_cast<size_t>(unit)];
  const auto& slots = plan.slots();
  const auto slot_of = [&](const std::vector<int>& among, graph::ValueId value) {
    const auto found = std::find_if(among.begin(), among.end(),
                                    [&](int s) { return slots[static_cast<size_t>(s)].value == value; });
    return found == among.end() ? -1 : *found;
  };
  // Tensors of the session's own, of whole bytes.
  const auto own = [&](int slot) {
    if (slot < 0) return false;
    const CompiledPlan::Slot& s = slots[static_cast<size_t>(slot)];
    const CompiledPlan::Slot& root = slots[static_cast<size_t>(s.root)];
    const int bits = graph::element_bits(plan.subject().graph->values[s.value].type.element);
    return root.unit >= 0 && root.settled && s.settled && bits != 0 && bits % 8 == 0;
  };
  Nesting nesting{.kind = Nesting::Kind::kInPlace, .step = step, .axis = 0, .whole = -1, .parts = {}};
  std::span<const graph::ValueId> parts(node.inputs.data(), 1);
  if (node.op_type == "Concat") {
    const auto axis = graph::int_attribute(node, "axis");
    if (!axis) return std::nullopt;
    nesting.kind = Nesting::Kind::kConcat;
    nesting.axis = *axis;
    parts = node.inputs;
  } else if (node.op_type == "Split") {
    nesting.kind = Nesting::Kind::kSplit;
    nesting.axis = graph::int_attribute(node, "axis").value_or(0);
    parts = node.outputs;
  } else if (std::find(std::begin(kInPlace), std::end(kInPlace), node.op_type) == std::end(kInPlace)) {
    return std::nullopt;
  }
  const bool split = nesting.kind == Nesting::Kind::kSplit;
  nesting.whole = split ? slot_of(compiled.inputs, node.inputs[0]) : slot_of(compiled.outputs, node.outputs[0]);
  if (!own(nesting.whole)) return std::nullopt;
  for (const graph::ValueId value : parts) {
    nesting.parts.push_back(slot_of(split ? compiled.outputs : compiled.inputs, value));
    if (!own(nesting.parts.back())) return std::nullopt;
  }
  return nesting;
}

Shared share(const memory::Problem& problem, std::span<const Nesting> nestings, const Executor& executor,
             std::span<const Use> uses, std::span<const int> slots, const std::vector<CompiledPlan::Slot>& all_slots,
             const std::function<const graph::Shape*(int)>& shape_of) {
  Shared shared;
  if (nestings.empty()) return shared;
  std::vector<int> buffer_of(all_slots.size(), -1);
  for (size_t i = 0; i < slots.size(); ++i) buffer_of[static_cast<size_t>(slots[i])] = static_cast<int>(i);
  const auto buffer = [&](int slot) { return buffer_of[static_cast<size_t>(all_slots[static_cast<size_t>(slot)].root)]; };
  Sets sets(problem, uses.size());
  shared.elided.assign(uses.size(), 0);
  std::vector<std::pair<int, int>> over;  // the buffer and the step that writes another over it

  // Those that have nothing to do, first.
  for (const Nesting& nesting : nestings) {
    if (nesting.kind == Nesting::Kind::kInPlace) continue;
    const graph::Shape* whole = shape_of(nesting.whole);
    if (whole == nullptr || buffer(nesting.whole) < 0) continue;
    const auto rank = static_cast<int64_t>(whole->dims.size());
    const int64_t axis = nesting.axis < 0 ? nesting.axis + rank : nesting.axis;
    if (axis < 0 || axis >= rank) continue;
    bool possible = std::all_of(whole->dims.begin(), whole->dims.begin() + axis, [](int64_t dim) { return dim == 1; });
    std::vector<std::pair<int, int64_t>> places;
    uint64_t place = 0;
    for (const int part : nesting.parts) {
      const graph::Shape* shape = shape_of(part);
      possible = possible && shape != nullptr && shape->element == whole->element && buffer(part) >= 0 &&
                 place % memory::kAlignment == 0;
      if (!possible) break;
      const uint64_t bytes = graph::tensor_bytes(shape->element, shape->dims).value_or(0);
      possible = bytes != 0 && buffer(part) != buffer(nesting.whole);
      places.emplace_back(buffer(part), static_cast<int64_t>(place));
      place += bytes;
    }
    if (!possible || place != graph::tensor_bytes(whole->element, whole->dims)) continue;
    std::vector<int> copies;
    if (nesting.kind == Nesting::Kind::kConcat) copies = {buffer(nesting.whole)};
    else for (const auto& [part, at] : places) copies.push_back(part);
    if (!sets.join(buffer(nesting.whole), places, copies)) continue;
    shared.elided[static_cast<size_t>(nesting.step)] = 1;
    shared.any = true;
  }

  shared.until.resize(problem.buffers.size());
  for (size_t i = 0; i < problem.buffers.size(); ++i) shared.until[i] = problem.buffers[i].last;
  for (size_t i = 0; i < problem.buffers.size(); ++i) {
    const int own = static_cast<int>(i);
    if (sets.alone(own) || !sets.written(own)) continue;
    // What others read of the same bytes counts as well.
    for (const Sets::Member& member : sets.members(sets.of(own))) {
      if (sets.written(member.buffer)) continue;
      const auto own_bytes = static_cast<int64_t>(problem.buffers[i].size_bytes);
      const auto its_bytes = static_cast<int64_t>(sets.buffer(member.buffer).size_bytes);
      if (sets.at(own) < member.at + its_bytes && member.at < sets.at(own) + own_bytes) {
        shared.until[i] = std::max(shared.until[i], sets.buffer(member.buffer).last);
      }
    }
  }

  const Users users(uses, buffer_of, problem.buffers.size());
  for (const Nesting& nesting : nestings) {
    if (nesting.kind != Nesting::Kind::kInPlace) continue;
    const graph::Shape* made = shape_of(nesting.whole);
    const graph::Shape* read = shape_of(nesting.parts[0]);
    const int to = buffer(nesting.whole);
    const int from = buffer(nesting.parts[0]);
    if (made == nullptr || read == nullptr || to < 0 || from < 0 || sets.of(to) == sets.of(from)) continue;
    if (made->dims != read->dims || made->element != read->element) continue;
    const Sets::Span span = sets.span_of(sets.of(from));
    const auto bytes = static_cast<int64_t>(sets.buffer(from).size_bytes);
    const bool all_of_it = sets.at(from) == span.begin && span.end - span.begin < bytes + static_cast<int64_t>(memory::kAlignment);
    if (bytes == 0 || !all_of_it) continue;
    const auto members = sets.members(sets.of(from));
    const bool nobody_reads_on = std::all_of(members.begin(), members.end(), [&](const Sets::Member& member) {
      const std::span<const int> list = users.of(member.buffer);
      return sets.buffer(member.buffer).last < static_cast<int64_t>(uses.size()) &&
             std::all_of(list.begin(), list.end(), [&](int step) {
               return step == nesting.step ? member.buffer == from : executor.ordered(step, nesting.step);
             });
    });
    if (!nobody_reads_on) continue;
    for (const Sets::Member& member : members) {
      auto& until = shared.until[static_cast<size_t>(member.buffer)];
      until = std::min<int64_t>(until, nesting.step - 1);
    }
    sets.put(to, from);
    shared.any = true;
  }
  if (!shared.any) return shared;

  shared.within.resize(problem.buffers.size());
  shared.offset.resize(problem.buffers.size());
  shared.extent.resize(problem.buffers.size());
  shared.written.resize(problem.buffers.size());
  for (size_t i = 0; i < problem.buffers.size(); ++i) {
    shared.written[i] = sets.written(static_cast<int>(i)) ? 1 : 0;
    if (sets.of(static_cast<int>(i)) != static_cast<int>(i)) continue;  // with the one that its set is known by
    const auto members = sets.members(static_cast<int>(i));
    const Sets::Span span = sets.span_of(static_cast<int>(i));
    // The one at the front stands for all.
    const int front = std::min_element(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.at < b.at; })->buffer;
    for (const Sets::Member& member : members) {
      shared.within[static_cast<size_t>(member.buffer)] = front;
      shared.offset[static_cast<size_t>(member.buffer)] = static_cast<uint64_t>(member.at - span.begin);
    }
    const bool alone = members.size() == 1;
    shared.extent[static_cast<size_t>(front)] = alone ? problem.buffers[i].size_bytes : static_cast<uint64_t>(span.end - span.begin);
  }
  return shared;
}

memory::Problem together(const memory::Problem& problem, const Shared& shared) {
  if (!shared.any) return problem;
  memory::Problem merged{problem.buffers, nullptr};
  const size_t count = problem.buffers.size();
  for (size_t i = 0; i < count; ++i) {
    const auto front = static_cast<size_t>(shared.within[i]);
    memory::Buffer& buffer = merged.buffers[front];
    if (front != i) {
      merged.buffers[i].size_bytes = 0;
      buffer.first = std::min(buffer.first, problem.buffers[i].first);
      buffer.last = std::max(buffer.last, problem.buffers[i].last);
    }
    buffer.size_bytes = shared.extent[front];
  }
  // What conflicts with one conflicts with all.
  auto conflicts = std::make_shared<memory::Conflicts>(*problem.conflicts);
  for (size_t i = 0; i < count; ++i) {
    const auto front = static_cast<size_t>(shared.within[i]);
    if (front == i) continue;
    const std::span<const uint64_t> row = problem.conflicts->row(i);
    for (size_t w = 0; w < row.size(); ++w) {
      for (uint64_t bits = row[w]; bits != 0; bits &= bits - 1) {
        const auto other = static_cast<size_t>(shared.within[w * 64 + static_cast<size_t>(std::countr_zero(bits))]);
        if (other != front) conflicts->add(front, other);
      }
    }
    for (size_t other = 0; other < count; ++other) {
      const memory::Buffer& a = merged.buffers[front];
      const memory::Buffer& b = merged.buffers[other];
      const bool meet = a.first <= b.last && b.first <= a.last;
      if (meet && other != front && shared.within[other] == static_cast<int>(other)) conflicts->add(front, other);
    }
  }
  merged.conflicts = std::move(conflicts);
  return merged;
}

memory::Solution apart(memory::Solution solution, const Shared& shared) {
  for (size_t i = 0; i < solution.offsets.size() && shared.any; ++i) {
    const auto front = static_cast<size_t>(shared.within[i]);
    if (front != i) solution.offsets[i] = solution.offsets[front] + shared.offset[i];
  }
  return solution;
}

}  // namespace plx::schedule
