#include "plx/partition/regions.h"

#include <gtest/gtest.h>

#include <set>

#include "plx/partition/graph_builder.h"

namespace plx::partition {
namespace {

using Dims = GraphBuilder::Dims;

Dag dag(int vertices, const std::vector<std::pair<int, int>>& edges) { return Dag(vertices, edges); }

std::vector<int> grow(const Dag& d, const std::string& takes) {
  std::vector<bool> flags;
  for (const char c : takes) flags.push_back(c == '+');
  return grow_regions(d, flags);
}

TEST(Regions, GrowAlongEdges) {
  EXPECT_EQ(grow(dag(4, {{0, 1}, {1, 2}, {2, 3}}), "++++"), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(grow(dag(4, {{0, 1}, {1, 2}, {2, 3}}), "+-++"), (std::vector<int>{0, -1, 1, 1}));
  EXPECT_EQ(grow(dag(4, {{0, 1}, {2, 3}}), "++++"), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(grow(dag(2, {}), "--"), (std::vector<int>{-1, -1}));
  EXPECT_EQ(grow(dag(0, {}), ""), (std::vector<int>{}));
}

// 0 -> 1 -> 2 and 0 -> 2, where 1 cannot be taken: 0 and 2 together would both feed 1 and wait for it.
TEST(Regions, NeverAroundAnOutsideNode) {
  EXPECT_EQ(grow(dag(3, {{0, 1}, {1, 2}, {0, 2}}), "+-+"), (std::vector<int>{0, -1, 1}));
}

// {0, 4} and {1, 5} are convex each, but together they would wait for one another by way of 2 and 3.
TEST(Regions, AreAcyclicTogether) {
  const Dag d = dag(6, {{0, 2}, {2, 5}, {1, 3}, {3, 4}, {0, 4}, {1, 5}});
  EXPECT_EQ(grow(d, "++--++"), (std::vector<int>{0, 1, -1, -1, 0, 2}));
}

// The turns alone would keep 0 from 3, since 3 also waits for 2, which waits for another set; merging joins them.
TEST(Regions, SetsOfDifferentTurnsAreMergedWhereNoPathForbids) {
  // 0+ -> 3+; 1+ -> 2- -> 3+
  EXPECT_EQ(grow(dag(4, {{0, 3}, {1, 2}, {2, 3}}), "++-+"), (std::vector<int>{0, 1, -1, 0}));
}

std::vector<int> reference_sets(const std::vector<int>& region_of, int& count) {
  std::vector<int> set_of = region_of;
  count = 0;
  for (const int r : region_of) count = std::max(count, r + 1);
  for (int& s : set_of) s = s < 0 ? count++ : s;
  return set_of;
}

TEST(Regions, RandomOnesAreConnectedAcyclicTogetherAndMaximal) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const int n = 2 + static_cast<int>(random() % 30);
    std::vector<std::pair<int, int>> edges;
    for (int v = 1; v < n; ++v) {
      for (uint32_t k = 0; k < random() % 3; ++k) edges.emplace_back(static_cast<int>(random() % v), v);
    }
    std::vector<bool> takes(n);
    for (int v = 0; v < n; ++v) takes[v] = random() % 100 < 60;
    const Dag d(n, edges);
    const auto region_of = grow_regions(d, takes);
    int count = 0;
    const auto set_of = reference_sets(region_of, count);
    ASSERT_FALSE(longest_path_levels(contract(d, set_of, count)).empty()) << seed;
    for (int v = 0; v < n; ++v) {
      ASSERT_EQ(region_of[v] >= 0, takes[v]) << seed;
      for (const int s : d.successors(v)) {
        if (!takes[v] || !takes[s] || region_of[v] == region_of[s]) continue;
        auto joined = set_of;
        std::replace(joined.begin(), joined.end(), set_of[s], set_of[v]);
        ASSERT_TRUE(longest_path_levels(contract(d, joined, count)).empty())
            << "seed " << seed << ": " << v << " and " << s << " could have been one region";
      }
    }
  }
}

// ---- judging --------------------------------------------------------------------------------------------------------

Region judged(size_t nodes, double macs, uint64_t bytes, DeviceProfile profile = gpu_profile()) {
  Region region;
  region.nodes.resize(nodes);
  region.macs = macs;
  region.border_bytes = bytes;
  judge_region(profile, region);
  return region;
}

TEST(Regions, ThresholdsOfThePaper) {
  const Region good = judged(3, 1e9, 100000000);
  EXPECT_TRUE(good.accepted) << good.reason;
  EXPECT_EQ(good.reason, "");
  EXPECT_DOUBLE_EQ(good.device_s, 2e-4 + 1e9 / 2.6e13 + 1e8 / 51.2e9);
  EXPECT_DOUBLE_EQ(good.cpu_s, 1);
  EXPECT_EQ(judged(2, 1e9, 0).reason, "N is 2, fewer than 3");
  EXPECT_EQ(judged(3, 0.99e9, 0).reason, "F is 990 M MACs, fewer than 1 G");
  EXPECT_EQ(judged(3, 1e9, 200000000).reason, "B / F is 0.2 bytes per MAC, more than 0.1");
  DeviceProfile slow = gpu_profile();
  slow.latency_s = 2;
  EXPECT_EQ(judged(3, 1e9, 0, slow).reason, "the device would take 2 s, the CPU 1 s");
  slow.min_macs = 0;
  EXPECT_EQ(judged(3, 0, 8, slow).reason, "B / F is infinite bytes per MAC, more than 0.1");
}

// Three products of 1024^3 between two operators no device has.
Built big_graph() {
  GraphBuilder b;
  const Dims dims{1024, 1024};
  ValueId v = b.op("TopK", {b.input("x", dims)}, dims);
  const ValueId w = b.constant("w", dims);
  for (int i = 0; i < 3; ++i) v = b.op("MatMul", {v, w}, dims);
  b.output(b.op("TopK", {v}, dims));
  return b.build();
}

TEST(Regions, AnAcceptedRegionIsOneNodeOneBranchAndOneUnit) {
  const Built g = big_graph();
  for (const Units units : {Units::kLayers, Units::kBranches, Units::kNodes}) {
    Options options;
    options.units = units;
    options.device = gpu_profile();
    const auto plan = make_plan(g.graph, g.shapes, options);
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_EQ(plan->regions.size(), 1u);
    EXPECT_TRUE(plan->regions[0].accepted) << plan->regions[0].reason;
    EXPECT_EQ(plan->regions[0].nodes, (std::vector<NodeId>{1, 2, 3}));
    EXPECT_DOUBLE_EQ(plan->regions[0].macs, 3.0 * 1024 * 1024 * 1024);
    EXPECT_EQ(plan->regions[0].border_bytes, 2u * 4 * 1024 * 1024);
    EXPECT_EQ(plan->cut.nodes, 3u);
    ASSERT_EQ(plan->branches.size(), 3u);
    EXPECT_EQ(plan->branches[1].region, 0);
    EXPECT_EQ(plan->branches[2].region, -1) << "what follows a region is not part of its branch";
    ASSERT_EQ(plan->units.size(), 3u);
    EXPECT_EQ(plan->units[1].region, 0);
    EXPECT_EQ(plan->units[1].nodes, (std::vector<NodeId>{1, 2, 3}));
  }
}

TEST(Regions, WholeIsNotCut) {
  const Built g = big_graph();
  Options options;
  options.device = gpu_profile();
  const auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->units.size(), 1u);
  EXPECT_EQ(plan->units[0].region, -1);
  EXPECT_TRUE(plan->regions[0].accepted);
}

TEST(Regions, UnknownSizesDomainsAndSubgraphsAreNotTaken) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{8});
  b.op("Relu", {x}, std::nullopt);                                // unknown output
  b.op("other:Relu", {x}, Dims{8});                               // another domain
  b.op("com.microsoft:FastGelu", {x}, Dims{8});                    // declared with its domain
  b.op("FastGelu", {x}, Dims{8});                                  // not declared without
  b.op("Relu", {x}, Dims{8});
  b.graph().nodes.back().has_subgraph = true;
  const Built g = b.build();
  const Costs costs = weigh(g.graph, g.shapes);
  Options options;
  options.device = gpu_profile();
  const auto found = find_regions(g.graph, node_dag(g.graph), costs, options);
  ASSERT_TRUE(found) << found.error().message;
  const auto& regions = *found;
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(regions[0].nodes, (std::vector<NodeId>{2}));
  EXPECT_FALSE(regions[0].accepted);
}

