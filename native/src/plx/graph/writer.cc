#include "plx/graph/writer.h"

#include <protozero/pbf_writer.hpp>
#include <unordered_set>

#include "plx/graph/onnx_fields.h"

namespace plx::graph {

namespace {

using protozero::pbf_writer;

void add_view(pbf_writer& writer, uint32_t field, std::string_view bytes) { writer.add_bytes(field, bytes.data(), bytes.size()); }

// TypeProto of a tensor; without dims the rank is left open.
std::string tensor_type(ElementType element, const std::vector<int64_t>* dims) {
  std::string tensor;
  pbf_writer writer{tensor};
  writer.add_int32(onnx::TensorType::kElemType, static_cast<int32_t>(element));
  if (dims != nullptr) {
    std::string shape;
    pbf_writer shape_writer{shape};
    for (const int64_t size : *dims) {
      std::string dim;
      pbf_writer{dim}.add_int64(onnx::Dimension::kValue, size);
      shape_writer.add_message(onnx::ShapeProto::kDim, dim);
    }
    writer.add_message(onnx::TensorType::kShape, shape);
  }
  std::string type;
  pbf_writer{type}.add_message(onnx::TypeProto::kTensor, tensor);
  return type;
}

std::string value_info(const Graph& graph, ValueId id) {
  const Value& value = graph.values[id];
  std::string info;
  pbf_writer writer{info};
  writer.add_string(onnx::ValueInfo::kName, value.name);
  if (!value.type.proto.empty()) {
    add_view(writer, onnx::ValueInfo::kType, value.type.proto);
  } else if (value.type.kind == Kind::kTensor) {
    writer.add_message(onnx::ValueInfo::kType, tensor_type(value.type.element, nullptr));
  }
  return info;
}

// A TensorProto that says what the tensor is, and that its data is handed over elsewhere.
std::string handed_over(const Value& value, const Initializer& init, const std::string& stand_in) {
  std::string tensor;
  pbf_writer writer{tensor};
  writer.add_packed_int64(onnx::TensorProto::kDims, init.dims.begin(), init.dims.end());
  writer.add_int32(onnx::TensorProto::kDataType, static_cast<int32_t>(init.element));
  writer.add_string(onnx::TensorProto::kName, value.name);
  const auto entry = [&](const char* key, const std::string& text) {
    std::string bytes;
    pbf_writer entry_writer{bytes};
    entry_writer.add_string(onnx::StringEntry::kKey, key);
    entry_writer.add_string(onnx::StringEntry::kValue, text);
    writer.add_message(onnx::TensorProto::kExternalData, bytes);
  };
  entry("location", stand_in);
  entry("offset", "0");
  entry("length", std::to_string(init.size_bytes));
  writer.add_int32(onnx::TensorProto::kDataLocation, 1);
  return tensor;
}

std::string with_data(const Value& value, const Initializer& init) {
  std::string tensor;
  pbf_writer writer{tensor};
  writer.add_packed_int64(onnx::TensorProto::kDims, init.dims.begin(), init.dims.end());
  writer.add_int32(onnx::TensorProto::kDataType, static_cast<int32_t>(init.element));
  writer.add_string(onnx::TensorProto::kName, value.name);
  writer.add_bytes(onnx::TensorProto::kRawData, reinterpret_cast<const char*>(init.data), init.size_bytes);
  return tensor;
}

std::string node_proto(const Graph& graph, const Node& node) {
  std::string bytes;
  pbf_writer writer{bytes};
  for (const ValueId id : node.inputs) writer.add_string(onnx::NodeProto::kInput, id == kNone ? "" : graph.values[id].name);
  for (const ValueId id : node.outputs) writer.add_string(onnx::NodeProto::kOutput, id == kNone ? "" : graph.values[id].name);
  writer.add_string(onnx::NodeProto::kName, node.name);
  writer.add_string(onnx::NodeProto::kOpType, node.op_type);
  for (const std::string_view attribute : node.attributes) add_view(writer, onnx::NodeProto::kAttribute, attribute);
  if (!node.domain.empty()) writer.add_string(onnx::NodeProto::kDomain, node.domain);
  if (!node.overload.empty()) writer.add_string(onnx::NodeProto::kOverload, node.overload);
  return bytes;
}

}  // namespace

std::string sized_info(const std::string& name, const Shape& shape) {
  std::string info;
  pbf_writer writer{info};
  writer.add_string(onnx::ValueInfo::kName, name);
  writer.add_message(onnx::ValueInfo::kType, tensor_type(shape.element, &shape.dims));
  return info;
}

Part write_part(const Graph& graph, std::span<const NodeId> nodes, std::span<const ValueId> inputs,
                std::span<const ValueId> outputs, const WriteOptions& options) {
  Part part;
  std::string body;
  pbf_writer writer{body};
  for (const NodeId id : nodes) writer.add_message(onnx::GraphProto::kNode, node_proto(graph, graph.nodes[id]));
  writer.add_string(onnx::GraphProto::kName, graph.name.empty() ? "part" : graph.name);

  std::vector<ValueId> as_inputs;
  std::unordered_set<ValueId> seen(inputs.begin(), inputs.end());
  const auto add_initializer = [&](ValueId id) {
    if (id == kNone || graph.values[id].initializer == kNone || !seen.insert(id).second) return;
    const Initializer& init = graph.initializers[graph.values[id].initializer];
    const bool large = !init.sparse && init.size_bytes > options.inline_limit_bytes && init.size_bytes > 0;
    if (large && options.large_as_inputs) {
      as_inputs.push_back(id);
      return;
    }
    if (large) {
      part.handed_over.push_back(id);
      writer.add_message(onnx::GraphProto::kInitializer, handed_over(graph.values[id], init, options.stand_in));
    } else if (init.external && init.data != nullptr) {
      writer.add_message(onnx::GraphProto::kInitializer, with_data(graph.values[id], init));
    } else {
      add_view(writer, init.sparse ? onnx::GraphProto::kSparseInitializer : onnx::GraphProto::kInitializer, init.proto);
    }
    // A default that the caller may override stays one: ONNX Runtime does not fold or prepack those.
    if (graph.values[id].is_input) writer.add_message(onnx::GraphProto::kInput, value_info(graph, id));
  };
  for (const NodeId node : nodes) {
    for (const ValueId id : graph.nodes[node].inputs) add_initializer(id);
    for (const ValueId id : graph.nodes[node].captures) add_initializer(id);
  }
  for (const ValueId id : outputs) add_initializer(id);

  for (const ValueId id : inputs) {
    const bool sized = options.input_shapes != nullptr && (*options.input_shapes)[id];
    writer.add_message(onnx::GraphProto::kInput,
                       sized ? sized_info(graph.values[id].name, *(*options.input_shapes)[id]) : value_info(graph, id));
  }
  for (const ValueId id : as_inputs) {
    const Initializer& init = graph.initializers[graph.values[id].initializer];
    writer.add_message(onnx::GraphProto::kInput, sized_info(graph.values[id].name, {init.element, init.dims}));
  }
  for (const ValueId id : outputs) {
    std::string untyped;
    pbf_writer{untyped}.add_string(onnx::ValueInfo::kName, graph.values[id].name);
    writer.add_message(onnx::GraphProto::kOutput, options.untyped_outputs ? untyped : value_info(graph, id));
  }

  pbf_writer model{part.bytes};
  model.add_int64(onnx::Model::kIrVersion, graph.ir_version);
  model.add_string(onnx::Model::kProducerName, "parallax");
  for (const auto& [domain, version] : graph.opsets) {
    std::string opset;
    pbf_writer opset_writer{opset};
    opset_writer.add_string(onnx::OpsetId::kDomain, domain);
    opset_writer.add_int64(onnx::OpsetId::kVersion, version);
    model.add_message(onnx::Model::kOpsetImport, opset);
  }
  model.add_message(onnx::Model::kGraph, body);
  for (const std::string_view function : graph.functions) add_view(model, onnx::Model::kFunctions, function);
  return part;
}

}  // namespace plx::graph
