#include "plx/ort/tensor.h"

namespace plx::ort {

namespace {
alignas(64) std::byte nothing[64];  // where empty tensors lie: ONNX Runtime wants an address all the same
}

Result<Value> tensor_over(const std::shared_ptr<Runtime>& runtime, void* data, graph::ElementType element, std::span<const int64_t> dims) {
  const OrtApi& api = runtime->api();
  const uint64_t bytes = graph::tensor_bytes(element, dims).value_or(0);
  OrtValue* value = nullptr;
  if (OrtStatus* status = api.CreateTensorWithDataAsOrtValue(runtime->cpu(), bytes == 0 ? nothing : data, bytes, dims.data(), dims.size(),
                                                             static_cast<ONNXTensorElementDataType>(element), &value)) {
    return runtime->check(status, "cannot describe a tensor").error();
  }
  return Value(runtime, value, api.ReleaseValue);
}

std::optional<graph::Shape> shape_of(const OrtApi& api, const OrtValue* value, graph::ElementType known) {
  if (known == graph::ElementType::kUndefined) {
    int has_value = 0;  // an optional tensor without content counts as a tensor, and is none to look into
    int is_tensor = 0;
    OrtStatus* asked = api.HasValue(value, &has_value);
    if (asked == nullptr) asked = api.IsTensor(value, &is_tensor);
    if (asked != nullptr) {
      api.ReleaseStatus(asked);
      return std::nullopt;
    }
    if (has_value == 0 || is_tensor == 0) return std::nullopt;
  }
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (OrtStatus* s = api.GetTensorTypeAndShape(value, &info)) {
    api.ReleaseStatus(s);
    return std::nullopt;
  }
  const Handle<OrtTensorTypeAndShapeInfo> owner(nullptr, info, api.ReleaseTensorTypeAndShapeInfo);
  graph::Shape shape;
  auto element = static_cast<ONNXTensorElementDataType>(known);
  size_t rank = 0;
  OrtStatus* s = nullptr;
  if (known == graph::ElementType::kUndefined) s = api.GetTensorElementType(info, &element);
  if (s == nullptr) s = api.GetDimensionsCount(info, &rank);
  if (s == nullptr) {
    shape.dims.resize(rank);
    s = api.GetDimensions(info, shape.dims.data(), rank);
  }
  if (s != nullptr) {
    api.ReleaseStatus(s);
    return std::nullopt;
  }
  shape.element = static_cast<graph::ElementType>(element);
  return shape;
}

}  // namespace plx::ort
