#include "plx/ort/value.h"

#include <cstring>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "plx/graph/onnx_fields.h"
#include "plx/ort/session.h"

namespace plx::ort {

namespace {

namespace onnx = graph::onnx;
using graph::ElementType;
using graph::Kind;

// The outermost layer of a TypeProto.
struct Layer {
  Kind kind = Kind::kUnknown;
  ElementType element = ElementType::kUndefined;  // of a tensor; of a map's keys
  std::string_view inner;                         // the TypeProto of elements, of content, of a map's values
};

Layer outermost(std::string_view proto) {
  Layer layer;
  protozero::pbf_reader reader(proto.data(), proto.size());
  while (reader.next()) {
    const auto tag = reader.tag();
    if (reader.wire_type() != onnx::kBytes) {
      reader.skip();
      continue;
    }
    protozero::pbf_reader body(reader.get_view());
    switch (tag) {
      case onnx::TypeProto::kTensor:
        layer.kind = Kind::kTensor;
        break;
      case onnx::TypeProto::kSequence:
        layer.kind = Kind::kSequence;
        break;
      case onnx::TypeProto::kMap:
        layer.kind = Kind::kMap;
        break;
      case onnx::TypeProto::kSparseTensor:
        layer.kind = Kind::kSparseTensor;
        break;
      case onnx::TypeProto::kOptional:
        layer.kind = Kind::kOptional;
        break;
      default:
        continue;
    }
    // Field 1 is a number for a tensor's elements and a map's keys, and a type for a sequence's elements and an
    // optional's content; field 2 a map's values.
    while (body.next()) {
      const auto field = body.tag();
      if (field == 1 && body.wire_type() == onnx::kVarint)
        layer.element = static_cast<ElementType>(body.get_int32());
      else if (body.wire_type() == onnx::kBytes && (field == 1 || (field == 2 && layer.kind == Kind::kMap)))
        layer.inner = onnx::view(body.get_view());
      else
        body.skip();
    }
  }
  return layer;
}

std::string dims_text(std::span<const int64_t> dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(dims[i]);
  return out + "]";
}

// The output of a model that is one node without inputs.
Result<Value> output_of(const std::shared_ptr<Runtime>& runtime, const char* op_type, const std::string& attribute,
                        std::string_view type_proto) {
  std::string node;
  protozero::pbf_writer node_writer{node};
  node_writer.add_string(onnx::NodeProto::kOutput, "value");
  node_writer.add_string(onnx::NodeProto::kOpType, op_type);
  node_writer.add_message(onnx::NodeProto::kAttribute, attribute);
  std::string output;
  protozero::pbf_writer output_writer{output};
  output_writer.add_string(onnx::ValueInfo::kName, "value");
  output_writer.add_bytes(onnx::ValueInfo::kType, type_proto.data(), type_proto.size());
  std::string graph;
  protozero::pbf_writer graph_writer{graph};
  graph_writer.add_message(onnx::GraphProto::kNode, node);
  graph_writer.add_string(onnx::GraphProto::kName, op_type);
  graph_writer.add_message(onnx::GraphProto::kOutput, output);
  std::string opset;
  protozero::pbf_writer{opset}.add_int64(onnx::OpsetId::kVersion, 15);  // the first that has both operators
  std::string model;
  protozero::pbf_writer model_writer{model};
  model_writer.add_int64(onnx::Model::kIrVersion, 8);
  model_writer.add_message(onnx::Model::kOpsetImport, opset);
  model_writer.add_message(onnx::Model::kGraph, graph);

  SessionSpec spec;
  spec.source.name = std::string("a model of one ") + op_type;
  spec.source.bytes = model;
  spec.pool = false;
  auto session = make_session(runtime, spec);
  if (!session) return session.error();
  const char* name = "value";
  OrtValue* value = nullptr;
  if (auto s = runtime->check(runtime->api().Run(session->get(), nullptr, nullptr, nullptr, 0, &name, 1, &value),
                              "cannot run " + spec.source.name);
      !s)
    return s.error();
  return Value(runtime, value, runtime->api().ReleaseValue);
}

class Maker {
 public:
  explicit Maker(const std::shared_ptr<Runtime>& runtime) : runtime_(runtime), api_(runtime->api()) {}

  Result<Value> make(const Content& content, std::string_view type) const {
    const Layer layer = outermost(type);
    if (layer.kind == Kind::kOptional) {
      return content.kind == Content::Kind::kNone ? none(type, layer) : make(content, layer.inner);
    }
    const bool fits =
        (content.kind == Content::Kind::kTensor && layer.kind == Kind::kTensor && layer.element == content.element) ||
        (content.kind == Content::Kind::kSequence && layer.kind == Kind::kSequence) ||
        (content.kind == Content::Kind::kMap && layer.kind == Kind::kMap);
    if (!fits) return fail(Code::kInvalidArgument, "wants ", type_text(type), ", not ", text(content));
    switch (content.kind) {
      case Content::Kind::kTensor:
        return tensor(content);
      case Content::Kind::kSequence:
        return sequence(content, type, layer);
      default:
        return map(content, layer);
    }
  }

