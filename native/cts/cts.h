// What the suite is made of: cases, each a model of few nodes drawn at random, and the check that a device makes of it
// what ONNX Runtime does.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "plx/device/device.h"
#include "plx/graph/onnx_builder_testing.h"
#include "plx/ort/plain_testing.h"

namespace plx::cts {

using graph::ElementType;
using graph::testing::attr;
using graph::testing::Attrs;
using graph::testing::Dims;
using graph::testing::kFloat;
using graph::testing::Names;
using ort::testing::Tensor;
using ort::testing::Tensors;

// A model in the making. Names of values come back, to be given to node().
class Draft {
 public:
  // number: float32 or float16, the type of all inputs and constants that are numbers.
  explicit Draft(uint32_t seed, int64_t opset = 17, ElementType number = kFloat) : random_(seed), model_(opset), number_(number) {
    model_.imports("com.microsoft", 1);
  }
  int64_t number(int64_t low, int64_t high) { return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1)); }
  bool coin() { return random_() % 2 == 0; }
  template <class T>
  T one_of(const std::vector<T>& list) {
    return list[random_() % list.size()];
  }
  Dims dims(size_t rank, int64_t most = 9) {
    Dims d;
    for (size_t i = 0; i < rank; ++i) d.push_back(number(1, most));
    return d;
  }
  // Numbers between -low and high.
  std::vector<float> numbers(const Dims& d, float low = -1, float high = 1);
  std::string input(const Dims& d, float low = -1, float high = 1);
  std::string constant(const Dims& d, float low = -1, float high = 1);
  std::string either(const Dims& d) { return coin() ? input(d) : constant(d); }
  std::string ints(const Dims& d, const Dims& values) { return whole(d, values, true); }        // constant int64
  std::string input_ints(const Dims& d, const Dims& values) { return whole(d, values, false); } // int64
  std::string input_bools(const Dims& d);
  std::string node(const std::string& op, const Names& inputs, const Attrs& attrs = {}, size_t outputs = 1);
  // Makes a value an output of the model.
  void output(const std::string& value) { output(value, number_); }
  void output(const std::string& value, ElementType element) { model_.output(value, graph::testing::tensor_type(element)); }

  std::string bytes() const { return model_.bytes(); }
  const Tensors& inputs() const { return inputs_; }
  bool halves() const { return number_ == ElementType::kFloat16; }

 private:
  std::string fresh(const char* prefix) { return prefix + std::to_string(count_++); }
  std::string whole(const Dims& d, const Dims& values, bool constant);
  std::mt19937 random_;
  graph::testing::Model model_;
  ElementType number_;
  Tensors inputs_;
  int count_ = 0;
};

struct Case {
  std::string name;  // of the operator, or of what a part is like
  std::function<void(Draft&)> draw;
  // Of numbers: |device - ONNX Runtime| <= absolute + relative * |ONNX Runtime|. Others are equal.
  double relative = 1e-4;
  double absolute = 1e-5;
  int64_t opset = 17;
  bool halves = false;  // in float16
};

float from_half(uint16_t half);
uint16_t to_half(float number);  // to the nearest, ties to even

const std::vector<Case>& operators();  // of one node each
const std::vector<Case>& parts();      // of more

// Draws the case, runs it on the device with memory of the caller's and with the device's, and compares. The failure, or "".
std::string check(device::Device& device, const Case& drawn, uint32_t seed);

}  // namespace plx::cts
