#include "plx/engine/trial.h"

#include <algorithm>
#include <limits>

#include "plx/engine/made_up.h"
#include "plx/schedule/session.h"

namespace plx::engine {

namespace {

constexpr int kRounds = 2;
constexpr int kRuns = 2;

using Trials = std::vector<std::optional<partition::Trial>>;

Status run_trials(const std::shared_ptr<const schedule::Subject>& subject, const std::shared_ptr<const partition::Plan>& plan,
                  const std::shared_ptr<device::Device>& device, const std::shared_ptr<const graph::Shapes>& shapes, Trials& trials) {
  auto compiled = schedule::CompiledPlan::make(subject, plan, device, shapes);
  if (!compiled) return compiled.error();
  auto session = schedule::Session::create(*compiled, 0);
  if (!session) return session.error();
  auto inputs = MadeUpInputs::make(*subject->graph, input_shapes(*subject->graph, *shapes), "offload all takes it as it is");
  if (!inputs) return inputs.error();
  if (auto s = inputs->bind(**session); !s) return s;
  for (int round = 0; round < kRounds; ++round) {
    for (const uint32_t where : {1u, 0u}) {
      schedule::Schedule schedule;
      for (size_t unit = 0; unit < plan->units.size(); ++unit) {
        const uint32_t on = plan->units[unit].region >= 0 ? where : 0;
        schedule.entries.push_back({static_cast<uint32_t>(unit), on, 0, 0});
      }
      if (auto s = (*session)->set_schedule(std::move(schedule)); !s) return s;
      auto times = shortest_times(**session, plan->units.size(), kRuns);
      if (!times) return times.error();
      for (size_t unit = 0; unit < plan->units.size(); ++unit) {
        if (plan->units[unit].region < 0) continue;
        partition::Trial& trial = *trials[plan->units[unit].region];
        double& shortest = where == 1 ? trial.device_s : trial.cpu_s;
        const double seconds = times->units_ns[unit] * 1e-9;
        shortest = round == 0 ? seconds : std::min(shortest, seconds);
        if (where == 1 && !times->fell_back[unit].empty()) trial.problem = times->fell_back[unit];
      }
    }
  }
  return {};
}

}  // namespace

Trials try_regions(const std::shared_ptr<const schedule::Subject>& given, const std::shared_ptr<const partition::Plan>& plan,
                   const std::shared_ptr<device::Device>& device, const std::shared_ptr<const graph::Shapes>& shapes) {
  // Units that are there to be measured are not worth keeping.
  auto uncached = std::make_shared<schedule::Subject>(*given);
  uncached->cache = nullptr;
  Trials trials(plan->regions.size());
  for (size_t r = 0; r < trials.size(); ++r) {
    if (plan->regions[r].accepted) trials[r] = partition::Trial{};
  }
  const Status ran = run_trials(std::move(uncached), plan, device, shapes, trials);
  if (ran) return trials;
  for (auto& trial : trials) {
    if (trial) trial = partition::Trial{0, 0, ran.error().message};
  }
  return trials;
}

}  // namespace plx::engine