 private:
  Result<Value> own(OrtStatus* status, OrtValue* const& value, const char* what) const {
    if (auto s = runtime_->check(status, what); !s) return s.error();
    return Value(runtime_, value, api_.ReleaseValue);
  }

  Result<Value> none(std::string_view type, const Layer& layer) const {
    std::string attribute;
    protozero::pbf_writer writer{attribute};
    writer.add_string(onnx::Attribute::kName, "type");
    writer.add_bytes(onnx::Attribute::kTypeProto, layer.inner.data(), layer.inner.size());
    writer.add_int32(onnx::Attribute::kType, 13);  // TYPE_PROTO
    return output_of(runtime_, "Optional", attribute, type);
  }

  Result<Value> tensor(const Content& content) const {
    OrtValue* raw = nullptr;
    auto value = own(api_.CreateTensorAsOrtValue(runtime_->allocator(), content.dims.data(), content.dims.size(),
                                                 static_cast<ONNXTensorElementDataType>(content.element), &raw),
                     raw, "cannot make a tensor");
    if (!value) return value;
    for (size_t i = 0; i < content.strings.size(); ++i) {
      const std::string& string = content.strings[i];
      char* place = nullptr;
      if (auto s = runtime_->check(api_.GetResizedStringTensorElementBuffer(raw, i, string.size(), &place),
                                   "cannot fill a string tensor");
          !s) {
        return s.error();
      }
      if (!string.empty()) std::memcpy(place, string.data(), string.size());
    }
    if (!content.bytes.empty()) {
      void* data = nullptr;
      if (auto s = runtime_->check(api_.GetTensorMutableData(raw, &data), "cannot fill a tensor"); !s) return s.error();
      std::memcpy(data, content.bytes.data(), content.bytes.size());
    }
    return value;
  }

  Result<Value> sequence(const Content& content, std::string_view type, const Layer& layer) const {
    if (content.parts.empty()) {
      const Layer element = outermost(layer.inner);
      if (element.kind != Kind::kTensor) {
        return fail(Code::kUnsupported, "wants ", type_text(type),
                    ", of which ONNX Runtime can be given none that is empty");
      }
      std::string attribute;
      protozero::pbf_writer writer{attribute};
      writer.add_string(onnx::Attribute::kName, "dtype");
      writer.add_int64(onnx::Attribute::kI, static_cast<int64_t>(element.element));
      writer.add_int32(onnx::Attribute::kType, 2);  // INT
      return output_of(runtime_, "SequenceEmpty", attribute, type);
    }
    std::vector<Value> owners;
    std::vector<const OrtValue*> values;
    for (const auto& part : content.parts) {
      auto value = make(*part, layer.inner);
      if (!value) return value;
      values.push_back(owners.emplace_back(value.take()).get());
    }
    OrtValue* raw = nullptr;
    return own(api_.CreateValue(values.data(), values.size(), ONNX_TYPE_SEQUENCE, &raw), raw, "cannot make a sequence");
  }

  Result<Value> map(const Content& content, const Layer& layer) const {
    const Layer values = outermost(layer.inner);
    const Content& given_keys = *content.parts[0];
    const Content& given_values = *content.parts[1];
    if (given_keys.element != layer.element || values.kind != Kind::kTensor || given_values.element != values.element) {
      return fail(Code::kInvalidArgument, "wants a map from ", graph::element_type_name(layer.element), " to ",
                  type_text(layer.inner), ", not one from ", text(given_keys), " to ", text(given_values));
    }
    auto keys_value = tensor(given_keys);
    if (!keys_value) return keys_value;
    auto values_value = tensor(given_values);
    if (!values_value) return values_value;
    const OrtValue* both[] = {keys_value->get(), values_value->get()};
    OrtValue* raw = nullptr;
    return own(api_.CreateValue(both, 2, ONNX_TYPE_MAP, &raw), raw, "cannot make a map");
  }

  const std::shared_ptr<Runtime>& runtime_;
  const OrtApi& api_;
};

class Reader {
 public:
  explicit Reader(const std::shared_ptr<Runtime>& runtime) : runtime_(runtime), api_(runtime->api()) {}