// ---- measured rates -------------------------------------------------------------------------------------------------

DeviceProfile measured_profile() {
  DeviceProfile profile = gpu_profile();
  profile.latency_s = 1e-3;
  profile.b_bw = 1e9;
  MeasuredRates rates;
  rates.device.launch_s = 1e-5;
  rates.device.per_s = {100e9, 50e9, 10e9, 10e9, 1e9, 5e9};
  rates.cpu.launch_s = 1e-6;
  rates.cpu.per_s = {20e9, 20e9, 8e9, 8e9, 8e9, 8e9};
  profile.measured = rates;
  return profile;
}

TEST(MeasuredRates, TimesAreSumsOverClasses) {
  Region region;
  region.nodes.resize(2);
  region.border_bytes = 1000000;
  region.work.launches = 2;
  region.work.amount = {1e9, 2e9, 3e6, 4e6, 5e6, 6e6};
  judge_region(measured_profile(), region);
  EXPECT_DOUBLE_EQ(region.device_s, 1e-3 + 2e-5 + 1e9 / 100e9 + 2e9 / 50e9 + 3e6 / 10e9 + 4e6 / 10e9 + 5e6 / 1e9 + 6e6 / 5e9 + 1e6 / 1e9);
  EXPECT_DOUBLE_EQ(region.cpu_s, 2e-6 + 1e9 / 20e9 + 2e9 / 20e9 + (3e6 + 4e6 + 5e6 + 6e6) / 8e9);
  EXPECT_TRUE(region.accepted) << "fewer nodes and MACs than the paper's thresholds: these are not asked";

  region.trial = Trial{0.2, 0.15, {}};
  judge_region(measured_profile(), region);
  EXPECT_FALSE(region.accepted);
  EXPECT_EQ(region.reason, "when tried the device took 200 ms, the CPU 150 ms");
  region.trial = Trial{0.1, 0.15, {}};
  judge_region(measured_profile(), region);
  EXPECT_TRUE(region.accepted);

  Region slow;
  slow.nodes.resize(5);
  slow.work.amount[static_cast<size_t>(OperatorClass::kRows)] = 8e6;
  judge_region(measured_profile(), slow);
  EXPECT_EQ(slow.reason, "by measured rates the device would take 9 ms, the CPU 1 ms");
}

