// For tests: ONNX models put together in code, as the bytes of a ModelProto.
//
//   Model m;                                                    // opset 17, IR version 8
//   m.input("x", kFloat, {"batch", 8}).output("y", kFloat, {"batch", 4});
//   m.initializer("w", tensor<float>({8, 4}, values));
//   m.node("MatMul", {"x", "w"}, {"y"});
//   std::string bytes = m.bytes();
//
// Nothing is checked and fields stand in the order of the calls, so that broken models can be built as easily as sound
// ones. Bodies of If, Loop and Scan are Body values given to attr(); "" leaves an optional input or output out.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <protozero/pbf_writer.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/onnx_fields.h"

namespace plx::graph::testing {

using Dims = std::vector<int64_t>;
using Names = std::vector<std::string>;
inline constexpr ElementType kFloat = ElementType::kFloat32;

template <class T>
constexpr ElementType element_of() {
  if constexpr (std::is_same_v<T, float>) return ElementType::kFloat32;
  else if constexpr (std::is_same_v<T, double>) return ElementType::kFloat64;
  else if constexpr (std::is_same_v<T, int64_t>) return ElementType::kInt64;
  else if constexpr (std::is_same_v<T, int32_t>) return ElementType::kInt32;
  else if constexpr (std::is_same_v<T, uint8_t>) return ElementType::kUint8;
  else if constexpr (std::is_same_v<T, int8_t>) return ElementType::kInt8;
  else if constexpr (std::is_same_v<T, bool>) return ElementType::kBool;
}

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// One message, field by field.
inline std::string field(uint32_t tag, const std::string& bytes) {
  std::string out;
  protozero::pbf_writer{out}.add_bytes(tag, bytes);
  return out;
}
inline std::string number(uint32_t tag, int64_t value) {
  std::string out;
  protozero::pbf_writer{out}.add_int64(tag, value);
  return out;
}

// ---- types
// -----------------------------------------------------------------------------------------------------------

// A dimension: a size, a symbol, or "" for one of which nothing is known.
struct Size {
  Size(int n) : bytes(number(onnx::Dimension::kValue, n)) {}
  Size(int64_t n) : bytes(number(onnx::Dimension::kValue, n)) {}
  Size(const char* symbol) : bytes(*symbol == '\0' ? "" : field(onnx::Dimension::kParam, symbol)) {}
  std::string bytes;
};
using Sizes = std::vector<Size>;

// A TypeProto.
struct TypeBytes {
  std::string bytes;
};
inline TypeBytes tensor_type(ElementType element) {
  return {field(onnx::TypeProto::kTensor, number(onnx::TensorType::kElemType, static_cast<int32_t>(element)))};
}
inline TypeBytes tensor_type(ElementType element, const Sizes& sizes) {
  std::string shape;
  for (const Size& size : sizes) shape += field(onnx::ShapeProto::kDim, size.bytes);
  return {field(onnx::TypeProto::kTensor, number(onnx::TensorType::kElemType, static_cast<int32_t>(element)) +
                                              field(onnx::TensorType::kShape, shape))};
}
inline TypeBytes sequence_of(const TypeBytes& element) {
  return {field(onnx::TypeProto::kSequence, field(onnx::ElementOf::kElemType, element.bytes))};
}
inline TypeBytes optional_of(const TypeBytes& element) {
  return {field(onnx::TypeProto::kOptional, field(onnx::ElementOf::kElemType, element.bytes))};
}
inline TypeBytes map_of(ElementType key, const TypeBytes& value) {
  return {field(onnx::TypeProto::kMap, number(onnx::MapType::kKeyType, static_cast<int32_t>(key)) +
                                           field(onnx::MapType::kValueType, value.bytes))};
}
inline TypeBytes sparse_type(ElementType element) {
  return {field(onnx::TypeProto::kSparseTensor, number(onnx::TensorType::kElemType, static_cast<int32_t>(element)))};
}

// ---- tensors
// ---------------------------------------------------------------------------------------------------------

// A TensorProto without its name. The members add data fields, packed unless told otherwise.
struct TensorBytes {
  TensorBytes(ElementType element, const Dims& dims) {
    for (const int64_t dim : dims) bytes += number(onnx::TensorProto::kDims, dim);
    bytes += number(onnx::TensorProto::kDataType, static_cast<int32_t>(element));
  }
  std::string named(const std::string& name) const { return bytes + field(onnx::TensorProto::kName, name); }

