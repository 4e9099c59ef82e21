// How one part is lowered: what the graph says, the tensors and launches that come of it, and a method per operator.
// Only lowering.cc and the files of this folder include it; operators are grouped by file.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "plx/device/lowering.h"

namespace plx::device {

using graph::ElementType;
using graph::kNone;
using graph::NodeId;
using graph::ValueId;
using Dims = std::vector<int64_t>;
using Memory = Lowered::Memory;

constexpr size_t kAxes = 6;                       // of kernels that move data
constexpr int64_t kMostElements = (1 << 30) - 1;  // kernels count in 32 bits

// Numbered as in apply() of opencl/kernels.cl.
enum Function {
  kNothing = 0, kRelu, kSigmoid, kTanh, kLeakyRelu, kElu, kClip, kGelu, kFastGelu, kQuickGelu, kAbs, kNeg, kSqrt, kExp, kLog, kErf,
  kReciprocal, kFloor, kCeil, kRound, kSin, kCos, kHardSigmoid, kHardSwish, kSoftplus, kSoftsign, kThresholdedRelu, kSelu, kSign,
  kClipNan,
};
constexpr int kWithOther = 64;    // combine() of opencl/kernels.cl with another tensor on the right
constexpr int kOtherFirst = 128;  // or on the left
struct Apply {
  int function = kNothing;
  float alpha = 0;
  float beta = 0;
};

// Thrown inside the lowering only.
struct Refused {
  std::string why;
};
template <class... Parts>
[[noreturn]] void refuse(Parts&&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Refused{text.str()};
}

int64_t product(std::span<const int64_t> dims);
Dims strides_of(const Dims& dims);
// Strides of a tensor that is read as one of the shape `out`: 0 along axes that it repeats.
Dims broadcast_strides(const Dims& dims, const Dims& out);
// How a tensor repeats in a larger one: number at / every % period of it goes with number `at` there.
struct Period {
  int64_t every = 1, period = 1;
};
// Nothing where it takes more than that.
std::optional<Period> period_of(const Dims& dims, const Dims& out);
int32_t narrow(int64_t value);

// Loops over some tensors at once, with as few axes as will do.
struct Loops {
  Dims dims;
  std::vector<Dims> strides;  // per tensor

  void collapse();

 private:
  void erase(size_t axis);
};

class Lowering {
 public:
  Lowering(const Part& part, const Tuning& tuning);

  // The nodes one by one; then what has to be copied to be an output.
  Lowered run();
  NodeId refused_at() const { return refused_at_; }

 private:
  // ---- what the graph says
  const Dims& dims(ValueId value) const;
  ElementType element(ValueId value) const;
  const graph::Initializer& initializer(ValueId value) const {
    return graph_.initializers[static_cast<size_t>(graph_.values[static_cast<size_t>(value)].initializer)];
  }
  int64_t elements(ValueId value) const;
  int64_t element_bytes(ValueId value) const;
  uint64_t bytes_of(ValueId value) const { return static_cast<uint64_t>(elements(value) * element_bytes(value)); }
  static bool is_number(ElementType type) { return type == ElementType::kFloat32 || type == ElementType::kFloat16; }
  // Of the type that the node at hand computes with.
  void want_number(ValueId value) const;
  int64_t number_bytes() const { return halves_ ? 2 : 4; }
  bool has_input(const graph::Node& node, size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNone; }
  bool has_output(const graph::Node& node, size_t i) const { return i < node.outputs.size() && node.outputs[i] != kNone; }
  bool constant(ValueId value) const { return graph_.values[static_cast<size_t>(value)].initializer != kNone; }
  int64_t opset() const {
    const auto found = graph_.opsets.find("");
    return found == graph_.opsets.end() ? 1 : found->second;
  }
  // The content of a constant list of whole numbers.
  Dims list(ValueId value) const;
  std::vector<float> floats(ValueId value) const;  // of either width
  // Axes by attribute or by input, wherever this opset has them; sorted, none negative.
  std::optional<Dims> axes(const graph::Node& node, size_t input, size_t rank) const;
  int64_t axis_of(const graph::Node& node, int64_t otherwise, size_t rank) const;

  // ---- tensors and launches
  int add(Lowered::Tensor tensor);
  int temporary(int64_t bytes) { return add({Memory::kTemporary, 0, static_cast<uint64_t>(bytes)}); }
  int own_constant(const void* data, size_t bytes);
  int tensor_of(ValueId value);
  // Where a node's output goes.
  int make(ValueId value);
  void launch(const char* kernel, std::vector<int> tensors, const Dims& ints, std::vector<float> numbers, std::array<int64_t, 3> items,
              bool once = false);
  void launch_each(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers = {}, bool once = false);
  // A work item for each vector of numbers.
  void launch_vectors(const char* kernel, std::vector<int> tensors, int64_t count, Dims ints, std::vector<float> numbers = {});
  int64_t panels(int64_t columns) const { return (columns + tuning_.vector - 1) / tuning_.vector; }
  // Work items that each go along a piece of a row.
  int64_t pieces(const Loops& loops) const { return product(std::span(loops.dims).first(kAxes - 1)) * panels(loops.dims.back()); }
  static const char* by_size(int64_t bytes, const char* one, const char* two, const char* four, const char* eight);
  void copy(int from, int to, const Dims& dims, const Dims& from_strides, int64_t from_offset, const Dims& to_strides, int64_t to_offset,
            int64_t size, bool once = false);
  Loops loops_over(const graph::Node& node, std::initializer_list<size_t> inputs) const;
  static Dims sizes_and_strides(const Loops& loops);

