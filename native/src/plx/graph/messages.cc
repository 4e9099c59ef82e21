#include "plx/graph/messages.h"

#include <cstdlib>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/onnx_fields.h"

namespace plx::graph {

namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

struct Place {
  Message kind = Message::kOther;
  bool once = false;  // in a list otherwise
};

Place place(Message in, uint32_t tag) {
  switch (in) {
    case Message::kModel:
      if (tag == onnx::Model::kGraph) return {Message::kGraph, true};
      if (tag == onnx::Model::kFunctions) return {Message::kFunction};
      break;
    case Message::kGraph:
      if (tag == onnx::GraphProto::kNode) return {Message::kNode};
      if (tag == onnx::GraphProto::kInitializer) return {Message::kTensor};
      if (tag == onnx::GraphProto::kSparseInitializer) return {Message::kSparseTensor};
      break;
    case Message::kNode:
      if (tag == onnx::NodeProto::kAttribute) return {Message::kAttribute};
      break;
    case Message::kFunction:
      if (tag == onnx::FunctionProto::kNode) return {Message::kNode};
      if (tag == onnx::FunctionProto::kAttribute) return {Message::kAttribute};
      break;
    case Message::kAttribute:
      if (tag == onnx::Attribute::kT) return {Message::kTensor, true};
      if (tag == onnx::Attribute::kG) return {Message::kGraph, true};
      if (tag == onnx::Attribute::kSparseTensor) return {Message::kSparseTensor, true};
      if (tag == onnx::Attribute::kTensors) return {Message::kTensor};
      if (tag == onnx::Attribute::kGraphs) return {Message::kGraph};
      if (tag == onnx::Attribute::kSparseTensors) return {Message::kSparseTensor};
      break;
    case Message::kSparseTensor:
      if (tag == onnx::SparseTensor::kValues || tag == onnx::SparseTensor::kIndices) return {Message::kTensor, true};
      break;
    case Message::kTensor:
    case Message::kOther: break;
  }
  return {};
}

// Where the data of a tensor lies, as the reader has checked it.
struct External {
  bool external = false;
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> size;
};

External external_of(std::string_view tensor) {
  External out;
  ElementType element = ElementType::kUndefined;
  std::vector<int64_t> dims;
  pbf_reader reader{tensor.data(), tensor.size()};
  while (reader.next()) {
    const bool is_number = reader.wire_type() == onnx::kVarint;
    if (reader.tag() == onnx::TensorProto::kDataLocation && is_number) out.external = reader.get_int32() == 1;
    else if (reader.tag() == onnx::TensorProto::kDataType && is_number) element = static_cast<ElementType>(reader.get_int32());
    else if (reader.tag() == onnx::TensorProto::kDims) onnx::append_int64s(reader, dims);
    else if (reader.tag() == onnx::TensorProto::kExternalData && reader.wire_type() == onnx::kBytes) {
      const auto [key, value] = onnx::string_entry(onnx::view(reader.get_view()));
      if (key == "location") out.location = value;
      if (key == "offset") out.offset = std::strtoull(value.c_str(), nullptr, 10);
    } else reader.skip();
  }
  out.size = tensor_bytes(element, dims);
  return out;
}

std::string pin_tensor(std::string_view tensor, bool of_graph, const Files& files, bool& written_in) {
  const External where = external_of(tensor);
  if (!where.external) return std::string(tensor);
  const auto file = files.find(where.location);
  const std::span<const std::byte> bytes = file == files.end() ? std::span<const std::byte>() : file->second->bytes();
  // The reader has seen to it; anything else ONNX Runtime would look for itself.
  if (file == files.end() || !where.size || where.offset > bytes.size() || *where.size > bytes.size() - where.offset) {
    throw Refused("names the external file '" + where.location + "' where nothing may name one");
  }
  std::string out;
  pbf_writer writer{out};
  pbf_reader in{tensor.data(), tensor.size()};
  while (in.next()) {
    const uint32_t tag = in.tag();
    if (tag == onnx::TensorProto::kExternalData || (!of_graph && tag == onnx::TensorProto::kDataLocation)) in.skip();
    else onnx::copy_field(in, writer);
  }
  if (!of_graph) {
    written_in = true;
    writer.add_bytes(onnx::TensorProto::kRawData, reinterpret_cast<const char*>(bytes.data()) + where.offset, *where.size);
    return out;
  }
  const auto entry = [&](const char* key, const std::string& value) {
    std::string text;
    pbf_writer{text}.add_string(onnx::StringEntry::kKey, key);
    pbf_writer{text}.add_string(onnx::StringEntry::kValue, value);
    writer.add_message(onnx::TensorProto::kExternalData, text);
  };
  entry("location", pinned_location(*file->second));
  entry("offset", std::to_string(where.offset));
  entry("length", std::to_string(*where.size));
  return out;
}

// `of_graph`: what the message holds belongs to the model's own graph, not to a body or function.
std::string pin_message(std::string_view bytes, Message kind, bool of_graph, const Files& files, bool& written_in) {
  std::string out;
  pbf_writer writer{out};
  pbf_reader in{bytes.data(), bytes.size()};
  while (in.next()) {
    const uint32_t tag = in.tag();
    const Message inner = place(kind, tag).kind;
    if (in.wire_type() != onnx::kBytes || inner == Message::kOther) {
      if (kind == Message::kModel && tag == onnx::Model::kTrainingInfo) in.skip();
      else onnx::copy_field(in, writer);
      continue;
    }
    const std::string_view field = onnx::view(in.get_view());
    const bool graphs_own = kind == Message::kModel ? inner == Message::kGraph : of_graph && kind == Message::kGraph;
    writer.add_message(tag, inner == Message::kTensor ? pin_tensor(field, graphs_own, files, written_in)
                                                      : pin_message(field, inner, kind == Message::kModel && graphs_own,
                                                                    files, written_in));
  }
  return out;
}

}  // namespace

void walk(std::string_view bytes, Message kind, int max_depth, const Visit& visit) {
  if (kind == Message::kNode || kind == Message::kTensor || kind == Message::kSparseTensor) visit(kind, bytes);
  if (kind == Message::kTensor) return;
  uint32_t seen = 0;  // fields that may stand once, a bit each: their numbers are below 32
  pbf_reader message{bytes.data(), bytes.size()};
  while (message.next()) {
    const uint32_t tag = message.tag();
    const Place inner = place(kind, tag);
    if (inner.kind == Message::kOther || message.wire_type() != onnx::kBytes) {
      message.skip();
      continue;
    }
    if (inner.once && (seen >> tag & 1) != 0) throw Refused("holds a message twice that may stand once");
    if (inner.once) seen |= 1u << tag;
    const bool deeper = kind == Message::kAttribute && inner.kind == Message::kGraph;
    if (deeper && max_depth <= 0) throw Refused("nests subgraphs too deeply");
    walk(onnx::view(message.get_view()), inner.kind, deeper ? max_depth - 1 : max_depth, visit);
  }
}

std::string pinned_location(const Mapping& file) { return file.path().substr(1); }

Pinned pin(std::string_view model, const Files& files) {
  Pinned out;
  out.model = pin_message(model, Message::kModel, false, files, out.written_in);
  return out;
}

}  // namespace plx::graph
