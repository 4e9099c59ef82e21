#include "plx/graph/symbolic_shapes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <set>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using Symbols = std::vector<std::string>;
// A size as the model computes it.
using Truth = std::function<int64_t(const Sizes&)>;

std::string text(const Dim& dim) {
  if (dim.known()) return std::to_string(dim.size);
  return dim.symbol.empty() ? "?" : dim.symbol;
}

std::string fitted(const Symbols& symbols, const std::vector<Sizes>& probes, const Truth& truth) {
  std::vector<int64_t> seen;
  for (const Sizes& sizes : probes) seen.push_back(truth(sizes));
  return text(fit(symbols, probes, seen));
}

// With b for batch and s for sequence.
std::string fitted(const Truth& truth) {
  const std::string usual = fitted({"b", "s"}, probe_sizes(2, Scale::kUsual), truth);
  EXPECT_EQ(fitted({"b", "s"}, probe_sizes(2, Scale::kSmall), truth), usual);
  return usual;
}

TEST(Fit, AConstantIsANumber) {
  EXPECT_EQ(fitted([](const Sizes&) { return 768; }), "768");
  EXPECT_EQ(fitted([](const Sizes&) { return 0; }), "0");
  EXPECT_EQ(text(fit({}, probe_sizes(0, Scale::kUsual), std::vector<int64_t>{7, 7, 7})), "7");
}

TEST(Fit, AStraightLineOfOneSymbol) {
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0]; }), "b");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[1]; }), "s");
  EXPECT_EQ(fitted([](const Sizes& v) { return 12 * v[0]; }), "12*b");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[1] + 1; }), "s+1");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[1] - 2; }), "s-2");
  EXPECT_EQ(fitted([](const Sizes& v) { return 2 * v[1] + 5; }), "2*s+5");
}

TEST(Fit, AProductOfTwoSymbols) {
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] * v[1]; }), "b*s");
  EXPECT_EQ(fitted([](const Sizes& v) { return 12 * v[0] * v[1]; }), "12*b*s");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[1] * v[1]; }), "s*s");
}

TEST(Fit, WhatIsNoneOfTheseIsOpen) {
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] + v[1]; }), "?");
  EXPECT_EQ(fitted([](const Sizes& v) { return 100 - v[1]; }), "?");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] * v[1] * v[1]; }), "?");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] * v[1] + 1; }), "?");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] < 10 ? -1 : v[0]; }), "?");  // not known at one probe
}

TEST(Fit, HugeNumbersAreOpen) {
  EXPECT_EQ(fitted([](const Sizes& v) { return INT64_MAX - v[0]; }), "?");
  EXPECT_EQ(fitted([](const Sizes& v) { return v[0] << 50; }), "?");
  EXPECT_EQ(fitted([](const Sizes&) { return INT64_MAX; }), std::to_string(INT64_MAX));
}

// A convolution's and a pool's sizes, and picture sides brought to a multiple: at odd sizes alone the last two would be
// s-1 and s+1.
TEST(Fit, RoundingIsSeenThrough) {
  const Symbols names = {"b", "s"};
  for (const Scale scale : {Scale::kUsual, Scale::kSmall}) {
    const auto probes = probe_sizes(2, scale);
    for (const int64_t k : {2, 3, 4, 5, 6, 7, 8, 16, 32}) {
      if (scale == Scale::kSmall && k > 8) continue;
      EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return (v[1] - 1) / k + 1; }), "?") << k;
      EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[1] / k; }), "?") << k;
      EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return (v[1] + k - 1) / k * k; }), "?") << k;
      EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[1] / k * k; }), "?") << k;
    }
  }
}

TEST(Fit, TheSimplestWins) {
  // b is 2 in all three: its product with s is 2*s as well.
  const std::vector<Sizes> probes = {{2, 3}, {2, 5}, {2, 7}};
  EXPECT_EQ(fitted({"b", "s"}, probes, [](const Sizes& v) { return v[0] * v[1]; }), "b*s");
  EXPECT_EQ(fitted({"b", "s"}, probes, [](const Sizes& v) { return v[1]; }), "s");
  EXPECT_EQ(fitted({"b", "s"}, probes, [](const Sizes&) { return 2; }), "2");
}

