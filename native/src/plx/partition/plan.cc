#include "plx/partition/plan.h"

#include <cmath>

#include "plx/partition/branches.h"
#include "plx/partition/costs.h"
#include "plx/partition/dag.h"
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
                       const Refusals* refusals) {
  if (Status status = check_options(options); !status) return status.error();
  if (options.units == Units::kMixed && measured == nullptr) {
    return fail(Code::kInvalidArgument, "a mixed plan needs measured times");
  }
  if (options.units == Units::kMixed && options.device) {
    return fail(Code::kUnsupported, "a mixed plan is for the CPU alone: cut into branches to see what device '",
                options.device->name, "' would take");
  }
  Plan plan;
  plan.options = options;
  plan.graph_digest = digest(graph);
  const Dag nodes = node_dag(graph);
  const Costs costs = weigh(graph, shapes);
  plan.unknown_sizes = costs.unknown_nodes;
  if (refusals != nullptr) plan.refusals = *refusals;
  if (options.device) plan.regions = find_regions(graph, nodes, costs, options, refusals);
  cut_branches(graph, nodes, costs, plan);
  if (Status status = cut_units(graph, shapes, nodes, costs, measured, plan); !status) return status.error();
  if (Status status = validate(graph, plan); !status) {
    return fail(Code::kInternal, "a defect in Parallax: its own plan is not valid: ", status.error().message);
  }
  return plan;
}

}  // namespace plx::partition
