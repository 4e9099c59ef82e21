// An ONNX model taken apart into its fields, so that it can be changed at any place and put together again.
//
// The tree knows which fields of onnx.proto are messages and nothing else: whatever a model holds, sound or not, comes
// out of to_bytes() as it went in.
#pragma once

#include <cstdint>
#include <optional>
#include <protozero/types.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace plx::fuzz {

// The message types of onnx.proto; kLeaf is any other field.
enum class Kind : uint8_t {
  kLeaf,
  kModel,
  kOpset,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kSparse,
  kValueInfo,
  kType,
  kTensorType,
  kElementOf,
  kMapType,
  kShape,
  kDim,
  kEntry,
  kFunction,
};

struct Field {
  uint32_t tag = 0;
  protozero::pbf_wire_type wire = protozero::pbf_wire_type::length_delimited;
  Kind kind = Kind::kLeaf;
  uint64_t number = 0;        // of a varint or a fixed-width field
  std::string bytes;          // of a length-delimited leaf
  std::vector<Field> fields;  // of a message
};

// A whole message as a field with tag 0; nothing if its bytes are malformed. A malformed message inside is a leaf.
std::optional<Field> parse(Kind kind, std::string_view bytes);
std::string to_bytes(const Field& message);

Field text_field(uint32_t tag, std::string text);
Field number_field(uint32_t tag, int64_t number);
Field message_field(uint32_t tag, Kind kind, std::vector<Field> fields);

// The first field with that tag, null if there is none.
Field* find(Field& message, uint32_t tag);
// The content of the first string with that tag, empty if there is none.
std::string text_of(const Field& message, uint32_t tag);
int64_t number_of(const Field& message, uint32_t tag);
// Replaces all fields with that tag by one.
void set(Field& message, Field field);
void erase(Field& message, uint32_t tag);
// The fields with that tag; good until fields are added or removed.
std::vector<Field*> all(Field& message, uint32_t tag);
// A repeated int64, packed or not.
std::vector<int64_t> ints(Field& message, uint32_t tag);
void set_ints(Field& message, uint32_t tag, const std::vector<int64_t>& values);

}  // namespace plx::fuzz
