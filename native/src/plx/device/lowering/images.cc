// Windows over images, and resizing.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <string_view>

namespace plx::device {

Lowering::Window Lowering::window(const graph::Node& node, const Dims& in, const Dims& out, const Dims& kernel) const {
  const size_t axes = in.size() - 2;
  if (in.size() < 3 || axes > 2 || kernel.size() != axes) refuse("works on ", axes, " axes of an image; 1 and 2 are possible");
  const auto ints = [&](const char* name, int64_t otherwise) {
    auto found = graph::ints_attribute(node, name).value_or(Dims());
    if (found.empty()) found.assign(axes, otherwise);
    return found;
  };
  Dims strides = ints("strides", 1);
  Dims dilations = ints("dilations", 1);
  Dims pads = graph::ints_attribute(node, "pads").value_or(Dims());
  if (pads.empty()) pads.assign(2 * axes, 0);
  const std::string automatic = graph::string_attribute(node, "auto_pad").value_or("NOTSET");
  if (automatic == "VALID") pads.assign(2 * axes, 0);
  if (automatic.starts_with("SAME")) {
    for (size_t i = 0; i < axes; ++i) {
      const int64_t all = std::max<int64_t>(0, (out[i + 2] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - in[i + 2]);
      const int64_t less = all / 2;
      pads[i] = automatic == "SAME_UPPER" ? less : all - less;
      pads[i + axes] = all - pads[i];
    }
  }
  Window w;
  w.width = in.back();
  w.out_width = out.back();
  w.kw = kernel.back();
  w.sw = strides.back();
  w.dw = dilations.back();
  w.pw = pads[axes - 1];
  w.pw_end = pads[2 * axes - 1];
  if (axes == 2) {
    w.height = in[2];
    w.out_height = out[2];
    w.kh = kernel[0];
    w.sh = strides[0];
    w.dh = dilations[0];
    w.ph = pads[0];
    w.ph_end = pads[2];
  }
  return w;
}

void Lowering::pool(const graph::Node& node) {
  want_number(node.inputs[0]);
  if (has_output(node, 1)) refuse("makes indices, too");
  if (graph::int_attribute(node, "storage_order").value_or(0) != 0) refuse("counts by columns");
  const Dims& in = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  const Window w = window(node, in, out, graph::ints_attribute(node, "kernel_shape").value_or(Dims()));
  const bool all = graph::int_attribute(node, "count_include_pad").value_or(0) != 0;
  const int kind = node.op_type == "MaxPool" ? 0 : all ? 2 : 1;
  // ONNX's rule for the output's size is not what ONNX Runtime's kernel makes of it.
  if (graph::int_attribute(node, "ceil_mode").value_or(0) != 0) refuse("rounds its output's size up");
  const int from = tensor_of(node.inputs[0]);
  launch_each("pool", {from, make(node.outputs[0])}, elements(node.outputs[0]),
              {kind, w.height, w.width, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, w.ph_end, w.pw_end});
}

void Lowering::resize(const graph::Node& node) {
  want_number(node.inputs[0]);
  const Dims& in = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  if (in.size() < 3 || in.size() > 4 || in[0] != out[0] || in[1] != out[1]) refuse("resizes other axes than those of an image");
  const auto text = [&](const char* name, const char* otherwise) { return graph::string_attribute(node, name).value_or(otherwise); };
  const std::string mode = text("mode", "nearest");
  if (mode != "nearest" && mode != "linear") refuse("resizes by ", mode);
  if (graph::int_attribute(node, "antialias").value_or(0) != 0 || graph::int_attribute(node, "exclude_outside").value_or(0) != 0 ||
      graph::ints_attribute(node, "axes")) {
    refuse("resizes with antialias, exclude_outside or axes");
  }
  if (opset() < 11) refuse("is of an opset before 11");
  static constexpr std::string_view transforms[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"};
  static constexpr std::string_view roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  const std::string transform_name = text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding_name = text("nearest_mode", "round_prefer_floor");
  const auto transform = std::find(std::begin(transforms), std::end(transforms), transform_name) - std::begin(transforms);
  const auto rounding = std::find(std::begin(roundings), std::end(roundings), rounding_name) - std::begin(roundings);
  if (transform == std::ssize(transforms) || rounding == std::ssize(roundings)) refuse("resizes by ", transform_name, ", ", rounding_name);
  const size_t rank = in.size();
  std::vector<float> scales;
  for (size_t i = 0; i < rank; ++i) scales.push_back(static_cast<float>(out[i]) / static_cast<float>(in[i]));
  if (has_input(node, 2) && !floats(node.inputs[2]).empty()) scales = floats(node.inputs[2]);
  if (scales.size() != rank) refuse("has ", scales.size(), " scales");
  const int from = tensor_of(node.inputs[0]);
  const int64_t height = rank == 4 ? in[2] : 1;
  const int64_t out_height = rank == 4 ? out[2] : 1;
  launch_each("resize", {from, make(node.outputs[0])}, elements(node.outputs[0]),
              {height, in.back(), out_height, out.back(), mode == "linear" ? 1 : 0, transform, rounding},
              {rank == 4 ? scales[2] : 1.0f, scales.back()});
}

}  // namespace plx::device
