// Dense tensors in memory of the caller's, as ONNX Runtime's values; and what shape a value has.
//
// Threads: the functions may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "plx/base/result.h"
#include "plx/graph/shapes.h"
#include "plx/ort/runtime.h"

namespace plx::ort {

// A tensor over memory that outlives it. Of an empty one the memory is not looked at.
Result<Value> tensor_over(const std::shared_ptr<Runtime>& runtime, void* data, graph::ElementType element, std::span<const int64_t> dims);

// Nothing for what is no tensor. Of one whose type is known, ONNX Runtime is asked less.
std::optional<graph::Shape> shape_of(const OrtApi& api, const OrtValue* value,
                                     graph::ElementType known = graph::ElementType::kUndefined);

}  // namespace plx::ort
