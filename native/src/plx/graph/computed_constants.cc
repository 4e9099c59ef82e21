#include "plx/graph/computed_constants.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <set>
#include <string_view>
#include <vector>

#include "plx/graph/limits.h"
#include "plx/graph/onnx_fields.h"
#include "plx/graph/shape_flow.h"
#include "plx/graph/subgraphs.h"
#include "plx/graph/writer.h"

namespace plx::graph {

namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

// Smaller constants may carry shapes, axes or limits, on which sizes depend; of larger ones only their own size counts.
constexpr uint64_t kInlineBytes = 4096;
constexpr int kNotConstant = -1;
constexpr double kUnbounded = std::numeric_limits<double>::infinity();

// Operators of ai.onnx whose outputs together are at most so many times as large as their inputs.
const std::map<std::string_view, double>& bounded_operators() {
  static const std::map<std::string_view, double> table = {
      {"Identity", 1}, {"Reshape", 1}, {"Transpose", 1}, {"Unsqueeze", 1}, {"Squeeze", 1}, {"Flatten", 1}, {"Slice", 1},
      {"Split", 1},    {"Concat", 1},  {"Relu", 1},      {"Sigmoid", 1},   {"Tanh", 1},    {"Clip", 1},    {"Exp", 1},
      {"Log", 1},      {"Sqrt", 1},    {"Neg", 1},       {"Abs", 1},       {"Erf", 1},     {"Floor", 1},   {"Ceil", 1},
      {"Not", 1},      {"Cast", 16},   {"DequantizeLinear", 8},
  };
  return table;
}

// The most bytes that a node makes out of so many.
template <class Node>
double bound(const Node& node, double inputs) {
  if (!node.domain.empty()) return kUnbounded;
  if (node.op_type == "Shape" || node.op_type == "Size") return 8.0 * kMostDimensions;
  if (node.op_type == "Constant") {
    double bytes = 0;
    for (const std::string_view attribute : node.attributes) bytes += 8.0 * static_cast<double>(attribute.size());
    return bytes;  // a sparse one is the reader's affair
  }
  const auto factor = bounded_operators().find(node.op_type);
  return factor == bounded_operators().end() ? kUnbounded : factor->second * inputs;
}

// Whether a look at the graph that was read is enough: no bodies, no functions, and all that reads constants only is
// bounded and fits. Most models are like that, and for them the model's bytes are not gone through again.
bool is_plain(const Graph& graph, uint64_t free_bytes) {
  if (!graph.functions.empty()) return false;
  std::vector<double> bytes(graph.values.size(), -1);  // of constants
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const int32_t initializer = graph.values[i].initializer;
    if (initializer == kNone) continue;
    const Initializer& constant = graph.initializers[initializer];
    bytes[i] = static_cast<double>(std::max<uint64_t>(constant.size_bytes, constant.proto.size()));
  }
  double all = 0;
  for (const graph::Node& node : graph.nodes) {
    if (node.has_subgraph) return false;
    double inputs = 0;
    bool computed = true;
    for (const ValueId id : node.inputs) {
      if (id == kNone) continue;
      const bool of_input = graph.values[id].is_input && (node.op_type == "Shape" || node.op_type == "Size");
      if (bytes[id] < 0 && !of_input) computed = false;
      inputs += std::max(bytes[id], 0.0);
    }
    if (!computed) continue;
    const double made = bound(node, inputs);
    all += made;
    if (all > static_cast<double>(free_bytes)) return false;
    for (const ValueId id : node.outputs) {
      if (id != kNone) bytes[id] = made;
    }
  }
  return true;
}

pbf_reader reader_of(std::string_view bytes) { return pbf_reader{bytes.data(), bytes.size()}; }

std::string text(std::string_view message, uint32_t field) {
  pbf_reader reader = reader_of(message);
  std::string out;
  while (reader.next(field, onnx::kBytes)) out = reader.get_string();
  return out;
}

// The message with another text in that field.
std::string with_text(std::string_view message, uint32_t field, const std::string& value) {
  std::string out;
  pbf_writer writer{out};
  pbf_reader in = reader_of(message);
  while (in.next()) {
    if (in.tag() == field) in.skip();
    else onnx::copy_field(in, writer);
  }
  writer.add_string(field, value);
  return out;
}

