// Valid plans, broken one invariant at a time: the validator has to refuse each, and say what is wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "plx/partition/graph_builder.h"
#include "plx/partition/plan.h"

namespace plx::partition {
namespace {

using Dims = GraphBuilder::Dims;

// A region of three products, a split into two chains of four with a view before and behind, a merger, a loose node:
//   0 TopK | 1 2 3 MatMul (region) | 4 Relu (splits) | 5 view 6 7 8 Relu 9 view | 10 11 12 13 Relu | 14 Add 15 Relu |
//   16 RandomNormal
Built graph() {
  GraphBuilder b;
  const Dims dims{1024, 1024};
  const ValueId w = b.constant("w", dims);
  ValueId v = b.op("TopK", {b.input("x", dims)}, dims);
  for (int i = 0; i < 3; ++i) v = b.op("MatMul", {v, w}, dims);
  const ValueId s = b.op("Sort", {v}, dims);
  ValueId left = b.op("Flatten", {s}, dims);
  for (int i = 0; i < 3; ++i) left = b.op("Softplus", {left}, dims);
  left = b.op("Flatten", {left}, dims);
  ValueId right = s;
  for (int i = 0; i < 4; ++i) right = b.op("Softplus", {right}, dims);
  b.output(b.op("LRN", {b.op("Add", {left, right}, dims)}, dims));
  b.op("RandomNormal", {}, dims);
  return b.build();
}

DeviceProfile device() {
  DeviceProfile profile = gpu_profile();
  profile.operators = {"MatMul"};
  return profile;
}

Plan valid(const Built& g, Units units) {
  Options options;
  options.units = units;
  options.rule = Rule::kPaper;
  options.beta = 2;
  options.device = device();
  auto plan = make_plan(g.graph, g.shapes, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *plan : Plan{};
}

struct Mutation {
  const char* name;
  std::function<void(Plan&)> change;
  const char* message;  // a part of it
};

void refuses(Units units, const std::vector<Mutation>& mutations) {
  const Built g = graph();
  const Plan plan = valid(g, units);
  ASSERT_TRUE(validate(g.graph, plan));
  for (const Mutation& m : mutations) {
    Plan broken = plan;
    m.change(broken);
    const Status status = validate(g.graph, broken);
    ASSERT_FALSE(status) << m.name << " was accepted";
    EXPECT_EQ(status.error().code, Code::kInvalidPlan) << m.name;
    EXPECT_NE(status.error().message.find(m.message), std::string::npos) << m.name << ": " << status.error().message;
  }
}

TEST(Validate, TheFixtureIsWhatTheMutationsAssume) {
  const Built g = graph();
  const Plan plan = valid(g, Units::kBranches);
  ASSERT_EQ(plan.regions.size(), 1u);
  EXPECT_TRUE(plan.regions[0].accepted) << plan.regions[0].reason;
  ASSERT_EQ(plan.branches.size(), 7u);
  EXPECT_EQ(plan.branches[3].nodes, (std::vector<NodeId>{5, 6, 7, 8, 9}));
  EXPECT_EQ(plan.branches[4].nodes, (std::vector<NodeId>{10, 11, 12, 13}));
  EXPECT_EQ(plan.cut.parallel_layers, 1u);
  EXPECT_EQ(plan.layers[3].groups, (std::vector<std::vector<int>>{{3, 4}}));
  ASSERT_EQ(plan.units.size(), 7u);
  EXPECT_EQ(plan.units[1].region, 0);
  EXPECT_EQ(plan.units[3].nodes, (std::vector<NodeId>{6, 7, 8}));
  EXPECT_EQ(plan.units[5].nodes, (std::vector<NodeId>{14, 15}));
  ASSERT_EQ(plan.aliases.size(), 2u);
}

TEST(Validate, Options) {
  refuses(Units::kBranches, {
      {"digest", [](Plan& p) { p.graph_digest = "0"; }, "made for another graph"},
      {"beta", [](Plan& p) { p.options.beta = std::nan(""); }, "beta is nan"},
      {"low beta", [](Plan& p) { p.options.beta = 0; }, "beta is 0"},
      {"min_nodes", [](Plan& p) { p.options.min_nodes = -1; }, "min_nodes is -1"},
      {"units", [](Plan& p) { p.options.units = static_cast<Units>(9); }, "unknown units"},
      {"rule", [](Plan& p) { p.options.rule = static_cast<Rule>(-1); }, "unknown units or rule"},
      {"unknown_sizes", [](Plan& p) { p.unknown_sizes = 99; }, "unknown_sizes is 99"},
      {"no device", [](Plan& p) { p.options.device.reset(); }, "no device"},
      {"device rate", [](Plan& p) { p.options.device->r_acc = 0; }, "device 'gpu'"},
      {"device number", [](Plan& p) { p.options.device->min_macs = INFINITY; }, "device 'gpu'"},
  });
}

TEST(Validate, Regions) {
  const auto region = [](auto change) { return [change](Plan& p) { change(p.regions[0]); }; };
  refuses(Units::kBranches, {
      {"empty", region([](Region& r) { r.nodes.clear(); }), "region 0: has no nodes"},
      {"index too large", region([](Region& r) { r.nodes.push_back(17); }), "node 17 does not exist"},
      {"negative index", region([](Region& r) { r.nodes[0] = -1; }), "node -1 does not exist"},
      {"twice", region([](Region& r) { r.nodes[1] = 1; }), "nodes must ascend"},
      {"unsorted", region([](Region& r) { std::swap(r.nodes[0], r.nodes[1]); }), "nodes must ascend"},
      {"undeclared", region([](Region& r) { r.nodes.push_back(4); }), "does not declare the operator of node 4"},
      {"twice over", [](Plan& p) { p.regions.push_back(p.regions[0]); }, "is in region 0 too"},
      {"not connected", region([](Region& r) { r.nodes.erase(r.nodes.begin() + 1); }), "not connected"},
      {"macs", region([](Region& r) { r.macs = std::nan(""); }), "must be finite"},
      {"negative macs", region([](Region& r) { r.macs = -1; }), "must be finite and not negative"},
      {"times", region([](Region& r) { r.device_s *= 2; }), "are not what its macs, work and border_bytes give"},
      {"bytes", region([](Region& r) { r.border_bytes *= 2; }), "are not what its macs, work and border_bytes give"},
      {"given back", region([](Region& r) { r.accepted = false; r.reason = "no"; }), "is given back though"},
      {"accepted", [](Plan& p) { p.options.device->min_nodes = 4; }, "is accepted against"},
      {"reason", region([](Region& r) { r.reason = "none"; }), "a reason belongs"},
      {"left out", [](Plan& p) { p.regions.clear(); }, "region 0 is no accepted region"},
      {"placed elsewhere", [](Plan& p) { p.options.placements = {{.op = "", .region = 0, .on_device = false}}; }, "is not where the options place it"},
      {"kept", [](Plan& p) { p.options.placements = {{.op = "MatMul", .region = -1, .on_device = false}}; }, "is placed on the CPU by the options"},
  });
}

TEST(Validate, RegionsJudgedByMeasuredRates) {
  const Built g = graph();
  Options options;
  options.units = Units::kBranches;
  options.beta = 2;
  options.device = device();
  options.device->measured = MeasuredRates{};
  options.device->measured->device.per_s.fill(1e12);
  options.device->measured->cpu.per_s.fill(1e9);
  DeviceAnswers answers;
  answers.refusals.resize(g.graph.nodes.size(), "no");
  for (size_t node = 0; node < g.graph.nodes.size(); ++node) {
    if (g.graph.nodes[node].op_type == "MatMul") answers.refusals[node].clear();
  }
  answers.trials = {Trial{1e-3, 2e-3, {}}};
  const auto plan = make_plan(g.graph, g.shapes, options, nullptr, &answers);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_TRUE(plan->regions[0].accepted) << plan->regions[0].reason;
  const std::vector<Mutation> mutations = {
      {"work", [](Plan& p) { p.regions[0].work.amount[1] *= 2; }, "are not what its macs, work and border_bytes give"},
      {"launches", [](Plan& p) { p.regions[0].work.launches = -1; }, "must be finite and not negative"},
      {"negative work", [](Plan& p) { p.regions[0].work.amount[3] = -1; }, "must be finite and not negative"},
      {"trial", [](Plan& p) { p.regions[0].trial->device_s = 1.9e-3; }, "is accepted against"},
      {"trial that is no number", [](Plan& p) { p.regions[0].trial->cpu_s = NAN; }, "must be finite"},
      {"rate", [](Plan& p) { p.options.device->measured->cpu.per_s[0] = 0; }, "a measured rate is below 1"},
      {"launch", [](Plan& p) { p.options.device->measured->cpu.launch_s = -1; }, "a measured rate is below 1"},
      {"slower", [](Plan& p) {
         p.options.device->measured->device = p.options.device->measured->cpu;
         p.regions[0].device_s = p.regions[0].cpu_s + p.options.device->latency_s +
                                 static_cast<double>(p.regions[0].border_bytes) / p.options.device->b_bw;
       }, "is accepted against"},
  };
  for (const Mutation& m : mutations) {
    Plan broken = *plan;
    m.change(broken);
    const Status status = validate(g.graph, broken);
    ASSERT_FALSE(status) << m.name;
    EXPECT_NE(status.error().message.find(m.message), std::string::npos) << m.name << ": " << status.error().message;
  }
}

TEST(Validate, ClassesAndBranches) {
  const auto branch = [](int b, auto change) { return [=](Plan& p) { change(p.branches[b]); }; };
  refuses(Units::kBranches, {
      {"class", [](Plan& p) { p.classes[4] = NodeClass::kSequential; },
       "node 4 'n4' (Sort) is splitter, not sequential"},
      {"garbage class", [](Plan& p) { p.classes[4] = static_cast<NodeClass>(77); }, "is splitter, not unknown"},
      {"too few classes", [](Plan& p) { p.classes.pop_back(); }, "classes: 16 for 17 nodes"},
      {"too many classes", [](Plan& p) { p.classes.push_back(NodeClass::kMerger); }, "classes: 18 for 17 nodes"},
      {"empty branch", branch(0, [](Branch& b) { b.nodes.clear(); }), "branch 0: has no nodes"},
      {"index", branch(0, [](Branch& b) { b.nodes[0] = 1 << 30; }), "does not exist"},
      {"node twice", branch(4, [](Branch& b) { b.nodes.insert(b.nodes.begin(), 9); }), "is in branch 3 too"},
      {"node missing", branch(4, [](Branch& b) { b.nodes.pop_back(); }), "node 13 'n13' (Softplus) is in none"},
      {"order", branch(4, [](Branch& b) { std::swap(b.nodes[0], b.nodes[1]); }), "nodes must ascend"},
      {"no chain", [](Plan& p) {
         p.branches[4].nodes.insert(p.branches[4].nodes.end(), p.branches[5].nodes.begin(), p.branches[5].nodes.end());
         p.branches.erase(p.branches.begin() + 5);
       }, "is no chain"},
      {"flops", branch(0, [](Branch& b) { b.flops = -1; }), "branch 0: flops"},
      {"region", branch(1, [](Branch& b) { b.region = 5; }), "region 5 is no accepted region"},
      {"negative region", branch(1, [](Branch& b) { b.region = -2; }), "region -2 is no accepted region"},
      {"no region", branch(1, [](Branch& b) { b.region = -1; }), "belongs to region 0"},
      {"someone else's region", branch(0, [](Branch& b) { b.region = 0; }), "are not those of region 0"},
      {"predecessor missing", branch(5, [](Branch& b) { b.predecessors.pop_back(); }), "branch 5: its predecessors"},
      {"predecessor more", branch(5, [](Branch& b) { b.predecessors.push_back(6); }), "branch 5: its predecessors"},
      {"wild predecessor", branch(5, [](Branch& b) { b.predecessors[0] = -7; }), "branch 5: its predecessors"},
      {"layer", branch(5, [](Branch& b) { b.layer = 99; }), "layer 99 does not exist"},
      {"negative layer", branch(5, [](Branch& b) { b.layer = -1; }), "layer -1 does not exist"},
      {"layer too early", branch(5, [](Branch& b) { b.layer = 3; }), "is not later than layer 3"},
  });
}

TEST(Validate, Layers) {
  const auto layer = [](int l, auto change) { return [=](Plan& p) { change(p.layers[l]); }; };
  refuses(Units::kBranches, {
      {"empty", [](Plan& p) { p.layers.emplace_back(); }, "layer 5: has no branches"},
      {"missing branch", layer(0, [](Layer& l) { l.branches.pop_back(); }), "branch 6 is in none"},
      {"branch twice", layer(0, [](Layer& l) { l.branches.push_back(0); }), "listed twice"},
      {"index", layer(0, [](Layer& l) { l.branches.push_back(-3); }), "branch -3 does not exist"},
      {"large index", layer(0, [](Layer& l) { l.branches.push_back(7); }), "branch 7 does not exist"},
      {"someone else's", layer(0, [](Layer& l) { l.branches.push_back(1); }), "says it is in layer 1"},
      {"reason missing", layer(0, [](Layer& l) { l.reason = ""; }), "a reason belongs"},
      {"reason too many", layer(3, [](Layer& l) { l.reason = "why"; }), "a reason belongs"},
      {"empty group", layer(3, [](Layer& l) { l.groups.emplace_back(); }), "two branches at least"},
      {"group of one", layer(3, [](Layer& l) { l.groups[0].pop_back(); }), "two branches at least"},
      {"grouped twice", layer(3, [](Layer& l) { l.groups.push_back(l.groups[0]); }), "is grouped twice"},
      {"group elsewhere", layer(3, [](Layer& l) { l.groups[0][0] = 0; }), "is not in the layer"},
      {"group index", layer(3, [](Layer& l) { l.groups[0][0] = -1; }), "is not in the layer"},
      {"short", [](Plan& p) { p.options.min_nodes = 5; }, "branch 4 is too short"},
      {"idle", [](Plan& p) { p.branches[4].flops = 0; }, "branch 4 is too short or has no FLOPs"},
      {"ratio", [](Plan& p) { p.options.beta = 1; }, "Fmax / Fmin is more than 1"},
      {"census nodes", [](Plan& p) { ++p.cut.nodes; }, "census"},
      {"census branches", [](Plan& p) { ++p.cut.branches; }, "census"},
      {"census layers", [](Plan& p) { ++p.cut.layers; }, "census"},
      {"census parallel", [](Plan& p) { --p.cut.parallel_layers; }, "census"},
      {"census most", [](Plan& p) { ++p.cut.most_branches; }, "census"},
  });
  // Two branches of three together are no "whole layer".
  GraphBuilder b;
  std::vector<ValueId> ends;
  for (int i = 0; i < 3; ++i) ends.push_back(b.chain(b.input("x"), 3));
  b.output(b.op("Sum", ends));
  const Built g = b.build();
  auto plan = make_plan(g.graph, g.shapes, {});
  ASSERT_TRUE(plan);
  plan->layers[0].groups[0].pop_back();
  const Status status = validate(g.graph, *plan);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("rule 'paper'"), std::string::npos) << status.error().message;
}

TEST(Validate, Units) {
  const auto unit = [](int u, auto change) { return [=](Plan& p) { change(p.units[u]); }; };
  refuses(Units::kBranches, {
      {"empty", [](Plan& p) { p.units.emplace_back(); }, "unit 7: has no nodes"},
      {"node missing", unit(3, [](Unit& u) { u.nodes.pop_back(); }), "node 8 'n8' (Softplus) is in no unit"},
      {"unit missing", [](Plan& p) { p.units.pop_back(); }, "is in no unit and no alias"},
      {"alias missing", [](Plan& p) { p.aliases.pop_back(); }, "is in no unit and no alias"},
      {"node twice", unit(3, [](Unit& u) { u.nodes.push_back(10); }), "too"},
      {"unit twice", [](Plan& p) { p.units.push_back(p.units[0]); }, "is in unit 0 too"},
      {"alias in a unit too", unit(3, [](Unit& u) { u.nodes.push_back(9); }), "is in a unit too"},
      {"index", unit(3, [](Unit& u) { u.nodes[0] = -5; }), "node -5 does not exist"},
      {"order of nodes", unit(3, [](Unit& u) { std::swap(u.nodes[0], u.nodes[1]); }), "nodes must ascend"},
      {"flops", unit(3, [](Unit& u) { u.flops = INFINITY; }), "unit 3: flops"},
      {"branch", unit(3, [](Unit& u) { u.branch = 4; }), "branch is 4 where its nodes say 3"},
      {"no branch", unit(3, [](Unit& u) { u.branch = -1; }), "branch is -1 where"},
      {"layer", unit(3, [](Unit& u) { u.layer = 0; }), "layer is 0 where its nodes say 3"},
      {"region", unit(1, [](Unit& u) { u.region = -1; }), "region is -1 where its nodes say 0"},
      {"wild region", unit(0, [](Unit& u) { u.region = 12; }), "region is 12 where its nodes say -1"},
      {"input missing", unit(3, [](Unit& u) { u.inputs.clear(); }), "unit 3 inputs: value"},
      {"input twice", unit(5, [](Unit& u) { u.inputs.push_back(u.inputs[0]); }), "listed twice"},
      {"input more", unit(3, [](Unit& u) { u.inputs.push_back(0); }), "does not belong there"},
      {"input index", unit(3, [](Unit& u) { u.inputs[0] = 1 << 20; }), "does not exist"},
      {"negative input", unit(3, [](Unit& u) { u.inputs[0] = -1; }), "value -1 does not exist"},
      {"output missing", unit(3, [](Unit& u) { u.outputs.clear(); }), "unit 3 outputs: value"},
      {"output more", unit(3, [](Unit& u) { u.outputs.push_back(2); }), "does not belong there"},
      {"predecessor missing", unit(5, [](Unit& u) { u.predecessors.pop_back(); }), "unit 5: its predecessors"},
      {"predecessor more", unit(6, [](Unit& u) { u.predecessors.push_back(0); }), "unit 6: its predecessors"},
      {"predecessor twice", unit(5, [](Unit& u) { u.predecessors.push_back(u.predecessors.back()); }),
       "unit 5: its predecessors"},
      {"order of units", [](Plan& p) { std::swap(p.units[0], p.units[1]); }, "which does not run before it"},
      {"two branches in one", [](Plan& p) {
         p.units[3].nodes.insert(p.units[3].nodes.end(), p.units[4].nodes.begin(), p.units[4].nodes.end());
         p.units[3].branch = -1;
         p.units.erase(p.units.begin() + 4);
       }, "holds more than one of the plan's branches"},
      {"half a branch", [](Plan& p) {
         Unit half = p.units[3];
         half.nodes = {8};
         p.units[3].nodes = {6, 7};
         p.units.insert(p.units.begin() + 4, half);
       }, "one unit each"},
      {"half a region", [](Plan& p) {
         Unit half = p.units[1];
         half.nodes = {3};
         p.units[1].nodes = {1, 2};
         p.units.insert(p.units.begin() + 2, half);
       }, "only a part of region 0"},
      {"region and others", [](Plan& p) {
         p.units[0].nodes = {0, 1, 2, 3};
         p.units[0].branch = p.units[0].layer = -1;
         p.units.erase(p.units.begin() + 1);
       }, "mixes region -1 with other nodes"},
  });
  refuses(Units::kNodes, {
      {"two nodes in one", [](Plan& p) {
         p.units[3].nodes = {6, 7};
         p.units.erase(p.units.begin() + 5);
       }, ""},
  });
  refuses(Units::kLayers, {
      {"half a layer", [](Plan& p) {
         for (size_t u = 0; u < p.units.size(); ++u) {
           if (p.units[u].nodes.size() != 7) continue;
           Unit half = p.units[u];
           p.units[u].nodes = {6, 7, 8};
           half.nodes = {10, 11, 12, 13};
           p.units[u].branch = 3;
           half.branch = 4;
           p.units.push_back(half);
           return;
         }
       }, "one unit each"},
  });
  refuses(Units::kWhole, {
      {"alias", [](Plan& p) {
         p.units[0].nodes.erase(p.units[0].nodes.begin() + 5);
         p.aliases.push_back(Alias{5});
       }, "'whole' means one unit and no aliases"},
      {"two units", [](Plan& p) {
         p.units.push_back(p.units[0]);
         p.units[1].nodes = {16};
         p.units[0].nodes.pop_back();
       }, "'whole' means one unit"},
      {"branch", [](Plan& p) { p.units[0].branch = 0; }, "branch is 0 where its nodes say -1"},
  });
}

TEST(Validate, Aliases) {
  const auto alias_instead_of_unit = [](NodeId node) {
    return [node](Plan& p) {
      for (size_t u = 0; u < p.units.size(); ++u) {
        if (p.units[u].nodes == std::vector<NodeId>{node}) p.units.erase(p.units.begin() + static_cast<long>(u));
      }
      p.aliases.push_back(Alias{node});
      std::sort(p.aliases.begin(), p.aliases.end(), [](Alias a, Alias b) { return a.node < b.node; });
    };
  };
  refuses(Units::kNodes, {
      {"no view", alias_instead_of_unit(7), "the operator is no view"},
      {"index", [](Plan& p) { p.aliases[1].node = 17; }, "node 17 does not exist"},
      {"negative index", [](Plan& p) { p.aliases[0].node = -1; }, "node -1 does not exist"},
      {"twice", [](Plan& p) { p.aliases[1] = p.aliases[0]; }, "nodes must ascend"},
      {"unsorted", [](Plan& p) { std::swap(p.aliases[0], p.aliases[1]); }, "nodes must ascend"},
  });

  // Views that have to stay work: made aliases by hand, one at a time.
  const auto refused = [&](GraphBuilder& b, NodeId node, const char* message) {
    const Built g = b.build();
    Options options;
    options.units = Units::kNodes;
    auto plan = make_plan(g.graph, g.shapes, options);
    ASSERT_TRUE(plan) << plan.error().message;
    alias_instead_of_unit(node)(*plan);
    const Status status = validate(g.graph, *plan);
    ASSERT_FALSE(status) << message;
    EXPECT_NE(status.error().message.find(message), std::string::npos) << status.error().message;
  };
  {
    GraphBuilder b;
    b.output(b.op("Flatten", {b.input("x", Dims{1, 8})}));
    refused(b, 0, "a graph output cannot be the bytes of value 0 'x'");
  }
  {
    GraphBuilder b;
    b.output(b.op("Flatten", {b.constant("w", {1, 8})}));
    refused(b, 0, "a graph output cannot be the bytes of value 0 'w'");
  }
  {
    GraphBuilder b;
    const ValueId r = b.op("Relu", {b.input("x", Dims{1, 8})});
    b.output(r);
    b.output(b.op("Flatten", {r}));
    refused(b, 1, "would be the same bytes");
  }
  for (const bool text : {false, true}) {
    GraphBuilder b;
    const ValueId r = b.op("Foo", {b.input("x", Dims{1, 8})});
    auto& type = b.graph().values[r].type;
    if (text) type.element = graph::ElementType::kString;
    else type.kind = graph::Kind::kSequence;
    b.op("Identity", {r});
    refused(b, 1, "is no dense tensor of numbers");
  }
}

// A view inside a chain, taken out: its unit would wait for itself.
TEST(Validate, AnAliasInTheMiddleOfAUnitIsACycle) {
  GraphBuilder b;
  b.output(b.op("Relu", {b.op("Flatten", {b.op("Relu", {b.input("x", Dims{1, 8})})})}));
  const Built g = b.build();
  Options options;
  options.units = Units::kBranches;
  auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->units.size(), 1u);
  Plan broken = *plan;
  broken.units[0].nodes = {0, 2};
  broken.units[0].inputs.push_back(g.graph.nodes[2].inputs[0]);
  broken.units[0].outputs.push_back(g.graph.nodes[0].outputs[0]);
  broken.aliases = {Alias{1}};
  const Status status = validate(g.graph, broken);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "unit 0: depends on unit 0, which does not run before it");
}

