#include "plx/device/lowering/part_lowering.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string_view>

namespace plx::device {

int64_t product(std::span<const int64_t> dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

// Strides of a tensor that is read as one of the shape `out`: 0 along axes that it repeats.
Dims broadcast_strides(const Dims& dims, const Dims& out) {
  if (dims.size() > out.size()) refuse("reads a tensor of more axes than it makes");
  const Dims own = strides_of(dims);
  Dims strides(out.size(), 0);
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t at = out.size() - dims.size() + i;
    if (dims[i] != 1 && dims[i] != out[at]) refuse("reads a tensor that does not fit what it makes");
    strides[at] = dims[i] == 1 ? 0 : own[i];
  }
  return strides;
}

std::optional<Period> period_of(const Dims& dims, const Dims& out) {
  if (dims.size() > out.size()) return std::nullopt;
  Dims wide(out.size() - dims.size(), 1);
  wide.insert(wide.end(), dims.begin(), dims.end());
  size_t first = 0;
  size_t end = wide.size();
  while (first < end && wide[first] == 1) ++first;
  while (end > first && wide[end - 1] == 1) --end;
  for (size_t i = first; i < end; ++i) {
    if (wide[i] != out[i]) return std::nullopt;
  }
  return Period{product(std::span(out).subspan(end)), product(std::span(out).subspan(first, end - first))};
}

void Loops::collapse() {
  for (size_t i = dims.size(); i-- > 0;) {
    if (dims[i] != 1 || dims.size() == 1) continue;
    erase(i);
  }
  for (size_t i = dims.size(); i-- > 1;) {
    const bool one = std::all_of(strides.begin(), strides.end(), [&](const Dims& s) { return s[i - 1] == s[i] * dims[i]; });
    if (!one) continue;
    for (Dims& s : strides) s[i - 1] = s[i];
    dims[i - 1] *= dims[i];
    erase(i);
  }
  if (dims.size() > kAxes) refuse("has ", dims.size(), " axes that cannot be taken together; at most ", kAxes);
  while (dims.size() < kAxes) {
    dims.insert(dims.begin(), 1);
    for (Dims& s : strides) s.insert(s.begin(), 0);
  }
}

void Loops::erase(size_t axis) {
  dims.erase(dims.begin() + static_cast<ptrdiff_t>(axis));
  for (Dims& s : strides) s.erase(s.begin() + static_cast<ptrdiff_t>(axis));
}

static float from_half(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const auto fraction = static_cast<float>(half & 1023);
  float value = exponent == 0    ? std::ldexp(fraction, -24)
                : exponent == 31 ? (fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN())
                                 : std::ldexp(fraction + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -value : value;
}

// Those that are there twice: for float32 and for float16 in memory.
static bool computes_with_numbers(std::string_view kernel) {
  static constexpr std::string_view kernels[] = {"unary",      "chain",           "binary",   "binary_broadcast", "compare_float",
                                                 "reduce",     "softmax",         "pool",     "softmax_rows",     "layer_norm",
                                                 "resize",     "skip_layer_norm", "convolve", "pack",             "pack_image",
                                                 "multiply",   "multiply_tiled",  "convolve_tiled"};
  return std::find(std::begin(kernels), std::end(kernels), kernel) != std::end(kernels) || kernel.find("half") != kernel.npos;
}

int32_t narrow(int64_t value) {
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) refuse("counts beyond 32 bits");
  return static_cast<int32_t>(value);
}

Lowering::Lowering(const Part& part, const Tuning& tuning)
    : part_(part), graph_(*part.graph), shapes_(*part.shapes), tuning_(tuning), tensor_of_(graph_.values.size(), -1),
      in_part_(graph_.nodes.size(), false), done_(graph_.nodes.size(), false), output_of_(graph_.values.size(), -1),
      root_(graph_.values.size()) {
  std::iota(root_.begin(), root_.end(), 0);
  for (const NodeId id : part.nodes) in_part_[static_cast<size_t>(id)] = true;
  for (const NodeId id : part.nodes) {
    const graph::Node& node = graph_.nodes[static_cast<size_t>(id)];
    if (graph::is_view(node)) root_[static_cast<size_t>(node.outputs[0])] = root_[static_cast<size_t>(node.inputs[0])];
  }
  for (size_t i = 0; i < part.outputs.size(); ++i) {
    int& output = output_of_[static_cast<size_t>(root_[static_cast<size_t>(part.outputs[i])])];
    if (output < 0) output = static_cast<int>(i);  // others are copies of it
  }
  for (size_t i = 0; i < part.inputs.size(); ++i) {
    tensor_of_[static_cast<size_t>(part.inputs[i])] = add({Memory::kInput, static_cast<int>(i), bytes_of(part.inputs[i])});
  }
}

Lowered Lowering::run() {
  for (const NodeId id : part_.nodes) {
    if (done_[static_cast<size_t>(id)]) continue;
    node_ = id;
    try {
      lower(graph_.nodes[static_cast<size_t>(id)]);
    } catch (Refused& refused) {
      refused_at_ = id;
      throw;
    }
  }
  for (size_t i = 0; i < part_.outputs.size(); ++i) {
    const ValueId value = part_.outputs[i];
    const int tensor = tensor_of(value);
    const Lowered::Tensor& t = out_.tensors[static_cast<size_t>(tensor)];
    if (t.memory == Memory::kOutput && t.index == static_cast<int>(i)) continue;
    const int output = add({Memory::kOutput, static_cast<int>(i), bytes_of(value)});
    node_ = graph_.values[static_cast<size_t>(value)].producer;
    const int64_t size = element_bytes(value);
    copy(tensor, output, {product(dims(value))}, {1}, 0, {1}, 0, size);
  }
  return std::move(out_);
}

const Dims& Lowering::dims(ValueId value) const {
  const auto& shape = shapes_[static_cast<size_t>(value)];
  if (graph_.values[static_cast<size_t>(value)].initializer != kNone) return initializer(value).dims;
  if (!shape) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' has no fixed shape");
  return shape->dims;
}

ElementType Lowering::element(ValueId value) const {
  if (graph_.values[static_cast<size_t>(value)].initializer != kNone) return initializer(value).element;
  const auto& shape = shapes_[static_cast<size_t>(value)];
  return shape ? shape->element : graph_.values[static_cast<size_t>(value)].type.element;
}

int64_t Lowering::elements(ValueId value) const {
  const int64_t count = product(dims(value));
  if (count > kMostElements) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' has ", count, " elements, too many");
  if (count == 0) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is empty");
  return count;
}

int64_t Lowering::element_bytes(ValueId value) const {
  const int bits = graph::element_bits(element(value));
  if (bits < 8) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is ", graph::element_type_name(element(value)));
  return bits / 8;
}

void Lowering::want_number(ValueId value) const {
  const ElementType wanted = halves_ ? ElementType::kFloat16 : ElementType::kFloat32;
  if (element(value) == wanted) return;
  refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is ", graph::element_type_name(element(value)), ", not ",
         graph::element_type_name(wanted));
}