  TensorBytes& raw(const std::string& data) { return add(field(onnx::TensorProto::kRawData, data)); }
  TensorBytes& floats(const std::vector<float>& values, bool packed = true) {
    protozero::pbf_writer writer{bytes};
    if (packed) writer.add_packed_float(onnx::TensorProto::kFloatData, values.begin(), values.end());
    else
      for (const float value : values) writer.add_float(onnx::TensorProto::kFloatData, value);
    return *this;
  }
  TensorBytes& doubles(const std::vector<double>& values, bool packed = true) {
    protozero::pbf_writer writer{bytes};
    if (packed) writer.add_packed_double(onnx::TensorProto::kDoubleData, values.begin(), values.end());
    else
      for (const double value : values) writer.add_double(onnx::TensorProto::kDoubleData, value);
    return *this;
  }
  TensorBytes& int32s(const Dims& values, bool packed = true) {
    return ints(onnx::TensorProto::kInt32Data, values, packed);
  }
  TensorBytes& int64s(const Dims& values, bool packed = true) {
    return ints(onnx::TensorProto::kInt64Data, values, packed);
  }
  TensorBytes& uint64s(const Dims& values, bool packed = true) {
    return ints(onnx::TensorProto::kUint64Data, values, packed);
  }
  TensorBytes& strings(const Names& values) {
    for (const std::string& value : values) add(field(onnx::TensorProto::kStringData, value));
    return *this;
  }
  TensorBytes& external(const std::vector<std::pair<std::string, std::string>>& entries) {
    for (const auto& [key, value] : entries) {
      add(field(onnx::TensorProto::kExternalData,
                field(onnx::StringEntry::kKey, key) + field(onnx::StringEntry::kValue, value)));
    }
    return add(number(onnx::TensorProto::kDataLocation, 1));
  }
  TensorBytes& add(const std::string& fields) {
    bytes += fields;
    return *this;
  }

  std::string bytes;

 private:
  TensorBytes& ints(uint32_t tag, const Dims& values, bool packed) {
    protozero::pbf_writer writer{bytes};
    if (packed) writer.add_packed_int64(tag, values.begin(), values.end());
    else
      for (const int64_t value : values) writer.add_int64(tag, value);
    return *this;
  }
};

// With raw data, as exporters write it.
template <class T>
TensorBytes tensor(const Dims& dims, const std::vector<T>& values) {
  std::string data;
  for (const T value : values) data.append(reinterpret_cast<const char*>(&value), sizeof value);
  return TensorBytes(element_of<T>(), dims).raw(data);
}

// ---- attributes
// ------------------------------------------------------------------------------------------------------

class Body;

// An AttributeProto.
struct Attr {
  std::string bytes;
};
using Attrs = std::vector<Attr>;
inline Attr attribute(const std::string& name, int64_t kind, const std::string& value) {
  return {field(onnx::Attribute::kName, name) + value + number(onnx::Attribute::kType, kind)};
}
inline Attr attr(const std::string& name, int64_t value) {
  return attribute(name, 2, number(onnx::Attribute::kI, value));
}
inline Attr attr(const std::string& name, int value) { return attr(name, int64_t{value}); }
inline Attr attr(const std::string& name, float value) {
  std::string bytes;
  protozero::pbf_writer{bytes}.add_float(onnx::Attribute::kF, value);
  return attribute(name, 1, bytes);
}
inline Attr attr(const std::string& name, const char* value) {
  return attribute(name, 3, field(onnx::Attribute::kS, value));
}
inline Attr attr(const std::string& name, const Dims& values, bool packed = true) {
  std::string bytes;
  protozero::pbf_writer writer{bytes};
  if (packed) writer.add_packed_int64(onnx::Attribute::kInts, values.begin(), values.end());
  else
    for (const int64_t value : values) writer.add_int64(onnx::Attribute::kInts, value);
  return attribute(name, 7, bytes);
}
inline Attr attr(const std::string& name, const TensorBytes& value) {
  return attribute(name, 4, field(onnx::Attribute::kT, value.bytes));
}
inline Attr attr(const std::string& name, const Body& body);

// ---- graphs and models
// -----------------------------------------------------------------------------------------------

// A NodeProto. An operator "domain:Op" is outside ai.onnx.
inline std::string node_bytes(const std::string& op, const Names& inputs, const Names& outputs, const Attrs& attrs = {},
                              const std::string& name = "") {
  std::string bytes;
  for (const std::string& input : inputs) bytes += field(onnx::NodeProto::kInput, input);
  for (const std::string& output : outputs) bytes += field(onnx::NodeProto::kOutput, output);
  bytes += field(onnx::NodeProto::kName, name.empty() ? op + "_" + (outputs.empty() ? "" : outputs[0]) : name);
  const size_t colon = op.find(':');
  bytes += field(onnx::NodeProto::kOpType, colon == std::string::npos ? op : op.substr(colon + 1));
  for (const Attr& attr : attrs) bytes += field(onnx::NodeProto::kAttribute, attr.bytes);
  if (colon != std::string::npos) bytes += field(onnx::NodeProto::kDomain, op.substr(0, colon));
  return bytes;
}

// A GraphProto.
class Body {
 public:
  explicit Body(const std::string& name = "graph") : graph_(field(onnx::GraphProto::kName, name)) {}