TEST(Validate, AControlFlowNodeIsNoPartOfAChain) {
  GraphBuilder b;
  b.output(b.op("If", {b.chain(b.input("x"), 1)}));
  b.graph().nodes[1].has_subgraph = true;
  const Built g = b.build();
  auto plan = make_plan(g.graph, g.shapes, {});
  ASSERT_TRUE(plan);
  plan->branches[0].nodes = {0, 1};
  plan->branches.pop_back();
  const Status status = validate(g.graph, *plan);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("is no chain"), std::string::npos) << status.error().message;
}

TEST(Validate, AnotherGraphsPlan) {
  const Built one = random_graph(1, {});
  const Built two = random_graph(2, {});
  const auto plan = make_plan(one.graph, one.shapes, {});
  ASSERT_TRUE(plan);
  EXPECT_FALSE(validate(two.graph, *plan));
}

TEST(Validate, AnEmptyPlanIsForAnEmptyGraphOnly) {
  Plan plan;
  const Built g = graph();
  plan.graph_digest = digest(g.graph);
  EXPECT_FALSE(validate(g.graph, plan));
  const Built empty = GraphBuilder().build();
  plan.graph_digest = digest(empty.graph);
  EXPECT_TRUE(validate(empty.graph, plan));
}

}  // namespace
}  // namespace plx::partition
