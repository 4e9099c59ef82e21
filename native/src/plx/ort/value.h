// Values of every kind as plain data, and ONNX Runtime's values made from them and read into them.
//
// A model may take and give sequences, maps and optionals besides tensors. ONNX Runtime's C interface builds the first
// two from their parts but has no call for an empty sequence or for an optional without content; those are had as
// outputs of one-node models (SequenceEmpty, Optional). An optional with content is its content, as in ONNX Runtime
// itself.
//
// Everything is copied, both ways: such values are lists of small tensors, and ONNX Runtime copies them again.
//
// Threads: a Content is a value; the functions may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/graph.h"
#include "plx/ort/runtime.h"

namespace plx::ort {

struct Content {
  enum class Kind { kNone, kTensor, kSequence, kMap };  // kNone: an optional without content
  Kind kind = Kind::kNone;
  // Of a tensor:
  graph::ElementType element = graph::ElementType::kUndefined;
  std::vector<int64_t> dims;
  std::string bytes;                 // dense; empty for strings
  std::vector<std::string> strings;  // of a string tensor
  // A sequence's elements; a map's keys and values, two tensors of one dimension.
  std::vector<std::shared_ptr<const Content>> parts;
};

// A tensor whose strings are cut from `bytes` at the offsets, one per element.
Result<Content> string_tensor(std::span<const int64_t> dims, std::string_view bytes, const size_t* offsets);

// "float32[2,3]", "a sequence of 2", "a map", "none".
std::string text(const Content& content);
// A TypeProto in words: "float32", "sequence(float32)", "optional(sequence(string))", "map(int64,float32)".
std::string type_text(std::string_view type_proto);

// kInvalidArgument, naming what was wanted and what was given, if it does not fit the type.
Result<Value> make_value(const std::shared_ptr<Runtime>& runtime, const Content& content, std::string_view type_proto);
// kUnsupported for a sparse tensor.
Result<Content> read_value(const std::shared_ptr<Runtime>& runtime, const OrtValue* value);

}  // namespace plx::ort