TEST(MeasuredRates, AFasterDeviceHasToBeFasterByTheMargin) {
  DeviceProfile profile = measured_profile();
  profile.measured->device.per_s[0] = 21e9;
  Region region;
  region.nodes.resize(1);
  region.work.amount[0] = 1e12;
  judge_region(profile, region);
  EXPECT_LT(region.device_s, region.cpu_s);
  EXPECT_FALSE(region.accepted);
  profile.measured->device.per_s[0] = 23e9;
  judge_region(profile, region);
  EXPECT_TRUE(region.accepted);
}

// What one node of the operator counts as, and how much of it.
void expect_load(const Built& g, NodeId node, OperatorClass c, double amount) {
  const Costs costs = weigh(g.graph, g.shapes);
  const Workload& load = costs.load[static_cast<size_t>(node)];
  EXPECT_EQ(load.launches, 1) << node;
  for (size_t i = 0; i < kOperatorClasses; ++i) {
    EXPECT_DOUBLE_EQ(load.amount[i], i == static_cast<size_t>(c) ? amount : 0) << node << " class " << i;
  }
}

TEST(MeasuredRates, NodesByClass) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{64, 512});
  const ValueId w = b.constant("w", Dims{512, 512});
  const ValueId row = b.input("row", Dims{1, 512});
  const ValueId table = b.constant("table", Dims{100000, 16});
  b.op("MatMul", {x, w}, Dims{64, 512});
  b.op("MatMul", {row, w}, Dims{1, 512});
  b.op("Add", {x, row}, Dims{64, 512});
  b.op("Softmax", {x}, Dims{64, 512});
  b.op("Gather", {table, row}, Dims{4, 16});
  b.op("Concat", {x, x}, Dims{128, 512});
  b.op("Reshape", {x, row}, Dims{512, 64});
  const Built g = b.build();
  const double full = 64 * 512 * 4;
  const double single = 512 * 4;
  expect_load(g, 0, OperatorClass::kProduct, 64.0 * 512 * 512);
  EXPECT_EQ(weigh(g.graph, g.shapes).load[1].amount[static_cast<size_t>(OperatorClass::kProduct)], 0) << "too few MACs per byte";
  EXPECT_GE(weigh(g.graph, g.shapes).load[1].amount[static_cast<size_t>(OperatorClass::kThin)], 2 * single);
  expect_load(g, 2, OperatorClass::kElementWise, 2 * full + single);
  expect_load(g, 3, OperatorClass::kRows, 2 * full);
  expect_load(g, 4, OperatorClass::kMovement, 2.0 * 4 * 16 * 4);
  expect_load(g, 5, OperatorClass::kMovement, 4 * full);
  EXPECT_EQ(weigh(g.graph, g.shapes).load[6].launches, 0) << "a view";
}

