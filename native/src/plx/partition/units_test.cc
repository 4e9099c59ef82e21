#include "plx/partition/units.h"

#include <gtest/gtest.h>

#include "plx/partition/graph_builder.h"

namespace plx::partition {
namespace {

using graph::ElementType;
using graph::kNone;
using Dims = GraphBuilder::Dims;
using Ids = std::vector<int>;

Plan plan_of(const Built& g, Units units) {
  Options options;
  options.units = units;
  auto plan = make_plan(g.graph, g.shapes, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *plan : Plan{};
}

Ids aliases(const Plan& plan) {
  Ids nodes;
  for (const Alias& a : plan.aliases) nodes.push_back(a.node);
  return nodes;
}

std::vector<Ids> units(const Plan& plan) {
  std::vector<Ids> lists;
  for (const Unit& u : plan.units) lists.push_back(u.nodes);
  return lists;
}

ValueId view(GraphBuilder& b, ValueId data) { return b.op("Flatten", {data}); }

TEST(Units, WholeIsOneUnitWithoutAliases) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId y = b.input("y", Dims{1, 8});
  const ValueId w = b.constant("w", {1, 8});
  b.output(view(b, b.op("Sum", {view(b, x), w, y, x})));
  const Plan plan = plan_of(b.build(), Units::kWhole);
  ASSERT_EQ(units(plan), (std::vector<Ids>{{0, 1, 2}}));
  EXPECT_TRUE(plan.aliases.empty());
  EXPECT_EQ(plan.units[0].inputs, (Ids{x, y})) << "no initializers, each once";
  EXPECT_EQ(plan.units[0].outputs.size(), 1u);
}

TEST(Units, BordersAndPredecessors) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId s = b.chain(x, 1);          // 0
  const ValueId l = b.chain(s, 3);          // 1 2 3
  const ValueId r = b.chain(s, 2);          // 4 5
  const ValueId m = b.op("Sum", {l, r, x});  // 6
  b.output(m);
  b.output(l);
  const Plan plan = plan_of(b.build(), Units::kBranches);
  ASSERT_EQ(units(plan), (std::vector<Ids>{{0}, {1, 2, 3}, {4, 5}, {6}}));
  EXPECT_EQ(plan.units[0].inputs, (Ids{x}));
  EXPECT_EQ(plan.units[0].outputs, (Ids{s}));
  EXPECT_EQ(plan.units[1].inputs, (Ids{s}));
  EXPECT_EQ(plan.units[1].outputs, (Ids{l}));
  EXPECT_EQ(plan.units[3].inputs, (Ids{l, r, x}));
  EXPECT_EQ(plan.units[3].outputs, (Ids{m}));
  EXPECT_EQ(plan.units[3].predecessors, (Ids{1, 2}));
  EXPECT_EQ(plan.units[1].branch, 1);
  EXPECT_EQ(plan.units[1].layer, 1);
  EXPECT_DOUBLE_EQ(plan.units[1].flops, 24);
}

TEST(Units, LayersAreUnionsOfTheirBranches) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 1);
  b.output(b.op("Add", {b.chain(s, 2), b.chain(s, 1)}));
  const Plan plan = plan_of(b.build(), Units::kLayers);
  ASSERT_EQ(units(plan), (std::vector<Ids>{{0}, {1, 2, 3}, {4}}));
  EXPECT_EQ(plan.units[1].branch, -1);
  EXPECT_EQ(plan.units[1].layer, 1);
}

TEST(Units, NodesMakeEveryOtherViewAnAlias) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId shape = b.constant("shape", {2}, ElementType::kInt64);
  const ValueId v1 = b.op("Reshape", {x, shape});  // 0: of a graph input
  const ValueId r = b.op("Relu", {v1});             // 1
  const ValueId v2 = b.op("Squeeze", {r});          // 2
  const ValueId v3 = b.op("Identity", {v2});        // 3: an alias of an alias
  b.output(b.op("Relu", {v3}));                     // 4
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{1}, {4}}));
  EXPECT_EQ(aliases(plan), (Ids{0, 2, 3}));
  EXPECT_EQ(plan.units[0].inputs, (Ids{v1}));
  EXPECT_EQ(plan.units[0].outputs, (Ids{r})) << "read by an alias is read outside";
  EXPECT_EQ(plan.units[1].inputs, (Ids{v3}));
  EXPECT_EQ(plan.units[1].predecessors, (Ids{0})) << "through two aliases";
}

