#include "plx/graph/messages.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

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

std::string relocate_message(std::string_view bytes, Message kind, const std::map<std::string, std::string>& locations);

std::string relocate_entry(std::string_view bytes, const std::map<std::string, std::string>& locations) {
  std::string key;
  std::string value;
  pbf_reader entry{bytes.data(), bytes.size()};
  while (entry.next()) {
    if (entry.wire_type() != onnx::kBytes) entry.skip();
    else if (entry.tag() == onnx::StringEntry::kKey) key = entry.get_string();
    else if (entry.tag() == onnx::StringEntry::kValue) value = entry.get_string();
    else entry.skip();
  }
  if (key == "location") {
    const auto known = locations.find(value);
    // Anywhere else ONNX Runtime would look for itself.
    if (known == locations.end()) throw Refused("names the external file '" + value + "' where nothing may name one");
    value = known->second;
  }
  std::string out;
  pbf_writer writer{out};
  writer.add_string(onnx::StringEntry::kKey, key);
  writer.add_string(onnx::StringEntry::kValue, value);
  return out;
}

bool is_external(std::string_view tensor) {
  bool external = false;
  pbf_reader reader{tensor.data(), tensor.size()};
  while (reader.next()) {
    if (reader.tag() == onnx::TensorProto::kDataLocation && reader.wire_type() == onnx::kVarint) external = reader.get_int32() == 1;
    else reader.skip();
  }
  return external;
}

std::string relocate_message(std::string_view bytes, Message kind, const std::map<std::string, std::string>& locations) {
  if (kind == Message::kTensor && !is_external(bytes)) return std::string(bytes);
  std::string out;
  pbf_writer writer{out};
  pbf_reader in{bytes.data(), bytes.size()};
  while (in.next()) {
    const uint32_t tag = in.tag();
    if (in.wire_type() != onnx::kBytes) {
      onnx::copy_field(in, writer);
      continue;
    }
    const std::string_view field = onnx::view(in.get_view());
    const Message inner = place(kind, tag).kind;
    if (inner != Message::kOther) writer.add_message(tag, relocate_message(field, inner, locations));
    else if (kind == Message::kTensor && tag == onnx::TensorProto::kExternalData) {
      writer.add_message(tag, relocate_entry(field, locations));
    } else if (kind == Message::kModel && tag == onnx::Model::kTrainingInfo) continue;
    else writer.add_bytes(tag, field.data(), field.size());
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

std::string relocate(std::string_view model, const std::map<std::string, std::string>& locations) {
  return relocate_message(model, Message::kModel, locations);
}

}  // namespace plx::graph
