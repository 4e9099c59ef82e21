#include <sched.h>

#include <set>
#include <string_view>
#include <thread>

#include "base.h"
#include "emulation.h"
#include "plx/device/apart.h"
#include "plx/device/part_session.h"

namespace plx::emulation {

namespace {

using device::PartSession;
using Clock = std::chrono::steady_clock;

bool is_dense(const graph::Node& node) {
  static const std::set<std::string_view> standard = {
      "Conv", "ConvTranspose", "MatMul", "Gemm",
      "Abs", "Add", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
      "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu",
      "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where"};
  static const std::set<std::string_view> microsoft = {"BiasGelu", "FastGelu",    "FusedConv", "FusedGemm",
                                                       "FusedMatMul", "Gelu", "QuickGelu"};
  if (node.domain.empty() || node.domain == "ai.onnx") return standard.contains(node.op_type);
  return node.domain == "com.microsoft" && microsoft.contains(node.op_type);
}

class Emulated final : public Base {
 public:
  Emulated() : Base("emulated", "emulated: one core with ONNX Runtime's kernels", false), core_(last_core()) {}

  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    return why_not_dense(graph, shapes, node);
  }
  Result<std::unique_ptr<device::Program>> prepare(const device::Part& part) override;
  Result<std::unique_ptr<device::Lent>> lend(uint64_t size_bytes, device::Use use) override { return memory->lend(size_bytes, use); }

  const std::shared_ptr<device::ApartMemory> memory = std::make_shared<device::ApartMemory>();

 protected:
  void settle() override {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core_, &set);
    ::sched_setaffinity(0, sizeof set, &set);  // of this thread; without the right to it, the kernel chooses
  }

 private:
  // That the calling thread may use; so far that is what the process may.
  static int last_core() {
    cpu_set_t set;
    CPU_ZERO(&set);
    int last = CPU_SETSIZE - 1;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    while (last > 0 && !CPU_ISSET(last, &set)) --last;
    return last;
  }
  const int core_;
};

class EmulatedProgram final : public device::Program {
 public:
  EmulatedProgram(std::shared_ptr<Emulated> device, PartSession session) : device_(std::move(device)), session_(std::move(session)) {}
  uint64_t device_bytes() const override { return 0; }
  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, device::Completion& completion) override {
    device_->worker().enqueue([this, asked = Clock::now(), from = std::vector(in.begin(), in.end()),
                               to = std::vector(out.begin(), out.end()), &completion] {
      std::this_thread::sleep_until(asked + kDispatch);
      device::Outcome outcome;
      const auto start = Clock::now();
      outcome.status = device_->memory->run(session_, from, to, outcome.copied_bytes);
      outcome.device_ns = std::chrono::nanoseconds(Clock::now() - start).count();
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  std::shared_ptr<Emulated> device_;
  PartSession session_;
};

Result<std::unique_ptr<device::Program>> Emulated::prepare(const device::Part& part) {
  auto open = runtime();
  if (!open) return open.error();
  auto session = PartSession::make(*open, part, ORT_ENABLE_ALL, "a part on the emulated device");
  if (!session) return session.error();
  return std::unique_ptr<device::Program>(
      std::make_unique<EmulatedProgram>(std::static_pointer_cast<Emulated>(shared_from_this()), session.take()));
}

}  // namespace

std::string why_not_dense(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) {
  const graph::Node& n = graph.nodes[static_cast<size_t>(node)];
  if (!is_dense(n)) return n.op_type + " is no convolution, matrix product or element-wise operator";
  for (const auto* list : {&n.inputs, &n.outputs}) {
    for (const graph::ValueId value : *list) {
      if (value == graph::kNone || graph.values[static_cast<size_t>(value)].initializer != graph::kNone) continue;
      const auto& shape = shapes[static_cast<size_t>(value)];
      if (!shape || !graph::tensor_bytes(shape->element, shape->dims)) return "a tensor of it has no fixed size";
      if (list == &n.outputs && shape->element != graph::ElementType::kFloat32) return "it makes no float32 numbers";
    }
  }
  return "";
}

std::shared_ptr<device::Device> make_emulated() { return std::make_shared<Emulated>(); }

}  // namespace plx::emulation
