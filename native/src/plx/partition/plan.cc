#include "plx/partition/plan.h"

#include <cmath>

#include "plx/partition/branches.h"
#include "plx/partition/costs.h"
#include "plx/partition/dag.h"
#include "plx/partition/format.h"
#include "plx/partition/profile.h"
#include "plx/partition/regions.h"
#include "plx/partition/units.h"

namespace plx::partition {

namespace {

Status check_options(const Options& options) {
  if (!(options.beta >= 1) || !std::isfinite(options.beta)) {
    return fail(Code::kInvalidArgument, "beta is ", options.beta, "; it must be at least 1");
  }
  if (options.min_nodes < 1) {
    return fail(Code::kInvalidArgument, "min_nodes is ", options.min_nodes, "; it must be at least 1");
  }
  return options.device ? check_profile(*options.device) : Status();
}

}  // namespace

const char* units_name(Units units) {
  switch (units) {
    case Units::kWhole: return "whole";
    case Units::kLayers: return "layers";
    case Units::kBranches: return "branches";
    case Units::kNodes: return "nodes";
    case Units::kMixed: return "mixed";
  }
  return "unknown";
}

const char* rule_name(Rule rule) {
  switch (rule) {
    case Rule::kPaper: return "paper";
    case Rule::kRelaxed: return "relaxed";
  }
  return "unknown";
}

const char* node_class_name(NodeClass c) {
  switch (c) {
    case NodeClass::kSequential: return "sequential";
    case NodeClass::kSplitter: return "splitter";
    case NodeClass::kMerger: return "merger";
    case NodeClass::kSplitMerge: return "split-merge";
  }
  return "unknown";
}

Result<Plan> make_plan(const Graph& graph, const graph::Shapes& shapes, const Options& options, const Measured* measured,
                       const DeviceAnswers* answers) {
  if (Status status = check_options(options); !status) return status.error();
  if (options.units == Units::kMixed && options.device) {
    return fail(Code::kUnsupported, "a mixed plan is for the CPU alone: cut into branches to see what device '",
                options.device->name, "' would take");
  }
  if (options.units == Units::kMixed && measured == nullptr) {
    return fail(Code::kInvalidArgument, "a mixed plan needs measured times");
  }
  Plan plan;
  plan.options = options;
  plan.graph_digest = digest(graph);
  const Dag nodes = node_dag(graph);
  const Costs costs = weigh(graph, shapes);
  plan.unknown_sizes = costs.unknown_nodes;
  if (options.device) {
    auto regions = find_regions(graph, nodes, costs, options, answers);
    if (!regions) return regions.error();
    plan.regions = regions.take();
    if (answers != nullptr) plan.refusals = answers->refusals;
    else plan.refusals.resize(graph.nodes.size());
    const std::vector<std::string> kept = kept_on_cpu(graph, options.placements);
    for (size_t node = 0; node < kept.size(); ++node) {
      if (!kept[node].empty()) plan.refusals[node] = "it is placed on the CPU: " + kept[node];
    }
  } else if (!options.placements.empty()) {
    return fail(Code::kInvalidArgument, "'", printable(placement_name(options.placements.front())),
                "' is about a device's regions, and the plan is for no device");
  }
  cut_branches(graph, nodes, costs, plan);
  if (Status status = cut_units(graph, shapes, nodes, costs, measured, plan); !status) return status.error();
  if (Status status = validate(graph, plan); !status) {
    return fail(Code::kInternal, "a defect in Parallax: its own plan is not valid: ", status.error().message);
  }
  return plan;
}

}  // namespace plx::partition
