// Along axes: softmax, normalisations and reductions.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <string_view>

namespace plx::device {

void Lowering::softmax(const graph::Node& node) {
  want_float(node.inputs[0]);
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

void Lowering::normalise(const graph::Node& node, int from, const Dims& d, size_t axis, ValueId scale, ValueId bias, bool rms, float epsilon) {
  const int64_t length = product(std::span(d).subspan(axis));
  want_float(scale);
  if (elements(scale) != length || (bias != kNone && elements(bias) != length)) refuse("has a scale of another size than what it normalises");
  const int s = tensor_of(scale);
  const int b = bias == kNone ? s : tensor_of(bias);
  launch_each("layer_norm", {from, s, b, make(node.outputs[0])}, product(d) / length, {length, bias == kNone ? 0 : 1, rms ? 1 : 0}, {epsilon});
}

void Lowering::layer_norm(const graph::Node& node) {
  want_float(node.inputs[0]);
  if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
  const Dims& d = dims(node.inputs[0]);
  const bool rms = node.op_type != "LayerNormalization";
  normalise(node, tensor_of(node.inputs[0]), d, static_cast<size_t>(axis_of(node, -1, d.size())), node.inputs[1],
            has_input(node, 2) ? node.inputs[2] : kNone, rms, graph::float_attribute(node, "epsilon").value_or(1e-5f));
}

void Lowering::skip_layer_norm(const graph::Node& node) {
  for (const ValueId value : node.inputs) {
    if (value != kNone) want_float(value);
  }
  if (has_output(node, 1) || has_output(node, 2)) refuse("makes its mean or deviation, too");
  const Dims& d = dims(node.inputs[0]);
  int sum = has_output(node, 3) ? make(node.outputs[3]) : temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
  const int a = tensor_of(node.inputs[0]);
  const int b = tensor_of(node.inputs[1]);
  if (has_input(node, 4)) {
    const int first = temporary(static_cast<int64_t>(bytes_of(node.inputs[0])));
    combine(0, a, d, b, dims(node.inputs[1]), first, d);
    combine(0, first, d, tensor_of(node.inputs[4]), dims(node.inputs[4]), sum, d);
  } else {
    combine(0, a, d, b, dims(node.inputs[1]), sum, d);
  }
  normalise(node, sum, d, d.size() - 1, node.inputs[2], has_input(node, 3) ? node.inputs[3] : kNone, false,
            graph::float_attribute(node, "epsilon").value_or(1e-12f));
}

void Lowering::reduce(const graph::Node& node) {
  static constexpr std::string_view functions[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                                                   "ReduceSumSquare"};
  want_float(node.inputs[0]);
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
    copy(from, make(node.outputs[0]), {elements(node.outputs[0])}, {1}, 0, {1}, 0, 4);
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
    copy(from, moved, sizes, strides, 0, strides_of(sizes), 0, 4);
    from = moved;
    inner = 1;
  }
  launch_each("reduce", {from, make(node.outputs[0])}, elements(node.outputs[0]), {function, length, inner});
}

}  // namespace plx::device
