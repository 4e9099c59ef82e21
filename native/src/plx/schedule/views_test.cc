#include "plx/schedule/views.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/ort/plain_testing.h"

namespace plx::schedule {
namespace {

using namespace graph::testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::tensor_of;

graph::Node node_of(const std::string& op, const Attrs& attrs = {}) {
  static std::vector<std::unique_ptr<std::string>> kept;
  graph::Node node;
  node.op_type = op;
  node.name = "v";
  for (const Attr& attr : attrs)
    node.attributes.push_back(*kept.emplace_back(std::make_unique<std::string>(attr.bytes)));
  return node;
}

std::string text(const Dims& dims) {
  std::string out;
  for (const int64_t dim : dims) out += (out.empty() ? "" : ",") + std::to_string(dim);
  return "[" + out + "]";
}

// The output's dims as text, or the error's.
std::string view(const graph::Node& node, const Dims& dims, const Dims& operand, bool has_operand) {
  auto out = view_dims(node, dims, operand, has_operand);
  if (!out) {
    EXPECT_EQ(out.error().code, Code::kRunFailed);
    EXPECT_NE(out.error().message.find(node.op_type + " 'v'"), std::string::npos) << out.error().message;
    return out.error().message;
  }
  return text(*out);
}
std::string view(const std::string& op, const Dims& dims, const Dims& operand) {
  return view(node_of(op), dims, operand, true);
}
std::string view(const std::string& op, const Attrs& attrs, const Dims& dims) {
  return view(node_of(op, attrs), dims, {}, false);
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Views, Identity) {
  EXPECT_EQ(view("Identity", Attrs{}, Dims{2, 0, 3}), "[2,0,3]");
  EXPECT_EQ(view("Identity", Attrs{}, Dims{}), "[]");
}

TEST(Views, Flatten) {
  EXPECT_EQ(view("Flatten", Attrs{}, Dims{2, 3, 4}), "[2,12]");
  EXPECT_EQ(view("Flatten", {attr("axis", 0)}, Dims{2, 3}), "[1,6]");
  EXPECT_EQ(view("Flatten", {attr("axis", 2)}, Dims{2, 3}), "[6,1]");
  EXPECT_EQ(view("Flatten", {attr("axis", -1)}, Dims{2, 3, 4}), "[6,4]");
  EXPECT_EQ(view("Flatten", {attr("axis", 0)}, Dims{}), "[1,1]");
  EXPECT_TRUE(mentions(view("Flatten", {attr("axis", 3)}, Dims{2, 3}), "axis"));
  EXPECT_TRUE(mentions(view("Flatten", {attr("axis", -3)}, Dims{2, 3}), "axis"));
  EXPECT_TRUE(mentions(view("Flatten", Attrs{}, Dims{}), "axis"));
}

TEST(Views, Reshape) {
  EXPECT_EQ(view("Reshape", Dims{2, 6}, Dims{3, 4}), "[3,4]");
  EXPECT_EQ(view("Reshape", Dims{2, 6}, Dims{3, -1}), "[3,4]");
  EXPECT_EQ(view("Reshape", Dims{2, 6}, Dims{0, 2, -1}), "[2,2,3]");
  EXPECT_EQ(view("Reshape", Dims{1, 1}, Dims{}), "[]");
  EXPECT_EQ(view("Reshape", Dims{}, Dims{1, -1}), "[1,1]");
  EXPECT_EQ(view("Reshape", Dims{0, 3}, Dims{3, -1}), "[3,0]");
  EXPECT_EQ(view("Reshape", Dims{0, 3}, Dims{0, 7}), "[0,7]");
  EXPECT_EQ(view("Reshape", {attr("shape", Dims{4, -1})}, Dims{2, 6}), "[4,3]");
}

TEST(Views, ReshapeMayAllowZeros) {
  const graph::Node node = node_of("Reshape", {attr("allowzero", 1)});
  EXPECT_EQ(view(node, Dims{0, 3}, Dims{5, 0}, true), "[5,0]");
  EXPECT_TRUE(mentions(view(node, Dims{2, 3}, Dims{0, 6}, true), "cannot turn"));
  EXPECT_EQ(view(node, Dims{0, 3}, Dims{0, -1}, true), "[0,3]");
  EXPECT_EQ(view(node, Dims{4, 0}, Dims{1, -1, 1, 0}, true), "[1,4,1,0]");
  // To ONNX Runtime only 1 means so.
  EXPECT_EQ(view(node_of("Reshape", {attr("allowzero", -128)}), Dims{2, 3}, Dims{0, -1}, true), "[2,3]");
}

TEST(Views, ReshapeThatDoesNotFit) {
  EXPECT_TRUE(mentions(view("Reshape", Dims{2, 6}, Dims{5, -1}), "cannot turn [2,6] into [5,-1]"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{2, 6}, Dims{2, 5}), "cannot turn [2,6] into [2,5]"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{2, 6}, Dims{-1, -1}), "impossible"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{2, 6}, Dims{-2, 6}), "impossible"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{2, 6}, Dims{INT64_MAX, 4}), "impossible"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{2}, Dims{2, 0}), "dim 1"));
  EXPECT_TRUE(mentions(view("Reshape", Dims{0, 3}, Dims{0, -1}), "cannot turn"));
}

