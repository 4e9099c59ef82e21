// For tests: graphs put together in code.
//
//   GraphBuilder b;
//   ValueId x = b.input("x", {1, 8});
//   ValueId y = b.op("Relu", {x}, {1, 8});
//   b.output(y);
//   Built g = b.build();   // g.graph, g.shapes
//
// Nodes have to be added in a topological order. Consumers, producers, outputs and shapes are derived.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <protozero/pbf_writer.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"
#include "plx/graph/storage.h"

namespace plx::partition {

struct Built {
  graph::Graph graph;
  graph::Shapes shapes;
};

// AttributeProto bytes: name 1, f 2, i 3, s 4, ints 8, type 20.
inline std::string int_attr(const std::string& name, int64_t value) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  writer.add_string(1, name);
  writer.add_int64(3, value);
  writer.add_enum(20, 2);
  return bytes;
}
inline std::string string_attr(const std::string& name, const std::string& value) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  writer.add_string(1, name);
  writer.add_bytes(4, value);
  writer.add_enum(20, 3);
  return bytes;
}
inline std::string ints_attr(const std::string& name, const std::vector<int64_t>& values) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  writer.add_string(1, name);
  writer.add_packed_int64(8, values.begin(), values.end());
  writer.add_enum(20, 7);
  return bytes;
}

class GraphBuilder {
 public:
  using ValueId = graph::ValueId;
  using NodeId = graph::NodeId;
  using Element = graph::ElementType;
  using Dims = std::vector<int64_t>;

  GraphBuilder() {
    built_.graph.name = "test";
    built_.graph.opsets[""] = 17;
    built_.graph.storage = std::make_shared<graph::Storage>();
  }

  // A value of a known tensor shape; without dims its size is unknown.
  ValueId value(const std::string& name, std::optional<Dims> dims = std::nullopt, Element element = Element::kFloat32) {
    graph::Value v;
    v.name = name;
    built_.graph.values.push_back(std::move(v));
    built_.shapes.emplace_back();
    const auto id = static_cast<ValueId>(built_.graph.values.size() - 1);
    if (dims) {
      built_.graph.values[id].type.kind = graph::Kind::kTensor;
      built_.graph.values[id].type.element = element;
      built_.shapes[id] = graph::Shape{element, *dims};
    }
    return id;
  }
  ValueId input(const std::string& name, std::optional<Dims> dims = std::nullopt, Element element = Element::kFloat32) {
    const ValueId id = value(name, std::move(dims), element);
    built_.graph.values[id].is_input = true;
    built_.graph.inputs.push_back(id);
    return id;
  }
  ValueId constant(const std::string& name, const Dims& dims, Element element = Element::kFloat32) {
    const ValueId id = value(name, dims, element);
    built_.graph.values[id].initializer = static_cast<int32_t>(built_.graph.initializers.size());
    graph::Initializer initializer;
    initializer.element = element;
    initializer.dims = dims;
    built_.graph.initializers.push_back(std::move(initializer));
    return id;
  }

  // A node over given values; its index comes back. An operator "domain:Op" is outside ai.onnx.
  NodeId node(const std::string& op, const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs,
              const std::vector<std::string>& attributes = {}) {
    graph::Node n;
    const auto id = static_cast<NodeId>(built_.graph.nodes.size());
    const size_t colon = op.find(':');
    n.op_type = colon == std::string::npos ? op : op.substr(colon + 1);
    n.domain = colon == std::string::npos ? "" : op.substr(0, colon);
    n.name = "n" + std::to_string(id);
    n.inputs = inputs;
    n.outputs = outputs;
    for (const std::string& bytes : attributes) n.attributes.push_back(built_.graph.storage->keep_text(bytes));
    for (const ValueId out : outputs) {
      if (out != graph::kNone) built_.graph.values[out].producer = id;
    }
    built_.graph.nodes.push_back(std::move(n));
    return id;
  }
  // A node with one new output, which comes back.
  ValueId op(const std::string& type, const std::vector<ValueId>& inputs, std::optional<Dims> dims = Dims{1, 8},
             const std::vector<std::string>& attributes = {}) {
    const ValueId out = value("v" + std::to_string(built_.graph.values.size()), std::move(dims));
    node(type, inputs, {out}, attributes);
    return out;
  }
  // A chain of Relus, so long, behind `from`.
  ValueId chain(ValueId from, int length, const Dims& dims = {1, 8}) {
    for (int i = 0; i < length; ++i) from = op("Relu", {from}, dims);
    return from;
  }
  void output(ValueId id) {
    built_.graph.values[id].is_output = true;
    built_.graph.outputs.push_back(id);
  }

  graph::Graph& graph() { return built_.graph; }
  graph::Shapes& shapes() { return built_.shapes; }
  NodeId maker(ValueId id) const { return built_.graph.values[id].producer; }