TEST(Fit, WhatTwoEquallySimpleFormulasGiveIsOpen) {
  const std::vector<Sizes> probes = {{4, 3}, {6, 5}, {8, 7}};
  EXPECT_EQ(fitted({"b", "s"}, probes, [](const Sizes& v) { return v[0]; }), "b");  // though it is s+1
  EXPECT_EQ(fitted({"b", "s"}, probes, [](const Sizes& v) { return v[0] + 2; }), "?");  // or s+3
  EXPECT_EQ(fitted({"b", "s"}, {{2, 2}, {3, 3}, {5, 5}}, [](const Sizes& v) { return v[0]; }), "?");
}

// Whatever symbols there are, each formula is told from all others.
TEST(ProbeSizes, KeepFormulasApart) {
  for (const Scale scale : {Scale::kUsual, Scale::kSmall}) {
    for (const size_t count : {1, 2, 3, 5, 6, 12, 40}) {
      const auto probes = probe_sizes(count, scale);
      ASSERT_EQ(probes.size(), kProbes);
      Symbols names;
      for (size_t i = 0; i < count; ++i) names.push_back("s" + std::to_string(i));
      for (const Sizes& sizes : probes) {
        ASSERT_EQ(sizes.size(), count);
        EXPECT_EQ(std::set<int64_t>(sizes.begin(), sizes.end()).size(), count);
      }
      for (size_t s = 0; s < count; ++s) {
        const std::string& n = names[s];
        EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[s]; }), n);
        EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return 2 * v[s]; }), "2*" + n);
        EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[s] + 1; }), n + "+1");
        EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[s] - 1; }), n + "-1");
        EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return 4 * v[s] + 3; }), "4*" + n + "+3");
        for (size_t t = s + 1; t < count; ++t) {
          EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return v[s] * v[t]; }), n + "*" + names[t]);
          EXPECT_EQ(fitted(names, probes, [&](const Sizes& v) { return 8 * v[s] * v[t]; }), "8*" + n + "*" + names[t]);
        }
      }
    }
  }
}

TEST(ProbeSizes, OfFewSymbolsStayBelowUsualLimits) {
  for (const Sizes& sizes : probe_sizes(5, Scale::kUsual)) {
    for (const int64_t size : sizes) EXPECT_LT(size, 64);
  }
  for (const Sizes& sizes : probe_sizes(3, Scale::kSmall)) {
    for (const int64_t size : sizes) EXPECT_LT(size, 32);
  }
}

// ---- of a graph

Graph read(const testing::Model& model) {
  const std::string bytes = model.bytes();
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  auto graph = read_model(copy, std::move(storage), {});
  if (!graph) throw std::runtime_error(graph.error().message);
  return graph.take();
}

std::string shape_of(const Graph& graph, const SymbolicShapes& shapes, const std::string& name) {
  for (size_t id = 0; id < graph.values.size(); ++id) {
    if (graph.values[id].name != name) continue;
    if (!shapes[id]) return "no rank";
    std::string out;
    for (const Dim& dim : *shapes[id]) out += (out.empty() ? "" : ",") + text(dim);
    return "[" + out + "]";
  }
  throw std::runtime_error("no value " + name);
}

// x[n,?,4] and y[n,m] in, z[n,k], w[m,7] and v out.
Graph example() {
  testing::Model m;
  m.input("x", testing::kFloat, {"n", "", 4}).input("y", testing::kFloat, {"n", "m"});
  m.initializer("c", testing::tensor<float>({2}, {1, 2}));
  m.node("Any", {"x", "c"}, {"z"}).node("Any", {"y"}, {"w"}).node("Any", {"y"}, {"v"});
  m.output("z", testing::kFloat, {"n", "k"}).output("w", testing::kFloat, {"m", 7}).output("v");
  return read(m);
}