  Body& input(const std::string& name, ElementType element, const Sizes& sizes) {
    return input(name, tensor_type(element, sizes));
  }
  Body& input(const std::string& name, const TypeBytes& type) { return info(onnx::GraphProto::kInput, name, type); }
  Body& output(const std::string& name, ElementType element, const Sizes& sizes) {
    return output(name, tensor_type(element, sizes));
  }
  Body& output(const std::string& name, const TypeBytes& type) { return info(onnx::GraphProto::kOutput, name, type); }
  Body& output(const std::string& name) { return add(onnx::GraphProto::kOutput, field(onnx::ValueInfo::kName, name)); }
  Body& value_info(const std::string& name, const TypeBytes& type) {
    return info(onnx::GraphProto::kValueInfo, name, type);
  }
  Body& node(const std::string& op, const Names& inputs, const Names& outputs, const Attrs& attrs = {},
             const std::string& name = "") {
    return add(onnx::GraphProto::kNode, node_bytes(op, inputs, outputs, attrs, name));
  }
  Body& initializer(const std::string& name, const TensorBytes& tensor) {
    return add(onnx::GraphProto::kInitializer, tensor.named(name));
  }
  Body& sparse_initializer(const std::string& name, const TensorBytes& values, const TensorBytes& indices,
                           const Dims& dims) {
    std::string sparse =
        field(onnx::SparseTensor::kValues, values.named(name)) + field(onnx::SparseTensor::kIndices, indices.named(""));
    for (const int64_t dim : dims) sparse += number(onnx::SparseTensor::kDims, dim);
    return add(onnx::GraphProto::kSparseInitializer, sparse);
  }
  Body& add(uint32_t tag, const std::string& bytes) {
    graph_ += field(tag, bytes);
    return *this;
  }
  const std::string& graph() const { return graph_; }

 private:
  Body& info(uint32_t tag, const std::string& name, const TypeBytes& type) {
    return add(tag, field(onnx::ValueInfo::kName, name) + field(onnx::ValueInfo::kType, type.bytes));
  }
  std::string graph_;
};

inline Attr attr(const std::string& name, const Body& body) {
  return attribute(name, 5, field(onnx::Attribute::kG, body.graph()));
}

inline std::string opset_bytes(const std::string& domain, int64_t version) {
  return (domain.empty() ? "" : field(onnx::OpsetId::kDomain, domain)) + number(onnx::OpsetId::kVersion, version);
}

// A FunctionProto. Fields: name 1, input 4, output 5, node 7, opset_import 9, domain 10.
inline std::string function_bytes(const std::string& domain, const std::string& name, const Names& inputs,
                                  const Names& outputs, const std::vector<std::string>& nodes, int64_t opset) {
  std::string bytes = field(1, name);
  for (const std::string& input : inputs) bytes += field(4, input);
  for (const std::string& output : outputs) bytes += field(5, output);
  for (const std::string& node : nodes) bytes += field(7, node);
  return bytes + field(9, opset_bytes("", opset)) + field(10, domain);
}

// A ModelProto around a graph.
class Model : public Body {
 public:
  explicit Model(int64_t opset = 17, int64_t ir_version = 8) : Body("test") {
    model_ = number(onnx::Model::kIrVersion, ir_version) + field(onnx::Model::kProducerName, "tests");
    if (opset > 0) imports("", opset);
  }
  Model& imports(const std::string& domain, int64_t version) {
    model_ += field(onnx::Model::kOpsetImport, opset_bytes(domain, version));
    return *this;
  }
  Model& function(const std::string& bytes) {
    model_ += field(onnx::Model::kFunctions, bytes);
    return *this;
  }
  Model& metadata(const std::string& key, const std::string& value) {
    model_ +=
        field(onnx::Model::kMetadata, field(onnx::StringEntry::kKey, key) + field(onnx::StringEntry::kValue, value));
    return *this;
  }
  std::string bytes() const { return model_ + field(onnx::Model::kGraph, graph()); }
  std::string bytes_without_graph() const { return model_; }

 private:
  std::string model_;
};

}  // namespace plx::graph::testing