// ---- placements -----------------------------------------------------------------------------------------------------

TEST(Placements, FromText) {
  const auto some = placements_from_text(" Conv=cpu, com.microsoft:FusedConv = device ,region 12=cpu");
  ASSERT_TRUE(some) << some.error().message;
  ASSERT_EQ(some->size(), 3u);
  EXPECT_EQ(placement_name((*some)[0]), "Conv=cpu");
  EXPECT_EQ(placement_name((*some)[1]), "com.microsoft:FusedConv=device");
  EXPECT_EQ(placement_name((*some)[2]), "region 12=cpu");
  EXPECT_TRUE(placements_from_text("")->empty());
  for (const char* wrong : {"Conv", "=cpu", "Conv=gpu", "region x=cpu", "region -1=cpu", "region 99999999999=cpu", "region=", "a b=cpu", ","}) {
    const auto none = placements_from_text(wrong);
    ASSERT_FALSE(none) << wrong;
    EXPECT_EQ(none.error().code, Code::kInvalidArgument);
    EXPECT_NE(none.error().message.find("is no placement: write 'Conv=cpu'"), std::string::npos) << none.error().message;
  }
}

Result<Plan> placed_plan(const std::string& text, bool offload_all = false) {
  GraphBuilder b;
  const Dims dims{1024, 1024};
  const ValueId w = b.constant("w", dims);
  ValueId v = b.input("x", dims);
  for (int i = 0; i < 2; ++i) {
    for (int k = 0; k < 3; ++k) v = b.op("MatMul", {v, w}, dims);
    v = b.op("Relu", {v}, dims);
    v = b.op("TopK", {v}, dims);
  }
  b.op("Exp", {v}, dims);
  const Built g = b.build();
  Options options;
  options.units = Units::kBranches;
  options.device = gpu_profile();
  options.offload_all = offload_all;
  options.placements = *placements_from_text(text);
  auto plan = make_plan(g.graph, g.shapes, options);
  if (!plan) return plan;
  const auto again = from_json(g.graph, to_json(g.graph, *plan));
  EXPECT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(g.graph, *again), to_json(g.graph, *plan));
  return plan;
}

std::string verdicts(const std::string& text, bool offload_all = false) {
  const auto plan = placed_plan(text, offload_all);
  if (!plan) return plan.error().message;
  std::string all;
  for (const Region& region : plan->regions) all += (all.empty() ? "" : " ") + std::to_string(region.nodes.size()) + (region.accepted ? "+" : "-");
  return all;
}

TEST(Placements, LaterOnesCountAndAllCountMoreThanCosts) {
  EXPECT_EQ(verdicts(""), "4+ 4+ 1-");
  EXPECT_EQ(verdicts("region 1=cpu"), "4+ 4- 1-");
  EXPECT_EQ(verdicts("region 2=device"), "4+ 4+ 1+");
  EXPECT_EQ(verdicts("Exp=device"), "4+ 4+ 1+");
  EXPECT_EQ(verdicts("Relu=cpu"), "3+ 3+ 1-");
  EXPECT_EQ(verdicts("MatMul=cpu"), "1- 1- 1-");
  EXPECT_EQ(verdicts("MatMul=cpu,region 0=device"), "1+ 1- 1-");
  EXPECT_EQ(verdicts("MatMul=cpu,MatMul=device"), "4+ 4+ 1-");
  EXPECT_EQ(verdicts("region 0=cpu,region 0=device"), "4+ 4+ 1-");
  EXPECT_EQ(verdicts("region 0=cpu", true), "4- 4+ 1+");
  EXPECT_EQ(verdicts("Exp=cpu", true), "4+ 4+");
  const auto plan = placed_plan("Relu=cpu,region 1=cpu");
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->regions[1].reason, "it is placed there: region 1=cpu");
  EXPECT_EQ(plan->refusals[3], "it is placed on the CPU: Relu=cpu");
}

TEST(Placements, OfWhatThereIsNotAreErrors) {
  EXPECT_NE(verdicts("region 3=cpu").find("'region 3=cpu': there are 3 regions, counted from 0"), std::string::npos);
  EXPECT_NE(verdicts("Cnov=cpu").find("the optimised graph has no such operator, but Exp, MatMul, Relu, TopK"), std::string::npos);
  EXPECT_NE(verdicts("TopK=device").find("the device takes none of these nodes"), std::string::npos);
}

