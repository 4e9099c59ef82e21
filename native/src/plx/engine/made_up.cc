#include "plx/engine/made_up.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

namespace plx::engine {

namespace {

constexpr uint64_t kMostMadeUpBytes = uint64_t{1} << 30;

template <class T>
void fill(std::vector<std::byte>& bytes, T value) {
  for (size_t at = 0; at + sizeof value <= bytes.size(); at += sizeof value) std::memcpy(bytes.data() + at, &value, sizeof value);
}

Result<std::vector<std::byte>> make_up(const graph::Value& input, const graph::Shape& shape, std::string_view instead) {
  const auto size = graph::tensor_bytes(shape.element, shape.dims);
  if (!size) {
    return fail(Code::kUnsupported, "input '", input.name, "' is of ", graph::element_type_name(shape.element),
                ", for which no values can be made up to measure with: ", instead);
  }
  // A model may declare any size; what nobody gave is not worth running out of memory for.
  if (*size > kMostMadeUpBytes) {
    return fail(Code::kUnsupported, "input '", input.name, "' takes ", *size, " bytes, more than the ", kMostMadeUpBytes,
                " that are made up to measure with: ", instead);
  }
  std::vector<std::byte> bytes(*size);
  const int whole = shape.dims.empty() ? 8 : 1;
  switch (shape.element) {
    case graph::ElementType::kFloat32:
      // Not all the same, and none of them subnormal.
      for (size_t i = 0; i < bytes.size() / 4; ++i) {
        const float value = static_cast<float>(static_cast<int>(i * 7919 % 2001) - 1000) / 1000.f;
        std::memcpy(bytes.data() + i * 4, &value, 4);
      }
      break;
    case graph::ElementType::kFloat64: fill(bytes, 0.5); break;
    case graph::ElementType::kFloat16: fill<uint16_t>(bytes, 0x3800); break;   // 0.5
    case graph::ElementType::kBfloat16: fill<uint16_t>(bytes, 0x3f00); break;  // 0.5
    case graph::ElementType::kInt64:
    case graph::ElementType::kUint64: fill<int64_t>(bytes, whole); break;
    case graph::ElementType::kInt32:
    case graph::ElementType::kUint32: fill<int32_t>(bytes, whole); break;
    case graph::ElementType::kInt16:
    case graph::ElementType::kUint16: fill<int16_t>(bytes, static_cast<int16_t>(whole)); break;
    default: std::fill(bytes.begin(), bytes.end(), std::byte{1}); break;
  }
  return bytes;
}

}  // namespace

Result<MadeUpInputs> MadeUpInputs::make(const graph::Graph& graph, std::vector<std::optional<graph::Shape>> shapes, std::string_view instead) {
  MadeUpInputs made;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const graph::Value& input = graph.values[graph.inputs[i]];
    if (!shapes[i]) {
      return fail(Code::kUnsupported, "input '", input.name,
                  "' is no tensor of a known shape, so that nothing can be measured: ", instead);
    }
    auto bytes = make_up(input, *shapes[i], instead);
    if (!bytes) return bytes.error();
    made.inputs_.push_back({std::move(*shapes[i]), bytes.take()});
  }
  return made;
}

Status MadeUpInputs::bind(schedule::Session& session) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    Input& input = inputs_[i];
    const schedule::TensorView view{input.shape.element, input.shape.dims, input.bytes.data(), input.bytes.size()};
    if (auto s = session.bind_input(i, view); !s) return s;
  }
  return {};
}

std::vector<std::optional<graph::Shape>> input_shapes(const graph::Graph& graph, const graph::Shapes& shapes) {
  std::vector<std::optional<graph::Shape>> of_inputs;
  for (const graph::ValueId id : graph.inputs) of_inputs.push_back(shapes[id]);
  return of_inputs;
}

Result<Times> shortest_times(schedule::Session& session, size_t units, int runs, double most_s) {
  Times times;
  times.units_ns.assign(units, std::numeric_limits<double>::max());
  times.fell_back.resize(units);
  times.run_ns = std::numeric_limits<double>::max();
  const auto begin = std::chrono::steady_clock::now();
  for (int run = 0; run < runs + 2; ++run) {
    if (run > 2 && std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > most_s) break;
    if (auto s = session.run(); !s) return s.error();
    if (run < 2) continue;  // the first allocates, the second plans
    double last = 0;
    for (const schedule::UnitRun& unit : session.last_run()) {
      double& shortest = times.units_ns[unit.unit];
      shortest = std::min(shortest, static_cast<double>(unit.end_ns - unit.start_ns));
      last = std::max(last, static_cast<double>(unit.end_ns));
      if (!unit.fell_back.empty()) times.fell_back[unit.unit] = unit.fell_back;
    }
    times.run_ns = std::min(times.run_ns, last);
  }
  return times;
}

}  // namespace plx::engine
