#include "plx/partition/branches.h"

#include <gtest/gtest.h>

#include "plx/partition/graph_builder.h"

namespace plx::partition {
namespace {

using Lists = std::vector<std::vector<int>>;
using enum NodeClass;

Plan plan_of(const Built& g, Options options = {}) {
  auto plan = make_plan(g.graph, g.shapes, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *plan : Plan{};
}

Lists branches(const Plan& plan) {
  Lists lists;
  for (const Branch& b : plan.branches) lists.push_back(b.nodes);
  return lists;
}

Lists layers(const Plan& plan) {
  Lists lists;
  for (const Layer& l : plan.layers) lists.push_back(l.branches);
  return lists;
}

TEST(Branches, EmptyGraph) {
  const Plan plan = plan_of(GraphBuilder().build());
  EXPECT_TRUE(plan.branches.empty());
  EXPECT_TRUE(plan.layers.empty());
  EXPECT_TRUE(plan.units.empty());
  EXPECT_EQ(plan.cut.most_branches, 0u);
}

TEST(Branches, AChainIsOneBranch) {
  GraphBuilder b;
  b.output(b.chain(b.input("x"), 4));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(branches(plan), (Lists{{0, 1, 2, 3}}));
  EXPECT_EQ(layers(plan), (Lists{{0}}));
  EXPECT_EQ(plan.layers[0].reason, "one branch");
  EXPECT_EQ(plan.classes, std::vector<NodeClass>(4, kSequential));
}

// 0 -> 1 (splitter) -> {2 3, 4} -> 5 (merger) -> 6
TEST(Branches, SplitterIsAloneAndMergerHeadsWhatFollows) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 2);
  const ValueId left = b.chain(s, 2);
  const ValueId right = b.chain(s, 1);
  b.output(b.chain(b.op("Add", {left, right}), 1));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.classes, (std::vector<NodeClass>{kSequential, kSplitter, kSequential, kSequential, kSequential,
                                                  kMerger, kSequential}));
  EXPECT_EQ(branches(plan), (Lists{{0}, {1}, {2, 3}, {4}, {5, 6}}));
  EXPECT_EQ(layers(plan), (Lists{{0}, {1}, {2, 3}, {4}}));
  EXPECT_EQ(plan.branches[4].predecessors, (std::vector<int>{2, 3}));
  EXPECT_EQ(plan.cut.nodes, 7u);
  EXPECT_EQ(plan.cut.branches, 5u);
  EXPECT_EQ(plan.cut.layers, 4u);
  EXPECT_EQ(plan.cut.parallel_layers, 0u);
  EXPECT_EQ(plan.cut.most_branches, 2u);
}

TEST(Branches, FirstNodeThatSplitsIsASplitter) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 1);
  b.output(b.chain(s, 1));
  b.output(b.chain(s, 1));
  EXPECT_EQ(plan_of(b.build()).classes[0], kSplitter);
}

TEST(Branches, ChainEndsBeforeAMerger) {
  GraphBuilder b;
  const ValueId left = b.chain(b.input("x"), 2);
  const ValueId right = b.chain(b.input("y"), 1);
  b.output(b.op("Add", {left, right}));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(branches(plan), (Lists{{0, 1}, {2}, {3}}));
  EXPECT_EQ(plan.classes[3], kMerger);
}

TEST(Branches, MergerDirectlyBehindAMergerHeadsItsOwnBranch) {
  GraphBuilder b;
  const ValueId x = b.chain(b.input("x"), 1);
  const ValueId y = b.chain(b.input("y"), 1);
  const ValueId z = b.chain(b.input("z"), 1);
  b.output(b.op("Add", {b.op("Add", {x, y}), z}));
  EXPECT_EQ(branches(plan_of(b.build())), (Lists{{0}, {1}, {2}, {3}, {4}}));
}

TEST(Branches, SplitMergeIsAlone) {
  GraphBuilder b;
  const ValueId x = b.chain(b.input("x"), 1);
  const ValueId y = b.chain(b.input("y"), 1);
  const ValueId m = b.op("Add", {x, y});
  b.output(b.chain(m, 2));
  b.output(b.chain(m, 1));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.classes[2], kSplitMerge);
  EXPECT_EQ(branches(plan), (Lists{{0}, {1}, {2}, {3, 4}, {5}}));
}

