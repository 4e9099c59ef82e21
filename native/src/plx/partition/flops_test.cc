#include <gtest/gtest.h>

#include "plx/partition/graph_builder.h"
#include "plx/partition/plan.h"

namespace plx::partition {
namespace {

using graph::kNone;
using Dims = GraphBuilder::Dims;

struct Case {
  const char* name;
  const char* op;
  std::vector<std::optional<Dims>> inputs;  // nothing: left out
  std::optional<Dims> output;
  std::vector<std::string> attributes;
  std::optional<Work> expected;
};

std::optional<Work> estimate_case(const Case& c) {
  GraphBuilder b;
  std::vector<ValueId> inputs;
  for (const auto& dims : c.inputs) inputs.push_back(dims ? b.input("x", *dims) : kNone);
  b.op(c.op, inputs, c.output, c.attributes);
  const Built g = b.build();
  return estimate(g.graph, g.shapes, 0);
}

Work doubled(double macs) { return {2 * macs, macs}; }
Work single(double operations) { return {operations, operations}; }

TEST(Flops, Table8AndItsExtensions) {
  const std::vector<Case> cases = {
      // 16 output channels of 3 * 3 * 3, at 10 * 10 places
      {"convolution", "Conv", {Dims{1, 3, 12, 12}, Dims{16, 3, 3, 3}}, Dims{1, 16, 10, 10}, {},
       doubled(16 * 100 * 27)},
      {"batch of two", "Conv", {Dims{2, 3, 12, 12}, Dims{16, 3, 3, 3}}, Dims{2, 16, 10, 10}, {},
       doubled(2 * 16 * 100 * 27)},
      {"groups", "Conv", {Dims{1, 8, 12, 12}, Dims{16, 2, 3, 3}}, Dims{1, 16, 10, 10}, {int_attr("group", 4)},
       doubled(16 * 100 * 18)},
      {"depthwise", "Conv", {Dims{1, 16, 12, 12}, Dims{16, 1, 3, 3}}, Dims{1, 16, 10, 10}, {int_attr("group", 16)},
       doubled(16 * 100 * 9)},
      {"one dimension", "Conv", {Dims{1, 80, 3000}, Dims{384, 80, 3}}, Dims{1, 384, 3000}, {},
       doubled(384.0 * 3000 * 240)},
      {"fused", "com.microsoft:FusedConv", {Dims{1, 3, 12, 12}, Dims{16, 3, 3, 3}}, Dims{1, 16, 10, 10}, {},
       doubled(16 * 100 * 27)},
      {"channels in blocks", "com.microsoft.nchwc:Conv", {Dims{1, 8, 12, 12}, Dims{16, 8, 3, 3}}, Dims{1, 16, 10, 10},
       {}, doubled(16 * 100 * 72)},
      {"quantised", "QLinearConv", {Dims{1, 3, 12, 12}, Dims{}, Dims{}, Dims{16, 3, 3, 3}}, Dims{1, 16, 10, 10}, {},
       doubled(16 * 100 * 27)},
      {"integers", "ConvInteger", {Dims{1, 3, 12, 12}, Dims{16, 3, 3, 3}}, Dims{1, 16, 10, 10}, {},
       doubled(16 * 100 * 27)},
      // from the input's side: 4 channels at 5 * 5 places, each spread over 8 filters of 2 * 2
      {"transposed", "ConvTranspose", {Dims{1, 4, 5, 5}, Dims{4, 8, 2, 2}}, Dims{1, 8, 10, 10}, {},
       doubled(4 * 25 * 32)},
      {"no filters", "Conv", {Dims{1, 3, 12, 12}, Dims{0, 3, 3, 3}}, Dims{1, 0, 10, 10}, {}, doubled(0)},
      {"matrices", "MatMul", {Dims{2, 5, 7}, Dims{7, 11}}, Dims{2, 5, 11}, {}, doubled(2 * 5 * 11 * 7)},
      {"vector by matrix", "MatMul", {Dims{7}, Dims{7, 11}}, Dims{11}, {}, doubled(77)},
      {"dot product", "MatMul", {Dims{7}, Dims{7}}, Dims{}, {}, doubled(7)},
      {"transposed left", "com.microsoft:FusedMatMul", {Dims{2, 7, 5}, Dims{7, 11}}, Dims{2, 5, 11},
       {int_attr("transA", 1)}, doubled(2 * 5 * 11 * 7)},
      {"transposed batch", "com.microsoft:FusedMatMul", {Dims{7, 2, 5}, Dims{2, 7, 11}}, Dims{2, 5, 11},
       {int_attr("transA", 1), int_attr("transBatchA", 1)}, doubled(2 * 5 * 11 * 7)},
      {"integer matrices", "MatMulInteger", {Dims{5, 7}, Dims{7, 11}}, Dims{5, 11}, {}, doubled(5 * 11 * 7)},
      {"Gemm", "Gemm", {Dims{5, 7}, Dims{7, 11}}, Dims{5, 11}, {}, doubled(5 * 11 * 7)},
      {"Gemm transposed", "Gemm", {Dims{7, 5}, Dims{7, 11}}, Dims{5, 11}, {int_attr("transA", 1)},
       doubled(5 * 11 * 7)},
      {"fused Gemm", "com.microsoft:FusedGemm", {Dims{5, 7}, Dims{7, 11}}, Dims{5, 11}, {}, doubled(5 * 11 * 7)},
      {"quantised Gemm", "com.microsoft:QGemm", {Dims{5, 7}, Dims{}, Dims{}, Dims{7, 11}}, Dims{5, 11}, {},
       doubled(5 * 11 * 7)},
      {"Einsum", "Einsum", {Dims{3, 5, 7}, Dims{3, 7, 11}}, Dims{3, 5, 11},
       {string_attr("equation", "b i k, bkj -> bij")}, doubled(3 * 5 * 11 * 7)},
      {"Einsum, implicit", "Einsum", {Dims{5, 7}, Dims{7, 11}}, Dims{5, 11}, {string_attr("equation", "ik,kj")},
       doubled(5 * 11 * 7)},
      {"Einsum, ellipsis", "Einsum", {Dims{2, 3, 5, 7}, Dims{7, 11}}, Dims{2, 3, 5, 11},
       {string_attr("equation", "...ik,kj->...ij")}, doubled(6 * 5 * 11 * 7)},
      {"Einsum of the wrong rank", "Einsum", {Dims{5}, Dims{7, 11}}, Dims{5, 11},
       {string_attr("equation", "ik,kj->ij")}, std::nullopt},
      // 10 steps, batch 2; 4 gates of 6 over 3 inputs and 6 states
      {"LSTM", "LSTM", {Dims{10, 2, 3}, Dims{1, 24, 3}, Dims{1, 24, 6}}, Dims{10, 1, 2, 6}, {},
       doubled(20 * (72 + 144))},
      {"GRU both ways", "GRU", {Dims{10, 2, 3}, Dims{2, 18, 3}, Dims{2, 18, 6}}, Dims{10, 2, 2, 6}, {},
       doubled(20 * (108 + 216))},
      // 16 queries, 20 keys, width 64: Q.K^T and P.V
      {"attention", "com.microsoft:MultiHeadAttention", {Dims{2, 16, 64}, Dims{2, 20, 64}, Dims{2, 20, 64}},
       Dims{2, 16, 64}, {int_attr("num_heads", 4)}, doubled(2 * 2 * 16 * 20 * 64)},
      {"attention, heads apart", "com.microsoft:MultiHeadAttention",
       {Dims{2, 16, 64}, Dims{2, 4, 20, 16}, Dims{2, 4, 20, 16}}, Dims{2, 16, 64}, {}, doubled(2 * 2 * 16 * 20 * 64)},
      {"attention, packed", "com.microsoft:MultiHeadAttention", {Dims{2, 16, 4, 3, 16}}, Dims{2, 16, 64}, {},
       doubled(2 * 2 * 16 * 16 * 64)},
      {"attention with a past", "com.microsoft:MultiHeadAttention",
       {Dims{2, 1, 64}, Dims{2, 1, 64}, Dims{2, 1, 64}, std::nullopt, std::nullopt, std::nullopt, Dims{2, 4, 9, 16}},
       Dims{2, 1, 64}, {}, doubled(2 * 2 * 1 * 10 * 64)},
      {"ai.onnx attention", "Attention", {Dims{2, 4, 16, 8}, Dims{2, 4, 20, 8}, Dims{2, 4, 20, 8}}, Dims{2, 4, 16, 8},
       {}, doubled(2 * 2 * 4 * 16 * 20 * 8)},
      {"attention with projections", "com.microsoft:Attention", {Dims{2, 16, 64}, Dims{64, 192}, Dims{192}},
       Dims{2, 16, 64}, {}, doubled(2 * 16 * 64 * 192 + 2 * 2 * 16 * 16 * 64)},
      {"element-wise", "Add", {Dims{4, 5}, Dims{5}}, Dims{4, 5}, {}, single(20)},
      {"activation", "com.microsoft:FastGelu", {Dims{4, 5}}, Dims{4, 5}, {}, single(20)},
      {"Softmax", "Softmax", {Dims{4, 5}}, Dims{4, 5}, {}, single(20)},
      {"pooling", "MaxPool", {Dims{1, 8, 10, 10}}, Dims{1, 8, 5, 5}, {ints_attr("kernel_shape", {2, 2})},
       single(8 * 25 * 4)},
      {"global pooling", "GlobalAveragePool", {Dims{1, 8, 10, 10}}, Dims{1, 8, 1, 1}, {}, single(800)},
      {"blocked pooling", "com.microsoft.nchwc:MaxPool", {Dims{1, 8, 10, 10}}, Dims{1, 8, 5, 5},
       {ints_attr("kernel_shape", {2, 2})}, single(800)},
      {"reduction", "ReduceMean", {Dims{4, 6, 5}}, Dims{4, 1, 5}, {}, single(120)},
      {"moving data", "Transpose", {Dims{4, 5}}, Dims{5, 4}, {}, single(0)},
      {"moving data of unknown size", "Reshape", {Dims{4, 5}}, std::nullopt, {}, single(0)},
      {"empty tensor", "Relu", {Dims{0, 5}}, Dims{0, 5}, {}, single(0)},
      {"other people's Conv", "my.domain:Conv", {Dims{1, 3, 12, 12}, Dims{16, 3, 3, 3}}, Dims{1, 16, 10, 10}, {},
       single(0)},
      {"unknown output", "Conv", {Dims{1, 3, 12, 12}, Dims{16, 3, 3, 3}}, std::nullopt, {}, std::nullopt},
      {"unknown element-wise", "Add", {Dims{1}}, std::nullopt, {}, std::nullopt},
      {"pooling without a window", "MaxPool", {Dims{1, 8, 10, 10}}, Dims{1, 8, 5, 5}, {}, std::nullopt},
      {"MatMul without inputs", "MatMul", {}, Dims{4, 4}, {}, std::nullopt},
      {"MatMul of a scalar", "MatMul", {Dims{}, Dims{}}, Dims{}, {}, std::nullopt},
      {"negative size", "Relu", {Dims{-4}}, Dims{-4}, {}, std::nullopt},
      {"impossible size", "Relu", {Dims{}}, Dims{INT64_MAX, INT64_MAX, INT64_MAX}, {}, std::nullopt},
  };
  for (const Case& c : cases) {
    const auto found = estimate_case(c);
    ASSERT_EQ(found.has_value(), c.expected.has_value()) << c.name;
    if (!found) continue;
    EXPECT_DOUBLE_EQ(found->flops, c.expected->flops) << c.name;
    EXPECT_DOUBLE_EQ(found->macs, c.expected->macs) << c.name;
  }
}

TEST(Flops, WeightsAreFoundAmongInitializersWhenShapesLackThem) {
  GraphBuilder b;
  const ValueId x = b.input("x", Dims{1, 3, 12, 12});
  const ValueId w = b.constant("w", {16, 3, 3, 3});
  b.op("Conv", {x, w}, Dims{1, 16, 10, 10});
  b.shapes()[w].reset();
  const Built g = b.build();
  EXPECT_DOUBLE_EQ(estimate(g.graph, g.shapes, 0)->macs, 16 * 100 * 27);
}

TEST(Flops, ControlFlowCountsNothingAndIsNotUnknown) {
  GraphBuilder b;
  b.op("Loop", {b.input("n")}, std::nullopt);
  b.graph().nodes[0].has_subgraph = true;
  const Built g = b.build();
  const auto work = estimate(g.graph, g.shapes, 0);
  ASSERT_TRUE(work);
  EXPECT_EQ(work->flops, 0);
}

TEST(Flops, WithoutAnyShapesNothingIsKnownAndNothingCrashes) {
  for (const char* op : {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "Attention",
                         "com.microsoft:Attention", "com.microsoft:GroupQueryAttention", "Relu", "MaxPool",
                         "ReduceSum"}) {
    GraphBuilder b;
    b.op(op, {b.input("x"), b.input("y"), b.input("z")}, std::nullopt);
    Built g = b.build();
    EXPECT_FALSE(estimate(g.graph, g.shapes, 0)) << op;
    EXPECT_FALSE(estimate(g.graph, {}, 0)) << op;
  }
}

}  // namespace
}  // namespace plx::partition
