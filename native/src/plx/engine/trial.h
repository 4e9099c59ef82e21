// Whether what is predicted to be faster on a device is.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "plx/device/device.h"
#include "plx/graph/shapes.h"
#include "plx/partition/plan.h"
#include "plx/schedule/compiled_plan.h"

namespace plx::engine {

// Runs the model on made-up inputs, with the plan's regions on the device and on the CPU by turns, and takes the shortest
// time of each. An entry per region, empty for what is not accepted. What keeps it from being tried is the trials' problem.
// Costs the preparation of all units and regions, and some 16 runs.
std::vector<std::optional<partition::Trial>> try_regions(const std::shared_ptr<const schedule::Subject>& subject,
                                                         const std::shared_ptr<const partition::Plan>& plan,
                                                         const std::shared_ptr<device::Device>& device,
                                                         const std::shared_ptr<const graph::Shapes>& shapes);

}  // namespace plx::engine
