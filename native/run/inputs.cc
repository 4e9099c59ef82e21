#include "inputs.h"

#include <plx/plx.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <random>

#include "plx/graph/graph.h"

namespace plx::run {

namespace {

template <class T, class Next>
void fill(std::vector<std::byte>& bytes, Next&& next) {
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    const T value = static_cast<T>(next());
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
}

// To the nearest half float below; made-up values need no better.
uint16_t half_of(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127 + 15;
  const uint32_t sign = bits >> 16 & 0x8000;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::min(exponent, 30)) << 10 | (bits >> 13 & 0x3ff));
}

std::string text(const std::vector<int64_t>& dims) {
  std::string out;
  for (const int64_t dim : dims) out += (out.empty() ? "" : "x") + (dim < 0 ? std::string("?") : std::to_string(dim));
  return out.empty() ? "a scalar" : out;
}

std::vector<int64_t> sizes_of(const Declared& input, const Shapes& shapes) {
  std::vector<int64_t> dims = input.dims;
  const auto given = shapes.find(input.name);
  if (given == shapes.end()) {
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] < 0) dims[i] = i == 0 ? 1 : 16;
    }
    return dims;
  }
  bool fits = given->second.size() == dims.size();
  for (size_t i = 0; fits && i < dims.size(); ++i) fits = dims[i] < 0 || dims[i] == given->second[i];
  if (!fits) {
    throw Failure("--shape " + input.name + "=" + text(given->second) + " does not fit the input, which is declared as " + text(dims));
  }
  return given->second;
}

}  // namespace

void add_shape(Shapes& shapes, const std::string& given) {
  const size_t equals = given.rfind('=');
  const auto wrong = [&] { return Failure("--shape " + given + ": give NAME=SIZExSIZE..., for example ids=1x16"); };
  if (equals == std::string::npos || equals == 0) throw wrong();
  std::vector<int64_t> dims;
  const char* at = given.data() + equals + 1;
  const char* const end = given.data() + given.size();
  while (at < end) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0 || (next != end && (*next != 'x' || next + 1 == end))) throw wrong();
    dims.push_back(size);
    at = next == end ? end : next + 1;
  }
  if (!shapes.emplace(given.substr(0, equals), std::move(dims)).second) throw Failure("--shape " + given + ": that input has one already");
}

std::vector<Input> make_up(const std::vector<Declared>& declared, const Shapes& shapes, uint32_t seed) {
  for (const auto& [name, dims] : shapes) {
    if (std::none_of(declared.begin(), declared.end(), [&](const Declared& input) { return input.name == name; })) {
      throw Failure("--shape " + name + "=" + text(dims) + ": the model has no input of that name");
    }
  }
  std::mt19937 random(seed);
  std::vector<Input> inputs;
  for (const Declared& input : declared) {
    Input& made = inputs.emplace_back(Input{input.element, sizes_of(input, shapes), {}});
    const auto bytes = graph::tensor_bytes(static_cast<graph::ElementType>(made.element), made.dims);
    if (!bytes) throw Failure("input '" + input.name + "' cannot have the shape " + text(made.dims));
    made.bytes.resize(*bytes);
    // Twelve uniform numbers add up to a normal one, everywhere alike.
    const auto normal = [&] {
      float sum = -6;
      for (int i = 0; i < 12; ++i) sum += static_cast<float>(random() >> 8) * 0x1p-24f;
      return sum;
    };
    const bool mask = input.name.find("mask") != std::string::npos;
    const bool type = input.name.find("type") != std::string::npos;
    const auto whole = [&] { return mask ? 1 : type ? 0 : static_cast<int>(random() % 100); };
    switch (made.element) {
      case PLX_FLOAT32: fill<float>(made.bytes, normal); break;
      case PLX_FLOAT64: fill<double>(made.bytes, normal); break;
      case PLX_FLOAT16: fill<uint16_t>(made.bytes, [&] { return half_of(normal()); }); break;
      case PLX_INT64:
      case PLX_UINT64: fill<int64_t>(made.bytes, whole); break;
      case PLX_INT32:
      case PLX_UINT32: fill<int32_t>(made.bytes, whole); break;
      case PLX_INT16:
      case PLX_UINT16: fill<int16_t>(made.bytes, whole); break;
      case PLX_INT8:
      case PLX_UINT8: fill<int8_t>(made.bytes, whole); break;
      case PLX_BOOL: fill<int8_t>(made.bytes, [&] { return whole() % 2; }); break;
      default: throw Failure("input '" + input.name + "': there are no made-up values of its type");
    }
  }
  return inputs;
}

}  // namespace plx::run
