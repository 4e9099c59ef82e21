// Matrix products, and convolutions as such.
#include "plx/device/lowering/part_lowering.h"

#include <algorithm>

namespace plx::device {

Lowering::Batches Lowering::batches_of(Dims sizes, Dims strides) {
  Loops loops{std::move(sizes), {std::move(strides)}};
  if (loops.dims.empty()) return {};
  loops.collapse();
  for (size_t i = 0; i + 2 < loops.dims.size(); ++i) {
    if (loops.dims[i] != 1) refuse("has batches that repeat in more than two ways");
  }
  return {loops.dims[5], loops.strides[0][4], loops.strides[0][5]};
}

Lowering::Epilogue Lowering::epilogue(const graph::Node& node, int64_t columns) {
  Epilogue e{-1, fused_activation(node), node.outputs[0]};
  while (e.apply.function == kNothing) {
    const NodeId next = only_reader(e.value);
    Chain chain{e.value, {}, {}};
    if (next == kNone || !add_node(chain, graph_.nodes[static_cast<size_t>(next)])) break;
    Epilogue more = e;
    more.value = chain.value;
    auto step = chain.steps.begin();
    if (more.bias < 0 && step->adds() && step->period == columns) more.bias = chain.others[step++->other];
    if (step != chain.steps.end() && step->apply.function < kWithOther) more.apply = step++->apply;
    if (step != chain.steps.end()) break;
    e = more;
    done_[static_cast<size_t>(next)] = true;
  }
  return e;
}

void Lowering::multiply(Product p, const graph::Node& node) {
  const Epilogue e = epilogue(node, p.bias < 0 ? p.columns : 0);
  if (e.bias >= 0) {
    p.bias = e.bias;
    p.bias_kind = 2;
  }
  // Few rows leave most of a group idle.
  const bool tiled = tuning_.group != 0 && p.rows >= tuning_.rows;
  launch_product(tiled ? "multiply_tiled" : "multiply", {p.left, p.right, p.bias < 0 ? p.left : p.bias, make(e.value)},
                 {p.rows, p.columns, p.depth, p.batches, p.of_left.batch, p.of_left.outer, p.of_left.inner, p.of_right.batch, p.of_right.outer,
                  p.of_right.inner, p.bias < 0 ? 0 : p.bias_kind, e.apply.function},
                 {p.scale, e.apply.alpha, e.apply.beta}, p, tiled);
}

void Lowering::launch_product(const char* kernel, std::vector<int> tensors, const Dims& ints, std::vector<float> numbers, const Product& p,
                              bool tiled) {
  launch(kernel, std::move(tensors), ints, std::move(numbers), {(p.rows + tuning_.rows - 1) / tuning_.rows, panels(p.columns), p.batches});
  if (tiled) out_.launches.back().group = tuning_.group;
}

int Lowering::pack(ValueId value, int64_t batches, int64_t depth, int64_t columns, bool transposed) {
  const int from = tensor_of(value);
  const int64_t count = batches * panels(columns) * depth * tuning_.vector;
  if (count > kMostElements) refuse("has a matrix of ", count, " elements");
  const bool once = out_.tensors[static_cast<size_t>(from)].memory == Memory::kConstant;
  const int to = add({once ? Memory::kArranged : Memory::kTemporary, 0, static_cast<uint64_t>(count * number_bytes())});
  launch_each("pack", {from, to}, count / tuning_.vector,
              {depth, columns, transposed ? 1 : columns, transposed ? depth : 1, std::max<int64_t>(batches, 1), 0, depth * columns}, {}, once);
  return to;
}

int Lowering::widened(int tensor, int64_t count) {
  if (!halves_) return tensor;
  const bool once = out_.tensors[static_cast<size_t>(tensor)].memory == Memory::kConstant;
  const int to = once ? add({Memory::kArranged, 0, static_cast<uint64_t>(count) * 4}) : temporary(count * 4);
  launch_each("cast_half_float", {tensor, to}, count, {}, {}, once);
  return to;
}

int Lowering::by_rows(ValueId value, int64_t batches, int64_t rows, int64_t depth, bool transposed) {
  const int from = tensor_of(value);
  const int64_t count = batches * rows * depth;
  if (!transposed) return widened(from, count);
  const int to = temporary(count * number_bytes());
  copy(from, to, {batches, rows, depth}, {rows * depth, 1, rows}, 0, {rows * depth, depth, 1}, 0, number_bytes());
  return widened(to, count);
}

void Lowering::matmul(const graph::Node& node) {
  for (const ValueId value : node.inputs) want_number(value);
  if (graph::int_attribute(node, "transBatchA").value_or(0) != 0 || graph::int_attribute(node, "transBatchB").value_or(0) != 0) {
    refuse("transposes its batches");
  }
  const bool trans_a = graph::int_attribute(node, "transA").value_or(0) != 0;
  const bool trans_b = graph::int_attribute(node, "transB").value_or(0) != 0;
  const Dims& a = dims(node.inputs[0]);
  const Dims& b = dims(node.inputs[1]);
  const Dims& out = dims(node.outputs[0]);
  if (a.size() < 2 || b.size() < 2) refuse("multiplies a vector");
  Product p;
  p.rows = out[out.size() - 2];
  p.columns = out.back();
  p.depth = trans_a ? a[a.size() - 2] : a.back();
  p.scale = graph::float_attribute(node, "alpha").value_or(1.0f);
  const auto batch_dims = [](const Dims& d) { return Dims(d.begin(), d.end() - 2); };
  const Dims batch = batch_dims(out);
  const int64_t a_batches = product(batch_dims(a));
  const int64_t b_batches = product(batch_dims(b));
  p.batches = product(batch);
  p.left = by_rows(node.inputs[0], a_batches, p.rows, p.depth, trans_a);
  p.right = pack(node.inputs[1], b_batches, p.depth, p.columns, trans_b);
  if (b_batches == 1 && a_batches == p.batches) {  // one matrix for all rows
    p.rows *= p.batches;
    p.batches = 1;
  } else {
    const auto scaled = [](Dims strides, int64_t by) {
      for (int64_t& s : strides) s *= by;
      return strides;
    };
    p.of_left = batches_of(batch, scaled(broadcast_strides(batch_dims(a), batch), p.rows * p.depth));
    p.of_right = batches_of(batch, scaled(broadcast_strides(batch_dims(b), batch), panels(p.columns) * p.depth * tuning_.vector));
  }
  multiply(p, node);
}

void Lowering::gemm(const graph::Node& node) {
  for (const ValueId value : node.inputs) {
    if (value != kNone) want_number(value);
  }
  const bool trans_a = graph::int_attribute(node, "transA").value_or(0) != 0;
  const bool trans_b = graph::int_attribute(node, "transB").value_or(0) != 0;
  const Dims& a = dims(node.inputs[0]);
  const Dims& out = dims(node.outputs[0]);
  Product p;
  p.rows = out[0];
  p.columns = out[1];
  p.depth = trans_a ? a[0] : a[1];
  p.scale = graph::float_attribute(node, "alpha").value_or(1.0f);
  const float beta = graph::float_attribute(node, "beta").value_or(1.0f);
  if (has_input(node, 2) && beta != 0) {
    const Dims& c = dims(node.inputs[2]);
    const int64_t count = elements(node.inputs[2]);
    if (beta != 1) refuse("scales what it adds by ", beta);
    const bool by_column = count == p.columns && (c.size() == 1 || c[0] == 1);
    const bool by_row = count == p.rows && c.size() == 2 && c[1] == 1;
    if (!by_column && !by_row) refuse("adds a tensor that is neither a row nor a column");
    p.bias_kind = by_column ? 2 : 1;
    p.bias = tensor_of(node.inputs[2]);
  }
  p.left = by_rows(node.inputs[0], 1, p.rows, p.depth, trans_a);
  p.right = pack(node.inputs[1], 1, p.depth, p.columns, trans_b);
  multiply(p, node);
}

void Lowering::conv(const graph::Node& node) {
  for (const ValueId value : node.inputs) {
    if (value != kNone) want_number(value);
  }
  if (has_input(node, 3)) refuse("adds another tensor");
  const Dims& in = dims(node.inputs[0]);
  const Dims& weights = dims(node.inputs[1]);
  const Dims& out = dims(node.outputs[0]);
  const Window w = window(node, in, out, Dims(weights.begin() + 2, weights.end()));
  const int64_t groups = graph::int_attribute(node, "group").value_or(1);
  const int64_t outputs = weights[0];
  Product p;
  p.rows = outputs / groups;
  p.columns = w.out_height * w.out_width;
  p.depth = weights[1] * w.kh * w.kw;
  p.batches = in[0] * groups;
  const int bias = has_input(node, 2) ? tensor_of(node.inputs[2]) : -1;
  const int from = tensor_of(node.inputs[0]);
  const int filter = tensor_of(node.inputs[1]);
  const Dims image = {in[1], w.height, w.width, outputs, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, groups,
                      bias < 0 ? 0 : 1};
  if (tuning_.group != 0 && p.rows >= 4) {
    const Epilogue e = epilogue(node, 0);
    Dims ints = image;
    ints.push_back(e.apply.function);
    launch_product("convolve_tiled", {widened(filter, elements(node.inputs[1])), from, bias < 0 ? from : bias, make(e.value)}, ints,
                   {e.apply.alpha, e.apply.beta}, p, true);
    return;
  }
  const int64_t packed = p.batches * panels(p.columns) * p.depth * tuning_.vector;
  if (p.rows < 4 || packed > kMostElements) {
    const Epilogue e = epilogue(node, 0);
    Dims ints = image;
    ints.push_back(e.apply.function);
    launch_each("convolve", {from, filter, bias < 0 ? filter : bias, make(e.value)}, elements(node.outputs[0]), std::move(ints),
                {e.apply.alpha, e.apply.beta});
    return;
  }
  p.left = widened(filter, elements(node.inputs[1]));
  p.of_left = {groups, 0, groups == 1 ? 0 : p.rows * p.depth};
  p.right = temporary(packed * number_bytes());
  p.of_right = {p.batches, 0, panels(p.columns) * p.depth * tuning_.vector};
  p.bias = bias;
  p.bias_kind = 1;
  launch_each("pack_image", {from, p.right}, packed / tuning_.vector,
              {in[1], w.height, w.width, w.out_height, w.out_width, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw, groups});
  multiply(p, node);
}

}  // namespace plx::device
