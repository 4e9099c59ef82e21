// For tests: handles that release themselves, and statuses turned into expectations.
#pragma once

#include <gtest/gtest.h>
#include <plx/plx.h>

#include <string>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/ort/plain_testing.h"

namespace plx::capi::testing {

inline void ok(plx_status* status) {
  EXPECT_EQ(plx_status_code(status), PLX_OK) << plx_status_message(status);
  plx_status_release(status);
}

// Every error has a code, and a text that names something.
inline void expect_error(plx_status* status, int code, const std::string& part) {
  ASSERT_NE(status, nullptr) << "no error";
  const std::string message = plx_status_message(status);
  EXPECT_EQ(plx_status_code(status), code) << message;
  EXPECT_FALSE(message.empty());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
  plx_status_release(status);
}

template <class Call>
std::string text_of(Call call) {
  plx_text* text = nullptr;
  ok(call(&text));
  if (text == nullptr) return {};
  EXPECT_EQ(plx_text_data(text)[plx_text_size(text)], '\0');
  std::string copy(plx_text_data(text), plx_text_size(text));
  plx_text_release(text);
  return copy;
}

// x -> two parallel arms over weights too large for a unit's own model -> y, any number of rows.
inline std::string model_bytes() {
  using namespace graph::testing;
  Model m;
  const auto weights = [](uint32_t seed) {
    return TensorBytes(kFloat, {64, 64}).raw(ort::testing::noise({64, 64}, seed).bytes);
  };
  m.input("x", kFloat, {"n", 64})
      .initializer("a", weights(1))
      .initializer("b", weights(2))
      .output("y", kFloat, {"n", 64});
  m.node("Relu", {"x"}, {"r"}).node("MatMul", {"r", "a"}, {"p"}).node("MatMul", {"r", "b"}, {"q"});
  m.node("Tanh", {"p"}, {"t"}).node("Sigmoid", {"q"}, {"s"}).node("Mul", {"t", "s"}, {"y"});
  return m.bytes();
}

inline plx_tensor tensor_over(const ort::testing::Tensor& tensor) {
  return {const_cast<char*>(tensor.bytes.data()),
          tensor.bytes.size(),
          tensor.dims.data(),
          tensor.dims.size(),
          static_cast<int32_t>(tensor.element),
          0};
}

// One of each, an engine to begin with.
struct Handles {
  plx_engine* engine = nullptr;
  plx_model* model = nullptr;
  plx_plan* plan = nullptr;
  plx_session* session = nullptr;
  std::string bytes;  // of the model

  Handles() {
    const std::string library = ort::testing::library();
    plx_engine_options options{
        .struct_size = sizeof options, .ort_library_path = library.c_str(), .threads = 2, .verbosity = 0};
    ok(plx_engine_create(&options, &engine));
  }
  ~Handles() {
    plx_session_release(session);
    plx_plan_release(plan);
    plx_model_release(model);
    plx_engine_release(engine);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  void load(std::string model_bytes, const plx_model_options* options = nullptr) {
    bytes = std::move(model_bytes);
    ok(plx_model_load_memory(engine, bytes.data(), bytes.size(), options, &model));
  }
  void make_plan(int units) {
    plx_plan_options options{};
    options.struct_size = sizeof options;
    options.units = units;
    ok(plx_plan_make(model, &options, &plan));
  }
  void make_session() { ok(plx_session_create(model, plan, nullptr, &session)); }
};

}  // namespace plx::capi::testing