TEST(Branches, IsolatedNodesAndNodesWithoutInputs) {
  GraphBuilder b;
  b.output(b.op("RandomNormal", {}));
  b.output(b.op("Relu", {b.input("x")}));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(branches(plan), (Lists{{0}, {1}}));
  EXPECT_EQ(layers(plan), (Lists{{0, 1}}));
  EXPECT_EQ(plan.classes, std::vector<NodeClass>(2, kSequential));
}

TEST(Branches, InitializersAndGraphInputsAreNoNeighbours) {
  GraphBuilder b;
  const ValueId x = b.input("x");
  const ValueId w = b.constant("w", {1, 8});
  b.output(b.chain(b.op("Add", {x, w}), 1));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.classes[0], kSequential);
  EXPECT_EQ(branches(plan), (Lists{{0, 1}}));
}

TEST(Branches, SeveralTensorsBetweenTwoNodesAreOneEdge) {
  GraphBuilder b;
  const ValueId one = b.value("one");
  const ValueId two = b.value("two");
  b.node("Split", {b.input("x")}, {one, two});
  b.output(b.op("Concat", {one, two, one}));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.classes, std::vector<NodeClass>(2, kSequential));
  EXPECT_EQ(branches(plan), (Lists{{0, 1}}));
}

TEST(Branches, ControlFlowIsSplitMergeAndAloneInAChain) {
  GraphBuilder b;
  const ValueId x = b.chain(b.input("x"), 1);
  const ValueId y = b.op("If", {x});
  b.graph().nodes[1].has_subgraph = true;
  b.output(b.chain(y, 2));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.classes[1], kSplitMerge);
  EXPECT_EQ(branches(plan), (Lists{{0}, {1}, {2, 3}}));
}

TEST(Branches, WhatASubgraphReadsIsAnEdge) {
  GraphBuilder b;
  const ValueId x = b.chain(b.input("x"), 1);
  const ValueId y = b.chain(b.input("y"), 1);
  b.op("If", {x});
  b.graph().nodes[2].has_subgraph = true;
  b.graph().nodes[2].captures = {y};
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.branches[2].predecessors, (std::vector<int>{0, 1}));
  EXPECT_EQ(plan.branches[2].layer, 1);
}

TEST(Branches, LayerIsTheLongestWay) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 1);  // 0
  const ValueId t = b.chain(s, 1);             // 1, splits
  const ValueId u = b.op("Add", {b.chain(t, 1), b.chain(t, 1)});
  b.output(b.op("Add", {s, u}));
  const Plan plan = plan_of(b.build());
  EXPECT_EQ(plan.branches.back().layer, 4);
}

TEST(Branches, BorderCountsEveryTensorOnceAndConstantsNever) {
  GraphBuilder b;
  const ValueId x = b.input("x", GraphBuilder::Dims{10});           // 40 bytes
  const ValueId w = b.constant("w", {10});
  const ValueId c = b.op("Constant", {}, GraphBuilder::Dims{10});    // 0
  const ValueId y = b.op("Sum", {x, x, w, c}, GraphBuilder::Dims{10});  // 1
  const ValueId z = b.op("Relu", {y}, GraphBuilder::Dims{20});         // 2: 80 bytes
  b.output(z);
  b.output(b.op("If", {z, x, b.op("Foo", {x}, std::nullopt)}, GraphBuilder::Dims{1}));
  b.graph().nodes[4].has_subgraph = true;
  const Plan plan = plan_of(b.build());
  ASSERT_EQ(branches(plan), (Lists{{0, 1, 2}, {3}, {4}}));
  EXPECT_EQ(plan.branches[0].border_bytes, 40u + 80u);
  EXPECT_EQ(plan.branches[1].border_bytes, 40u) << "an unknown size counts nothing";
  EXPECT_EQ(plan.branches[2].border_bytes, 80u + 40u + 4u);
}

