#include "onnx_tree.h"

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "plx/graph/onnx_fields.h"

namespace plx::fuzz {

namespace {

using protozero::pbf_wire_type;
constexpr int kDeepest = 200;  // beyond it messages stay leaves

Kind kind_of(Kind parent, uint32_t tag) {
  struct Row {
    Kind parent;
    uint32_t tag;
    Kind kind;
  };
  static constexpr Row kRows[] = {
      {Kind::kModel, 7, Kind::kGraph},      {Kind::kModel, 8, Kind::kOpset},       {Kind::kModel, 14, Kind::kEntry},
      {Kind::kModel, 25, Kind::kFunction},  {Kind::kGraph, 1, Kind::kNode},        {Kind::kGraph, 5, Kind::kTensor},
      {Kind::kGraph, 11, Kind::kValueInfo}, {Kind::kGraph, 12, Kind::kValueInfo},  {Kind::kGraph, 13, Kind::kValueInfo},
      {Kind::kGraph, 15, Kind::kSparse},    {Kind::kNode, 5, Kind::kAttribute},    {Kind::kAttribute, 5, Kind::kTensor},
      {Kind::kAttribute, 6, Kind::kGraph},  {Kind::kAttribute, 10, Kind::kTensor}, {Kind::kAttribute, 11, Kind::kGraph},
      {Kind::kAttribute, 14, Kind::kType},  {Kind::kAttribute, 22, Kind::kSparse}, {Kind::kTensor, 13, Kind::kEntry},
      {Kind::kSparse, 1, Kind::kTensor},    {Kind::kSparse, 2, Kind::kTensor},     {Kind::kValueInfo, 2, Kind::kType},
      {Kind::kType, 1, Kind::kTensorType},  {Kind::kType, 4, Kind::kElementOf},    {Kind::kType, 5, Kind::kMapType},
      {Kind::kType, 8, Kind::kTensorType},  {Kind::kType, 9, Kind::kElementOf},    {Kind::kTensorType, 2, Kind::kShape},
      {Kind::kElementOf, 1, Kind::kType},   {Kind::kMapType, 2, Kind::kType},      {Kind::kShape, 1, Kind::kDim},
      {Kind::kFunction, 7, Kind::kNode},    {Kind::kFunction, 9, Kind::kOpset},
  };
  for (const Row& row : kRows) {
    if (row.parent == parent && row.tag == tag) return row.kind;
  }
  return Kind::kLeaf;
}

// False on malformed bytes.
bool parse_into(Field& message, std::string_view bytes, int depth) {
  try {
    protozero::pbf_reader reader{bytes.data(), bytes.size()};
    while (reader.next()) {
      Field field;
      field.tag = reader.tag();
      field.wire = reader.wire_type();
      switch (field.wire) {
        case pbf_wire_type::varint: field.number = reader.get_uint64(); break;
        case pbf_wire_type::fixed64: field.number = reader.get_fixed64(); break;
        case pbf_wire_type::fixed32: field.number = reader.get_fixed32(); break;
        case pbf_wire_type::length_delimited: {
          const auto view = reader.get_view();
          field.kind = depth < kDeepest ? kind_of(message.kind, field.tag) : Kind::kLeaf;
          const std::string_view content{view.data(), view.size()};
          if (field.kind != Kind::kLeaf && parse_into(field, content, depth + 1)) break;
          field.kind = Kind::kLeaf;
          field.fields.clear();
          field.bytes = content;
          break;
        }
        default: return false;
      }
      message.fields.push_back(std::move(field));
    }
  } catch (const protozero::exception&) {
    return false;
  }
  return true;
}

}  // namespace

std::optional<Field> parse(Kind kind, std::string_view bytes) {
  Field message;
  message.kind = kind;
  if (!parse_into(message, bytes, 0)) return std::nullopt;
  return message;
}

std::string to_bytes(const Field& message) {
  std::string out;
  protozero::pbf_writer writer{out};
  for (const Field& field : message.fields) {
    switch (field.wire) {
      case pbf_wire_type::varint: writer.add_uint64(field.tag, field.number); break;
      case pbf_wire_type::fixed64: writer.add_fixed64(field.tag, field.number); break;
      case pbf_wire_type::fixed32: writer.add_fixed32(field.tag, static_cast<uint32_t>(field.number)); break;
      default: writer.add_bytes(field.tag, field.kind == Kind::kLeaf ? field.bytes : to_bytes(field));
    }
  }
  return out;
}

Field text_field(uint32_t tag, std::string text) {
  Field field;
  field.tag = tag;
  field.bytes = std::move(text);
  return field;
}

Field number_field(uint32_t tag, int64_t number) {
  Field field;
  field.tag = tag;
  field.wire = pbf_wire_type::varint;
  field.number = static_cast<uint64_t>(number);
  return field;
}

Field message_field(uint32_t tag, Kind kind, std::vector<Field> fields) {
  Field field;
  field.tag = tag;
  field.kind = kind;
  field.fields = std::move(fields);
  return field;
}

Field* find(Field& message, uint32_t tag) {
  const auto it =
      std::find_if(message.fields.begin(), message.fields.end(), [&](const Field& f) { return f.tag == tag; });
  return it == message.fields.end() ? nullptr : &*it;
}

std::string text_of(const Field& message, uint32_t tag) {
  for (const Field& field : message.fields) {
    if (field.tag == tag && field.wire == pbf_wire_type::length_delimited) return field.bytes;
  }
  return {};
}

int64_t number_of(const Field& message, uint32_t tag) {
  for (const Field& field : message.fields) {
    if (field.tag == tag && field.wire == pbf_wire_type::varint) return static_cast<int64_t>(field.number);
  }
  return 0;
}

void set(Field& message, Field field) {
  erase(message, field.tag);
  message.fields.push_back(std::move(field));
}

void erase(Field& message, uint32_t tag) {
  std::erase_if(message.fields, [&](const Field& field) { return field.tag == tag; });
}

std::vector<Field*> all(Field& message, uint32_t tag) {
  std::vector<Field*> found;
  for (Field& field : message.fields) {
    if (field.tag == tag) found.push_back(&field);
  }
  return found;
}

std::vector<int64_t> ints(Field& message, uint32_t tag) {
  std::vector<int64_t> values;
  for (const Field& field : message.fields) {
    if (field.tag != tag) continue;
    if (field.wire == pbf_wire_type::varint) {
      values.push_back(static_cast<int64_t>(field.number));
    } else if (field.wire == pbf_wire_type::length_delimited) {
      // The one field of a message of its own, so that the library unpacks it.
      std::string packed;
      protozero::pbf_writer{packed}.add_bytes(1, field.bytes);
      protozero::pbf_reader reader{packed};
      try {
        reader.next();
        graph::onnx::append_int64s(reader, values);
      } catch (const protozero::exception&) {
      }
    }
  }
  return values;
}

void set_ints(Field& message, uint32_t tag, const std::vector<int64_t>& values) {
  erase(message, tag);
  for (const int64_t value : values) message.fields.push_back(number_field(tag, value));
}

}  // namespace plx::fuzz
