// Parts of more than one node: what is fused, what is a view, what is read twice, and several outputs.
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>

#include "cts.h"
#include "plx/graph/reader.h"
#include "plx/ort/session.h"

namespace plx::cts {

namespace {

// Functions and arithmetic with tensors that repeat in every way, after a value of these dims.
std::string chained(Draft& d, std::string v, const Dims& dims) {
  for (int64_t i = d.number(1, 6); i > 0; --i) {
    if (d.number(0, 2) == 0) {
      v = d.node(d.one_of<std::string>({"Relu", "Tanh", "Neg", "LeakyRelu", "HardSwish", "com.microsoft:Gelu"}), {v});
      continue;
    }
    Dims other = dims;
    const int64_t kind = d.number(0, 4);
    const auto rank = static_cast<int64_t>(dims.size());
    const auto axis = static_cast<size_t>(d.number(0, rank - 1));
    if (kind == 1) other = {};
    if (kind == 2) other = {dims.back()};
    if (kind == 3) {
      other.assign(dims.size(), 1);
      other[axis] = dims[axis];
    }
    if (kind == 4) other[axis] = 1;  // which may take more than a period
    Names inputs = {v, d.either(other)};
    if (d.coin()) std::swap(inputs[0], inputs[1]);
    v = d.node(d.one_of<std::string>({"Add", "Sub", "Mul", "Min", "Max"}), inputs);
    if (d.number(0, 7) == 0) d.output(v);  // then the chain ends here
  }
  return v;
}

std::vector<Case> make() {
  std::vector<Case> all;
  // Larger than a group's tile along every axis.
  all.push_back({"products of several tiles", [](Draft& d) {
                   const int64_t rows = d.number(60, 140);
                   const int64_t depth = d.number(1, 50);
                   const int64_t columns = d.number(30, 150);
                   const std::string x = d.input({2, rows, depth});
                   const std::string v = d.node("MatMul", {x, d.either({depth, columns})});
                   const std::string image = d.input({1, 6, 13, 17});
                   const int64_t filters = 2 * d.number(33, 50);
                   const std::string w = d.constant({filters, 3, 3, 3}, -0.3f, 0.3f);
                   d.output(d.node("Conv", {image, w, d.constant({filters})}, {attr("group", int64_t{2}), attr("pads", Dims{1, 0, 1, 2})}));
                   d.output(d.node("Relu", {v}));
                 }, 1e-3, 1e-4});
  for (const bool halves : {false, true}) {
    const double relative = halves ? 1e-2 : 1e-3;
    const double absolute = halves ? 2e-2 : 1e-4;  // in float16 ONNX Runtime rounds after each step, and we at the end
    const char* type = halves ? " in float16" : "";
    all.push_back({std::string("a chain after a convolution") + type, [](Draft& d) {
                     const bool few = d.coin();
                     const int64_t in = d.number(1, 5);
                     const int64_t out = few ? d.number(1, 3) : d.number(4, 12);
                     const std::string x = d.input({d.number(1, 2), in, 7, d.number(3, 9)});
                     const Dims dims = d.inputs()[0].dims;
                     const std::string v = d.node("Conv", {x, d.constant({out, in, 3, 3}, -0.3f, 0.3f), d.constant({out})});
                     d.output(chained(d, v, {dims[0], out, dims[2] - 2, dims[3] - 2}));
                   }, relative, absolute, 17, halves});
    all.push_back({std::string("a chain after a product") + type, [](Draft& d) {
                     const Dims batch = d.dims(static_cast<size_t>(d.number(0, 2)), 3);
                     const int64_t k = d.number(1, 17);
                     Dims a = batch, out = batch;
                     a.insert(a.end(), {d.number(1, 11), k});
                     out.insert(out.end(), {a[batch.size()], d.number(1, 37)});
                     const std::string x = d.input(a, -0.5f, 0.5f);
                     d.output(chained(d, d.node("MatMul", {x, d.either({k, out.back()})}), out));
                   }, relative, absolute, 17, halves});
    all.push_back({std::string("a chain of its own") + type, [](Draft& d) {
                     const Dims dims = d.dims(static_cast<size_t>(d.number(1, 4)), 7);
                     d.output(chained(d, d.input(dims), dims));
                   }, relative, absolute, 17, halves});
  }
  all.push_back({"an activation after a product", [](Draft& d) {
                   const int64_t k = d.number(1, 9);
                   std::string v;
                   if (d.coin()) {
                     const std::string x = d.input({1, k, 8, 8});
                     v = d.node("Conv", {x, d.constant({d.number(4, 9), k, 3, 3})});
                   } else {
                     const std::string x = d.input({3, k});
                     v = d.node("MatMul", {x, d.constant({k, 5})});
                   }
                   const std::string act = d.node(d.one_of<std::string>({"Relu", "Sigmoid", "com.microsoft:QuickGelu", "Tanh", "HardSwish"}), {v});
                   if (d.coin()) d.output(v);  // then it may not be fused
                   d.output(act);
                 }, 1e-3, 1e-4});
  all.push_back({"attention in float16 among float32", [](Draft& d) {
                   const int64_t n = d.number(1, 9);
                   const std::string x = d.input({n, 12});
                   const std::string h = d.node("MatMul", {x, d.constant({12, 16})});
                   const std::string wide = d.node("Softmax", {d.node("Cast", {h}, {attr("to", int64_t{1})})});
                   const std::string back = d.node("Cast", {wide}, {attr("to", int64_t{10})});
                   const std::string sum = d.node("Relu", {d.node("Gemm", {back, d.constant({16, 12}), d.constant({12})})});
                   d.output(d.node("LayerNormalization", {d.node("Add", {sum, x}), d.constant({12}), d.constant({12})}));
                   d.output(wide, kFloat);
                 }, 1e-2, 4e-3, 17, true});
  all.push_back({"an activation that is not the only reader", [](Draft& d) {
                   const std::string x = d.input({5, 7});
                   const std::string v = d.node("MatMul", {x, d.constant({7, 6})});
                   d.output(d.node("Mul", {v, d.node("Sigmoid", {v})}));
                 }, 1e-3, 1e-4});
  all.push_back({"views inside, at the border and of inputs", [](Draft& d) {
                   const std::string x = d.input({4, 6});
                   const std::string flat = d.node("Reshape", {x, d.ints({1}, {24})});
                   const std::string v = d.node("Neg", {flat});
                   const std::string deep = d.node("Reshape", {v, d.ints({3}, {2, 3, 4})});
                   const std::string wide = d.node("Reshape", {d.node("Transpose", {deep}), d.ints({2}, {4, 6})});
                   d.output(deep);
                   d.output(wide);
                   d.output(d.node("Add", {wide, x}));
                 }});
  all.push_back({"an output that is another's view, and one that is read on", [](Draft& d) {
                   const std::string x = d.input({3, 8});
                   const std::string a = d.node("Exp", {x});
                   const std::string b = d.node("Reshape", {a, d.ints({2}, {8, 3})});
                   d.output(a);
                   d.output(b);
                   d.output(d.node("Relu", {b}));
                 }});
  all.push_back({"attention", [](Draft& d) {
                   const int64_t n = d.number(1, 12);
                   const int64_t heads = d.number(1, 3);
                   const int64_t size = d.number(1, 9);
                   const int64_t width = heads * size;
                   const std::string x = d.input({1, n, width});
                   std::string part[3];
                   for (int i = 0; i < 3; ++i) {
                     const std::string m = d.node("MatMul", {x, d.constant({width, width})});
                     const std::string r = d.node("Reshape", {d.node("Add", {m, d.constant({width})}), d.ints({4}, {1, n, heads, size})});
                     part[i] = d.node("Transpose", {r}, {attr("perm", i == 1 ? Dims{0, 2, 3, 1} : Dims{0, 2, 1, 3})});
                   }
                   const std::string scores = d.node("Softmax", {d.node("MatMul", {part[0], part[1]})}, {attr("axis", int64_t{-1})});
                   const std::string mixed = d.node("Transpose", {d.node("MatMul", {scores, part[2]})}, {attr("perm", Dims{0, 2, 1, 3})});
                   const std::string out = d.node("Add", {d.node("Reshape", {mixed, d.ints({3}, {1, n, width})}), x});
                   d.output(d.node("LayerNormalization", {out, d.constant({width}), d.constant({width})}));
                 }, 1e-3, 1e-4});
  all.push_back({"a block of convolutions", [](Draft& d) {
                   const std::string x = d.input({1, 8, 9, 11});
                   const auto conv = [&](const std::string& from, int64_t in, int64_t out, int64_t k) {
                     return d.node("com.microsoft:QuickGelu", {d.node("Conv", {from, d.constant({out, in, k, k}, -0.3f, 0.3f), d.constant({out})},
                                                                      {attr("pads", Dims{k / 2, k / 2, k / 2, k / 2})})},
                                   {attr("alpha", 1.0f)});
                   };
                   const std::string t = conv(x, 8, 8, 1);
                   const std::string a = d.node("Split", {t}, {attr("axis", int64_t{1})}, 2);
                   const std::string b = conv(conv(a + "_1", 4, 4, 3), 4, 4, 3);
                   const std::string sum = d.node("Add", {a + "_1", b});
                   const std::string all = d.node("Concat", {a, a + "_1", sum}, {attr("axis", int64_t{1})});
                   const std::string pooled = d.node("MaxPool", {conv(all, 12, 6, 1)}, {attr("kernel_shape", Dims{3, 3}), attr("pads", Dims{1, 1, 1, 1})});
                   d.output(pooled);
                   d.output(sum);
                 }, 1e-3, 1e-4});
  return all;
}

// ---- the check ----

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return result.take();
}

struct Waiting final : device::Completion {
  void done(device::Outcome outcome) noexcept override {
    const std::lock_guard lock(mutex);
    result = std::move(outcome);
    there = true;
    came.notify_all();
  }
  device::Outcome wait() {
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return there; });
    there = false;
    return std::move(result);
  }
  std::mutex mutex;
  std::condition_variable came;
  bool there = false;
  device::Outcome result;
};

