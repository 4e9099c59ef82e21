// How many launches come of a part: what is fused, and what may not be.
#include "plx/device/lowering.h"

#include <gtest/gtest.h>

#include "cts.h"
#include "plx/graph/reader.h"
#include "plx/ort/session.h"

namespace plx::cts {
namespace {

// The kernels that a run launches, in order.
std::vector<std::string> launches(const Draft& draft, const device::Tuning& tuning = {}) {
  const std::string bytes = draft.bytes();
  auto graph = graph::read_model(std::as_bytes(std::span(bytes.data(), bytes.size())), std::make_shared<graph::Storage>(), {});
  if (!graph) throw std::runtime_error(graph.error().message);
  auto inferred = ort::infer(ort::testing::runtime(), *graph, {}, {}, "");
  if (!inferred) throw std::runtime_error(inferred.error().message);
  std::vector<graph::NodeId> nodes(graph->nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<graph::NodeId>(i);
  const auto lowered = device::lower({&*graph, &inferred->shapes, nodes, graph->inputs, graph->outputs}, tuning, 64);
  if (!lowered) throw std::runtime_error(lowered.error().message);
  std::vector<std::string> kernels;
  for (const auto& launch : lowered->launches) kernels.emplace_back(launch.kernel);
  return kernels;
}
using Kernels = std::vector<std::string>;

TEST(Lowering, FusesABiasAndAFunctionIntoAProduct) {
  Draft d(1);
  const std::string x = d.input({2, 6, 8});
  const std::string residual = d.input({2, 6, 12});
  const std::string biased = d.node("Add", {d.constant({12}), d.node("MatMul", {x, d.constant({8, 12})})});
  const std::string scaled = d.node("Mul", {d.node("Relu", {biased}), d.constant({})});
  d.output(d.node("Tanh", {d.node("Sub", {scaled, residual})}));
  EXPECT_EQ(launches(d), Kernels({"multiply", "chain"})) << "and the rest is one launch";

  Draft gelu(1);
  const std::string in = gelu.input({2, 6, 8});
  gelu.output(gelu.node("com.microsoft:BiasGelu", {gelu.node("MatMul", {in, gelu.constant({8, 12})}), gelu.constant({12})}));
  EXPECT_EQ(launches(gelu), Kernels({"multiply"}));

  Draft late(1);
  const std::string v = late.node("Relu", {late.node("MatMul", {late.input({6, 8}), late.constant({8, 12})})});
  late.output(late.node("Add", {v, late.constant({12})}));
  EXPECT_EQ(launches(late), Kernels({"multiply", "binary_broadcast"})) << "the bias comes first, or not at all";

  Draft rows(1);
  rows.output(rows.node("Add", {rows.node("MatMul", {rows.input({6, 8}), rows.constant({8, 12})}), rows.constant({6, 1})}));
  EXPECT_EQ(launches(rows), Kernels({"multiply", "binary_broadcast"})) << "one number a row is another thing";
}

TEST(Lowering, FusesAFunctionIntoAConvolution) {
  Draft d(1);
  const std::string x = d.input({2, 4, 6, 6});
  const std::string v = d.node("Relu", {d.node("Conv", {x, d.constant({8, 4, 1, 1})})});
  d.output(d.node("Add", {d.node("Mul", {v, d.constant({8, 6, 6})}), d.constant({})}));
  EXPECT_EQ(launches(d), Kernels({"pack_image", "multiply", "chain"}));
}

TEST(Lowering, MakesOneLaunchOfElementwiseNodes) {
  Draft d(1);
  const std::string x = d.input({3, 5});
  const std::string y = d.input({3, 5});
  d.output(d.node("Exp", {d.node("Mul", {d.node("Neg", {d.node("Add", {x, y})}), d.constant({5})})}));
  EXPECT_EQ(launches(d), Kernels({"chain"}));
}

TEST(Lowering, DoesNotFuseWhatIsReadTwiceOrMadeLaterOrRepeatsOtherwise) {
  Draft d(1);
  const std::string x = d.input({4, 6, 5});
  const std::string v = d.node("MatMul", {x, d.constant({5, 5})});
  d.output(d.node("Add", {d.node("Relu", {v}), v}));
  EXPECT_EQ(launches(d), Kernels({"multiply", "chain"})) << "the product is read twice";

  Draft output(1);
  const std::string w = output.node("MatMul", {output.input({4, 5}), output.constant({5, 5})});
  output.output(w);
  output.output(output.node("Relu", {w}));
  EXPECT_EQ(launches(output), Kernels({"multiply", "unary"})) << "the product is an output";

  Draft later(1);
  const std::string in = later.input({4, 5});
  const std::string first = later.node("Neg", {in});
  const std::string second = later.node("Softmax", {in});
  later.output(later.node("Exp", {later.node("Add", {first, second})}));
  EXPECT_EQ(launches(later), Kernels({"unary", "softmax_rows", "chain"})) << "the other tensor is made later";

  Draft repeats(1);
  const std::string from = repeats.input({4, 6, 5});
  repeats.output(repeats.node("Add", {repeats.node("MatMul", {from, repeats.constant({5, 5})}), repeats.constant({4, 1, 5})}));
  EXPECT_EQ(launches(repeats), Kernels({"multiply", "binary_broadcast"})) << "no period";

  Draft each(1);
  const std::string image = each.input({1, 8, 6, 6});
  each.output(each.node("Relu", {each.node("Mul", {image, each.constant({8, 1, 1})})}));
  EXPECT_EQ(launches(each), Kernels({"binary_broadcast", "unary"})) << "one number for several";
}

TEST(Lowering, TakesTilesForProductsWithRowsEnough) {
  const device::Tuning tiles{.group = 8, .tile = 16};
  Draft d(1);
  const std::string x = d.input({1, 4, 6, 6});
  const std::string v = d.node("Relu", {d.node("Conv", {x, d.constant({8, 4, 3, 3})})});
  d.output(d.node("MatMul", {d.node("Reshape", {v, d.ints({2}, {8, 16})}), d.constant({16, 5})}));
  EXPECT_EQ(launches(d, tiles), Kernels({"convolve_tiled", "multiply_tiled"}));
  Draft row(1);
  row.output(row.node("MatMul", {row.input({1, 9}), row.constant({9, 5})}));
  EXPECT_EQ(launches(row, tiles), Kernels({"multiply"}));
}

TEST(Lowering, TakesTilesAsLargeAsTheLimitsAllow) {
  const auto shape = [](int vector, uint64_t work_group, uint64_t local_bytes) {
    const device::Tuning made = device::tiled({.vector = vector}, work_group, local_bytes);
    EXPECT_LE(made.local_bytes(), local_bytes);
    return std::pair{made.group, made.tile};
  };
  EXPECT_EQ(shape(4, 1024, 48 << 10), std::pair(8, 16));
  EXPECT_EQ(shape(4, 64, 6 << 10), std::pair(8, 16)) << "8 * 16 * (8 + 4) numbers";
  EXPECT_EQ(shape(4, 64, (6 << 10) - 1), std::pair(8, 8));
  EXPECT_EQ(shape(16, 256, 4 << 10), std::pair(4, 8));
  EXPECT_EQ(shape(4, 63, 48 << 10), std::pair(4, 16));
  EXPECT_EQ(shape(4, 15, 48 << 10), std::pair(0, 0));
  EXPECT_EQ(shape(4, 256, 1 << 10), std::pair(0, 0));
}

}  // namespace
}  // namespace plx::cts
