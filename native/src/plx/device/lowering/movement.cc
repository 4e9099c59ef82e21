// What moves data and does not look at it.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <numeric>

namespace plx::device {

void Lowering::concat(const graph::Node& node) {
  const Dims& made = dims(node.outputs[0]);
  const auto axis = static_cast<size_t>(axis_of(node, 0, made.size()));
  const Dims strides = strides_of(made);
  const int64_t size = element_bytes(node.outputs[0]);
  std::vector<int> parts;
  for (const ValueId value : node.inputs) parts.push_back(product(dims(value)) == 0 ? -1 : tensor_of(value));
  const int to = make(node.outputs[0]);
  int64_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Dims& d = dims(node.inputs[i]);
    if (parts[i] >= 0) copy(parts[i], to, d, strides_of(d), 0, strides, at * strides[axis], size);
    at += d[axis];
  }
}

void Lowering::split(const graph::Node& node) {
  const Dims& whole = dims(node.inputs[0]);
  const auto axis = static_cast<size_t>(axis_of(node, 0, whole.size()));
  const Dims strides = strides_of(whole);
  const int from = tensor_of(node.inputs[0]);
  const int64_t size = element_bytes(node.inputs[0]);
  int64_t at = 0;
  for (const ValueId value : node.outputs) {
    if (value == kNone) refuse("leaves out a part");
    const Dims& d = dims(value);
    copy(from, make(value), d, strides, at * strides[axis], strides_of(d), 0, size);
    at += d[axis];
  }
}

void Lowering::slice(const graph::Node& node) {
  const Dims& in = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  const auto numbers = [&](size_t input, const char* name) -> std::optional<Dims> {
    if (has_input(node, input)) return list(node.inputs[input]);
    return graph::ints_attribute(node, name);
  };
  const Dims starts = numbers(1, "starts").value_or(Dims());
  const Dims steps = numbers(4, "steps").value_or(Dims(starts.size(), 1));
  Dims which = numbers(3, "axes").value_or(Dims());
  if (which.empty()) {
    which.resize(starts.size());
    std::iota(which.begin(), which.end(), 0);
  }
  Dims strides = strides_of(in);
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto axis = static_cast<size_t>(which[i] < 0 ? which[i] + static_cast<int64_t>(in.size()) : which[i]);
    if (axis >= in.size()) refuse("slices an axis that its input does not have");
    int64_t start = starts[i] < 0 ? starts[i] + in[axis] : starts[i];
    start = std::clamp<int64_t>(start, 0, steps[i] < 0 ? in[axis] - 1 : in[axis]);
    offset += start * strides[axis];
    strides[axis] *= steps[i];
  }
  const int from = tensor_of(node.inputs[0]);
  copy(from, make(node.outputs[0]), out, strides, offset, strides_of(out), 0, element_bytes(node.outputs[0]));
}

void Lowering::pad(const graph::Node& node) {
  const std::string mode = graph::string_attribute(node, "mode").value_or("constant");
  if (mode != "constant") refuse("pads by ", mode);
  const Dims& in = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  const Dims pads = has_input(node, 1) ? list(node.inputs[1]) : graph::ints_attribute(node, "pads").value_or(Dims());
  if (has_input(node, 3) || pads.size() != 2 * in.size()) refuse("pads some axes only");
  if (std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; })) refuse("takes away by padding");
  const int64_t size = element_bytes(node.outputs[0]);
  int value = -1;
  if (has_input(node, 2)) {
    value = tensor_of(node.inputs[2]);
  } else {
    const uint64_t zero = 0;
    const float number = graph::float_attribute(node, "value").value_or(0);
    if (halves_ && number != 0) refuse("pads float16 with ", number);
    value = element(node.inputs[0]) == ElementType::kFloat32 ? own_constant(&number, sizeof number) : own_constant(&zero, sizeof zero);
  }
  const int from = tensor_of(node.inputs[0]);
  const int to = make(node.outputs[0]);
  launch_each(by_size(size, "fill_1", "fill_2", "fill_4", "fill_8"), {value, to}, elements(node.outputs[0]), {});
  const Dims strides = strides_of(out);
  int64_t offset = 0;
  for (size_t i = 0; i < in.size(); ++i) offset += pads[i] * strides[i];
  copy(from, to, in, strides_of(in), 0, strides, offset, size);
}

void Lowering::gather(const graph::Node& node) {
  const Dims& in = dims(node.inputs[0]);
  const auto axis = static_cast<size_t>(axis_of(node, 0, in.size()));
  const int64_t size = element_bytes(node.inputs[0]);
  const ElementType index = element(node.inputs[1]);
  if ((index != ElementType::kInt32 && index != ElementType::kInt64) || size == 1) {
    refuse("picks ", graph::element_type_name(element(node.inputs[0])), " by ", graph::element_type_name(index));
  }
  const bool wide = index == ElementType::kInt64;
  const char* kernel = wide ? by_size(size, nullptr, "gather_2_long", "gather_4_long", "gather_8_long")
                            : by_size(size, nullptr, "gather_2_int", "gather_4_int", "gather_8_int");
  const int from = tensor_of(node.inputs[0]);
  const int indices = tensor_of(node.inputs[1]);
  launch_each(kernel, {from, indices, make(node.outputs[0])}, elements(node.outputs[0]),
              {in[axis], elements(node.inputs[1]), product(std::span(in).subspan(axis + 1))});
}

void Lowering::transpose(const graph::Node& node) {
  const Dims& in = dims(node.inputs[0]);
  Dims perm = graph::ints_attribute(node, "perm").value_or(Dims());
  if (perm.empty()) {
    for (size_t i = in.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  }
  const Dims own = strides_of(in);
  Dims strides;
  for (const int64_t axis : perm) strides.push_back(own.at(static_cast<size_t>(axis)));
  const Dims& out = dims(node.outputs[0]);
  const int from = tensor_of(node.inputs[0]);
  copy(from, make(node.outputs[0]), out, strides, 0, strides_of(out), 0, element_bytes(node.outputs[0]));
}

void Lowering::expand(const graph::Node& node) {
  const Dims& out = dims(node.outputs[0]);
  const int from = tensor_of(node.inputs[0]);
  const Dims strides = broadcast_strides(dims(node.inputs[0]), out);
  copy(from, make(node.outputs[0]), out, strides, 0, strides_of(out), 0, element_bytes(node.outputs[0]));
}

void Lowering::tile(const graph::Node& node) {
  const Dims& in = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  // Each axis as two: how often, and how many.
  Dims sizes;
  Dims from_strides;
  const Dims own = strides_of(in);
  for (size_t i = 0; i < in.size(); ++i) {
    sizes.insert(sizes.end(), {out[i] / in[i], in[i]});
    from_strides.insert(from_strides.end(), {0, own[i]});
  }
  const int from = tensor_of(node.inputs[0]);
  copy(from, make(node.outputs[0]), sizes, from_strides, 0, strides_of(sizes), 0, element_bytes(node.outputs[0]));
}

}  // namespace plx::device
