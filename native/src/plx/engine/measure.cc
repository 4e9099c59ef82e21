#include "plx/engine/measure.h"

#include <algorithm>

#include "plx/engine/made_up.h"
#include "plx/partition/plan.h"
#include "plx/schedule/executor.h"
#include "plx/schedule/overheads.h"
#include "plx/schedule/session.h"

namespace plx::engine {

namespace {

constexpr int kRuns = 6;

// A session of a plan with its inputs bound, timed.
Result<Times> run_all(const std::shared_ptr<const schedule::Subject>& subject, partition::Plan plan, bool wide, MadeUpInputs& inputs) {
  auto compiled = schedule::CompiledPlan::make(subject, std::make_shared<const partition::Plan>(std::move(plan)));
  if (!compiled) return compiled.error();
  auto session = schedule::Session::create(*compiled, wide ? 0 : 1);
  if (!session) return session.error();
  if (auto s = inputs.bind(**session); !s) return s.error();
  auto times = shortest_times(**session, (*compiled)->units().size(), kRuns);
  if (times) return times;
  Error error = times.error();
  error.message += " (on made-up inputs, to measure for a mixed plan: use another cut, or fix what the inputs may be)";
  return error;
}

}  // namespace

Result<partition::Measured> measure(const std::shared_ptr<const schedule::Subject>& given, const graph::Shapes& shapes) {
  // Units that are there to be measured are not worth keeping.
  auto uncached = std::make_shared<schedule::Subject>(*given);
  uncached->cache = nullptr;
  const std::shared_ptr<const schedule::Subject> subject = std::move(uncached);
  const graph::Graph& graph = *subject->graph;
  auto inputs = MadeUpInputs::make(graph, input_shapes(graph, shapes), "use another cut than mixed");
  if (!inputs) return inputs.error();
  partition::Options options;
  options.units = partition::Units::kNodes;
  auto nodes = partition::make_plan(graph, shapes, options);
  if (!nodes) return nodes.error();
  options.units = partition::Units::kWhole;
  auto whole = partition::make_plan(graph, shapes, options);
  if (!whole) return whole.error();

  auto together = run_all(subject, *whole, false, *inputs);
  if (!together) return together.error();
  auto narrow = run_all(subject, *nodes, false, *inputs);
  if (!narrow) return narrow.error();
  partition::Measured measured;
  measured.workers = subject->threads();
  auto wide = measured.workers > 1 ? run_all(subject, *nodes, true, *inputs) : narrow;
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