  Result<Content> read(const OrtValue* value) const {
    int has_value = 0;
    if (auto s = check(api_.HasValue(value, &has_value)); !s) return s.error();
    Content content;
    if (has_value == 0) return content;
    ONNXType type = ONNX_TYPE_UNKNOWN;
    if (auto s = check(api_.GetValueType(value, &type)); !s) return s.error();
    switch (type) {
      case ONNX_TYPE_TENSOR:
        return tensor(value);
      case ONNX_TYPE_SEQUENCE:
        content.kind = Content::Kind::kSequence;
        break;
      case ONNX_TYPE_MAP:
        content.kind = Content::Kind::kMap;
        break;
      default:
        return fail(Code::kUnsupported, "is neither tensor, sequence nor map, and nothing else can be read");
    }
    // A map has two parts, whatever its size: its keys and its values.
    size_t count = 2;
    if (type == ONNX_TYPE_SEQUENCE) {
      if (auto s = check(api_.GetValueCount(value, &count)); !s) return s.error();
    }
    for (size_t i = 0; i < count; ++i) {
      OrtValue* raw = nullptr;
      if (auto s = check(api_.GetValue(value, static_cast<int>(i), runtime_->allocator(), &raw)); !s) return s.error();
      const Value owner(runtime_, raw, api_.ReleaseValue);
      auto part = read(raw);
      if (!part) return part;
      content.parts.push_back(std::make_shared<const Content>(part.take()));
    }
    return content;
  }

 private:
  Status check(OrtStatus* status) const { return runtime_->check(status, "cannot be read"); }

  Result<Content> tensor(const OrtValue* value) const {
    Content content;
    content.kind = Content::Kind::kTensor;
    OrtTensorTypeAndShapeInfo* info = nullptr;
    if (auto s = check(api_.GetTensorTypeAndShape(value, &info)); !s) return s.error();
    const Handle<OrtTensorTypeAndShapeInfo> owner(runtime_, info, api_.ReleaseTensorTypeAndShapeInfo);
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    size_t count = 0;
    if (auto s = check(api_.GetTensorElementType(info, &element)); !s) return s.error();
    if (auto s = check(api_.GetDimensionsCount(info, &rank)); !s) return s.error();
    if (auto s = check(api_.GetTensorShapeElementCount(info, &count)); !s) return s.error();
    content.element = static_cast<ElementType>(element);
    content.dims.resize(rank);
    if (auto s = check(api_.GetDimensions(info, content.dims.data(), rank)); !s) return s.error();
    if (content.element == ElementType::kString) {
      for (size_t i = 0; i < count; ++i) {
        size_t length = 0;
        if (auto s = check(api_.GetStringTensorElementLength(value, i, &length)); !s) return s.error();
        std::string& string = content.strings.emplace_back(length, '\0');
        if (auto s = check(api_.GetStringTensorElement(value, length, i, string.data())); !s) return s.error();
      }
      return content;
    }
    const auto bytes = graph::tensor_bytes(content.element, content.dims);
    if (!bytes)
      return fail(Code::kUnsupported, "holds elements of ONNX type ", static_cast<int>(element),
                  ", which are not known here");
    void* data = nullptr;
    if (auto s = check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data)); !s) return s.error();
    if (*bytes != 0) content.bytes.assign(static_cast<const char*>(data), *bytes);
    return content;
  }

  const std::shared_ptr<Runtime>& runtime_;
  const OrtApi& api_;
};

}  // namespace

Result<Content> string_tensor(std::span<const int64_t> dims, std::string_view bytes, const size_t* offsets) {
  uint64_t count = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, static_cast<uint64_t>(dim), &count)) {
      return fail(Code::kInvalidArgument, "a tensor cannot have the shape ", dims_text(dims));
    }
  }
  if (count != 0 && offsets == nullptr) return fail(Code::kInvalidArgument, "the strings have no offsets");
  Content content;
  content.kind = Content::Kind::kTensor;
  content.element = ElementType::kString;
  content.dims.assign(dims.begin(), dims.end());
  for (uint64_t i = 0; i < count; ++i) {
    const size_t end = i + 1 < count ? offsets[i + 1] : bytes.size();
    if (offsets[i] > end || end > bytes.size())
      return fail(Code::kInvalidArgument, "the strings have offsets out of order");
    content.strings.emplace_back(bytes.substr(offsets[i], end - offsets[i]));
  }
  return content;
}

std::string text(const Content& content) {
  switch (content.kind) {
    case Content::Kind::kNone:
      return "none";
    case Content::Kind::kTensor:
      return graph::element_type_name(content.element) + dims_text(content.dims);
    case Content::Kind::kSequence:
      return "a sequence of " + std::to_string(content.parts.size());
    case Content::Kind::kMap:
      return "a map";
  }
  return "";
}

std::string type_text(std::string_view type_proto) {
  const Layer layer = outermost(type_proto);
  switch (layer.kind) {
    case Kind::kTensor:
      return graph::element_type_name(layer.element);
    case Kind::kMap:
      return std::string("map(") + graph::element_type_name(layer.element) + "," + type_text(layer.inner) + ")";
    case Kind::kSequence:
    case Kind::kOptional:
      return std::string(graph::kind_name(layer.kind)) + "(" + type_text(layer.inner) + ")";
    default:
      return graph::kind_name(layer.kind);
  }
}

Result<Value> make_value(const std::shared_ptr<Runtime>& runtime, const Content& content, std::string_view type_proto) {
  return Maker(runtime).make(content, type_proto);
}

Result<Content> read_value(const std::shared_ptr<Runtime>& runtime, const OrtValue* value) {
  return Reader(runtime).read(value);
}

}  // namespace plx::ort