TEST(Units, PredecessorsThroughAnAliasIncludeItsShape) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId shape = b.op("Shape", {x}, Dims{2});   // 0
  const ValueId r = b.op("Relu", {x});                  // 1
  b.output(b.op("Relu", {b.op("Reshape", {r, shape})}));  // 2, 3
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0}, {1}, {3}}));
  EXPECT_EQ(plan.units[2].predecessors, (Ids{0, 1}));
}

// One branch: view, view, Relu, view, Relu, view, view.
TEST(Units, ViewsAtABranchsBorderArePeeledAndInnerOnesStay) {
  GraphBuilder b;
  ValueId v = view(b, view(b, b.input("x", Dims{1, 8})));
  v = b.chain(view(b, b.chain(v, 1)), 1);
  b.output(view(b, view(b, v)));
  const Built g = b.build();
  for (const Units kind : {Units::kLayers, Units::kBranches}) {
    const Plan plan = plan_of(g, kind);
    EXPECT_EQ(units(plan), (std::vector<Ids>{{2, 3, 4}}));
    EXPECT_EQ(aliases(plan), (Ids{0, 1, 5, 6}));
    EXPECT_EQ(plan.units[0].outputs, (Ids{g.graph.nodes[4].outputs[0]}));
  }
}

TEST(Units, AUnitOfViewsOnlyVanishes) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x"), 1);          // 0
  const ValueId left = view(b, view(b, s));              // 1 2
  b.output(b.op("Add", {left, b.chain(s, 1)}));          // 3 4
  const Plan plan = plan_of(b.build(), Units::kBranches);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0}, {3}, {4}}));
  EXPECT_EQ(aliases(plan), (Ids{1, 2}));
}

TEST(Units, AViewWhoseShapeIsMadeInItsUnitStays) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId shape = b.op("Cast", {b.input("s", Dims{2})}, Dims{2});
  b.output(b.op("Relu", {b.op("Reshape", {x, shape})}));
  EXPECT_EQ(units(plan_of(b.build(), Units::kBranches)), (std::vector<Ids>{{0, 1, 2}}));
}

TEST(Units, ALayersTrailingViewNeedsItsShapeFromOutside) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 8});
  const ValueId s = b.input("s", Dims{2});
  b.output(b.op("Reshape", {b.op("Relu", {x}), s}));  // 0 1: trailing, s from outside
  const Plan plan = plan_of(b.build(), Units::kBranches);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0}}));
  EXPECT_EQ(aliases(plan), (Ids{1}));
}

TEST(Units, AnOutputIsNoAliasOfAGraphInputOrInitializer) {
  GraphBuilder b;
  b.output(view(b, view(b, b.input("x", Dims{1, 8}))));  // 0 1
  b.output(view(b, b.constant("w", {1, 8})));            // 2
  const ValueId inner = view(b, b.constant("w2", {1, 8}));  // 3: no output, so it may be
  b.output(b.op("Relu", {inner}));                       // 4
  const Built g = b.build();
  const Plan plan = plan_of(g, Units::kNodes);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{1}, {2}, {4}}));
  EXPECT_EQ(aliases(plan), (Ids{0, 3}));
  EXPECT_EQ(units(plan_of(g, Units::kBranches)), (std::vector<Ids>{{1}, {2}, {4}}));
}

TEST(Units, TwoOutputsAreNeverTheSameBytes) {
  GraphBuilder b;
  const ValueId r = b.op("Relu", {b.input("x", Dims{1, 8})});  // 0
  const ValueId a = view(b, r);                                 // 1
  b.output(a);
  b.output(view(b, r));                                         // 2
  b.output(view(b, a));                                         // 3
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(aliases(plan), (Ids{1}));
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0}, {2}, {3}}));

  GraphBuilder c;
  const ValueId s = c.op("Relu", {c.input("x", Dims{1, 8})});
  c.output(s);
  c.output(view(c, s));
  EXPECT_TRUE(plan_of(c.build(), Units::kNodes).aliases.empty()) << "the data is an output itself";
}

// The trailing pass meets the last view first: joining the middle one would make two outputs the same bytes.
TEST(Units, TwoOutputsThroughAMiddleView) {
  GraphBuilder b;
  const ValueId r = b.op("Relu", {b.input("x", Dims{1, 8})});  // 0
  b.output(r);
  b.output(view(b, view(b, r)));  // 1 2
  const Plan plan = plan_of(b.build(), Units::kBranches);
  EXPECT_EQ(aliases(plan), (Ids{2}));
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0, 1}}));
}