std::string differs(const Case& drawn, const Tensor& expected, const std::byte* made) {
  const bool halves = expected.element == ElementType::kFloat16;
  if (!halves && expected.element != ElementType::kFloat32) {
    return std::memcmp(expected.bytes.data(), made, expected.bytes.size()) == 0 ? "" : "elements differ";
  }
  const auto number = [&](const void* at) -> float {
    float whole = 0;
    uint16_t half = 0;
    if (halves) std::memcpy(&half, at, 2);
    else std::memcpy(&whole, at, 4);
    return halves ? from_half(half) : whole;
  };
  const size_t size = halves ? 2 : 4;
  for (size_t i = 0; i < expected.bytes.size() / size; ++i) {
    const float want = number(expected.bytes.data() + i * size);
    const float got = number(made + i * size);
    if (std::isnan(want) && std::isnan(got)) continue;
    if (want == got) continue;
    if (!(std::abs(static_cast<double>(want) - got) <= drawn.absolute + drawn.relative * std::abs(static_cast<double>(want)))) {
      return "element " + std::to_string(i) + " is " + std::to_string(got) + ", not " + std::to_string(want);
    }
  }
  return "";
}

}  // namespace

const std::vector<Case>& parts() {
  static const std::vector<Case> all = make();
  return all;
}

