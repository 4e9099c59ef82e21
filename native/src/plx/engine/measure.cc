#include "plx/engine/measure.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "plx/partition/plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/overheads.h"
#include "plx/schedule/session.h"

namespace plx::engine {

namespace {

constexpr int kRuns = 6;
constexpr uint64_t kMostMadeUpBytes = uint64_t{1} << 30;

template <class T>
void fill(std::vector<std::byte>& bytes, T value) {
  for (size_t at = 0; at + sizeof value <= bytes.size(); at += sizeof value) std::memcpy(bytes.data() + at, &value, sizeof value);
}

Result<std::vector<std::byte>> make_up(const graph::Value& input, const graph::Shape& shape) {
  const auto size = graph::tensor_bytes(shape.element, shape.dims);
  if (!size) {
    return fail(Code::kUnsupported, "input '", input.name, "' is of ", graph::element_type_name(shape.element),
                ", for which no values can be made up to measure with: use another cut than mixed");
  }
  // A model may declare any size; what nobody gave is not worth running out of memory for.
  if (*size > kMostMadeUpBytes) {
    return fail(Code::kUnsupported, "input '", input.name, "' takes ", *size, " bytes, more than the ", kMostMadeUpBytes,
                " that are made up to measure with: use another cut than mixed");
  }
  std::vector<std::byte> bytes(*size);
  const int whole = shape.dims.empty() ? 8 : 1;
  switch (shape.element) {
    case graph::ElementType::kFloat32:
      // Not all the same, and none of them subnormal.
      for (size_t i = 0; i < bytes.size() / 4; ++i) {
        const float value = static_cast<float>(static_cast<int>(i * 7919 % 2001) - 1000) / 1000.f;
        std::memcpy(bytes.data() + i * 4, &value, 4);
      }
      break;
    case graph::ElementType::kFloat64: fill(bytes, 0.5); break;
    case graph::ElementType::kFloat16: fill<uint16_t>(bytes, 0x3800); break;   // 0.5
    case graph::ElementType::kBfloat16: fill<uint16_t>(bytes, 0x3f00); break;  // 0.5
    case graph::ElementType::kInt64:
    case graph::ElementType::kUint64: fill<int64_t>(bytes, whole); break;
    case graph::ElementType::kInt32:
    case graph::ElementType::kUint32: fill<int32_t>(bytes, whole); break;
    case graph::ElementType::kInt16:
    case graph::ElementType::kUint16: fill<int16_t>(bytes, static_cast<int16_t>(whole)); break;
    default: std::fill(bytes.begin(), bytes.end(), std::byte{1}); break;
  }
  return bytes;
}

struct Times {
  std::vector<double> units_ns;  // the shortest of each
  double run_ns = 0;             // the shortest, from the first start to the last end
};

Result<Times> run_all(const std::shared_ptr<const schedule::Subject>& subject, partition::Plan plan, bool wide,
                      const graph::Shapes& shapes, std::vector<std::vector<std::byte>>& inputs) {
  auto compiled = schedule::CompiledPlan::make(subject, std::make_shared<const partition::Plan>(std::move(plan)));
  if (!compiled) return compiled.error();
  auto session = schedule::Session::create(*compiled, wide ? 0 : 1);
  if (!session) return session.error();
  const graph::Graph& graph = *subject->graph;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const graph::Shape& shape = *shapes[graph.inputs[i]];
    const schedule::TensorView view{shape.element, shape.dims, inputs[i].data(), inputs[i].size()};
    if (auto s = (*session)->bind_input(i, view); !s) return s.error();
  }
  Times times;
  times.units_ns.assign((*compiled)->units().size(), std::numeric_limits<double>::max());
  times.run_ns = std::numeric_limits<double>::max();
  for (int run = 0; run < kRuns + 2; ++run) {
    if (auto s = (*session)->run(); !s) {
      Error error = s.error();
      error.message += " (on made-up inputs, to measure for a mixed plan: use another cut, or fix what the inputs may be)";
      return error;
    }
    if (run < 2) continue;  // the first allocates, the second plans
    double last = 0;
    for (const schedule::UnitRun& unit : (*session)->last_run()) {
      double& shortest = times.units_ns[unit.unit];
      shortest = std::min(shortest, static_cast<double>(unit.end_ns - unit.start_ns));
      last = std::max(last, static_cast<double>(unit.end_ns));
    }
    times.run_ns = std::min(times.run_ns, last);
  }
  return times;
}

}  // namespace

Result<partition::Measured> measure(const std::shared_ptr<const schedule::Subject>& given, const graph::Shapes& shapes) {
  // Units that are there to be measured are not worth keeping.
  auto uncached = std::make_shared<schedule::Subject>(*given);
  uncached->cache = nullptr;
  const std::shared_ptr<const schedule::Subject> subject = std::move(uncached);
  const graph::Graph& graph = *subject->graph;
  std::vector<std::vector<std::byte>> inputs;
  for (const graph::ValueId id : graph.inputs) {
    if (!shapes[id]) {
      return fail(Code::kUnsupported, "input '", graph.values[id].name,
                  "' is no tensor of a known shape, so that a mixed plan cannot be measured: use another cut");
    }
    auto bytes = make_up(graph.values[id], *shapes[id]);
    if (!bytes) return bytes.error();
    inputs.push_back(bytes.take());
  }
  partition::Options options;
  options.units = partition::Units::kNodes;
  auto nodes = partition::make_plan(graph, shapes, options);
  if (!nodes) return nodes.error();
  options.units = partition::Units::kWhole;
  auto whole = partition::make_plan(graph, shapes, options);
  if (!whole) return whole.error();

  auto together = run_all(subject, *whole, false, shapes, inputs);
  if (!together) return together.error();
  auto narrow = run_all(subject, *nodes, false, shapes, inputs);
  if (!narrow) return narrow.error();
  partition::Measured measured;
  measured.workers = subject->threads();
  auto wide = measured.workers > 1 ? run_all(subject, *nodes, true, shapes, inputs) : narrow;
  if (!wide) return wide.error();
  Result<schedule::ExecutorCosts> executor = schedule::ExecutorCosts{};
  if (measured.workers > 1) executor = schedule::measure_executor(subject->runtime);
  if (!executor) return executor.error();

  partition::Overheads& costs = measured.overheads;
  const double units = static_cast<double>(std::max<size_t>(nodes->units.size(), 1));
  // A node in a unit of its own cannot cost less than ONNX Runtime's shortest run, nor more than a cold one.
  costs.unit_ns = std::clamp((narrow->run_ns - together->run_ns) / units, 700., 8000.);
  costs.fork_ns = executor->fork_ns;
  costs.hand_over_ns = executor->hand_over_ns;
  costs.wake_ns = executor->wake_ns;
  costs.spin_ns = static_cast<double>(schedule::Executor::kSpinNs);
  measured.nodes.resize(graph.nodes.size());  // aliases take no time
  for (size_t u = 0; u < nodes->units.size(); ++u) {
    partition::NodeTime& time = measured.nodes[nodes->units[u].nodes.front()];
    time.narrow_ns = std::max(0., narrow->units_ns[u] - costs.unit_ns);
    time.wide_ns = std::max(0., wide->units_ns[u] - costs.unit_ns);
  }
  return measured;
}

}  // namespace plx::engine
