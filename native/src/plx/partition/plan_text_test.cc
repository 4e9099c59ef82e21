#include <gtest/gtest.h>

#include <algorithm>

#include "plx/partition/format.h"
#include "plx/partition/graph_builder.h"
#include "plx/partition/plan.h"

namespace plx::partition {
namespace {

using Dims = GraphBuilder::Dims;

std::string text_of(const Built& g, const Options& options) {
  const auto plan = make_plan(g.graph, g.shapes, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? to_text(g.graph, *plan) : "";
}

TEST(PlanText, OfASmallGraph) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x", Dims{1, 8}), 1);
  b.output(b.op("Add", {b.op("Flatten", {b.chain(s, 3)}), b.chain(s, 3)}));
  b.op("Foo", {s}, std::nullopt);
  const Built g = b.build();
  Options options;
  options.units = Units::kBranches;
  EXPECT_EQ(text_of(g, options),
            "Plan of 'test': units branches, rule paper (N >= 3, Fmax / Fmin <= 1.5), no device\n"
            "          nodes  branches  layers  parallel layers  most branches\n"
            "as cut       10         5       3                0              3\n"
            "FLOPs   64, 0 % in parallel groups\n"
            "units   5 units of 1 to 3 nodes, 4 tensors leave their unit; 1 view operator is an alias\n"
            "\n"
            "Layers (N nodes, F FLOPs, B bytes across the border)\n"
            "  layer 0: branch 0, N 1, F 8, B 64 B, Relu; serial: one branch\n"
            "  layer 1: 3 branches; serial: branch 4 has fewer than 3 nodes\n"
            "    branch 1, N 4, F 24, B 64 B, Relu to Flatten\n"
            "    branch 2, N 3, F 24, B 64 B, Relu to Relu\n"
            "    branch 4, N 1, F 0, B 32 B, Foo\n"
            "  layer 2: branch 3, N 1, F 8, B 96 B, Add; serial: one branch\n");
  options.rule = Rule::kRelaxed;
  EXPECT_NE(text_of(g, options).find("layer 1: 3 branches; parallel: {1, 2}\n"), std::string::npos);
}

TEST(PlanText, RegionsAndUnknownSizes) {
  GraphBuilder b;
  const Dims dims{1024, 1024};
  const ValueId w = b.constant("w", dims);
  ValueId v = b.input("x", dims);
  for (int i = 0; i < 3; ++i) v = b.op("MatMul", {v, w}, dims);
  v = b.op("TopK", {v}, dims);
  b.output(b.op("Relu", {b.op("Relu", {v}, dims)}, std::nullopt));
  const Built g = b.build();
  Options options;
  options.device = gpu_profile();
  const std::string text = text_of(g, options);
  EXPECT_NE(text.find("        1 node counts 0: a size is not known\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Delegate regions for 'gpu': 2 candidates, 1 accepted (not cut out: units whole)\n"
                      "  region 0: N 3, F 3.22 G MACs, B 8.39 MB, device 488 us, CPU 3.22 s: accepted\n"
                      "  region 1: N 1, F 1.05 M MACs, B 8.39 MB, device 364 us, CPU 1.05 ms: given back, N is 1, "
                      "fewer than 3\n"),
            std::string::npos) << text;
  EXPECT_NE(text.find("region 0; serial: one branch"), std::string::npos) << text;
}

TEST(PlanText, FiveHundredBranchesStayReadable) {
  GraphBuilder b;
  ValueId v = b.chain(b.input("x", Dims{1, 8}), 1);
  for (int i = 0; i < 200; ++i) {  // each a Split-Merge, then a Merger of it and its own Relu
    v = b.op("Add", {v, b.chain(v, 1)});
  }
  std::vector<ValueId> ends;
  for (int i = 0; i < 100; ++i) ends.push_back(b.chain(v, 1 + i % 5));
  b.output(b.op("Sum", ends));
  b.chain(b.op("RandomNormal", {}), 1);
  const Built g = b.build();
  Options options;
  const auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->branches.size(), 1 + 400u + 100 + 2);
  const std::string text = to_text(g.graph, *plan);
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 40);
  EXPECT_NE(text.find("one branch each"), std::string::npos);
  EXPECT_NE(text.find("and 88 smaller ones"), std::string::npos) << text;
}

TEST(PlanText, OfAnEmptyGraph) {
  const Built g = GraphBuilder().build();
  EXPECT_NE(text_of(g, {}).find("units   0 units; 0 view operators are aliases\n"), std::string::npos);
}

TEST(PlanText, Numbers) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(950), "950");
  EXPECT_EQ(format_count(999.7), "1 k");
  EXPECT_EQ(format_count(12345), "12.3 k");
  EXPECT_EQ(format_count(1.25e9), "1.25 G");
  EXPECT_EQ(format_count(1e30), "1.00e+15 P");
  EXPECT_EQ(format_bytes(640), "640 B");
  EXPECT_EQ(format_bytes(12300), "12.3 KB");
  EXPECT_EQ(format_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(format_seconds(2e-4), "200 us");
  EXPECT_EQ(format_seconds(3), "3 s");
  EXPECT_EQ(format_ratio(1.5), "1.5");
  EXPECT_EQ(format_ratio(0.1), "0.1");
  EXPECT_EQ(format_ratio(0.00031), "0.00031");
  EXPECT_EQ(format_ratio(0), "0");
}

}  // namespace
}  // namespace plx::partition