Dims Lowering::list(ValueId value) const {
  if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not a constant");
  const graph::Initializer& init = initializer(value);
  if (init.data == nullptr || init.sparse) refuse("the data of '", graph_.values[static_cast<size_t>(value)].name, "' is not there");
  const auto count = static_cast<size_t>(product(init.dims));
  Dims numbers(count);
  if (init.element == ElementType::kInt64) {
    std::memcpy(numbers.data(), init.data, count * 8);
  } else if (init.element == ElementType::kInt32) {
    std::vector<int32_t> read(count);
    std::memcpy(read.data(), init.data, count * 4);
    std::copy(read.begin(), read.end(), numbers.begin());
  } else {
    refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is no list of whole numbers");
  }
  return numbers;
}

std::vector<float> Lowering::floats(ValueId value) const {
  if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not a constant");
  const graph::Initializer& init = initializer(value);
  if (!is_number(init.element) || (init.data == nullptr && init.size_bytes != 0)) refuse("a constant is no number");
  std::vector<float> numbers(static_cast<size_t>(product(init.dims)));
  if (numbers.empty()) return numbers;
  if (init.element == ElementType::kFloat32) {
    std::memcpy(numbers.data(), init.data, numbers.size() * 4);
    return numbers;
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, init.data + i * 2, 2);
    numbers[i] = from_half(half);
  }
  return numbers;
}

std::optional<Dims> Lowering::axes(const graph::Node& node, size_t input, size_t rank) const {
  std::optional<Dims> found = graph::ints_attribute(node, "axes");
  if (found && found->empty()) found.reset();
  if (has_input(node, input)) found = list(node.inputs[input]);
  if (!found) return found;
  for (int64_t& axis : *found) axis = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  std::sort(found->begin(), found->end());
  return found;
}

int64_t Lowering::axis_of(const graph::Node& node, int64_t otherwise, size_t rank) const {
  const int64_t axis = graph::int_attribute(node, "axis").value_or(otherwise);
  const int64_t at = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  if (at < 0 || at >= static_cast<int64_t>(rank)) refuse("has an axis outside its input");
  return at;
}

