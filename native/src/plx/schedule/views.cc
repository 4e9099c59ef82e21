#include "plx/schedule/views.h"

#include <algorithm>
#include <optional>

namespace plx::schedule {

namespace {

std::string text(std::span<const int64_t> dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(dims[i]);
  return out + "]";
}

// Nothing if it is no int64: beside a dim of 0 others may be as large as they like.
std::optional<int64_t> product(std::span<const int64_t> dims) {
  int64_t total = 1;
  for (const int64_t dim : dims) {
    if (__builtin_mul_overflow(total, dim, &total)) return std::nullopt;
  }
  return total;
}

}  // namespace

Result<std::vector<int64_t>> view_dims(const graph::Node& node, std::span<const int64_t> dims,
                                       std::span<const int64_t> operand, bool has_operand) {
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kRunFailed, node.op_type, " '", node.name, "' ", what);
  };
  std::vector<int64_t> axes(operand.begin(), operand.end());
  const auto rank = static_cast<int64_t>(dims.size());
  std::vector<int64_t> out;

  if (node.op_type == "Identity") return std::vector<int64_t>(dims.begin(), dims.end());

  if (node.op_type == "Flatten") {
    int64_t axis = graph::int_attribute(node, "axis").value_or(1);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis > rank) return wrong("has an axis outside its input " + text(dims));
    const auto rows = product(dims.first(static_cast<size_t>(axis)));
    const auto columns = product(dims.subspan(static_cast<size_t>(axis)));
    if (!rows || !columns) return wrong("makes a dim that is too large of its input " + text(dims));
    return std::vector<int64_t>{*rows, *columns};
  }

  if (node.op_type == "Reshape") {
    if (!has_operand) axes = graph::ints_attribute(node, "shape").value_or(std::vector<int64_t>{});
    const bool allow_zero = graph::int_attribute(node, "allowzero").value_or(0) == 1;  // as ONNX Runtime: no other number
    int64_t known = 1;
    int open = -1;
    for (size_t i = 0; i < axes.size(); ++i) {
      int64_t dim = axes[i];
      if (dim == 0 && !allow_zero) {
        if (i >= dims.size()) return wrong("copies dim " + std::to_string(i) + " of its input " + text(dims) + ", which has none");
        dim = dims[i];
      }
      if (dim < -1 || (dim == -1 && open >= 0)) return wrong("has the impossible target shape " + text(axes));
      if (dim == -1) open = static_cast<int>(i);
      else if (__builtin_mul_overflow(known, dim, &known)) return wrong("has the impossible target shape " + text(axes));
      out.push_back(dim);
    }
    const bool empty = std::find(dims.begin(), dims.end(), 0) != dims.end();
    auto total = empty ? std::optional<int64_t>(0) : product(dims);
    if (open >= 0 && allow_zero && known == 0 && empty) {
      // Any size would do; ONNX Runtime takes the one that fits with the zeros left out.
      std::vector<int64_t> have(dims.begin(), dims.end());
      std::vector<int64_t> want = out;
      std::erase_if(have, [](int64_t dim) { return dim <= 0; });
      std::erase_if(want, [](int64_t dim) { return dim <= 0; });
      total = product(have);
      const auto rest = product(want);
      if (!rest) return wrong("has the impossible target shape " + text(axes));
      known = *rest;
    }
    if (!total) return wrong("cannot turn " + text(dims) + " into " + text(axes));
    if (open >= 0) {
      if (known == 0 || *total % known != 0) return wrong("cannot turn " + text(dims) + " into " + text(axes));
      out[static_cast<size_t>(open)] = *total / known;
    } else if (known != *total) {
      return wrong("cannot turn " + text(dims) + " into " + text(axes));
    }
    return out;
  }

  if (!has_operand) axes = graph::ints_attribute(node, "axes").value_or(std::vector<int64_t>{});
  const bool squeeze = node.op_type == "Squeeze";
  const bool all_ones = squeeze && axes.empty();
  const int64_t out_rank = squeeze ? rank : rank + static_cast<int64_t>(axes.size());
  std::vector<bool> chosen(static_cast<size_t>(out_rank), false);
  for (int64_t axis : axes) {
    if (axis < 0) axis += out_rank;
    const bool twice = axis >= 0 && axis < out_rank && chosen[static_cast<size_t>(axis)];
    if (axis < 0 || axis >= out_rank || (twice && !squeeze)) {  // Squeeze may name an axis twice
      return wrong("has axes " + text(axes) + " that do not fit its input " + text(dims));
    }
    chosen[static_cast<size_t>(axis)] = true;
  }
  if (squeeze) {
    for (size_t i = 0; i < dims.size(); ++i) {
      const bool drop = all_ones ? dims[i] == 1 : chosen[i];
      if (drop && dims[i] != 1) return wrong("squeezes axis " + std::to_string(i) + " of " + text(dims) + ", which is not 1");
      if (!drop) out.push_back(dims[i]);
    }
    return out;
  }
  size_t next = 0;
  for (const bool added : chosen) out.push_back(added ? 1 : dims[next++]);
  return out;
}

}  // namespace plx::schedule