TEST(Units, OnlyDenseTensorsOfNumbersAreAliased) {
  using Change = void (*)(GraphBuilder&, ValueId data);
  const std::vector<std::pair<const char*, Change>> changes = {
      {"sequence", [](GraphBuilder& b, ValueId d) { b.graph().values[d].type.kind = graph::Kind::kSequence; }},
      {"optional", [](GraphBuilder& b, ValueId d) { b.graph().values[d].type.kind = graph::Kind::kOptional; }},
      {"string", [](GraphBuilder& b, ValueId d) { b.graph().values[d].type.element = ElementType::kString; }},
      {"string by shapes", [](GraphBuilder& b, ValueId d) { b.shapes()[d]->element = ElementType::kString; }},
      {"unknown", [](GraphBuilder& b, ValueId d) {
         b.graph().values[d].type = {};
         b.shapes()[d].reset();
         b.shapes()[b.graph().nodes[1].outputs[0]].reset();
       }},
  };
  for (const auto& [name, change] : changes) {
    GraphBuilder b;
    const ValueId data = b.op("Foo", {b.input("x", Dims{1, 8})});
    const ValueId seen = b.op("Identity", {data});
    b.output(b.op("Bar", {seen}));
    change(b, data);
    EXPECT_TRUE(plan_of(b.build(), Units::kNodes).aliases.empty()) << name;
  }
  for (const bool sparse : {true, false}) {
    GraphBuilder b;
    const ValueId data = b.constant("w", {8}, sparse ? ElementType::kFloat32 : ElementType::kString);
    b.graph().initializers[0].sparse = sparse;
    b.output(b.op("Bar", {b.op("Identity", {data})}));
    EXPECT_TRUE(plan_of(b.build(), Units::kNodes).aliases.empty()) << "initializer";
  }
}

TEST(Units, ReshapeOfAnUnknownShapeIsAnAliasBecauseItTakesTensorsOnly) {
  GraphBuilder b;
  const ValueId data = b.op("Foo", {b.input("x")}, std::nullopt);
  b.output(b.op("Bar", {b.op("Reshape", {data, b.constant("s", {2})}, std::nullopt)}, std::nullopt));
  EXPECT_EQ(aliases(plan_of(b.build(), Units::kNodes)), (Ids{1}));
}

TEST(Units, CapturesAreInputs) {
  GraphBuilder b;
  const ValueId x = b.op("Relu", {b.input("x", Dims{1})});
  const ValueId y = b.op("Relu", {b.input("y", Dims{1})});
  b.output(b.op("If", {x}));
  b.graph().nodes[2].has_subgraph = true;
  b.graph().nodes[2].captures = {y, x};
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(plan.units[2].inputs, (Ids{x, y}));
  EXPECT_EQ(plan.units[2].predecessors, (Ids{0, 1}));
}

TEST(Units, UnusedNodesAndNodesWithoutInputsAreUnitsToo) {
  GraphBuilder b;
  b.op("RandomNormal", {});
  b.output(b.op("Relu", {b.input("x")}));
  b.node("Split", {b.input("y")}, {b.value("u"), kNone});
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(units(plan), (std::vector<Ids>{{0}, {1}, {2}}));
  EXPECT_TRUE(plan.units[0].outputs.empty()) << "nobody reads it";
}

TEST(Units, AGraphInputWithADefaultIsAConstant) {
  GraphBuilder b;
  const ValueId w = b.constant("w", {1, 8});
  b.graph().values[w].is_input = true;
  b.output(b.op("Relu", {w}));
  EXPECT_TRUE(plan_of(b.build(), Units::kNodes).units[0].inputs.empty());
}

// Every alias gathers one more source; the sum of what all of them depend on grows with the square.
TEST(Units, ManyAliasesInAChain) {
  GraphBuilder b;
  ValueId v = b.op("Relu", {b.input("x", Dims{1, 8})});
  const ValueId s = b.input("s", Dims{2});
  for (int i = 0; i < 1000; ++i) v = b.op("Reshape", {v, b.op("Cast", {s}, Dims{2})});
  b.output(b.op("Relu", {v}));
  const Plan plan = plan_of(b.build(), Units::kNodes);
  EXPECT_EQ(plan.aliases.size(), 1000u);
  EXPECT_EQ(plan.units.back().predecessors.size(), 1001u);
}

TEST(Units, TooManyAliasDependenciesAreRefused) {
  GraphBuilder b;
  ValueId v = b.op("Relu", {b.input("x", Dims{1, 8})});
  const ValueId s = b.input("s", Dims{2});
  for (int i = 0; i < 6000; ++i) v = b.op("Reshape", {v, b.op("Cast", {s}, Dims{2})});
  b.output(b.op("Relu", {v}));
  const Built g = b.build();
  Options options;
  options.units = Units::kNodes;
  const auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::kUnsupported);
  options.units = Units::kWhole;
  EXPECT_TRUE(make_plan(g.graph, g.shapes, options));
}

}  // namespace
}  // namespace plx::partition