// ---- refinement -----------------------------------------------------------------------------------------------------

Layer refine(Rule rule, const std::vector<std::pair<int, double>>& branches, double beta = 1.5) {
  Options options;
  options.rule = rule;
  options.beta = beta;
  std::vector<Branch> all;
  Layer layer;
  for (const auto& [nodes, flops] : branches) {
    layer.branches.push_back(static_cast<int>(all.size()));
    Branch b;
    b.nodes.resize(nodes);
    b.flops = flops;
    all.push_back(b);
  }
  refine(options, all, layer);
  return layer;
}

TEST(Refinement, PaperTakesTheWholeLayerOrNothing) {
  EXPECT_EQ(refine(Rule::kPaper, {{3, 100}, {5, 150}, {4, 120}}).groups, (Lists{{0, 1, 2}}));
  EXPECT_EQ(refine(Rule::kPaper, {{3, 100}, {5, 150}, {4, 120}}).reason, "");
  EXPECT_EQ(refine(Rule::kPaper, {{2, 100}, {5, 100}, {1, 100}}).reason, "branches 0 and 2 have fewer than 3 nodes");
  EXPECT_EQ(refine(Rule::kPaper, {{2, 100}, {5, 100}}).reason, "branch 0 has fewer than 3 nodes");
  EXPECT_EQ(refine(Rule::kPaper, {{3, 100}, {5, 151}}).reason,
            "Fmax / Fmin is 1.51 (branches 1 and 0), more than 1.5");
  EXPECT_EQ(refine(Rule::kPaper, {{3, 0}, {5, 100}}).reason, "branch 0 has no counted FLOPs");
  EXPECT_EQ(refine(Rule::kPaper, {{3, 0}, {5, 0}}).reason, "branches 0 and 1 have no counted FLOPs");
  EXPECT_EQ(refine(Rule::kPaper, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}).reason,
            "branches 0, 1, 2, 3 and 2 more have fewer than 3 nodes");
}

TEST(Refinement, OneBranch) {
  for (const Rule rule : {Rule::kPaper, Rule::kRelaxed}) {
    EXPECT_EQ(refine(rule, {{9, 100}}).reason, "one branch");
    EXPECT_TRUE(refine(rule, {{9, 100}}).groups.empty());
  }
}

TEST(Refinement, RelaxedSetsShortOnesAsideAndGroupsTheRest) {
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 100}, {1, 100}, {5, 150}, {9, 0}}).groups, (Lists{{0, 2}}));
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 10}, {3, 100}, {3, 11}, {3, 120}, {3, 50}}).groups, (Lists{{1, 3}, {0, 2}}));
  // Greedy from above: 225 takes 150, and 100 is left.
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 100}, {3, 150}, {3, 225}}).groups, (Lists{{1, 2}}));
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 100}, {1, 100}}).reason,
            "1 of 2 branches left once those with fewer than 3 nodes or no counted FLOPs are set aside");
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 100}, {3, 200}, {3, 400}}).reason,
            "no two of the 3 branches long enough are within a ratio of 1.5");
  EXPECT_EQ(refine(Rule::kRelaxed, {{3, 100}, {3, 100}}, 1).groups, (Lists{{0, 1}}));
}

TEST(Refinement, OfARealLayer) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 1);
  std::vector<ValueId> ends;
  for (const int64_t width : {8, 9, 100}) ends.push_back(b.chain(s, 3, {1, width}));
  ends.push_back(b.chain(s, 1));
  b.output(b.op("Sum", ends));
  const Built g = b.build();
  Options options;
  Plan plan = plan_of(g, options);
  EXPECT_EQ(plan.cut.parallel_layers, 0u);
  EXPECT_EQ(plan.layers[1].reason, "branch 4 has fewer than 3 nodes");
  options.rule = Rule::kRelaxed;
  plan = plan_of(g, options);
  EXPECT_EQ(plan.cut.parallel_layers, 1u);
  EXPECT_EQ(plan.layers[1].groups, (Lists{{1, 2}}));
}

}  // namespace
}  // namespace plx::partition
