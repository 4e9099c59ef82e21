// Damaged models: cut short at every byte, and with bytes changed at random. Reading must end in an error or in a graph
// that everything else can walk; under AddressSanitizer this is a memory check of the whole folder.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <random>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"
#include "plx/graph/shape_flow.h"
#include "plx/graph/writer.h"

namespace plx::graph {
namespace {

using namespace testing;

// A little of everything that the reader decodes.
std::string rich_model() {
  Body body("then");
  body.initializer("clash", tensor<float>({2}, {1, 2})).node("Add", {"a", "clash"}, {"t"}).output("t", kFloat, {2});
  Body other("else");
  other.node("If", {"c"}, {"e"}, {attr("then_branch", body), attr("else_branch", body)}).output("e", kFloat, {2});
  Model m;
  m.imports("local", 1).metadata("k", "v");
  m.function(function_bytes("local", "Twice", {"p"}, {"q"}, {node_bytes("Add", {"p", "p"}, {"q"})}, 17));
  m.input("x", kFloat, {"n", 2}).input("c", ElementType::kBool, {}).input("list", sequence_of(tensor_type(kFloat)));
  m.initializer("w", TensorBytes(kFloat, {2}).floats({1, 2}))
      .initializer("shape", TensorBytes(ElementType::kInt64, {2}).int64s({-1, 2}));
  m.initializer("h", TensorBytes(ElementType::kInt4, {3}).int32s({1, 2}))
      .initializer("text", TensorBytes(ElementType::kString, {1}).strings({"s"}));
  m.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {1}), {2});
  m.node("Add", {"x", "w"}, {"a"})
      .node("Reshape", {"a", "shape"}, {"b"}, {attr("allowzero", 0)})
      .node("Add", {"b", "s"}, {"clash"});
  m.node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", other)})
      .node("local:Twice", {"clash"}, {"z"});
  m.node("Transpose", {"z"}, {"v"}, {attr("perm", Dims{1, 0})}).value_info("z", tensor_type(kFloat, {"n", 2}));
  m.output("y", kFloat, {2}).output("v");
  return m.bytes();
}

// Reads a copy that ends at the end of its allocation, and walks the graph. True if it was accepted.
bool survives(const std::string& bytes) {
  const auto copy = std::make_unique<std::byte[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  auto graph = read_model({copy.get(), bytes.size()}, std::make_shared<Storage>(), {});
  if (!graph) {
    EXPECT_FALSE(graph.error().message.empty());
    EXPECT_NE(graph.error().code, Code::kInternal) << graph.error().message;
    return false;
  }
  for (size_t i = 0; i < graph->nodes.size(); ++i) {
    const Node& node = graph->nodes[i];
    for (const char* name : {"perm", "allowzero", "then_branch", ""}) {
      int_attribute(node, name);
      float_attribute(node, name);
      string_attribute(node, name);
      ints_attribute(node, name);
    }
    for (const NodeId before : predecessors(*graph, static_cast<NodeId>(i))) EXPECT_LT(before, static_cast<NodeId>(i));
    for (const NodeId after : successors(*graph, static_cast<NodeId>(i))) EXPECT_GT(after, static_cast<NodeId>(i));
  }
  EXPECT_EQ(settled_shapes(*graph).size(), graph->values.size());
  std::vector<NodeId> nodes(graph->nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  const Part part = write_part(*graph, nodes, graph->inputs, graph->outputs, {});
  auto again = read_model(bytes_of(part.bytes), std::make_shared<Storage>(), {});
  EXPECT_TRUE(again) << again.error().message;
  return true;
}

TEST(Damage, TheWholeModelIsSound) { EXPECT_TRUE(survives(rich_model())); }

TEST(Damage, CutShortAtEveryByte) {
  const std::string bytes = rich_model();
  size_t accepted = 0;
  for (size_t length = 0; length < bytes.size(); ++length) accepted += survives(bytes.substr(0, length)) ? 1 : 0;
  EXPECT_EQ(accepted, 0u);  // the graph stands last: without its end it is not whole
}

TEST(Damage, BytesChangedAtRandom) {
  const std::string sound = rich_model();
  std::mt19937 random(20240611);
  const auto below = [&](size_t limit) { return random() % limit; };
  size_t accepted = 0;
  constexpr int kRounds = 20000;
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes = sound;
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      const size_t at = below(bytes.size());
      switch (below(4)) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
        case 2: bytes.erase(at, 1 + below(3)); break;
        default: bytes.insert(at, 1, static_cast<char>(random())); break;
      }
    }
    accepted += survives(bytes) ? 1 : 0;
    if (HasFailure()) FAIL() << "round " << round;
  }
  // Names and numbers may change without harm: some survive, most do not.
  EXPECT_GT(accepted, 100u);
  EXPECT_LT(accepted, static_cast<size_t>(kRounds));
}

}  // namespace
}  // namespace plx::graph
