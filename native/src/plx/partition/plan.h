// A plan: how a graph is cut, and why.
//
// Made by make_plan, or read back from JSON; immutable afterwards; every plan that leaves this folder has passed
// validate(). Terms are the paper's (section 3.1): a *branch* is a chain of nodes, a *layer* holds branches that do not
// depend on one another, a *delegate region* is a connected set of nodes that an accelerator would take as one piece. A
// *unit* is what runs as one piece; an *alias* is a view operator that is not work at all: its output is its first
// input's bytes under another shape.
//
// F counts table 8's doubled figure for convolutions and matrix products (2 FLOPs per multiply-accumulate); the
// delegation thresholds are stated in MACs, so they are compared with `macs`. Ratios Fmax / Fmin do not care.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"
#include "plx/graph/symbolic_shapes.h"

namespace plx::partition {

using graph::Graph;
using graph::NodeId;
using graph::ValueId;

enum class Units { kWhole = 0, kLayers = 1, kBranches = 2, kNodes = 3, kMixed = 4 };
enum class Rule { kPaper = 0, kRelaxed = 1 };
// By in- and out-degree over distinct neighbouring nodes; control flow is always kSplitMerge.
enum class NodeClass { kSequential, kSplitter, kMerger, kSplitMerge };

const char* units_name(Units units);       // "whole", "layers", "branches", "nodes", "mixed"
const char* rule_name(Rule rule);          // "paper", "relaxed"
const char* node_class_name(NodeClass c);  // "sequential", "splitter", "merger", "split-merge"

// See rates.h.
enum class OperatorClass { kConvolution, kProduct, kThin, kElementWise, kRows, kMovement };
inline constexpr size_t kOperatorClasses = 6;
struct Workload {
  int64_t launches = 0;                           // nodes that take any time
  std::array<double, kOperatorClasses> amount{};  // MACs or bytes
};
struct Rates {
  double launch_s = 0;                           // what a node takes beside its work
  std::array<double, kOperatorClasses> per_s{};  // MAC/s or B/s
};
// What is measured of a device and of the CPU beside it.
struct MeasuredRates {
  Rates device;
  Rates cpu;
};

// A device as it declares itself, present or not. Defaults are the paper's constants (section 3.1, appendix A).
struct DeviceProfile {
  std::string name;
  std::vector<std::string> operators;  // "Conv", or "domain:Op" outside ai.onnx
  int64_t min_nodes = 3;               // N
  double min_macs = 1e9;               // F
  double max_bytes_per_mac = 0.1;      // B / F
  double latency_s = 2e-4;             // L
  double r_acc = 2.6e13;               // MAC/s
  double b_bw = 51.2e9;                // B/s
  double r_cpu = 1e9;                  // MAC/s
  // With these, regions are judged by them, latency_s and b_bw, in place of the thresholds, r_acc and r_cpu.
  std::optional<MeasuredRates> measured;
};
// By measured rates a region has to be this much faster on the device: there is error in them.
inline constexpr double kMargin = 0.9;
// The declaration built in as "gpu"; and one read from JSON text.
DeviceProfile gpu_profile();
Result<DeviceProfile> device_profile_from_json(std::string_view json);
std::string to_json(const DeviceProfile& profile);

// Where a user wants something to run, whatever that costs.
struct Placement {
  std::string op;       // all nodes of an operator: "Conv", or "domain:Op"; empty: a region
  int region = -1;      // of the plan that is made without this placement
  bool on_device = false;
};
std::string placement_name(const Placement& placement);  // "Conv=cpu", "region 3=device"
// "Conv=cpu,region 3=device"; kInvalidArgument for anything else.
Result<std::vector<Placement>> placements_from_text(std::string_view text);

struct Options {
  Units units = Units::kWhole;
  Rule rule = Rule::kPaper;
  double beta = 1.5;
  int min_nodes = 3;  // the paper's N > 2
  std::optional<DeviceProfile> device;
  bool offload_all = false;  // every candidate region is accepted, whatever it costs
  // The device is there: its regions run on it, at the sizes that the graph's inputs have here (1 where none are given).
  bool present = false;
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  std::vector<Placement> placements;  // later ones before earlier ones, and all before offload_all
};

// What a region took when it was tried.
struct Trial {
  double device_s = 0;
  double cpu_s = 0;
  std::string problem;  // why it could not be tried; empty if it was
};

struct Region {
  std::vector<NodeId> nodes;  // topological
  double macs = 0;            // F
  uint64_t border_bytes = 0;  // B
  Workload work;
  double device_s = 0;        // predicted: L + F / r_acc + B / b_bw; by measured rates L + seconds(work) + B / b_bw
  double cpu_s = 0;           // F / r_cpu; by measured rates seconds(work)
  std::optional<Trial> trial; // of what was predicted to pay
  bool accepted = false;
  std::string reason;         // why it was given back to the CPU graph; empty when accepted
};

struct Branch {
  std::vector<NodeId> nodes;  // topological
  int layer = 0;
  std::vector<int> predecessors;  // branches, ascending
  int region = -1;                // index of the accepted region this branch is, or -1
  double flops = 0;               // F
  uint64_t border_bytes = 0;      // B: of the distinct tensors that cross its border, constants apart
};

struct Layer {
  std::vector<int> branches;
  // Sets of branches that may run together; every other branch of the layer runs alone. Rule::kPaper has at most one
  // group, the whole layer; Rule::kRelaxed may have several.
  std::vector<std::vector<int>> groups;
  std::string reason;  // why the layer is not parallel; empty when it is
  bool parallel() const { return !groups.empty(); }
};

struct Unit {
  std::vector<NodeId> nodes;    // topological
  std::vector<ValueId> inputs;  // produced outside (by other units, or graph inputs), each once, no initializers
  std::vector<ValueId> outputs; // produced inside and read outside or graph outputs, each once
  std::vector<int> predecessors;  // units, ascending; through aliases too
  int branch = -1;              // when the unit lies in one branch
  int layer = -1;               // when it lies in one layer
  int region = -1;
  double flops = 0;
  // M, the paper's section 3.3: the most bytes of tensors made inside that live at once when the nodes run one after the
  // other; what leaves the unit lives to its end. Constants, what is read from outside and sizes that are not known apart.
  uint64_t peak_bytes = 0;
  // How the unit is best run where the schedule has a choice: on the whole pool, or on one thread beside others. Mixed
  // units by measurement; units in a layer's group are narrow, all others wide.
  bool wide = true;
  int stretch = -1;      // mixed: units of one stretch come before all of the next
  double narrow_ns = 0;  // mixed: measured, the sum of its nodes' times on one thread
  double wide_ns = 0;    // and on the whole pool
};

// A view node that no unit contains: outputs[0] has the bytes of inputs[0].
struct Alias {
  NodeId node = graph::kNone;
};

// One line of the paper's table 7.
struct Census {
  size_t nodes = 0;
  size_t branches = 0;
  size_t layers = 0;
  size_t parallel_layers = 0;
  size_t most_branches = 0;  // in one layer
};

// What a device that is there says of a graph.
struct DeviceAnswers {
  std::vector<std::string> refusals;        // of each node, why the device does not take it; empty if it does
  std::vector<std::optional<Trial>> trials; // per region of the plan that is made without them; may be empty
};

struct Plan {
  Options options;
  std::string graph_digest;  // of the graph it was made for
  std::vector<NodeClass> classes;  // per node
  std::vector<Region> regions;
  std::vector<Branch> branches;
  std::vector<Layer> layers;
  std::vector<Unit> units;      // in an order in which they may run one after the other
  std::vector<Alias> aliases;   // topological
  Census cut;                   // regions counted as one node each
  size_t unknown_sizes = 0;     // nodes whose FLOPs could not be told: a size was not known
  std::vector<std::string> refusals;  // of a device that is there, and of placements; not in JSON
};

struct Measured;  // mix.h

// Analyses and cuts. Units::kMixed needs `measured`; nobody else looks at it. `shapes` has an entry per value (unknown ones count nothing, see Plan::unknown_sizes).
Result<Plan> make_plan(const Graph& graph, const graph::Shapes& shapes, const Options& options,
                       const Measured* measured = nullptr, const DeviceAnswers* answers = nullptr);

// Re-checks a plan from the graph alone, sharing no code with make_plan: every node in exactly one branch, every branch
// in one layer later than its predecessors', every node in exactly one unit or alias, no cycle between units, unit
// order a topological one, every unit's inputs and outputs exactly right, every input produced before use, groups
// disjoint, classes right.
Status validate(const Graph& graph, const Plan& plan);

std::string digest(const Graph& graph);  // of structure: operators, names of values, edges, attributes; not of weights

std::string to_json(const Graph& graph, const Plan& plan);
// The tensors outside units with their shapes, which are no part of the plan: one per value in `shapes`; as the model
// declares them if that is empty.
std::string tensors_json(const Graph& graph, const Plan& plan, const graph::SymbolicShapes& shapes);
// kInvalidPlan, with the place, for anything that is not a valid plan of this graph.
Result<Plan> from_json(const Graph& graph, std::string_view json);
std::string to_text(const Graph& graph, const Plan& plan);

// FLOPs and MACs of one node at the given shapes (the paper's table 8); nothing if a size it needs is unknown.
struct Work {
  double flops = 0;
  double macs = 0;
};
std::optional<Work> estimate(const Graph& graph, const graph::Shapes& shapes, NodeId node);

}  // namespace plx::partition
