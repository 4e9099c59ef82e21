// For tests: plain ONNX Runtime, used the way its manual says (one session for the whole model, every optimisation, its
// own memory), as the measure of what Parallax computes; and tensors as plain values.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/onnx_builder_testing.h"
#include "plx/ort/runtime.h"

namespace plx::ort::testing {

struct Tensor {
  graph::ElementType element = graph::ElementType::kUndefined;
  std::vector<int64_t> dims;
  std::string bytes;  // content, unless they are strings
  std::vector<std::string> strings;
  bool operator==(const Tensor&) const = default;  // bit for bit
};
using Tensors = std::vector<Tensor>;

inline std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  out << graph::element_type_name(tensor.element) << " [";
  for (size_t i = 0; i < tensor.dims.size(); ++i) out << (i == 0 ? "" : ",") << tensor.dims[i];
  out << "]";
  for (const std::string& text : tensor.strings) out << " '" << text << "'";
  for (size_t at = 0; at + 4 <= tensor.bytes.size() && at < 32; at += 4) {
    float number = 0;
    std::memcpy(&number, tensor.bytes.data() + at, sizeof number);
    if (tensor.element == graph::ElementType::kFloat32) out << " " << number;
  }
  return out;
}

template <class T>
Tensor tensor_of(const std::vector<int64_t>& dims, const std::vector<T>& values) {
  Tensor tensor{.element = graph::testing::element_of<T>(), .dims = dims, .bytes = {}, .strings = {}};
  for (const T value : values) tensor.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  return tensor;
}
inline Tensor text_of(const std::vector<int64_t>& dims, const std::vector<std::string>& strings) {
  return {.element = graph::ElementType::kString, .dims = dims, .bytes = {}, .strings = strings};
}
// Floats between -1 and 1, the same for the same seed everywhere.
inline Tensor noise(const std::vector<int64_t>& dims, uint32_t seed) {
  std::mt19937 random(seed);
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random() % 2001) / 1000.f - 1.f);
  return tensor_of(dims, values);
}

inline std::string library() {
  const char* path = std::getenv("PLX_ORT_LIBRARY");
  if (path == nullptr || *path == '\0') {
    throw std::runtime_error("PLX_ORT_LIBRARY is not set to the path of a libonnxruntime.so: run the tests with ctest");
  }
  return path;
}

// The runtime with a pool of two threads.
inline std::shared_ptr<Runtime> runtime() {
  auto runtime = Runtime::acquire(library(), 2, 0);
  if (!runtime) throw std::runtime_error(runtime.error().message);
  return runtime.take();
}

// A model in plain ONNX Runtime. Throws std::runtime_error with ONNX Runtime's own words.
class Plain {
 public:
  Plain(std::shared_ptr<Runtime> runtime, const std::string& model,
        const std::vector<std::pair<std::string, int64_t>>& dimensions = {})
      : runtime_(std::move(runtime)), api_(runtime_->api()) {
    OrtSessionOptions* options = nullptr;
    must(api_.CreateSessionOptions(&options));
    const Handle<OrtSessionOptions> owner(runtime_, options, api_.ReleaseSessionOptions);
    must(api_.SetIntraOpNumThreads(options, 1));
    must(api_.SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    for (const auto& [name, size] : dimensions) must(api_.AddFreeDimensionOverrideByName(options, name.c_str(), size));
    OrtSession* session = nullptr;
    // A model by its path, or by its bytes, which begin with a field's tag and hence with no slash.
    if (model[0] == '/') must(api_.CreateSession(runtime_->env(), model.c_str(), options, &session));
    else must(api_.CreateSessionFromArray(runtime_->env(), model.data(), model.size(), options, &session));
    session_ = Session(runtime_, session, api_.ReleaseSession);
    names(input_names_, api_.SessionGetInputCount, api_.SessionGetInputName);
    names(output_names_, api_.SessionGetOutputCount, api_.SessionGetOutputName);
  }

  Tensors run(const Tensors& inputs) {
    std::vector<Value> owners;
    std::vector<const OrtValue*> in;
    for (const Tensor& input : inputs) in.push_back(owners.emplace_back(value_of(input)).get());
    std::vector<const char*> in_names;
    std::vector<const char*> out_names;
    for (size_t i = 0; i < in.size(); ++i) in_names.push_back(input_names_.at(i).c_str());
    for (const std::string& name : output_names_) out_names.push_back(name.c_str());
    std::vector<OrtValue*> out(out_names.size(), nullptr);
    must(api_.Run(session_.get(), nullptr, in_names.data(), in.data(), in.size(), out_names.data(), out.size(),
                  out.data()));
    Tensors results;
    for (OrtValue* value : out) {
      const Value owner(runtime_, value, api_.ReleaseValue);
      results.push_back(content(value));
    }
    return results;
  }

  OrtSession* session() const { return session_.get(); }

 private:
  void must(OrtStatus* status) const {
    if (status == nullptr) return;
    const std::string text = api_.GetErrorMessage(status);
    api_.ReleaseStatus(status);
    throw std::runtime_error(text);
  }

  template <class Count, class Name>
  void names(std::vector<std::string>& out, Count count_of, Name name_of) {
    OrtAllocator* allocator = nullptr;
    must(api_.GetAllocatorWithDefaultOptions(&allocator));
    size_t count = 0;
    must(count_of(session_.get(), &count));
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      must(name_of(session_.get(), i, allocator, &name));
      out.emplace_back(name);
      must(api_.AllocatorFree(allocator, name));
    }
  }

