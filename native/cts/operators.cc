// One node each, as large as it takes to meet every edge: vectors that do not fill up, rows that are left over, one element.
#include "cts.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace plx::cts {

using graph::testing::tensor;

float from_half(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const auto fraction = static_cast<float>(half & 1023);
  float number = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  if (exponent == 31) number = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  return (half & 0x8000) != 0 ? -number : number;
}

uint16_t to_half(float number) {
  const auto sign = static_cast<uint16_t>(std::signbit(number) ? 0x8000 : 0);
  int exponent = 0;
  std::frexp(number, &exponent);
  // In units of the last place; a carry into the next exponent falls out of the sum.
  const int least = std::max(exponent - 11, -24);
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(std::abs(number), -least)));
  return static_cast<uint16_t>(sign | (least == -24 ? units : units + ((least + 24) << 10)));
}

namespace {

std::string half_bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * 2, '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = to_half(values[i]);
    std::memcpy(bytes.data() + i * 2, &half, 2);
  }
  return bytes;
}

}  // namespace

std::vector<float> Draft::numbers(const Dims& d, float low, float high) {
  int64_t count = 1;
  for (const int64_t dim : d) count *= dim;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(low + (high - low) * static_cast<float>(random_() % 2001) / 2000.0f);
  return values;
}

std::string Draft::input(const Dims& d, float low, float high) {
  const std::string name = fresh("x");
  model_.input(name, number_, graph::testing::Sizes(d.begin(), d.end()));
  const std::vector<float> values = numbers(d, low, high);
  inputs_.push_back(ort::testing::tensor_of(d, values));
  if (halves()) inputs_.back() = {.element = number_, .dims = d, .bytes = half_bytes(values), .strings = {}};
  return name;
}

std::string Draft::constant(const Dims& d, float low, float high) {
  const std::string name = fresh("w");
  const std::vector<float> values = numbers(d, low, high);
  model_.initializer(name, halves() ? graph::testing::TensorBytes(number_, d).raw(half_bytes(values)) : tensor<float>(d, values));
  return name;
}

std::string Draft::whole(const Dims& d, const Dims& values, bool constant) {
  const std::string name = fresh(constant ? "k" : "i");
  if (constant) {
    model_.initializer(name, tensor<int64_t>(d, values));
  } else {
    model_.input(name, ElementType::kInt64, graph::testing::Sizes(d.begin(), d.end()));
    inputs_.push_back(ort::testing::tensor_of<int64_t>(d, values));
  }
  return name;
}

std::string Draft::input_bools(const Dims& d) {
  const std::string name = fresh("b");
  int64_t count = 1;
  for (const int64_t dim : d) count *= dim;
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) bytes.push_back(coin() ? 1 : 0);
  model_.input(name, ElementType::kBool, graph::testing::Sizes(d.begin(), d.end()));
  inputs_.push_back({.element = ElementType::kBool, .dims = d, .bytes = bytes, .strings = {}});
  return name;
}

std::string Draft::node(const std::string& op, const Names& inputs, const Attrs& attrs, size_t outputs) {
  Names names;
  const std::string name = fresh("v");
  for (size_t i = 0; i < outputs; ++i) names.push_back(i == 0 ? name : name + "_" + std::to_string(i));
  model_.node(op, inputs, names, attrs);
  return name;
}

