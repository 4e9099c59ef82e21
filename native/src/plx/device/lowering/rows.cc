// Along axes: softmax, normalisations and reductions.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <string_view>

namespace plx::device {

void Lowering::softmax(const graph::Node& node) {
  want_number(node.inputs[0]);
  const Dims& d = dims(node.inputs[0]);
  int64_t length = 1;
  int64_t inner = 1;
  if (opset() >= 13) {
    const auto axis = static_cast<size_t>(axis_of(node, -1, d.size()));
    length = d[axis];
    inner = product(std::span(d).subspan(axis + 1));
  } else {
    const auto axis = static_cast<size_t>(axis_of(node, 1, d.size()));
    length = product(std::span(d).subspan(axis));
  }
  const int from = tensor_of(node.inputs[0]);
  if (inner == 1) {
    launch_each("softmax_rows", {from, make(node.outputs[0])}, elements(node.outputs[0]) / length,
                {length, node.op_type == "LogSoftmax" ? 1 : 0});
    return;
  }
  launch_each("softmax", {from, make(node.outputs[0])}, elements(node.outputs[0]) / length, {length, inner, node.op_type == "LogSoftmax" ? 1 : 0});
}

void Lowering::check_scale(int64_t length, ValueId scale, ValueId bias) const {
  want_number(scale);
  if (bias != kNone) want_number(bias);
  if (elements(scale) != length || (bias != kNone && elements(bias) != length)) refuse("has a scale of another size than what it normalises");
}

void Lowering::layer_norm(const graph::Node& node) {
  want_number(node.inputs[0]);
  if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
  const Dims& d = dims(node.inputs[0]);
  const int64_t length = product(std::span(d).subspan(static_cast<size_t>(axis_of(node, -1, d.size()))));
  const ValueId bias = has_input(node, 2) ? node.inputs[2] : kNone;
  check_scale(length, node.inputs[1], bias);
  const int from = tensor_of(node.inputs[0]);
  const int s = tensor_of(node.inputs[1]);
  const int b = bias == kNone ? s : tensor_of(bias);
  launch_each("layer_norm", {from, s, b, make(node.outputs[0])}, product(d) / length,
              {length, bias == kNone ? 0 : 1, node.op_type == "LayerNormalization" ? 0 : 1},
              {graph::float_attribute(node, "epsilon").value_or(1e-5f)});
}

void Lowering::skip_layer_norm(const graph::Node& node) {
  for (const ValueId value : node.inputs) {
    if (value != kNone) want_number(value);
  }
  if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
  const Dims& d = dims(node.inputs[0]);
  const int64_t count = elements(node.inputs[0]);
  const int64_t length = d.back();
  check_scale(length, node.inputs[2], has_input(node, 3) ? node.inputs[3] : kNone);
  const auto skip = period_of(dims(node.inputs[1]), d);
  if (!skip || skip->every != 1 || skip->period % length != 0) refuse("skips a tensor of another shape");
  if (has_input(node, 4) && elements(node.inputs[4]) != length) refuse("has a bias of another size than what it normalises");
  const auto tensor = [&](size_t i) { return has_input(node, i) ? tensor_of(node.inputs[i]) : tensor_of(node.inputs[0]); };
  std::vector<int> tensors = {tensor(0), tensor(1), tensor(4), tensor(2), tensor(3)};
  tensors.push_back(make(node.outputs[0]));
  tensors.push_back(has_output(node, 3) ? make(node.outputs[3]) : tensors.back());
  launch_each("skip_layer_norm", tensors, count / length,
              {length, skip->period / length, has_input(node, 4) ? 1 : 0, has_input(node, 3) ? 1 : 0, has_output(node, 3) ? 1 : 0},
              {graph::float_attribute(node, "epsilon").value_or(1e-12f)});
}

void Lowering::reduce(const graph::Node& node) {
  static constexpr std::string_view functions[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                                                   "ReduceSumSquare"};
  want_number(node.inputs[0]);
  const Dims& d = dims(node.inputs[0]);
  int function = node.op_type == "GlobalAveragePool" ? 1 : node.op_type == "GlobalMaxPool" ? 2
                 : static_cast<int>(std::find(std::begin(functions), std::end(functions), node.op_type) - std::begin(functions));
  std::vector<bool> gone(d.size(), false);
  if (node.op_type.starts_with("Global")) {
    for (size_t i = 2; i < d.size(); ++i) gone[i] = true;
  } else if (const auto which = axes(node, 1, d.size())) {
    for (const int64_t axis : *which) gone.at(static_cast<size_t>(axis)) = true;
  } else if (graph::int_attribute(node, "noop_with_empty_axes").value_or(0) == 0) {
    gone.assign(d.size(), true);
  }
  int from = tensor_of(node.inputs[0]);
  // Axes that go have to be neighbours; else they are brought to the end first.
  const auto begin = std::find(gone.begin(), gone.end(), true);
  if (begin == gone.end()) {
    copy(from, make(node.outputs[0]), {elements(node.outputs[0])}, {1}, 0, {1}, 0, number_bytes());
    return;
  }
  const auto first = static_cast<size_t>(begin - gone.begin());
  size_t last = d.size() - 1;
  while (!gone[last]) --last;
  int64_t length = 1;
  for (size_t i = 0; i < d.size(); ++i) length *= gone[i] ? d[i] : 1;
  int64_t inner = product(std::span(d).subspan(last + 1));
  const bool neighbours = std::all_of(gone.begin() + static_cast<ptrdiff_t>(first), gone.begin() + static_cast<ptrdiff_t>(last) + 1, [](bool g) { return g; });
  if (!neighbours) {
    Dims order;
    for (const bool wanted : {false, true}) {
      for (size_t i = 0; i < d.size(); ++i) {
        if (gone[i] == wanted) order.push_back(static_cast<int64_t>(i));
      }
    }
    const Dims own = strides_of(d);
    Dims sizes;
    Dims strides;
    for (const int64_t axis : order) {
      sizes.push_back(d[static_cast<size_t>(axis)]);
      strides.push_back(own[static_cast<size_t>(axis)]);
    }
    const int moved = temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
    copy(from, moved, sizes, strides, 0, strides_of(sizes), 0, number_bytes());
    from = moved;
    inner = 1;
  }
  launch_each("reduce", {from, make(node.outputs[0])}, elements(node.outputs[0]), {function, length, inner});
}

}  // namespace plx::device