  Built build() {
    graph::Graph& g = built_.graph;
    for (size_t n = 0; n < g.nodes.size(); ++n) {
      for (const auto* list : {&g.nodes[n].inputs, &g.nodes[n].captures}) {
        for (const ValueId v : *list) {
          if (v == graph::kNone) continue;
          auto& consumers = g.values[v].consumers;
          if (consumers.empty() || consumers.back() != static_cast<NodeId>(n)) {
            consumers.push_back(static_cast<NodeId>(n));
          }
        }
      }
    }
    g.total_nodes = g.nodes.size();
    return std::move(built_);
  }

 private:
  Built built_;
};

// ---- random graphs: every kind of thing a plan has to cope with, from a seed ----------------------------------------

struct RandomGraph {
  int nodes = 40;
  // Shares of nodes, in percent.
  int views = 20;
  int control_flow = 3;
  int constants = 4;      // nodes without inputs
  int unsupported = 15;   // operators no device declares
  int unknown_sizes = 3;
  int locality = 8;       // how far back inputs are looked for; small makes chains, large makes nets
};

inline Built random_graph(uint32_t seed, const RandomGraph& shape) {
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const auto percent = [&](int share) { return static_cast<int>(random() % 100) < share; };
  GraphBuilder b;
  std::vector<graph::ValueId> made;
  for (int i = 0; i < 3; ++i) made.push_back(b.input("in" + std::to_string(i), GraphBuilder::Dims{64, 64}));
  const graph::ValueId weight = b.constant("weight", {64, 64});
  const graph::ValueId target = b.constant("target", {2}, graph::ElementType::kInt64);
  const auto recent = [&] {
    return made[made.size() - 1 - below(std::min<size_t>(made.size(), static_cast<size_t>(shape.locality)))];
  };
  for (int i = 0; i < shape.nodes; ++i) {
    std::optional<GraphBuilder::Dims> dims = GraphBuilder::Dims{64, 64};
    if (percent(shape.unknown_sizes)) dims.reset();
    if (percent(shape.constants)) {
      made.push_back(b.op("RandomNormal", {}, dims));
    } else if (percent(shape.views)) {
      static const char* const views[] = {"Reshape", "Squeeze", "Identity", "Flatten", "Unsqueeze"};
      const std::string view = views[below(5)];
      std::vector<graph::ValueId> inputs{percent(5) ? weight : recent()};
      if (view == "Reshape") inputs.push_back(percent(70) ? target : recent());
      made.push_back(b.op(view, inputs, dims));
    } else if (percent(shape.control_flow)) {
      made.push_back(b.op("If", {recent()}, dims));
      graph::Node& node = b.graph().nodes.back();
      node.has_subgraph = true;
      for (size_t c = 0; c < below(3); ++c) {
        const graph::ValueId v = recent();
        if (std::find(node.captures.begin(), node.captures.end(), v) == node.captures.end()) node.captures.push_back(v);
      }
    } else if (percent(shape.unsupported)) {
      made.push_back(b.op("TopK", {recent(), graph::kNone, recent()}, dims));
    } else if (percent(30)) {
      made.push_back(b.op("MatMul", {recent(), weight}, dims));
    } else if (percent(20)) {  // two outputs, sometimes one left out
      const graph::ValueId one = b.value("s" + std::to_string(i), dims);
      const graph::ValueId two = percent(30) ? graph::kNone : b.value("t" + std::to_string(i), dims);
      b.node("Split", {recent()}, {one, two});
      made.push_back(one);
      if (two != graph::kNone) made.push_back(two);
    } else if (percent(50)) {
      made.push_back(b.op("Add", {recent(), recent()}, dims));
    } else {
      made.push_back(b.op("Relu", {recent()}, dims));
    }
  }
  const size_t outputs = 1 + below(4);
  for (size_t i = 0; i < outputs; ++i) {
    const graph::ValueId v = recent();
    if (b.maker(v) != graph::kNone && !b.graph().values[v].is_output) b.output(v);
  }
  return b.build();
}

// Series-parallel graphs: chains that fork into branches of chains and join again, nested.
inline Built series_parallel_graph(uint32_t seed, int depth) {
  std::mt19937 random(seed);
  GraphBuilder b;
  const auto grow = [&](const auto& self, graph::ValueId from, int level) -> graph::ValueId {
    from = b.chain(from, 1 + static_cast<int>(random() % 4), {64, 64});
    if (level == 0) return from;
    std::vector<graph::ValueId> ends;
    const int branches = 2 + static_cast<int>(random() % 3);
    for (int i = 0; i < branches; ++i) ends.push_back(self(self, from, level - 1));
    return b.chain(b.op("Sum", ends, GraphBuilder::Dims{64, 64}), static_cast<int>(random() % 4), {64, 64});
  };
  b.output(grow(grow, b.input("x", GraphBuilder::Dims{64, 64}), depth));
  return b.build();
}

}  // namespace plx::partition