class Collector {
 public:
  Collector(const Graph& graph, uint64_t free_bytes) : graph_(graph), free_bytes_(free_bytes) {}

  ComputedConstants collect() {
    pbf_reader model = reader_of(graph_.model);
    while (model.next(onnx::Model::kGraph, onnx::kBytes)) {
      scope_of(onnx::view(model.get_view()), onnx::GraphProto::kNode, nullptr);
    }
    for (size_t f = 0; f < graph_.functions.size(); ++f) {
      times_ = graph_.function_calls[f];
      if (times_ > 0) scope_of(graph_.functions[f], onnx::FunctionProto::kNode, nullptr);
    }
    const bool all_needed = bounded_bytes_ > static_cast<double>(free_bytes_);
    for (size_t i = items_.size(); i-- > 0;) {  // an item needs earlier ones only
      Item& item = items_[i];
      if (item.computed && (all_needed || item.bytes == kUnbounded)) item.needed = item.asked = true;
      if (!item.needed) continue;
      for (const int id : item.needs) items_[item_of_[id]].needed = true;
    }
    std::string all;
    for (const Item& item : items_) {
      if (item.needed) all += item.fields;
      if (!item.asked) continue;
      all += item.outputs;
      result_.outputs.insert(result_.outputs.end(), item.output_count, item.made);
    }
    if (result_.outputs.empty()) return {};
    pbf_writer{all}.add_string(onnx::GraphProto::kName, "constants");
    pbf_writer writer{result_.model};
    writer.add_int64(onnx::Model::kIrVersion, graph_.ir_version);
    for (const auto& [domain, version] : graph_.opsets) {
      std::string opset;
      pbf_writer{opset}.add_string(onnx::OpsetId::kDomain, domain);
      pbf_writer{opset}.add_int64(onnx::OpsetId::kVersion, version);
      writer.add_message(onnx::Model::kOpsetImport, opset);
    }
    writer.add_message(onnx::Model::kGraph, all);
    for (const std::string_view function : graph_.functions) {
      writer.add_bytes(onnx::Model::kFunctions, function.data(), function.size());
    }
    return std::move(result_);
  }

 private:
  // The names of a graph, each with the number of its constant.
  struct Scope {
    const Scope* outer;
    std::map<std::string, int, std::less<>> ids;
    std::map<std::string, std::string_view, std::less<>> inputs;  // ValueInfoProto

    int find(std::string_view name) const {
      const auto it = ids.find(name);
      if (it != ids.end()) return it->second;
      return outer == nullptr ? kNotConstant : outer->find(name);
    }
  };

  // What a constant is made by: a field of the GraphProto.
  struct Item {
    std::string fields;
    std::string outputs{};            // the fields that ask for what a node makes
    size_t output_count = 0;
    ComputedConstants::Output made{};
    std::vector<int> needs{};         // constants
    double bytes = 0;                 // at most, all outputs together
    bool computed = false;
    bool needed = false;
    bool asked = false;
  };
  int add_item(Item item) {
    items_.push_back(std::move(item));
    item_of_.push_back(items_.size() - 1);
    return static_cast<int>(item_of_.size()) - 1;
  }

  struct Node {
    std::string name, op_type, domain, overload;
    std::vector<std::string> inputs, outputs;
    std::vector<std::string_view> attributes;
    std::vector<std::string_view> bodies;
    std::string_view value;         // the tensor of a Constant
    bool of_its_function = false;   // an attribute is a parameter of the function
    size_t waits = 0;               // inputs that are no constants, so far
  };