// An empty tensor may have dims whose product is no number.
TEST(Views, OfEmptyTensorsWithHugeDims) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  EXPECT_TRUE(mentions(view("Flatten", {attr("axis", 2)}, Dims{kHuge, 4, 0}), "too large"));
  EXPECT_EQ(view("Flatten", {attr("axis", 0)}, Dims{0, kHuge}), "[1,0]");
  EXPECT_EQ(view("Reshape", Dims{kHuge, 4, 0}, Dims{-1}), "[0]");
  const auto allowed = node_of("Reshape", {attr("allowzero", 1)});
  EXPECT_TRUE(mentions(view(allowed, Dims{kHuge, 4, 0}, Dims{0, -1}, true), "cannot turn"));
}

TEST(Views, SqueezeAndUnsqueeze) {
  EXPECT_EQ(view("Squeeze", Attrs{}, Dims{1, 3, 1}), "[3]");
  EXPECT_EQ(view("Squeeze", Dims{1, 3, 1}, Dims{-1}), "[1,3]");
  EXPECT_EQ(view("Squeeze", {attr("axes", Dims{0})}, Dims{1, 3, 1}), "[3,1]");
  EXPECT_EQ(view("Squeeze", Dims{1, 3, 1}, Dims{}), "[3]");
  EXPECT_EQ(view("Squeeze", Dims{1, 3, 1}, Dims{0, -3}), "[3,1]");
  EXPECT_TRUE(mentions(view("Squeeze", Dims{1, 3}, Dims{1}), "squeezes axis 1"));
  EXPECT_TRUE(mentions(view("Squeeze", Dims{1, 3}, Dims{2}), "do not fit"));
  EXPECT_TRUE(mentions(view("Squeeze", Dims{1, 3}, Dims{-3}), "do not fit"));
  EXPECT_EQ(view("Unsqueeze", Dims{3}, Dims{0, -1}), "[1,3,1]");
  EXPECT_EQ(view("Unsqueeze", Dims{}, Dims{0}), "[1]");
  EXPECT_EQ(view("Unsqueeze", {attr("axes", Dims{1, 0})}, Dims{3}), "[1,1,3]");
  EXPECT_TRUE(mentions(view("Unsqueeze", Dims{3}, Dims{0, 0}), "do not fit"));
  EXPECT_TRUE(mentions(view("Unsqueeze", Dims{3}, Dims{2}), "do not fit"));
}

// ---- against ONNX Runtime's own kernels
// ------------------------------------------------------------------------------

// The operator alone in a model, with inputs of any rank.
Plain& plain_view(const std::string& op, const Attrs& attrs, bool has_operand) {
  static std::map<std::string, std::unique_ptr<Plain>> made;
  std::string key = op + (has_operand ? "+" : "-");
  for (const Attr& attr : attrs) key += attr.bytes;
  auto& entry = made[key];
  if (entry == nullptr) {
    Model m;
    m.input("x", tensor_type(kFloat));
    if (has_operand) m.input("operand", graph::ElementType::kInt64, {"k"});
    m.node(op, has_operand ? Names{"x", "operand"} : Names{"x"}, {"y"}, attrs).output("y", tensor_type(kFloat));
    entry = std::make_unique<Plain>(ort::testing::runtime(), m.bytes());
  }
  return *entry;
}

TEST(Views, AgreeWithOnnxRuntimeOnRandomInputs) {
  std::mt19937 random(7);
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  int good = 0;
  int bad = 0;
  for (int round = 0; round < 3000; ++round) {
    Dims dims;
    for (int rank = between(0, 4); rank > 0; --rank) dims.push_back(between(0, 5) < 2 ? 1 : between(0, 4));
    const std::string op =
        std::vector<std::string>{"Reshape", "Squeeze", "Unsqueeze", "Flatten"}[static_cast<size_t>(between(0, 3))];
    const bool has_operand = op == "Reshape" || op == "Unsqueeze" || (op == "Squeeze" && between(0, 3) != 0);
    Attrs attrs;
    Dims operand;
    if (op == "Flatten") attrs = {attr("axis", between(-5, 5))};
    if (op == "Reshape") {
      attrs = {attr("allowzero", between(0, 1))};
      for (int rank = between(0, 4); rank > 0; --rank) operand.push_back(between(-1, 4));
    } else if (has_operand) {
      for (int rank = between(0, 3); rank > 0; --rank) operand.push_back(between(-4, 4));
    }
    std::string theirs;
    try {
      ort::testing::Tensors inputs = {noise(dims, 1)};
      if (has_operand) inputs.push_back(tensor_of<int64_t>({static_cast<int64_t>(operand.size())}, operand));
      theirs = text(plain_view(op, attrs, has_operand).run(inputs)[0].dims);
    } catch (const std::runtime_error& error) {
      theirs = std::string("error: ") + error.what();
    }
    const std::string ours = view(node_of(op, attrs), dims, operand, has_operand);
    const bool fails = theirs.starts_with("error");
    ++(fails ? bad : good);
    EXPECT_EQ(ours.starts_with("["), !fails) << op << ": " << ours << "; ONNX Runtime: " << theirs;
    if (!fails) {
      EXPECT_EQ(ours, theirs) << op;
    }
    if (HasFailure()) {
      FAIL() << op << " of " << text(dims) << " told " << text(operand) << ", attribute "
             << (attrs.empty() ? "" : attrs[0].bytes);
    }
  }
  EXPECT_GT(good, 300);
  EXPECT_GT(bad, 300);
}

}  // namespace
}  // namespace plx::schedule