std::string check(device::Device& device, const Case& drawn, uint32_t seed) try {
  Draft draft(seed, drawn.opset, drawn.halves ? ElementType::kFloat16 : kFloat);
  drawn.draw(draft);
  const std::string bytes = draft.bytes();
  const auto runtime = ort::testing::runtime();
  const Tensors expected = ort::testing::Plain(runtime, bytes).run(draft.inputs());

  const graph::Graph graph = must(graph::read_model(std::as_bytes(std::span(bytes.data(), bytes.size())), std::make_shared<graph::Storage>(), {}));
  const ort::ModelSettings settings;
  const graph::Shapes shapes = must(ort::infer(runtime, graph, settings, {}, "")).shapes;
  std::vector<graph::NodeId> nodes(graph.nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<graph::NodeId>(i);
  for (const graph::NodeId node : nodes) {
    const std::string why = device.refuses(graph, shapes, node);
    if (!why.empty()) return graph.nodes[static_cast<size_t>(node)].op_type + " is refused: " + why;
  }
  const device::Part part{&graph, &shapes, nodes, graph.inputs, graph.outputs};
  const auto program = must(device.prepare(part));
  // In memory of the caller's, then in the device's, in each way that it is used.
  std::vector<std::vector<std::byte>> own;
  std::vector<std::unique_ptr<device::Lent>> lent;
  std::string first;
  for (const auto use : {std::optional<device::Use>(), std::optional(device::Use::kInTurn), std::optional(device::Use::kBeside),
                         std::optional(device::Use::kResident)}) {
    const bool borrow = use.has_value();
    const bool stay = use == device::Use::kResident;
    std::vector<const std::byte*> inputs;
    std::vector<std::byte*> outputs;
    own.clear();
    lent.clear();
    own.reserve(draft.inputs().size() + expected.size());
    const auto memory = [&](size_t size) -> std::byte* {
      if (borrow) return lent.emplace_back(must(device.lend(size, *use)))->data();
      return own.emplace_back(size).data();
    };
    for (const Tensor& input : draft.inputs()) {
      std::byte* at = memory(input.bytes.size());
      std::memcpy(at, input.bytes.data(), input.bytes.size());
      inputs.push_back(at);
    }
    for (const Tensor& output : expected) {
      outputs.push_back(memory(output.bytes.size()));
      std::memset(outputs.back(), 0x55, output.bytes.size());
    }
    Waiting waiting;
    program->submit(inputs, outputs, waiting);
    const device::Outcome outcome = waiting.wait();
    if (!outcome.status) return outcome.status.error().message;
    uint64_t fetched = 0;
    for (auto one = lent.begin() + static_cast<std::ptrdiff_t>(draft.inputs().size()); stay && one != lent.end(); ++one) {
      fetched += must((*one)->recall(true));
      if (must((*one)->recall(true)) != 0) return "what the CPU has was fetched again";
    }
    if (stay && !device.info().shares_memory && fetched == 0) return "outputs did not stay";
    std::string all;
    for (size_t i = 0; i < expected.size(); ++i) {
      const std::string wrong = differs(drawn, expected[i], outputs[i]);
      if (!wrong.empty()) return "output " + std::to_string(i) + (borrow ? ", in lent memory" : "") + ": " + wrong;
      all.append(reinterpret_cast<const char*>(outputs[i]), expected[i].bytes.size());
    }
    if (!borrow) first = all;
    if (all != first) return "a later run made something else of the same inputs";
    if (borrow && use != device::Use::kBeside && device.info().shares_memory && outcome.copied_bytes != 0) return std::to_string(outcome.copied_bytes) + " bytes were copied from and to lent memory";
    if (!borrow && !device.info().shares_memory && outcome.copied_bytes == 0) return "nothing was copied from and to memory of the caller's";
    for (size_t i = 0; i < draft.inputs().size(); ++i) {
      if (std::memcmp(inputs[i], draft.inputs()[i].bytes.data(), draft.inputs()[i].bytes.size()) != 0) return "an input was written to";
    }
  }
  return "";
} catch (const std::exception& error) {
  return error.what();
}

}  // namespace plx::cts