  Node read_node(std::string_view bytes) {
    Node node;
    pbf_reader reader = reader_of(bytes);
    while (reader.next()) {
      if (reader.wire_type() != onnx::kBytes) {
        reader.skip();
        continue;
      }
      const auto tag = reader.tag();
      const std::string_view field = onnx::view(reader.get_view());
      switch (tag) {
        case onnx::NodeProto::kInput: node.inputs.emplace_back(field); break;
        case onnx::NodeProto::kOutput: node.outputs.emplace_back(field); break;
        case onnx::NodeProto::kName: node.name = std::string(field); break;
        case onnx::NodeProto::kOpType: node.op_type = std::string(field); break;
        case onnx::NodeProto::kDomain: node.domain = field == "ai.onnx" ? "" : std::string(field); break;
        case onnx::NodeProto::kOverload: node.overload = std::string(field); break;
        case onnx::NodeProto::kAttribute: node.attributes.push_back(field); break;
        default: break;
      }
    }
    for (const std::string_view attribute : node.attributes) {
      pbf_reader part = reader_of(attribute);
      while (part.next()) {
        const auto tag = part.tag();
        const bool is_bytes = part.wire_type() == onnx::kBytes;
        if (is_bytes && (tag == onnx::Attribute::kG || tag == onnx::Attribute::kGraphs)) {
          node.bodies.push_back(onnx::view(part.get_view()));
        } else if (is_bytes && tag == onnx::Attribute::kT && node.op_type == "Constant") {
          node.value = onnx::view(part.get_view());
        } else {
          node.of_its_function = node.of_its_function || tag == onnx::Attribute::kRefName;
          part.skip();
        }
      }
    }
    return node;
  }

