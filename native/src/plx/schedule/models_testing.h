// For tests: small models, each with something that makes cutting and running harder.
#pragma once

#include <string>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/ort/plain_testing.h"

namespace plx::schedule::testing {

using namespace graph::testing;
inline constexpr auto kInt = graph::ElementType::kInt64;
inline constexpr auto kBool = graph::ElementType::kBool;
inline constexpr auto kText = graph::ElementType::kString;

inline TensorBytes weights(const Dims& dims, uint32_t seed) {
  return TensorBytes(kFloat, dims).raw(ort::testing::noise(dims, seed).bytes);
}

// Two parallel arms of convolutions, joined; weights too large to be written into units.
inline std::string convolutions() {
  Model m;
  m.input("x", kFloat, {1, 8, 16, 16}).output("y", kFloat, {1, 16, 8, 8});
  m.initializer("w0", weights({8, 8, 3, 3}, 1)).initializer("b0", weights({8}, 2));
  const Attrs same = {attr("pads", Dims{1, 1, 1, 1})};
  m.node("Conv", {"x", "w0", "b0"}, {"stem"}, same).node("Relu", {"stem"}, {"s"});
  for (const std::string arm : {"l", "r"}) {
    m.initializer(arm + "w1", weights({8, 8, 3, 3}, 3)).initializer(arm + "w2", weights({8, 8, 3, 3}, 4));
    m.node("Conv", {"s", arm + "w1"}, {arm + "1"}, same).node("Sigmoid", {arm + "1"}, {arm + "2"});
    m.node("Mul", {arm + "1", arm + "2"}, {arm + "3"}).node("Conv", {arm + "3", arm + "w2"}, {arm + "4"}, same);
  }
  m.node("Concat", {"l4", "r4"}, {"joined"}, {attr("axis", 1)});
  m.node("MaxPool", {"joined"}, {"y"}, {attr("kernel_shape", Dims{2, 2}), attr("strides", Dims{2, 2})});
  return m.bytes();
}

// A transformer's block in small: matrix products, softmax, reshapes told by Shape, any batch and length.
inline std::string attention() {
  Model m;
  m.input("x", kFloat, {"batch", "length", 32}).output("y", kFloat, {"batch", "length", 32});
  for (const std::string p : {"q", "k", "v", "o"})
    m.initializer("w" + p, weights({32, 32}, static_cast<uint32_t>(p[0])));
  m.initializer("heads", tensor<int64_t>({2}, {4, 8}))
      .initializer("flat", tensor<int64_t>({3}, {0, 0, 32}))
      .initializer("scale", tensor<float>({}, {0.35f}));
  m.node("Shape", {"x"}, {"s"})
      .initializer("from", tensor<int64_t>({1}, {0}))
      .initializer("to", tensor<int64_t>({1}, {2}));
  m.node("Slice", {"s", "from", "to"}, {"rows"}).node("Concat", {"rows", "heads"}, {"split"}, {attr("axis", 0)});
  for (const std::string p : {"q", "k", "v"}) {
    m.node("MatMul", {"x", "w" + p}, {p + "1"}).node("Reshape", {p + "1", "split"}, {p + "2"});
    m.node("Transpose", {p + "2"}, {p}, {attr("perm", p == "k" ? Dims{0, 2, 3, 1} : Dims{0, 2, 1, 3})});
  }
  m.node("MatMul", {"q", "k"}, {"qk"})
      .node("Mul", {"qk", "scale"}, {"scaled"})
      .node("Softmax", {"scaled"}, {"p"}, {attr("axis", -1)});
  m.node("MatMul", {"p", "v"}, {"pv"})
      .node("Transpose", {"pv"}, {"t"}, {attr("perm", Dims{0, 2, 1, 3})})
      .node("Reshape", {"t", "flat"}, {"c"});
  m.node("MatMul", {"c", "wo"}, {"o"}).node("Add", {"o", "x"}, {"y"});
  return m.bytes();
}

// If and Loop that read outer values; the loop's body reads a weight and an outer tensor.
inline std::string control_flow() {
  Body then_branch("then");
  then_branch.node("Mul", {"a", "w"}, {"t"}).output("t", kFloat, {"n", 4});
  Body else_branch("else");
  else_branch.node("Sub", {"a", "x"}, {"e"}).output("e", kFloat, {"n", 4});
  Body body("body");
  body.input("i", kInt, {}).input("go", kBool, {}).input("carried", kFloat, {"n", 4});
  body.node("Add", {"carried", "a"}, {"sum"})
      .node("Tanh", {"sum"}, {"next"})
      .node("Identity", {"go"}, {"on"})
      .node("Identity", {"next"}, {"seen"});
  body.output("on", kBool, {}).output("next", kFloat, {"n", 4}).output("seen", kFloat, {"n", 4});
  Model m;
  m.input("x", kFloat, {"n", 4}).input("c", kBool, {}).input("times", kInt, {}).initializer("w", weights({4}, 5));
  m.node("Abs", {"x"}, {"a"})
      .node("If", {"c"}, {"b"}, {attr("then_branch", then_branch), attr("else_branch", else_branch)});
  m.node("Loop", {"times", "", "b"}, {"last", "all"}, {attr("body", body)})
      .node("Neg", {"last"}, {"y"})
      .node("Relu", {"all"}, {"z"});
  m.output("y", kFloat, {"n", 4}).output("z", kFloat, {"k", "n", 4});
  return m.bytes();
}

// Two loops that do not depend on one another, each of as many rounds as told.
inline std::string two_loops() {
  Model m;
  m.input("x", kFloat, {4}).input("times", kInt, {}).output("y", kFloat, {4});
  for (const std::string p : {"l", "r"}) {
    Body body(p + "_body");
    body.input(p + "i", kInt, {}).input(p + "go", kBool, {}).input(p + "carried", kFloat, {4});
    body.node("Tanh", {p + "carried"}, {p + "next"}).node("Identity", {p + "go"}, {p + "on"});
    body.output(p + "on", kBool, {}).output(p + "next", kFloat, {4});
    m.node(p == "l" ? "Abs" : "Neg", {"x"}, {p + "0"}).node("Loop", {"times", "", p + "0"}, {p + "1"}, {attr("body", body)});
  }
  m.node("Add", {"l1", "r1"}, {"y"});
  return m.bytes();
}

// How much comes out is a matter of the data.
inline std::string non_zero() {
  Model m;
  m.input("x", kFloat, {"n"}).output("y", kFloat, {"k"}).output("count", kInt, {});
  m.node("Relu", {"x"}, {"r"})
      .node("NonZero", {"r"}, {"z"})
      .node("Transpose", {"z"}, {"rows"})
      .node("GatherND", {"r", "rows"}, {"g"});
  m.node("Sqrt", {"g"}, {"h"}).node("Exp", {"h"}, {"y"}).node("Size", {"y"}, {"count"});
  return m.bytes();
}

// The target shape is an input.
inline std::string reshape_by_data() {
  Model m;
  m.input("x", kFloat, {"a", "b"})
      .input("target", kInt, {"r"})
      .output("y", tensor_type(kFloat))
      .output("z", tensor_type(kFloat));
  m.node("Relu", {"x"}, {"r"})
      .node("Reshape", {"r", "target"}, {"v"})
      .node("Abs", {"v"}, {"y"})
      .node("Neg", {"y"}, {"z"});
  return m.bytes();
}

inline std::string strings() {
  Model m;
  m.input("s", kText, {"n"})
      .input("i", kInt, {"k"})
      .output("t", kText, {"k"})
      .output("same", kText, {"n"})
      .output("l", kText, {"n"});
  m.initializer("greeting", TensorBytes(kText, {1}).strings({"hello"}));
  m.node("StringNormalizer", {"s"}, {"l"},
         {attr("case_change_action", "LOWER"), attr("is_case_sensitive", 1), attr("locale", "C")});
  m.node("Concat", {"l", "greeting"}, {"more"}, {attr("axis", 0)})
      .node("Gather", {"more", "i"}, {"t"})
      .node("Identity", {"s"}, {"same"});
  return m.bytes();
}

inline std::string sequences() {
  Model m;
  m.input("x", kFloat, {"n", 2})
      .input("at", kInt, {})
      .output("y", kFloat, {"k", 2})
      .output("n", kInt, {})
      .output("j", kFloat, {"m", 2});
  m.node("Abs", {"x"}, {"a"}).node("Neg", {"x"}, {"b"}).node("SequenceConstruct", {"a", "b", "x"}, {"list"});
  m.node("SequenceInsert", {"list", "a"}, {"longer"})
      .node("SequenceAt", {"longer", "at"}, {"item"})
      .node("Exp", {"item"}, {"y"});
  m.node("SequenceLength", {"longer"}, {"n"})
      .node("ConcatFromSequence", {"longer"}, {"all"}, {attr("axis", 0)})
      .node("Relu", {"all"}, {"j"});
  return m.bytes();
}

// One output is read on, one is a view of it, one a constant, one an input as it came, one an input through a view.
inline std::string many_outputs() {
  Model m;
  m.input("x", kFloat, {"n", 4}).initializer("w", weights({4}, 6)).initializer("flat", tensor<int64_t>({1}, {-1}));
  m.node("Add", {"x", "w"}, {"a"})
      .node("Reshape", {"a", "flat"}, {"view"})
      .node("Exp", {"a"}, {"e"})
      .node("Reshape", {"x", "flat"}, {"input_view"});
  m.node("Unsqueeze", {"e", "axis"}, {"deep"})
      .initializer("axis", tensor<int64_t>({1}, {0}))
      .node("Flatten", {"deep"}, {"wide"});
  m.output("a", kFloat, {"n", 4})
      .output("view", kFloat, {"m"})
      .output("wide", kFloat, {1, "m"})
      .output("input_view", kFloat, {"m"})
      .output("e", kFloat, {"n", 4});
  m.output("w", kFloat, {4}).output("x", kFloat, {"n", 4});
  return m.bytes();
}

}  // namespace plx::schedule::testing
