#include "plx/graph/graph.h"

#include <algorithm>
#include <protozero/pbf_reader.hpp>

#include "plx/graph/onnx_fields.h"

namespace plx::graph {

namespace {

struct ElementInfo {
  const char* name;
  int bits;
};

constexpr ElementInfo kElements[] = {
    {"undefined", 0}, {"float32", 32},   {"uint8", 8},      {"int8", 8},        {"uint16", 16},
    {"int16", 16},    {"int32", 32},     {"int64", 64},     {"string", 0},      {"bool", 8},
    {"float16", 16},  {"float64", 64},   {"uint32", 32},    {"uint64", 64},     {"complex64", 64},
    {"complex128", 128}, {"bfloat16", 16}, {"float8e4m3fn", 8}, {"float8e4m3fnuz", 8}, {"float8e5m2", 8},
    {"float8e5m2fnuz", 8}, {"uint4", 4}, {"int4", 4},
};

const ElementInfo& info(ElementType type) {
  const auto index = static_cast<int32_t>(type);
  const bool known = index >= 0 && index < static_cast<int32_t>(std::size(kElements));
  return kElements[known ? index : 0];
}

// The attribute of that name, or an empty view.
std::string_view find_attribute(const Node& node, std::string_view name) {
  for (const std::string_view bytes : node.attributes) {
    protozero::pbf_reader attribute{bytes.data(), bytes.size()};
    while (attribute.next(onnx::Attribute::kName, onnx::kBytes)) {
      if (onnx::view(attribute.get_view()) == name) return bytes;
    }
  }
  return {};
}

void sort_unique(std::vector<NodeId>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

const char* element_type_name(ElementType type) { return info(type).name; }
int element_bits(ElementType type) { return info(type).bits; }

std::optional<uint64_t> tensor_bytes(ElementType type, std::span<const int64_t> dims) {
  const int bits = element_bits(type);
  if (bits == 0) return std::nullopt;
  uint64_t elements = 1;
  bool empty = false;
  for (const int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) empty = true;
    else if (__builtin_mul_overflow(elements, static_cast<uint64_t>(dim), &elements)) return std::nullopt;
  }
  if (empty) return 0;
  uint64_t total_bits = 0;
  if (__builtin_mul_overflow(elements, static_cast<uint64_t>(bits), &total_bits)) return std::nullopt;
  return total_bits / 8 + (total_bits % 8 != 0 ? 1 : 0);
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kTensor: return "tensor";
    case Kind::kSequence: return "sequence";
    case Kind::kOptional: return "optional";
    case Kind::kMap: return "map";
    case Kind::kSparseTensor: return "sparse_tensor";
    case Kind::kUnknown: break;
  }
  return "unknown";
}

// The bytes were walked once when the model was read, so they are well-formed as messages; a field of the wrong wire type
// is passed over, as protobuf does.
std::optional<int64_t> int_attribute(const Node& node, std::string_view name) {
  const std::string_view bytes = find_attribute(node, name);
  protozero::pbf_reader attribute{bytes.data(), bytes.size()};
  if (!attribute.next(onnx::Attribute::kI, onnx::kVarint)) return std::nullopt;
  return attribute.get_int64();
}

std::optional<float> float_attribute(const Node& node, std::string_view name) {
  const std::string_view bytes = find_attribute(node, name);
  protozero::pbf_reader attribute{bytes.data(), bytes.size()};
  if (!attribute.next(onnx::Attribute::kF, onnx::kFixed32)) return std::nullopt;
  return attribute.get_float();
}

std::optional<std::string> string_attribute(const Node& node, std::string_view name) {
  const std::string_view bytes = find_attribute(node, name);
  protozero::pbf_reader attribute{bytes.data(), bytes.size()};
  if (!attribute.next(onnx::Attribute::kS, onnx::kBytes)) return std::nullopt;
  return attribute.get_string();
}

std::optional<std::vector<int64_t>> ints_attribute(const Node& node, std::string_view name) {
  const std::string_view bytes = find_attribute(node, name);
  if (bytes.empty()) return std::nullopt;
  std::vector<int64_t> values;
  protozero::pbf_reader attribute{bytes.data(), bytes.size()};
  try {
    while (attribute.next(onnx::Attribute::kInts)) onnx::append_int64s(attribute, values);
  } catch (const protozero::exception&) {
    return std::nullopt;  // a packed list that ends in the middle of a number
  }
  return values;
}

std::optional<std::vector<float>> floats_attribute(const Node& node, std::string_view name) {
  const std::string_view bytes = find_attribute(node, name);
  if (bytes.empty()) return std::nullopt;
  std::vector<float> values;
  protozero::pbf_reader attribute{bytes.data(), bytes.size()};
  try {
    while (attribute.next(onnx::Attribute::kFloats)) {
      if (attribute.wire_type() == onnx::kBytes) {
        for (const float value : attribute.get_packed_float()) values.push_back(value);
      } else if (attribute.wire_type() == onnx::kFixed32) {
        values.push_back(attribute.get_float());
      } else {
        attribute.skip();
      }
    }
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
  return values;
}

std::vector<NodeId> predecessors(const Graph& graph, NodeId node) {
  std::vector<NodeId> ids;
  const Node& n = graph.nodes[node];
  for (const auto* list : {&n.inputs, &n.captures}) {
    for (const ValueId value : *list) {
      if (value != kNone && graph.values[value].producer != kNone) ids.push_back(graph.values[value].producer);
    }
  }
  sort_unique(ids);
  return ids;
}

std::vector<NodeId> successors(const Graph& graph, NodeId node) {
  std::vector<NodeId> ids;
  for (const ValueId value : graph.nodes[node].outputs) {
    if (value == kNone) continue;
    const auto& consumers = graph.values[value].consumers;
    ids.insert(ids.end(), consumers.begin(), consumers.end());
  }
  sort_unique(ids);
  return ids;
}

Graph outline(const Graph& graph) {
  Graph copy = graph;
  copy.functions.clear();
  copy.metadata.clear();
  for (Node& node : copy.nodes) node.attributes.clear();
  for (Value& value : copy.values) value.type.proto = {};
  for (Initializer& init : copy.initializers) {
    init.data = nullptr;
    init.proto = {};
  }
  copy.storage = nullptr;
  return copy;
}

void give_back_pages(const Graph& graph, const Initializer& constant) {
  if (constant.data == nullptr) return;
  const std::span<const std::byte> bytes(constant.data, constant.size_bytes);
  if (graph.storage != nullptr) graph.storage->give_back(bytes);
  for (const auto& [location, file] : graph.files) file->give_back(bytes);
}

bool is_view(const Node& node) {
  if (!node.domain.empty() || node.inputs.empty() || node.outputs.size() != 1) return false;
  static constexpr std::string_view kViews[] = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"};
  return std::find(std::begin(kViews), std::end(kViews), node.op_type) != std::end(kViews);
}

}  // namespace plx::graph
