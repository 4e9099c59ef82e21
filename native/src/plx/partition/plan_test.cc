#include "plx/partition/plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "plx/partition/graph_builder.h"

namespace plx::partition {
namespace {

// Accepts small regions, so that random graphs have some.
DeviceProfile eager_device() {
  DeviceProfile device = gpu_profile();
  device.min_nodes = 2;
  device.min_macs = 1;
  device.max_bytes_per_mac = 1e6;
  device.latency_s = 0;
  device.r_acc = 1e15;
  device.b_bw = 1e15;
  device.r_cpu = 1e6;
  return device;
}

std::vector<Options> all_options() {
  std::vector<Options> all;
  for (const Units units : {Units::kWhole, Units::kLayers, Units::kBranches, Units::kNodes}) {
    for (const Rule rule : {Rule::kPaper, Rule::kRelaxed}) {
      for (const bool device : {false, true}) {
        Options options;
        options.units = units;
        options.rule = rule;
        options.min_nodes = 2;
        if (device) options.device = eager_device();
        all.push_back(options);
      }
    }
  }
  return all;
}

struct Seen {
  size_t plans = 0;
  size_t aliases = 0;
  size_t accepted = 0;
  size_t parallel = 0;
  size_t control_flow = 0;
};

// make_plan ends with validate(), so a plan that comes back has passed it.
void plan_all_ways(const Built& g, const std::string& which, Seen& seen) {
  for (const Options& options : all_options()) {
    const auto plan = make_plan(g.graph, g.shapes, options);
    ASSERT_TRUE(plan) << which << ", units " << units_name(options.units) << ", rule " << rule_name(options.rule)
                      << (options.device ? ", device: " : ": ") << plan.error().message;
    if (seen.plans++ % 7 == 0) {
      const std::string json = to_json(g.graph, *plan);
      const auto back = from_json(g.graph, json);
      ASSERT_TRUE(back) << which << ": " << back.error().message;
      ASSERT_EQ(to_json(g.graph, *back), json) << which;
      ASSERT_FALSE(to_text(g.graph, *plan).empty());
    }
    seen.aliases += plan->aliases.size();
    seen.parallel += plan->cut.parallel_layers;
    for (const Region& region : plan->regions) seen.accepted += region.accepted ? 1 : 0;
  }
  for (const graph::Node& node : g.graph.nodes) seen.control_flow += node.has_subgraph ? 1 : 0;
}

TEST(Plan, RandomGraphs) {
  Seen seen;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    RandomGraph shape;
    shape.nodes = 5 + static_cast<int>(seed % 60);
    shape.locality = seed % 3 == 0 ? 2 : seed % 3 == 1 ? 5 : 20;
    if (seed % 5 == 0) shape.views = 60;
    if (seed % 7 == 0) shape.control_flow = 20;
    plan_all_ways(random_graph(seed, shape), "random graph " + std::to_string(seed), seen);
    if (HasFatalFailure()) return;
  }
  // The generator has to reach what it is there to reach.
  EXPECT_GT(seen.aliases, 5000u);
  EXPECT_GT(seen.accepted, 1000u);
  EXPECT_GT(seen.parallel, 100u);
  EXPECT_GT(seen.control_flow, 100u);
}

TEST(Plan, SeriesParallelGraphs) {
  Seen seen;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    plan_all_ways(series_parallel_graph(seed, 1 + static_cast<int>(seed % 3)),
                  "series-parallel graph " + std::to_string(seed), seen);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(seen.parallel, 100u);
}

TEST(Plan, WithoutShapesEverythingStillHasAPlace) {
  const Built g = random_graph(7, RandomGraph{});
  for (const Options& options : all_options()) {
    const auto plan = make_plan(g.graph, {}, options);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_GT(plan->unknown_sizes, 0u);
    EXPECT_EQ(plan->cut.parallel_layers, 0u);
    EXPECT_TRUE(plan->regions.empty());
  }
}

TEST(Plan, IsTheSameEveryTime) {
  const Built g = random_graph(11, RandomGraph{});
  for (const Options& options : all_options()) {
    const auto a = make_plan(g.graph, g.shapes, options);
    const auto b = make_plan(g.graph, g.shapes, options);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(to_json(g.graph, *a), to_json(g.graph, *b));
  }
}

TEST(Plan, BadOptionsAreNamed) {
  const Built g = GraphBuilder().build();
  const auto message = [&](auto change) {
    Options options;
    options.device = gpu_profile();
    change(options);
    const auto plan = make_plan(g.graph, g.shapes, options);
    if (plan) return std::string("accepted");
    EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
    return plan.error().message;
  };
  EXPECT_EQ(message([](Options& o) { o.beta = 0.5; }), "beta is 0.5; it must be at least 1");
  EXPECT_EQ(message([](Options& o) { o.beta = std::nan(""); }), "beta is nan; it must be at least 1");
  EXPECT_EQ(message([](Options& o) { o.beta = INFINITY; }), "beta is inf; it must be at least 1");
  EXPECT_EQ(message([](Options& o) { o.min_nodes = 0; }), "min_nodes is 0; it must be at least 1");
  EXPECT_EQ(message([](Options& o) { o.device->r_acc = 0; }),
            "device profile 'gpu': 'r_acc' is 0; it must be at least 1");
  EXPECT_EQ(message([](Options& o) { o.device->name = ""; }), "device profile: 'name' is empty");
  EXPECT_EQ(message([](Options&) {}), "accepted");
}

// ---- digest ---------------------------------------------------------------------------------------------------------

Built small_graph() {
  GraphBuilder b;
  const ValueId x = b.input("x", GraphBuilder::Dims{1, 8});
  const ValueId w = b.constant("w", {8, 8});
  b.output(b.op("Relu", {b.op("MatMul", {x, w}, GraphBuilder::Dims{1, 8}, {int_attr("a", 1)})}));
  return b.build();
}

TEST(Digest, CoversStructureAndNeitherWeightsNorNamesOfNodes) {
  const std::string base = digest(small_graph().graph);
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(base.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(digest(small_graph().graph), base);

  using Change = void (*)(graph::Graph&);
  static const std::string other_attribute = int_attr("a", 2);
  const std::vector<std::pair<const char*, Change>> changes = {
      {"operator", [](graph::Graph& g) { g.nodes[1].op_type = "Tanh"; }},
      {"domain", [](graph::Graph& g) { g.nodes[1].domain = "x"; }},
      {"overload", [](graph::Graph& g) { g.nodes[1].overload = "x"; }},
      {"value name", [](graph::Graph& g) { g.values[0].name += "x"; }},
      {"attribute", [](graph::Graph& g) { g.nodes[0].attributes[0] = other_attribute; }},
      {"no attribute", [](graph::Graph& g) { g.nodes[0].attributes.clear(); }},
      {"edge", [](graph::Graph& g) { g.nodes[1].inputs[0] = 0; }},
      {"capture", [](graph::Graph& g) { g.nodes[1].captures = {0}; }},
      {"output", [](graph::Graph& g) { g.values[2].is_output = true; }},
      {"opset", [](graph::Graph& g) { g.opsets[""] = 18; }},
      {"domain of opset", [](graph::Graph& g) { g.opsets["x"] = 1; }},
      {"weight's shape", [](graph::Graph& g) { g.initializers[0].dims[0] = 9; }},
      {"weight's type", [](graph::Graph& g) { g.initializers[0].element = graph::ElementType::kFloat16; }},
      {"function", [](graph::Graph& g) { g.functions.push_back("f"); }},
      {"one input more", [](graph::Graph& g) { g.nodes[1].inputs.push_back(graph::kNone); }},
  };
  for (const auto& [name, change] : changes) {
    Built g = small_graph();
    change(g.graph);
    EXPECT_NE(digest(g.graph), base) << name;
  }
  Built g = small_graph();
  const std::vector<std::byte> weights(256, std::byte{1});
  g.graph.initializers[0].data = weights.data();
  EXPECT_EQ(digest(g.graph), base) << "weights";
  g.graph.nodes[1].name += "x";
  EXPECT_EQ(digest(g.graph), base) << "a node's name";
}

}  // namespace
}  // namespace plx::partition