  // ---- element by element, and what is fused
  // The node that reads this value, if no other does and it is of this part.
  NodeId only_reader(ValueId value) const;
  // A function of one number; or arithmetic with another tensor, whose number at % period goes with number `at`.
  struct Step {
    Apply apply;    // function: from kWithOther on arithmetic
    int other = 0;  // of Chain::others
    int64_t period = 0;
    bool adds() const { return apply.function == kWithOther || apply.function == kOtherFirst; }
  };
  // What is worked out together with the value that a node makes.
  struct Chain {
    ValueId value = kNone;  // that comes out in the end
    std::vector<Step> steps;
    std::vector<int> others;  // tensors
  };
  // Adds arithmetic of the value so far with another; false if it cannot be fused.
  bool add_arithmetic(Chain& chain, int function, ValueId other, bool other_first);
  // Adds what a node makes of the value so far; false if it cannot be fused.
  bool add_node(Chain& chain, const graph::Node& node);
  // Adds all nodes that can be fused.
  void follow(Chain& chain);
  void launch_chain(int from, const Chain& chain);
  // Nothing if the node is no function of one number.
  std::optional<Apply> function_of(const graph::Node& node) const;
  // The activation that ONNX Runtime has fused into a node, by its attributes.
  Apply fused_activation(const graph::Node& node) const;

  // ---- operators
  void lower(const graph::Node& node);
  void view(const graph::Node& node);
  void function(const graph::Node& node, const Apply& apply);
  void combine(int function, int a, const Dims& a_dims, int b, const Dims& b_dims, int out, const Dims& out_dims);
  void arithmetic(const graph::Node& node);
  void comparison(const graph::Node& node);
  void logic(const graph::Node& node);
  void logical_not(const graph::Node& node);
  void where(const graph::Node& node);
  void cast(const graph::Node& node);
  void bias_gelu(const graph::Node& node);

  void softmax(const graph::Node& node);
  // Both as long as what they are for; the bias may be none.
  void check_scale(int64_t length, ValueId scale, ValueId bias) const;
  void layer_norm(const graph::Node& node);
  void skip_layer_norm(const graph::Node& node);
  void reduce(const graph::Node& node);

  // Height and width; of a signal with one axis the height is 1.
  struct Window {
    int64_t height = 1, width = 1, out_height = 1, out_width = 1;
    int64_t kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1, ph = 0, pw = 0, ph_end = 0, pw_end = 0;
  };
  Window window(const graph::Node& node, const Dims& in, const Dims& out, const Dims& kernel) const;
  void pool(const graph::Node& node);
  void resize(const graph::Node& node);

  void concat(const graph::Node& node);
  void split(const graph::Node& node);
  void slice(const graph::Node& node);
  void pad(const graph::Node& node);
  void gather(const graph::Node& node);
  void transpose(const graph::Node& node);
  void expand(const graph::Node& node);
  void tile(const graph::Node& node);

  // How the batches of one operand lie: batch b begins at (b / batch) * outer + (b % batch) * inner.
  struct Batches {
    int64_t batch = 1, outer = 0, inner = 0;
  };
  struct Product {
    int left = 0, right = 0;  // right in panels
    int bias = -1;
    int bias_kind = 0;
    int64_t rows = 0, columns = 0, depth = 0, batches = 1;
    Batches of_left, of_right;
    float scale = 1;
  };
  int widened(int tensor, int64_t count);
  static Batches batches_of(Dims sizes, Dims strides);
  // What a product or convolution makes of its sums before it writes them: with a bias of one number a column, if one comes
  // first, and one function.
  struct Epilogue {
    int bias = -1;
    Apply apply;
    ValueId value = kNone;  // that comes out
  };
  // columns: 0 if no bias can be added.
  Epilogue epilogue(const graph::Node& node, int64_t columns);
  // A work item for so many rows and a panel, on its own or in a group with tiles.
  void launch_product(const char* kernel, std::vector<int> tensors, const Dims& ints, std::vector<float> numbers, const Product& p, bool tiled);
  void multiply(Product p, const graph::Node& node);
  // The panels of a right matrix, or of many; made once if it is a constant.
  int pack(ValueId value, int64_t batches, int64_t depth, int64_t columns, bool transposed);
  // A left matrix in rows and in float32, whatever it was.
  int by_rows(ValueId value, int64_t batches, int64_t rows, int64_t depth, bool transposed);
  void matmul(const graph::Node& node);
  void gemm(const graph::Node& node);
  void conv(const graph::Node& node);

  const Part& part_;
  const graph::Graph& graph_;
  const graph::Shapes& shapes_;
  const Tuning tuning_;
  Lowered out_;
  NodeId node_ = kNone;
  bool halves_ = false;  // the node at hand has float16 numbers
  NodeId refused_at_ = kNone;
  std::vector<int> tensor_of_;  // per value
  std::vector<bool> in_part_;   // per node
  std::vector<bool> done_;      // per node: worked out by another's epilogue
  std::vector<int> output_of_;  // per value: the part's output that its bytes are
  std::vector<ValueId> root_;   // per value: whose bytes it has, within the part
};

}  // namespace plx::device
