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
  const auto regions = find_regions(g.graph, node_dag(g.graph), costs, Options{.device = gpu_profile()});
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(regions[0].nodes, (std::vector<NodeId>{2}));
  EXPECT_FALSE(regions[0].accepted);
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