TEST(Symbols, AreByNameOrOfTheirOwn) {
  EXPECT_EQ(symbols_of(example()), (Symbols{"n", "x.1", "m"}));
  testing::Model m;
  m.input("x", testing::kFloat, {"n", "n", 3, "n"}).input("y", testing::kFloat, {"n", "", "", "n"});
  m.node("Any", {"x", "y"}, {"z"}).output("z");
  const Graph g = read(m);
  EXPECT_EQ(symbols_of(g), (Symbols{"n", "n#2", "n#3", "y.1", "y.2"}));
  const SymbolicShapes shapes = symbolic_shapes(g, {}, {});
  EXPECT_EQ(shape_of(g, shapes, "x"), "[n,n#2,3,n#3]");
  EXPECT_EQ(shape_of(g, shapes, "y"), "[n,y.1,y.2,n#2]");
}

TEST(SymbolicShapes, WithoutProbesAreAsDeclared) {
  const Graph g = example();
  const SymbolicShapes shapes = symbolic_shapes(g, {}, {});
  EXPECT_EQ(shape_of(g, shapes, "x"), "[n,x.1,4]");
  EXPECT_EQ(shape_of(g, shapes, "y"), "[n,m]");
  EXPECT_EQ(shape_of(g, shapes, "c"), "[2]");
  EXPECT_EQ(shape_of(g, shapes, "z"), "[n,k]");
  EXPECT_EQ(shape_of(g, shapes, "w"), "[m,7]");
  EXPECT_EQ(shape_of(g, shapes, "v"), "no rank");
}

// What a probe with these sizes of n, x.1 and m shows.
SymbolicShapes seen(const Graph& g, const std::function<PartialShapes(const Sizes&)>& shapes_at) {
  const auto probes = probe_sizes(3, Scale::kUsual);
  std::vector<PartialShapes> all;
  for (const Sizes& sizes : probes) all.push_back(shapes_at(sizes));
  return symbolic_shapes(g, probes, all);
}

size_t index_of(const Graph& g, const std::string& name) {
  size_t id = 0;
  while (g.values.at(id).name != name) ++id;
  return id;
}

TEST(SymbolicShapes, WhatIsSeenGoesBeforeWhatIsDeclared) {
  const Graph g = example();
  const SymbolicShapes shapes = seen(g, [&](const Sizes& v) {
    PartialShapes at(g.values.size());
    at[index_of(g, "z")] = {2 * v[0], v[0] * v[1]};
    at[index_of(g, "w")] = {v[0] * v[1] * v[2], 8};
    at[index_of(g, "v")] = {v[1] + 1, -1};
    return at;
  });
  EXPECT_EQ(shape_of(g, shapes, "x"), "[n,x.1,4]");
  EXPECT_EQ(shape_of(g, shapes, "z"), "[2*n,n*x.1]");
  EXPECT_EQ(shape_of(g, shapes, "w"), "[?,8]");  // m it is not
  EXPECT_EQ(shape_of(g, shapes, "v"), "[x.1+1,?]");
}

TEST(SymbolicShapes, WhatNobodySawIsAsDeclared) {
  const Graph g = example();
  const SymbolicShapes shapes = seen(g, [&](const Sizes& v) {
    PartialShapes at(g.values.size());
    at[index_of(g, "z")] = {v[0], v[0] + v[1]};  // no formula, but the model has a name for it
    at[index_of(g, "w")] = {-1, -1};
    if (v[0] < 10) at[index_of(g, "v")] = {1, 2};
    return at;
  });
  EXPECT_EQ(shape_of(g, shapes, "z"), "[n,k]");
  EXPECT_EQ(shape_of(g, shapes, "w"), "[m,7]");
  EXPECT_EQ(shape_of(g, shapes, "v"), "no rank");
}

}  // namespace
}  // namespace plx::graph