  // A constant that the model holds.
  int add_tensor(std::string_view proto) {
    Shape shape;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      if (reader.tag() == onnx::TensorProto::kDims) onnx::append_int64s(reader, shape.dims);
      else if (reader.tag() == onnx::TensorProto::kDataType && reader.wire_type() == onnx::kVarint) {
        shape.element = static_cast<ElementType>(reader.get_int32());
      } else reader.skip();
    }
    const auto size = tensor_bytes(shape.element, shape.dims);
    const std::string name = "c" + std::to_string(item_of_.size());
    Item item{.fields = {}, .bytes = static_cast<double>(size.value_or(proto.size()))};
    pbf_writer writer{item.fields};
    if (proto.size() <= 2 * kInlineBytes && size.value_or(0) <= kInlineBytes) {
      writer.add_message(onnx::GraphProto::kInitializer, with_text(proto, onnx::TensorProto::kName, name));
    } else {
      writer.add_message(onnx::GraphProto::kInput, sized_info(name, shape));
    }
    return add_item(std::move(item));
  }

  void scope_of(std::string_view bytes, uint32_t node_field, const Scope* outer) {
    Scope scope{.outer = outer, .ids = {}, .inputs = {}};
    std::vector<Node> nodes;
    std::vector<std::string_view> initializers;
    pbf_reader reader = reader_of(bytes);
    while (reader.next()) {
      if (reader.wire_type() != onnx::kBytes) {
        reader.skip();
        continue;
      }
      const auto tag = reader.tag();
      const std::string_view field = onnx::view(reader.get_view());
      if (tag == node_field) {
        nodes.push_back(read_node(field));
      } else if (node_field == onnx::GraphProto::kNode && tag == onnx::GraphProto::kInitializer) {
        initializers.push_back(field);
      } else if (node_field == onnx::GraphProto::kNode && tag == onnx::GraphProto::kInput) {
        scope.inputs.emplace(text(field, onnx::ValueInfo::kName), field);
      }
    }
    if (node_field == onnx::GraphProto::kNode) {
      for (const auto& name : local_definitions(bytes)) scope.ids.emplace(name, kNotConstant);
    } else {
      for (const Node& node : nodes) {
        for (const auto& name : node.outputs) scope.ids.emplace(name, kNotConstant);
      }
    }
    for (const std::string_view proto : initializers) {
      const std::string name = text(proto, onnx::TensorProto::kName);
      // A default that a caller may override is no constant.
      if (graph_.ir_version < 4 || !scope.inputs.contains(name)) scope.ids[name] = add_tensor(proto);
    }
    compute(nodes, scope);
    for (const Node& node : nodes) {
      for (const std::string_view body : node.bodies) scope_of(body, onnx::GraphProto::kNode, &scope);
    }
  }

  bool is_shape_of_input(const Node& node, const Scope& scope) const {
    return scope.outer == nullptr && node.domain.empty() && (node.op_type == "Shape" || node.op_type == "Size") &&
           node.inputs.size() == 1 && scope.inputs.contains(node.inputs[0]);
  }

  // Takes the nodes that read constants only, then those that read these, and so on.
  void compute(std::vector<Node>& nodes, Scope& scope) {
    std::deque<size_t> ready;
    std::map<std::string_view, std::vector<size_t>> waiting;
    for (size_t i = 0; i < nodes.size(); ++i) {
      Node& node = nodes[i];
      if (!node.bodies.empty() || node.of_its_function || is_random(node.op_type)) continue;
      if (is_shape_of_input(node, scope)) {
        int& id = scope.ids[node.inputs[0]];
        if (id == kNotConstant) {
          const std::string name = "c" + std::to_string(item_of_.size());
          Item item{.fields = {}};
          pbf_writer{item.fields}.add_message(
              onnx::GraphProto::kInput, with_text(scope.inputs.at(node.inputs[0]), onnx::ValueInfo::kName, name));
          shapes_of_inputs_.emplace(node.inputs[0], add_item(std::move(item)));
        }
        ready.push_back(i);
        continue;
      }
      for (const std::string& input : node.inputs) {
        if (input.empty() || scope.find(input) != kNotConstant) continue;
        ++node.waits;
        waiting[input].push_back(i);
      }
      if (node.waits == 0) ready.push_back(i);
    }
    while (!ready.empty()) {
      const Node& node = nodes[ready.front()];
      ready.pop_front();
      take(node, scope);
      for (const std::string& output : node.outputs) {
        const auto found = waiting.find(output);
        if (output.empty() || found == waiting.end()) continue;
        for (const size_t reader : found->second) {
          if (--nodes[reader].waits == 0) ready.push_back(reader);
        }
        waiting.erase(found);
      }
    }
  }

  void take(const Node& node, Scope& scope) {
    if (!node.value.empty()) {
      for (const std::string& output : node.outputs) scope.ids[output] = add_tensor(node.value);
      return;
    }
    std::string bytes;
    pbf_writer writer{bytes};
    const bool of_input = is_shape_of_input(node, scope);
    Item item{.fields = {}, .made = {"node '" + node.name + "' (" + node.op_type + ")", times_}, .computed = true};
    for (const std::string& input : node.inputs) {
      int id = input.empty() ? kNotConstant : scope.find(input);
      if (of_input && id == kNotConstant) id = shapes_of_inputs_.at(input);
      writer.add_string(onnx::NodeProto::kInput, id == kNotConstant ? "" : "c" + std::to_string(id));
      if (id == kNotConstant) continue;
      item.needs.push_back(id);
      item.bytes += items_[item_of_[id]].bytes;
    }
    item.bytes = bound(node, item.bytes);
    if (item.bytes != kUnbounded) bounded_bytes_ += item.bytes * static_cast<double>(times_);
    const size_t index = items_.size();
    for (const std::string& output : node.outputs) {
      if (output.empty()) {
        writer.add_string(onnx::NodeProto::kOutput, "");
        continue;
      }
      const std::string name = "c" + std::to_string(item_of_.size());
      writer.add_string(onnx::NodeProto::kOutput, name);
      std::string info;
      pbf_writer{info}.add_string(onnx::ValueInfo::kName, name);
      pbf_writer{item.outputs}.add_message(onnx::GraphProto::kOutput, info);
      ++item.output_count;
      scope.ids[output] = static_cast<int>(item_of_.size());
      item_of_.push_back(index);
    }
    writer.add_string(onnx::NodeProto::kOpType, node.op_type);
    if (!node.domain.empty()) writer.add_string(onnx::NodeProto::kDomain, node.domain);
    if (!node.overload.empty()) writer.add_string(onnx::NodeProto::kOverload, node.overload);
    for (const std::string_view attribute : node.attributes) {
      writer.add_bytes(onnx::NodeProto::kAttribute, attribute.data(), attribute.size());
    }
    pbf_writer{item.fields}.add_message(onnx::GraphProto::kNode, bytes);
    items_.push_back(std::move(item));
  }

  const Graph& graph_;
  ComputedConstants result_;
  uint64_t free_bytes_;
  std::vector<Item> items_;       // what is needed stands before what needs it
  std::vector<size_t> item_of_;   // of each constant
  double bounded_bytes_ = 0;
  std::map<std::string, int> shapes_of_inputs_;
  uint64_t times_ = 1;
};

}  // namespace

ComputedConstants computed_constants(const Graph& graph, uint64_t free_bytes) {
  if (is_plain(graph, free_bytes)) return {};
  return Collector(graph, free_bytes).collect();
}

}  // namespace plx::graph