int Lowering::add(Lowered::Tensor tensor) {
  out_.tensors.push_back(tensor);
  return static_cast<int>(out_.tensors.size()) - 1;
}

int Lowering::own_constant(const void* data, size_t bytes) {
  const auto* first = static_cast<const std::byte*>(data);
  out_.constants.push_back({nullptr, {first, first + bytes}, bytes});
  return add({Memory::kConstant, static_cast<int>(out_.constants.size()) - 1, bytes});
}

int Lowering::tensor_of(ValueId value) {
  int& tensor = tensor_of_[static_cast<size_t>(value)];
  if (tensor >= 0) return tensor;
  if (!constant(value)) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is not made in this part");
  const graph::Initializer& init = initializer(value);
  if (init.sparse) refuse("'", graph_.values[static_cast<size_t>(value)].name, "' is sparse");
  out_.constants.push_back({init.data, {}, bytes_of(value)});
  tensor = add({Memory::kConstant, static_cast<int>(out_.constants.size()) - 1, bytes_of(value)});
  return tensor;
}

int Lowering::make(ValueId value) {
  int& tensor = tensor_of_[static_cast<size_t>(value)];
  const int output = output_of_[static_cast<size_t>(value)];
  const uint64_t bytes = bytes_of(value);
  tensor = output >= 0 ? add({Memory::kOutput, output, bytes}) : add({Memory::kTemporary, 0, bytes});
  return tensor;
}

void Lowering::launch(const char* kernel, std::vector<int> tensors, const Dims& ints, std::vector<float> numbers, std::array<int64_t, 3> items,
            bool once) {
  Lowered::Launch one;
  one.kernel = kernel;
  one.halves = halves_ && computes_with_numbers(kernel);
  one.tensors = std::move(tensors);
  for (const int64_t value : ints) one.ints.push_back(narrow(value));
  one.floats = std::move(numbers);
  for (size_t i = 0; i < 3; ++i) one.items[i] = static_cast<uint64_t>(items[i]);
  one.node = node_;
  (once ? out_.setup : out_.launches).push_back(std::move(one));
}

void Lowering::launch_each(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers, bool once) {
  ints.insert(ints.begin(), count);
  launch(kernel, std::move(tensors), ints, std::move(numbers), {count, 1, 1}, once);
}

void Lowering::launch_vectors(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers) {
  ints.insert(ints.begin(), count);
  launch_each(kernel, std::move(tensors), panels(count), std::move(ints), std::move(numbers));
}

const char* Lowering::by_size(int64_t bytes, const char* one, const char* two, const char* four, const char* eight) {
  const char* found = bytes == 1 ? one : bytes == 2 ? two : bytes == 4 ? four : bytes == 8 ? eight : nullptr;
  if (found == nullptr) refuse("has elements of ", bytes, " bytes");
  return found;
}

void Lowering::copy(int from, int to, const Dims& dims, const Dims& from_strides, int64_t from_offset, const Dims& to_strides, int64_t to_offset,
          int64_t size, bool once) {
  Loops loops{dims, {from_strides, to_strides}};
  loops.collapse();
  Dims ints(loops.dims.begin() + 1, loops.dims.end());
  ints.push_back(from_offset);
  ints.insert(ints.end(), loops.strides[0].begin(), loops.strides[0].end());
  ints.push_back(to_offset);
  ints.insert(ints.end(), loops.strides[1].begin(), loops.strides[1].end());
  launch_each(by_size(size, "copy_1", "copy_2", "copy_4", "copy_8"), {from, to}, pieces(loops), std::move(ints), {}, once);
}

void Lowering::view(const graph::Node& node) {
  const ValueId from = node.inputs[0];
  if (from == kNone) refuse("reads nothing");
  elements(node.outputs[0]);
  element_bytes(from);
  tensor_of_[static_cast<size_t>(node.outputs[0])] = tensor_of(from);
}

Loops Lowering::loops_over(const graph::Node& node, std::initializer_list<size_t> inputs) const {
  Loops loops{dims(node.outputs[0]), {}};
  for (const size_t i : inputs) loops.strides.push_back(broadcast_strides(dims(node.inputs[i]), loops.dims));
  if (loops.dims.empty()) {
    loops.dims = {1};
    for (Dims& s : loops.strides) s = {0};
  }
  loops.collapse();
  return loops;
}

Dims Lowering::sizes_and_strides(const Loops& loops) {
  Dims ints(loops.dims.begin() + 1, loops.dims.end());
  for (const Dims& s : loops.strides) ints.insert(ints.end(), s.begin(), s.end());
  return ints;
}

}  // namespace plx::device