// ---- profiles -------------------------------------------------------------------------------------------------------

TEST(DeviceProfile, FromJson) {
  const auto profile = device_profile_from_json(
      R"({"name":"npu","operators":["Conv","com.microsoft:FusedConv"],"min_nodes":2,"min_macs":1e6,"r_cpu":2e9})");
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->name, "npu");
  EXPECT_EQ(profile->operators, (std::vector<std::string>{"Conv", "com.microsoft:FusedConv"}));
  EXPECT_EQ(profile->min_nodes, 2);
  EXPECT_EQ(profile->min_macs, 1e6);
  EXPECT_EQ(profile->r_cpu, 2e9);
  EXPECT_EQ(profile->r_acc, 2.6e13) << "what is left out keeps the paper's constant";
}

TEST(DeviceProfile, MeasuredRatesFromJson) {
  const std::string rates = R"({"launch_s":1e-6,"convolution":1e9,"product":2e9,"thin":3e9,"elementwise":4e9,"rows":5e9,"movement":6e9})";
  const auto profile = device_profile_from_json(R"({"name":"x","operators":[],"measured":{"device":)" + rates + R"(,"cpu":)" + rates + "}}");
  ASSERT_TRUE(profile) << profile.error().message;
  ASSERT_TRUE(profile->measured);
  EXPECT_EQ(profile->measured->device.per_s, (std::array<double, kOperatorClasses>{1e9, 2e9, 3e9, 4e9, 5e9, 6e9}));
  EXPECT_EQ(profile->measured->cpu.launch_s, 1e-6);
  const auto slow = device_profile_from_json(R"({"name":"x","operators":[],"measured":{"device":)" + rates +
      R"(,"cpu":{"launch_s":0,"convolution":0,"product":1,"thin":1,"elementwise":1,"rows":1,"movement":1}}})");
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("rate 'convolution' is 0; it must be at least 1"), std::string::npos) << slow.error().message;
  const auto half = device_profile_from_json(R"({"name":"x","operators":[],"measured":{"device":)" + rates + "}}");
  ASSERT_FALSE(half);
  EXPECT_NE(half.error().message.find("'cpu' is missing"), std::string::npos) << half.error().message;
}

TEST(DeviceProfile, ErrorsNameTheKey) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"", "not JSON"},
      {"[", "not JSON"},
      {"[]", "expected an object, found array"},
      {R"({"name":"x"})", "'operators' is missing"},
      {R"({"operators":[]})", "'name' is missing"},
      {R"({"name":1,"operators":[]})", "name: expected a string, found 1"},
      {R"({"name":"","operators":[]})", "'name' is empty"},
      {R"({"name":"x","operators":{}})", "operators: expected an array, found object"},
      {R"({"name":"x","operators":["Conv",7]})", "operators[1]: expected a string, found 7"},
      {R"({"name":"x","operators":["a:"]})", "'a:' is no operator"},
      {R"({"name":"x","operators":[],"min_node":3})", "unknown key 'min_node'; known are name, operators, min_nodes"},
      {R"({"name":"x","operators":[],"min_nodes":0})", "'min_nodes' is 0; it must be at least 1"},
      {R"({"name":"x","operators":[],"min_nodes":1.5})", "min_nodes: expected a whole number, found 1.5"},
      {R"({"name":"x","operators":[],"min_nodes":99999999999999999999})", "min_nodes: expected a whole number"},
      {R"({"name":"x","operators":[],"min_macs":-1})", "'min_macs' is -1; it must be at least 0"},
      {R"({"name":"x","operators":[],"r_cpu":0})", "'r_cpu' is 0; it must be at least 1"},
      {R"({"name":"x","operators":[],"b_bw":"fast"})", "b_bw: expected a number, found \"fast\""},
      {R"({"name":"x","operators":[],"latency_s":1e999})", "not JSON"},
  };
  for (const auto& [json, message] : cases) {
    const auto profile = device_profile_from_json(json);
    ASSERT_FALSE(profile) << json;
    EXPECT_EQ(profile.error().code, Code::kInvalidArgument) << json;
    EXPECT_NE(profile.error().message.find(message), std::string::npos) << json << "\n" << profile.error().message;
  }
}

TEST(DeviceProfile, BuiltInNamesNoOperatorTwice) {
  const DeviceProfile gpu = gpu_profile();
  EXPECT_EQ(std::set<std::string>(gpu.operators.begin(), gpu.operators.end()).size(), gpu.operators.size());
}

}  // namespace
}  // namespace plx::partition
