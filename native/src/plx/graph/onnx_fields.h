// Field numbers of onnx.proto, as far as Parallax reads or writes them, and the few decodings that protozero leaves open.
// Read a field's tag before its content: without NDEBUG protozero forgets it. Source: the ONNX specification, onnx.proto (IR version 10); numbers of a protobuf schema never change meaning.
#pragma once

#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plx::graph::onnx {

struct Model { enum : uint32_t { kIrVersion = 1, kProducerName = 2, kProducerVersion = 3, kGraph = 7, kOpsetImport = 8,
                                 kMetadata = 14, kTrainingInfo = 20, kFunctions = 25 }; };
struct OpsetId { enum : uint32_t { kDomain = 1, kVersion = 2 }; };
struct GraphProto { enum : uint32_t { kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12, kValueInfo = 13,
                                      kSparseInitializer = 15 }; };
struct NodeProto { enum : uint32_t { kInput = 1, kOutput = 2, kName = 3, kOpType = 4, kAttribute = 5, kDomain = 7,
                                     kOverload = 8 }; };
struct Attribute { enum : uint32_t { kName = 1, kF = 2, kI = 3, kS = 4, kT = 5, kG = 6, kFloats = 7, kInts = 8,
                                     kStrings = 9, kTensors = 10, kGraphs = 11, kTypeProto = 14, kType = 20, kRefName = 21,
                                     kSparseTensor = 22, kSparseTensors = 23 }; };
struct FunctionProto { enum : uint32_t { kName = 1, kNode = 7, kDomain = 10, kAttribute = 11, kOverload = 13 }; };
struct ValueInfo { enum : uint32_t { kName = 1, kType = 2 }; };
struct TypeProto { enum : uint32_t { kTensor = 1, kSequence = 4, kMap = 5, kSparseTensor = 8, kOptional = 9 }; };
struct TensorType { enum : uint32_t { kElemType = 1, kShape = 2 }; };
struct ElementOf { enum : uint32_t { kElemType = 1 }; };                  // Sequence, Optional
struct MapType { enum : uint32_t { kKeyType = 1, kValueType = 2 }; };
struct ShapeProto { enum : uint32_t { kDim = 1 }; };
struct Dimension { enum : uint32_t { kValue = 1, kParam = 2 }; };
struct TensorProto { enum : uint32_t { kDims = 1, kDataType = 2, kSegment = 3, kFloatData = 4, kInt32Data = 5,
                                       kStringData = 6, kInt64Data = 7, kName = 8, kRawData = 9, kDoubleData = 10,
                                       kUint64Data = 11, kExternalData = 13, kDataLocation = 14 }; };
struct SparseTensor { enum : uint32_t { kValues = 1, kIndices = 2, kDims = 3 }; };
struct StringEntry { enum : uint32_t { kKey = 1, kValue = 2 }; };

inline constexpr auto kVarint = protozero::pbf_wire_type::varint;
inline constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;
inline constexpr auto kFixed32 = protozero::pbf_wire_type::fixed32;

inline std::string_view view(const protozero::data_view& data) { return {data.data(), data.size()}; }

// repeated int64, packed or not; the reader stands on the field.
inline void append_int64s(protozero::pbf_reader& message, std::vector<int64_t>& out) {
  if (message.wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (const int64_t value : message.get_packed_int64()) out.push_back(value);
  } else if (message.wire_type() == kVarint) {
    out.push_back(message.get_int64());
  } else {
    message.skip();
  }
}

// Key and value of a StringStringEntryProto.
inline std::pair<std::string, std::string> string_entry(std::string_view bytes) {
  std::pair<std::string, std::string> entry;
  protozero::pbf_reader reader{bytes.data(), bytes.size()};
  while (reader.next()) {
    if (reader.wire_type() != kBytes) reader.skip();
    else if (reader.tag() == StringEntry::kKey) entry.first = reader.get_string();
    else if (reader.tag() == StringEntry::kValue) entry.second = reader.get_string();
    else reader.skip();
  }
  return entry;
}

// Copies the field the reader stands on, unread.
inline void copy_field(protozero::pbf_reader& in, protozero::pbf_writer& out) {
  const auto tag = in.tag();
  switch (in.wire_type()) {
    case protozero::pbf_wire_type::varint: out.add_uint64(tag, in.get_uint64()); break;
    case protozero::pbf_wire_type::fixed64: out.add_fixed64(tag, in.get_fixed64()); break;
    case protozero::pbf_wire_type::fixed32: out.add_fixed32(tag, in.get_fixed32()); break;
    default: {
      const auto view = in.get_view();
      out.add_bytes(tag, view.data(), view.size());
    }
  }
}

}  // namespace plx::graph::onnx
