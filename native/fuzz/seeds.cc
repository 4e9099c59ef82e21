#include "seeds.h"

#include <memory>
#include <stdexcept>

#include "plx/graph/reader.h"
#include "plx/partition/plan.h"
#include "plx/schedule/models_testing.h"

namespace plx::fuzz {

namespace {

using namespace schedule::testing;

// A little of everything that the reader decodes.
std::string everything() {
  Body inner("inner");
  inner.initializer("clash", tensor<float>({2}, {1, 2})).node("Add", {"a", "clash"}, {"t"}).output("t", kFloat, {2});
  Body outer("outer");
  outer.node("If", {"c"}, {"e"}, {attr("then_branch", inner), attr("else_branch", inner)}).output("e", kFloat, {2});
  Model m;
  m.imports("local", 1).imports("com.microsoft", 1).metadata("k", "v");
  m.function(function_bytes("local", "Twice", {"p"}, {"q"}, {node_bytes("Add", {"p", "p"}, {"q"})}, 17));
  m.input("x", kFloat, {"n", 2}).input("c", kBool, {}).input("list", sequence_of(tensor_type(kFloat)));
  m.input("o", optional_of(tensor_type(kFloat, {2})))
      .input("map", map_of(kInt, tensor_type(kFloat)))
      .input("default", kFloat, {2});
  m.initializer("w", TensorBytes(kFloat, {2}).floats({1, 2}))
      .initializer("default", TensorBytes(kFloat, {2}).floats({1, 2}, false));
  m.initializer("shape", TensorBytes(kInt, {2}).int64s({-1, 2}))
      .initializer("text", TensorBytes(kText, {1}).strings({"s"}));
  m.initializer("h", TensorBytes(graph::ElementType::kInt4, {3}).int32s({1, 2}))
      .initializer("u", TensorBytes(graph::ElementType::kUint64, {1}).uint64s({7}))
      .initializer("d", TensorBytes(graph::ElementType::kFloat64, {1}).doubles({0.5}))
      .initializer("f16", TensorBytes(graph::ElementType::kFloat16, {2}).int32s({1, 2}, false));
  m.sparse_initializer("s", tensor<float>({1}, {1}), tensor<int64_t>({1}, {1}), {2});
  m.node("Add", {"x", "w"}, {"a"})
      .node("Reshape", {"a", "shape"}, {"b"}, {attr("allowzero", 0)})
      .node("Add", {"b", "s"}, {"clash"});
  m.node("If", {"c"}, {"y"}, {attr("then_branch", inner), attr("else_branch", outer)})
      .node("local:Twice", {"clash"}, {"z"})
      .node("Einsum", {"z", "z"}, {"ein"}, {attr("equation", "ij,kj->ik")})
      .node("MaxPool", {"z"}, {"pool", ""}, {attr("kernel_shape", Dims{2})})
      .node("com.microsoft:MultiHeadAttention", {"x", "", "x"}, {"heads"}, {attr("num_heads", 2)})
      .node("LeakyRelu", {"z"}, {"leaky"}, {attr("alpha", 0.1f)});
  m.node("Transpose", {"leaky"}, {"v"}, {attr("perm", Dims{1, 0})}).value_info("z", tensor_type(kFloat, {"n", 2}));
  m.output("y", kFloat, {2}).output("v").output("w", kFloat, {2}).output("x", kFloat, {"n", 2});
  return m.bytes();
}

// Arms of equal work with views between them, and a join: several layers, groups, aliases.
std::string arms() {
  Model m;
  m.input("x", kFloat, {1, 8}).initializer("flat", tensor<int64_t>({1}, {-1}));
  m.node("Relu", {"x"}, {"s"});
  for (const std::string arm : {"a", "b", "c"}) {
    m.node("Tanh", {"s"}, {arm + "1"}).node("Exp", {arm + "1"}, {arm + "2"}).node("Neg", {arm + "2"}, {arm + "3"});
    m.node("Reshape", {arm + "3", "flat"}, {arm + "4"});
  }
  m.node("Sum", {"a4", "b4", "c4"}, {"y"}).output("y", kFloat, {8}).output("a2", kFloat, {1, 8});
  for (const std::string arm : {"a", "b", "c"}) {
    for (const char* step : {"1", "2", "3"}) m.value_info(arm + step, tensor_type(kFloat, {1, 8}));
  }
  return m.bytes();
}

graph::Graph read(const std::string& bytes) {
  auto graph = graph::read_model(bytes_of(bytes), std::make_shared<graph::Storage>(), {});
  if (!graph) throw std::runtime_error(graph.error().message);
  return graph.take();
}

}  // namespace

std::string voice_detector() {
  const auto branch = [](const std::string& name, int channels) {
    Body longer(name + "/long");
    longer.node("ReduceMean", {name + "/r"}, {name + "/m"}, {attr("axes", Dims{2}), attr("keepdims", 1)});
    longer.output(name + "/m", kFloat, {1, 4, 1});
    Body shorter(name + "/short");
    shorter.node("ReduceMax", {name + "/r"}, {name + "/x"}, {attr("axes", Dims{2}), attr("keepdims", 1)});
    shorter.output(name + "/x", kFloat, {1, 4, 1});
    Body body(name);
    body.initializer(name + "/w", weights({4, 1, channels}, static_cast<uint32_t>(channels)));
    body.initializer(name + "/limit", tensor<int64_t>({}, {8}));
    body.node("Conv", {"padded", name + "/w"}, {name + "/c"}, {attr("strides", Dims{2})})
        .node("Relu", {name + "/c"}, {name + "/r"})
        .node("Size", {name + "/r"}, {name + "/n"})
        .node("Greater", {name + "/n", name + "/limit"}, {name + "/g"});
    body.node("If", {name + "/g"}, {name + "/y"}, {attr("then_branch", longer), attr("else_branch", shorter)});
    body.output(name + "/y", kFloat, {1, 4, 1});
    return body;
  };
  Model m(16);
  m.input("input", kFloat, {1, "samples"}).input("state", kFloat, {2, 1, 4}).input("sr", kInt, {});
  m.initializer("axis", tensor<int64_t>({1}, {1})).initializer("rate", tensor<int64_t>({}, {16000}));
  m.initializer("pads", tensor<int64_t>({6}, {0, 0, 2, 0, 0, 2})).initializer("zero", tensor<int64_t>({}, {0}));
  m.initializer("one", tensor<int64_t>({}, {1})).initializer("first", tensor<int64_t>({1}, {0}));
  m.initializer("W", weights({1, 16, 4}, 7))
      .initializer("R", weights({1, 16, 4}, 8))
      .initializer("B", weights({1, 32}, 9));
  m.node("Unsqueeze", {"input", "axis"}, {"wide"}).node("Pad", {"wide", "pads"}, {"padded"}, {attr("mode", "reflect")});
  m.node("Equal", {"sr", "rate"}, {"is16"});
  m.node("If", {"is16"}, {"features"}, {attr("then_branch", branch("k16", 3)), attr("else_branch", branch("k8", 5))});
  m.node("Transpose", {"features"}, {"seq"}, {attr("perm", Dims{2, 0, 1})});
  m.node("Gather", {"state", "zero"}, {"h"}, {attr("axis", 0)})
      .node("Gather", {"state", "one"}, {"c"}, {attr("axis", 0)});
  m.node("Unsqueeze", {"h", "first"}, {"h0"}).node("Unsqueeze", {"c", "first"}, {"c0"});
  m.node("LSTM", {"seq", "W", "R", "B", "", "h0", "c0"}, {"all", "hn", "cn"}, {attr("hidden_size", 4)});
  m.node("Concat", {"hn", "cn"}, {"stateN"}, {attr("axis", 0)});
  m.node("Squeeze", {"all", "axis"}, {"flat"}).node("Sigmoid", {"flat"}, {"output"});
  m.output("output", tensor_type(kFloat)).output("stateN", kFloat, {2, 1, 4});
  return m.bytes();
}

std::vector<Seed> import_seeds() {
  return {{"everything", everything()},
          {"arms", arms()},
          {"attention", attention()},
          {"control-flow", control_flow()},
          {"convolutions", convolutions()},
          {"many-outputs", many_outputs()},
          {"non-zero", non_zero()},
          {"reshape-by-data", reshape_by_data()},
          {"sequences", sequences()},
          {"strings", strings()},
          {"voice-detector", voice_detector()}};
}

std::vector<Seed> plan_models() {
  return {{"arms", arms()}, {"control-flow", control_flow()}, {"many-outputs", many_outputs()}};
}

std::vector<Seed> plan_seeds() {
  std::vector<Seed> seeds;
  for (const Seed& model : plan_models()) {
    const graph::Graph graph = read(model.bytes);
    graph::Shapes shapes(graph.values.size());
    for (size_t id = 0; id < shapes.size(); ++id) {
      const graph::Type& type = graph.values[id].type;
      if (type.kind != graph::Kind::kTensor || !type.shape) continue;
      shapes[id].emplace().element = type.element;
      for (const graph::Dim& dim : *type.shape) shapes[id]->dims.push_back(dim.known() ? dim.size : 2);
    }
    using partition::Units;
    const auto add = [&](const std::string& name, const partition::Options& options) {
      const auto plan = partition::make_plan(graph, shapes, options);
      if (!plan) throw std::runtime_error(plan.error().message);
      seeds.push_back({model.name + "-" + name + ".json", partition::to_json(graph, *plan)});
    };
    for (const Units units : {Units::kWhole, Units::kLayers, Units::kBranches, Units::kNodes}) {
      partition::Options options;
      options.units = units;
      options.rule = partition::Rule::kRelaxed;
      options.beta = 4;
      options.min_nodes = 2;
      add(partition::units_name(units), options);
    }
    partition::Options options;
    options.units = Units::kBranches;
    options.device = partition::gpu_profile();
    options.device->operators = {"Tanh", "Exp", "Neg", "Add"};
    options.device->min_nodes = 1;
    options.device->min_macs = 1;
    options.device->max_bytes_per_mac = 100;
    options.device->latency_s = 0;
    add("device", options);
  }
  return seeds;
}

}  // namespace plx::fuzz