  Value value_of(const Tensor& tensor) {
    OrtValue* value = nullptr;
    if (tensor.element == graph::ElementType::kString) {
      OrtAllocator* allocator = nullptr;
      must(api_.GetAllocatorWithDefaultOptions(&allocator));
      must(api_.CreateTensorAsOrtValue(allocator, tensor.dims.data(), tensor.dims.size(),
                                       ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value));
      std::vector<const char*> pointers;
      for (const std::string& text : tensor.strings) pointers.push_back(text.c_str());
      if (!pointers.empty()) must(api_.FillStringTensor(value, pointers.data(), pointers.size()));
    } else {
      must(api_.CreateTensorWithDataAsOrtValue(runtime_->cpu(), const_cast<char*>(tensor.bytes.data()),
                                               tensor.bytes.size(), tensor.dims.data(), tensor.dims.size(),
                                               static_cast<ONNXTensorElementDataType>(tensor.element), &value));
    }
    return Value(runtime_, value, api_.ReleaseValue);
  }

  Tensor content(OrtValue* value) {
    int has_value = 0;  // an empty optional has none
    must(api_.HasValue(value, &has_value));
    if (has_value == 0) return {};
    int is_tensor = 0;
    must(api_.IsTensor(value, &is_tensor));
    if (is_tensor == 0) return {};
    OrtTensorTypeAndShapeInfo* info = nullptr;
    must(api_.GetTensorTypeAndShape(value, &info));
    const Handle<OrtTensorTypeAndShapeInfo> owner(runtime_, info, api_.ReleaseTensorTypeAndShapeInfo);
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    size_t count = 0;
    must(api_.GetTensorElementType(info, &element));
    must(api_.GetDimensionsCount(info, &rank));
    must(api_.GetTensorShapeElementCount(info, &count));
    Tensor tensor{.element = static_cast<graph::ElementType>(element),
                  .dims = std::vector<int64_t>(rank),
                  .bytes = {},
                  .strings = {}};
    must(api_.GetDimensions(info, tensor.dims.data(), rank));
    for (size_t i = 0; element == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING && i < count; ++i) {
      size_t length = 0;
      must(api_.GetStringTensorElementLength(value, i, &length));
      std::string& text = tensor.strings.emplace_back(length, '\0');
      must(api_.GetStringTensorElement(value, length, i, text.data()));
    }
    if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) return tensor;
    void* data = nullptr;
    must(api_.GetTensorMutableData(value, &data));
    tensor.bytes.assign(static_cast<const char*>(data), graph::tensor_bytes(tensor.element, tensor.dims).value());
    return tensor;
  }

  std::shared_ptr<Runtime> runtime_;
  const OrtApi& api_;
  Session session_;
  std::vector<std::string> input_names_;
  std::vector<std::string> output_names_;
};

}  // namespace plx::ort::testing