namespace {

Case unary(const std::string& op, float low = -4, float high = 4) {
  return {op, [op, low, high](Draft& d) { d.output(d.node(op, {d.input(d.dims(static_cast<size_t>(d.number(1, 4))), low, high)})); }};
}

// Some axes of one operand, or leading ones, are left out or 1.
Dims narrowed(Draft& d, Dims dims) {
  for (int64_t& dim : dims) {
    if (d.number(0, 3) == 0) dim = 1;
  }
  const auto drop = static_cast<ptrdiff_t>(d.number(0, static_cast<int64_t>(dims.size())));
  if (d.number(0, 2) == 0) dims.erase(dims.begin(), dims.begin() + drop);
  return dims;
}

Case binary(const std::string& op, float low = -2, float high = 2) {
  return {op, [op, low, high](Draft& d) {
            const Dims dims = d.dims(static_cast<size_t>(d.number(1, 5)), 6);
            Names inputs = {d.input(dims, low, high), d.input(narrowed(d, dims), low, high)};
            if (d.coin()) std::swap(inputs[0], inputs[1]);
            d.output(d.node(op, inputs));
          }};
}

Case comparison(const std::string& op) {
  return {op, [op](Draft& d) {
            const Dims dims = d.dims(static_cast<size_t>(d.number(1, 4)), 5);
            std::string a, b;
            if (d.coin()) {
              a = d.input(dims, -1, 1);
              b = d.coin() ? a : d.input(narrowed(d, dims), -1, 1);
            } else {
              Dims values;
              int64_t count = 1;
              for (const int64_t dim : dims) count *= dim;
              for (int64_t i = 0; i < count; ++i) values.push_back(d.number(-2, 2));
              a = d.input_ints(dims, values);
              b = d.input_ints({1}, {d.number(-2, 2)});
            }
            d.output(d.node(op, {a, b}), ElementType::kBool);
          }};
}

Case reduction(const std::string& op, bool axes_by_input) {
  return {op, [op, axes_by_input](Draft& d) {
            const auto rank = static_cast<size_t>(d.number(1, 4));
            const std::string x = d.input(d.dims(rank), 0.2f, 1.4f);
            Dims axes;
            for (size_t i = 0; i < rank; ++i) {
              if (d.coin()) axes.push_back(d.coin() ? static_cast<int64_t>(i) : static_cast<int64_t>(i) - static_cast<int64_t>(rank));
            }
            Names inputs = {x};
            Attrs attrs = {attr("keepdims", static_cast<int64_t>(d.coin()))};
            if (!axes.empty() && axes_by_input) inputs.push_back(d.ints({static_cast<int64_t>(axes.size())}, axes));
            if (!axes.empty() && !axes_by_input) attrs.push_back(attr("axes", axes));
            d.output(d.node(op, inputs, attrs));
          }};
}

void draw_conv(Draft& d, bool depthwise, const std::string& op) {
  const size_t axes = d.number(0, 4) == 0 ? 1 : 2;
  const int64_t groups = depthwise ? d.number(2, 9) : d.number(0, 2) == 0 ? d.number(1, 4) : 1;
  const int64_t depth = depthwise ? 1 : d.number(1, 12);
  const int64_t outputs = groups * (depthwise ? d.number(1, 2) : d.number(1, 21));
  Dims x = {d.number(1, 2), groups * depth};
  Dims w = {outputs, depth};
  Dims strides, dilations, pads;
  for (size_t i = 0; i < axes; ++i) {
    w.push_back(d.number(1, 3));
    strides.push_back(d.number(1, 2));
    dilations.push_back(d.number(1, 2));
    x.push_back((w.back() - 1) * dilations.back() + d.number(1, 17));
  }
  for (size_t i = 0; i < 2 * axes; ++i) pads.push_back(d.number(0, 2));
  Attrs attrs = {attr("strides", strides), attr("group", groups)};
  if (d.coin()) attrs.push_back(attr("dilations", dilations));
  if (d.number(0, 3) == 0) attrs.push_back(attr("auto_pad", d.coin() ? "SAME_UPPER" : "SAME_LOWER"));
  else attrs.push_back(attr("pads", pads));
  if (!attrs.back().bytes.empty() && attrs.size() == 4) {
    // ONNX Runtime takes no dilations beside SAME.
    if (attrs.back().bytes.find("auto_pad") != std::string::npos) attrs.erase(attrs.begin() + 2);
  }
  if (op != "Conv") attrs.push_back(attr("activation", d.coin() ? "Relu" : "Sigmoid"));
  Names inputs = {d.input(x), d.either(w)};
  if (d.coin()) inputs.push_back(d.either({outputs}));
  d.output(d.node(op, inputs, attrs));
}

void draw_matmul(Draft& d, const std::string& op) {
  const int64_t m = d.number(1, 19);
  const int64_t k = d.number(1, 33);
  const int64_t n = d.number(1, 40);
  Dims a_batch = d.dims(static_cast<size_t>(d.number(0, 3)), 3);
  Dims b_batch = d.coin() ? Dims{} : a_batch;
  if (!b_batch.empty() && d.coin()) b_batch[0] = 1;
  if (d.number(0, 4) == 0) std::swap(a_batch, b_batch);
  const bool fused = op != "MatMul";
  const bool trans_a = fused && d.coin();
  const bool trans_b = fused && d.coin();
  Dims a = a_batch;
  Dims b = b_batch;
  a.insert(a.end(), {trans_a ? k : m, trans_a ? m : k});
  b.insert(b.end(), {trans_b ? n : k, trans_b ? k : n});
  Attrs attrs;
  if (fused) attrs = {attr("transA", static_cast<int64_t>(trans_a)), attr("transB", static_cast<int64_t>(trans_b)), attr("alpha", 0.125f)};
  const std::string left = d.input(a);
  d.output(d.node(op, {left, d.either(b)}, attrs));
}

void draw_gemm(Draft& d, const std::string& op) {
  const int64_t m = d.number(1, 19);
  const int64_t k = d.number(1, 33);
  const int64_t n = d.number(1, 40);
  const bool trans_a = d.coin();
  const bool trans_b = d.coin();
  Attrs attrs = {attr("transA", static_cast<int64_t>(trans_a)), attr("transB", static_cast<int64_t>(trans_b)), attr("alpha", 0.5f)};
  if (op != "Gemm") attrs.push_back(attr("activation", "Relu"));
  const std::string a = d.input(trans_a ? Dims{k, m} : Dims{m, k});
  Names inputs = {a, d.either(trans_b ? Dims{n, k} : Dims{k, n})};
  const int64_t c = d.number(0, 3);
  if (c == 1) inputs.push_back(d.constant({n}));
  if (c == 2) inputs.push_back(d.input({1, n}));
  if (c == 3) inputs.push_back(d.input({m, 1}));
  d.output(d.node(op, inputs, attrs));
}

void draw_pool(Draft& d, const std::string& op) {
  const size_t axes = d.number(0, 3) == 0 ? 1 : 2;
  Dims x = {d.number(1, 2), d.number(1, 5)};
  Dims kernel, strides, pads(2 * axes);
  for (size_t i = 0; i < axes; ++i) {
    kernel.push_back(d.number(1, 4));
    strides.push_back(d.number(1, 3));
    x.push_back(kernel.back() + d.number(0, 9));
    pads[i] = d.number(0, kernel.back() - 1);
    pads[i + axes] = d.number(0, kernel.back() - 1);
  }
  Attrs attrs = {attr("kernel_shape", kernel), attr("strides", strides), attr("pads", pads)};
  if (op == "AveragePool") attrs.push_back(attr("count_include_pad", static_cast<int64_t>(d.coin())));
  d.output(d.node(op, {d.input(x)}, attrs));
}

void draw_resize(Draft& d) {
  const Dims x = {d.number(1, 2), d.number(1, 3), d.number(2, 7), d.number(2, 7)};
  const bool linear = d.coin();
  const char* transform = d.one_of<const char*>({"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"});
  Attrs attrs = {attr("mode", linear ? "linear" : "nearest"), attr("coordinate_transformation_mode", transform)};
  if (!linear) attrs.push_back(attr("nearest_mode", d.one_of<const char*>({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})));
  const std::string in = d.input(x);
  Names inputs = {in, ""};
  // Whole factors, so that no rounding of a coordinate decides which element is the nearest.
  const int64_t by = d.number(1, 3);
  inputs.push_back("");
  inputs.push_back(d.ints({4}, {x[0], x[1], x[2] * by, x[3] * by}));
  d.output(d.node("Resize", inputs, attrs));
}

void draw_slice(Draft& d) {
  const auto rank = static_cast<size_t>(d.number(1, 4));
  const Dims x = d.dims(rank);
  Dims starts, ends, axes, steps;
  for (size_t i = 0; i < rank; ++i) {
    if (d.coin()) continue;
    axes.push_back(static_cast<int64_t>(i));
    const bool back = d.coin();
    const int64_t from = d.number(0, x[i] - 1);
    starts.push_back(back ? from - x[i] : from);
    steps.push_back(back ? -d.number(1, 2) : d.number(1, 2));
    ends.push_back(back ? -x[i] - 1 : d.coin() ? 1000 : x[i]);
  }
  if (axes.empty()) {
    axes = {0};
    starts = {0};
    ends = {1};
    steps = {1};
  }
  const Dims n = {static_cast<int64_t>(axes.size())};
  const std::string in = d.input(x);
  d.output(d.node("Slice", {in, d.ints(n, starts), d.ints(n, ends), d.ints(n, axes), d.ints(n, steps)}));
}

std::vector<Case> make() {
  std::vector<Case> all;
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Abs", "Neg", "Exp", "Erf", "Floor", "Ceil", "Round", "Sin", "Cos",
                         "HardSigmoid", "HardSwish", "Softplus", "Softsign", "ThresholdedRelu", "Selu", "Sign", "com.microsoft:Gelu",
                         "com.microsoft:QuickGelu"}) {
    all.push_back(unary(op));
  }
  for (const char* op : {"Sqrt", "Log", "Reciprocal"}) all.push_back(unary(op, 0.1f, 5));
  all.push_back({"Clip", [](Draft& d) {
                   const std::string x = d.input(d.dims(3), -4, 4);
                   d.output(d.node("Clip", {x, d.coin() ? d.constant({}, -1, 0) : "", d.constant({}, 0.5f, 1)}));
                 }});
  for (const char* op : {"Add", "Sub", "Mul", "Min", "Max"}) all.push_back(binary(op));
  all.push_back(binary("Div", 0.5f, 3));
  all.push_back(binary("Pow", 0.5f, 2));
  all.push_back({"PRelu", [](Draft& d) {
                   const Dims x = d.dims(4);
                   const std::string in = d.input(x);
                   d.output(d.node("PRelu", {in, d.constant({x[1], 1, 1})}));
                 }});
  all.push_back({"Sum", [](Draft& d) {
                   const Dims x = d.dims(3);
                   Names inputs;
                   for (int64_t i = d.number(1, 4); i > 0; --i) inputs.push_back(d.input(x));
                   d.output(d.node("Sum", inputs));
                 }});
  for (const char* op : {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"}) all.push_back(comparison(op));
  for (const char* op : {"And", "Or", "Xor"}) {
    all.push_back({op, [op](Draft& d) {
                     const Dims x = d.dims(3);
                     const std::string a = d.input_bools(x);
                     d.output(d.node(op, {a, d.input_bools(narrowed(d, x))}), ElementType::kBool);
                   }});
  }
  all.push_back({"Not", [](Draft& d) { d.output(d.node("Not", {d.input_bools(d.dims(2))}), ElementType::kBool); }});
  all.push_back({"Where", [](Draft& d) {
                   const Dims x = d.dims(3);
                   const std::string c = d.input_bools(narrowed(d, x));
                   const std::string a = d.input(x);
                   d.output(d.node("Where", {c, a, d.input(narrowed(d, x))}));
                 }});
  all.push_back({"Cast", [](Draft& d) {
                   const std::vector<std::pair<int64_t, ElementType>> types = {{1, kFloat}, {10, ElementType::kFloat16}, {6, ElementType::kInt32}, {7, ElementType::kInt64},
                                                                               {9, ElementType::kBool}};
                   const auto [to, element] = d.one_of(types);
                   const int64_t from = d.number(0, 2);
                   const std::string x = from == 0   ? d.input(d.dims(2), -9, 9)
                                         : from == 1 ? d.input_bools(d.dims(2))
                                                     : d.input_ints({3}, {d.number(-9, 9), 0, d.number(-9, 9)});
                   d.output(d.node("Cast", {x}, {attr("to", to)}), element);
                 }});
  for (const char* op : {"Conv", "com.microsoft:FusedConv"}) {
    all.push_back({op, [op](Draft& d) { draw_conv(d, false, op); }, 1e-3, 1e-4});
  }
  all.push_back({"Conv, depthwise", [](Draft& d) { draw_conv(d, true, "Conv"); }, 1e-3, 1e-4});
  for (const char* op : {"MatMul", "com.microsoft:FusedMatMul"}) {
    all.push_back({op, [op](Draft& d) { draw_matmul(d, op); }, 1e-3, 1e-4});
  }
  for (const char* op : {"Gemm", "com.microsoft:FusedGemm"}) {
    all.push_back({op, [op](Draft& d) { draw_gemm(d, op); }, 1e-3, 1e-4});
  }
  for (const char* op : {"com.microsoft:BiasGelu", "com.microsoft:FastGelu"}) {
    all.push_back({op, [op](Draft& d) {
                     const Dims x = d.dims(3);
                     const std::string in = d.input(x, -3, 3);
                     d.output(d.node(op, {in, d.constant({x[2]})}));
                   }, 1e-3, 1e-4});
  }
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (const int64_t opset : {11, 17}) {
      all.push_back({op, [op](Draft& d) {
                       const auto rank = static_cast<size_t>(d.number(1, 4));
                       Attrs attrs;
                       if (rank > 1 && d.coin()) attrs = {attr("axis", d.number(-static_cast<int64_t>(rank), static_cast<int64_t>(rank) - 1))};
                       else attrs = {attr("axis", int64_t{0})};
                       d.output(d.node(op, {d.input(d.dims(rank), -5, 5)}, attrs));
                     }, 1e-4, 1e-5, opset});
    }
  }
  all.push_back({"LayerNormalization", [](Draft& d) {
                   const Dims x = d.dims(3, 20);
                   const bool two = d.coin();
                   const Dims normal = two ? Dims{x[1], x[2]} : Dims{x[2]};
                   const std::string in = d.input(x);
                   Names inputs = {in, d.constant(normal)};
                   if (d.coin()) inputs.push_back(d.constant(normal));
                   d.output(d.node("LayerNormalization", inputs, {attr("axis", int64_t{two ? 1 : -1}), attr("epsilon", 1e-5f)}));
                 }, 1e-3, 1e-4});
  all.push_back({"com.microsoft:SkipLayerNormalization", [](Draft& d) {
                   const Dims x = {d.number(1, 3), d.number(1, 9), d.number(2, 33)};
                   const std::string a = d.input(x);
                   const std::string b = d.input(d.one_of<Dims>({x, {1, x[1], x[2]}, {x[1], x[2]}}));
                   Names inputs = {a, b, d.constant({x[2]}), d.coin() ? d.constant({x[2]}) : ""};
                   if (d.coin()) inputs.push_back(d.constant({x[2]}));
                   d.output(d.node("com.microsoft:SkipLayerNormalization", inputs, {attr("epsilon", 1e-5f)}));
                 }, 1e-3, 1e-4});
  all.push_back(reduction("ReduceSum", true));
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"}) {
    all.push_back(reduction(op, false));
  }
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"}) all.push_back({op, [op](Draft& d) { d.output(d.node(op, {d.input(d.dims(4))})); }});
  for (const char* op : {"MaxPool", "AveragePool"}) all.push_back({op, [op](Draft& d) { draw_pool(d, op); }});
  all.push_back({"Resize", draw_resize});
  all.push_back({"Concat", [](Draft& d) {
                   const auto rank = static_cast<size_t>(d.number(1, 4));
                   Dims x = d.dims(rank);
                   const auto axis = static_cast<size_t>(d.number(0, static_cast<int64_t>(rank) - 1));
                   Names inputs;
                   for (int64_t i = d.number(1, 4); i > 0; --i) {
                     x[axis] = d.number(1, 5);
                     inputs.push_back(d.coin() ? d.input(x) : d.either(x));
                   }
                   inputs.push_back(d.input(x));
                   d.output(d.node("Concat", inputs, {attr("axis", static_cast<int64_t>(axis))}));
                 }});
  all.push_back({"Split", [](Draft& d) {
                   const auto rank = static_cast<size_t>(d.number(1, 4));
                   Dims x = d.dims(rank);
                   const auto axis = static_cast<size_t>(d.number(0, static_cast<int64_t>(rank) - 1));
                   Dims sizes;
                   for (int64_t i = d.number(1, 4); i > 0; --i) sizes.push_back(d.number(1, 4));
                   x[axis] = 0;
                   for (const int64_t size : sizes) x[axis] += size;
                   const std::string in = d.input(x);
                   const std::string v = d.node("Split", {in, d.ints({static_cast<int64_t>(sizes.size())}, sizes)},
                                                {attr("axis", static_cast<int64_t>(axis))}, sizes.size());
                   for (size_t i = 0; i < sizes.size(); ++i) d.output(i == 0 ? v : v + "_" + std::to_string(i));
                 }});
  all.push_back({"Slice", draw_slice});
  all.push_back({"Pad", [](Draft& d) {
                   const auto rank = static_cast<size_t>(d.number(1, 4));
                   Dims pads;
                   for (size_t i = 0; i < 2 * rank; ++i) pads.push_back(d.number(0, 3));
                   const std::string in = d.input(d.dims(rank));
                   Names inputs = {in, d.ints({static_cast<int64_t>(pads.size())}, pads)};
                   if (d.coin()) inputs.push_back(d.constant({}));
                   d.output(d.node("Pad", inputs));
                 }});
  all.push_back({"Gather", [](Draft& d) {
                   const auto rank = static_cast<size_t>(d.number(1, 3));
                   const Dims x = d.dims(rank);
                   const auto axis = static_cast<size_t>(d.number(0, static_cast<int64_t>(rank) - 1));
                   const Dims picked = d.dims(static_cast<size_t>(d.number(0, 2)), 4);
                   Dims indices;
                   int64_t count = 1;
                   for (const int64_t dim : picked) count *= dim;
                   for (int64_t i = 0; i < count; ++i) indices.push_back(d.number(-x[axis], x[axis] - 1));
                   const std::string in = d.coin() ? d.input(x) : d.constant(x);
                   d.output(d.node("Gather", {in, d.input_ints(picked, indices)}, {attr("axis", static_cast<int64_t>(axis))}));
                 }});
  all.push_back({"Transpose", [](Draft& d) {
                   const auto rank = static_cast<size_t>(d.number(1, 5));
                   Dims perm(rank);
                   for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(i);
                   for (size_t i = rank; i > 1; --i) std::swap(perm[i - 1], perm[static_cast<size_t>(d.number(0, static_cast<int64_t>(i) - 1))]);
                   d.output(d.node("Transpose", {d.input(d.dims(rank, 6))}, {attr("perm", perm)}));
                 }});
  all.push_back({"Expand", [](Draft& d) {
                   const Dims x = d.dims(3);
                   const std::string in = d.input(narrowed(d, x));
                   d.output(d.node("Expand", {in, d.ints({3}, x)}));
                 }});
  all.push_back({"Tile", [](Draft& d) {
                   const std::string in = d.input(d.dims(3, 5));
                   d.output(d.node("Tile", {in, d.ints({3}, d.dims(3, 3))}));
                 }});
  all.push_back({"Reshape", [](Draft& d) {
                   const Dims x = d.dims(3);
                   const std::string in = d.input(x);
                   d.output(d.node("Reshape", {in, d.ints({2}, {x[0] * x[1], -1})}));
                 }});
  return all;
}

}  // namespace

const std::vector<Case>& operators() {
  // All of them in float16, too, where numbers are looked at. Both sides work in float32 and round once, to numbers that are
  // 2^-10 of themselves apart at most: one such step, and what float32 is allowed.
  static const std::vector<Case> all = [] {
    std::vector<Case> cases = make();
    const size_t count = cases.size();
    for (size_t i = 0; i < count; ++i) {
      Case halves = cases[i];
      if (halves.name == "And" || halves.name == "Or" || halves.name == "Xor" || halves.name == "Not") continue;
      halves.name += " float16";
      halves.halves = true;
      halves.relative += 0x1p-10;
      // ONNX Runtime's Gemm sums in float16.
      if (halves.name == "Gemm float16") halves.absolute = 6e-3;
      cases.push_back(halves);
    }
    return cases;
  }();
  return all;
}

}  // namespace plx::cts
