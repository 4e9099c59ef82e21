#include "plx/device/cpu/cpu.h"

#include <chrono>
#include <utility>
#include <vector>

#include "plx/device/apart.h"
#include "plx/device/lent.h"
#include "plx/device/part_session.h"
#include "plx/device/worker.h"

namespace plx::device::cpu {

namespace {

class Shared final : public Lent {
 public:
  explicit Shared(uint64_t bytes) : bytes_(bytes), data_(bytes) {}
  std::byte* data() override { return data_.get(); }
  uint64_t taken_bytes() const override { return bytes_; }

 private:
  uint64_t bytes_;
  HostBytes data_;
};

class CpuDevice final : public Device, public std::enable_shared_from_this<CpuDevice> {
 public:
  CpuDevice(std::shared_ptr<ort::Runtime> used, Options wanted) : runtime(std::move(used)), options(std::move(wanted)),
        memory(options.shares_memory ? nullptr : std::make_shared<ApartMemory>(options.copying)) {
    info_.kind = "cpu";
    info_.name = "ONNX Runtime's kernels";
    info_.driver = runtime->version();
    info_.shares_memory = options.shares_memory;
    info_.is_cpu = true;
  }
  const Info& info() const override { return info_; }
  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    const graph::Node& n = graph.nodes[static_cast<size_t>(node)];
    if (n.has_subgraph) return "has a graph of its own";
    for (const graph::ValueId value : n.outputs) {
      if (value == graph::kNone) continue;
      const auto& shape = shapes[static_cast<size_t>(value)];
      if (!shape || !graph::tensor_bytes(shape->element, shape->dims)) return "it makes something of no fixed size";
    }
    return "";
  }
  Result<std::unique_ptr<Program>> prepare(const Part& part) override;
  Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes, Use use) override;
  bool lost() const override { return false; }

  const std::shared_ptr<ort::Runtime> runtime;
  const Options options;
  const std::shared_ptr<ApartMemory> memory;  // null where it is shared
  Worker worker;

 private:
  Info info_;
};

Result<std::unique_ptr<Lent>> CpuDevice::lend(uint64_t size_bytes, Use use) {
  if (memory == nullptr) return std::unique_ptr<Lent>(new Shared(size_bytes));
  return memory->lend(size_bytes, use);
}

class CpuProgram final : public Program {
 public:
  CpuProgram(std::shared_ptr<CpuDevice> device, PartSession session) : device_(std::move(device)), session_(std::move(session)) {}

  uint64_t device_bytes() const override { return 0; }

  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, Completion& completion) override {
    device_->worker.enqueue([this, from = std::vector(in.begin(), in.end()), to = std::vector(out.begin(), out.end()), &completion] {
      Outcome outcome;
      const auto start = std::chrono::steady_clock::now();
      const auto& around = device_->options.around;
      const auto work = [&] { return device_->memory == nullptr ? session_.run(from, to) : device_->memory->run(session_, from, to, outcome.copied_bytes); };
      outcome.status = around ? around(work, to) : work();
      outcome.device_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  std::shared_ptr<CpuDevice> device_;
  PartSession session_;
};

Result<std::unique_ptr<Program>> CpuDevice::prepare(const Part& part) {
  auto session = PartSession::make(runtime, part, ORT_DISABLE_ALL, "a part on the CPU device");
  if (!session) return session.error();
  return std::unique_ptr<Program>(new CpuProgram(shared_from_this(), session.take()));
}

}  // namespace

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Options options) {
  return std::make_shared<CpuDevice>(std::move(runtime), std::move(options));
}

}  // namespace plx::device::cpu
