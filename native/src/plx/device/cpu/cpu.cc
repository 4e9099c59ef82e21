#include "plx/device/cpu/cpu.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "plx/device/worker.h"
#include "plx/graph/writer.h"
#include "plx/ort/session.h"
#include "plx/ort/tensor.h"

namespace plx::device::cpu {

namespace {

class OwnMemory final : public Lent {
 public:
  explicit OwnMemory(uint64_t bytes) : bytes_(bytes), data_(static_cast<std::byte*>(::operator new(std::max<uint64_t>(bytes, 1), std::align_val_t{64}))) {}
  ~OwnMemory() override { ::operator delete(data_, std::align_val_t{64}); }
  std::byte* data() override { return data_; }
  uint64_t size_bytes() const override { return bytes_; }

 private:
  uint64_t bytes_;
  std::byte* data_;
};

class CpuDevice final : public Device, public std::enable_shared_from_this<CpuDevice> {
 public:
  CpuDevice(std::shared_ptr<ort::Runtime> used, Options wanted) : runtime(std::move(used)), options(std::move(wanted)) {
    info_.kind = "cpu";
    info_.name = "ONNX Runtime's kernels";
    info_.driver = runtime->version();
    info_.shares_memory = true;
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
  Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes) override { return std::unique_ptr<Lent>(new OwnMemory(size_bytes)); }
  bool lost() const override { return false; }

  const std::shared_ptr<ort::Runtime> runtime;
  const Options options;
  Worker worker;

 private:
  Info info_;
};

class CpuProgram final : public Program {
 public:
  struct Port {
    std::string name;
    graph::Shape shape;
  };
  CpuProgram(std::shared_ptr<CpuDevice> device, ort::Session session, std::vector<Port> inputs, std::vector<Port> outputs)
      : device_(std::move(device)), session_(std::move(session)), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

  uint64_t device_bytes() const override { return 0; }

  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, Completion& completion) override {
    device_->worker.enqueue([this, from = std::vector(in.begin(), in.end()), to = std::vector(out.begin(), out.end()), &completion] {
      Outcome outcome;
      const auto start = std::chrono::steady_clock::now();
      const auto& around = device_->options.around;
      outcome.status = around ? around([&] { return run(from, to); }, to) : run(from, to);
      outcome.device_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  // The tensors of these ports, in this memory.
  struct Tensors {
    std::vector<ort::Value> owners;
    std::vector<OrtValue*> values;
    std::vector<const char*> names;
  };
  Status describe(const std::vector<Port>& ports, std::span<std::byte* const> memory, Tensors& tensors) const {
    for (size_t i = 0; i < ports.size(); ++i) {
      auto value = ort::tensor_over(device_->runtime, memory[i], ports[i].shape.element, ports[i].shape.dims);
      if (!value) return value.error();
      tensors.owners.push_back(value.take());
      tensors.values.push_back(tensors.owners.back().get());
      tensors.names.push_back(ports[i].name.c_str());
    }
    return {};
  }

  Status run(const std::vector<const std::byte*>& from, const std::vector<std::byte*>& to) {
    // ONNX Runtime takes mutable pointers and writes to no input.
    std::vector<std::byte*> read;
    for (const std::byte* data : from) read.push_back(const_cast<std::byte*>(data));
    Tensors in;
    Tensors out;
    if (auto s = describe(inputs_, read, in); !s) return s;
    if (auto s = describe(outputs_, to, out); !s) return s;
    return device_->runtime->check(device_->runtime->api().Run(session_.get(), nullptr, in.names.data(), in.values.data(), in.values.size(),
                                                               out.names.data(), out.values.size(), out.values.data()),
                                   "a part on the CPU device");
  }

  std::shared_ptr<CpuDevice> device_;
  ort::Session session_;
  std::vector<Port> inputs_, outputs_;
};

Result<std::unique_ptr<Program>> CpuDevice::prepare(const Part& part) {
  const graph::Part written = graph::write_part(*part.graph, part.nodes, part.inputs, part.outputs, {});
  const ort::ModelSettings settings;
  ort::SessionSpec spec;
  spec.settings = &settings;
  spec.pool = false;
  spec.source.name = "a part on the CPU device";
  spec.source.bytes = written.bytes;
  auto session = ort::make_session(runtime, spec);
  if (!session) return session.error();
  const auto ports = [&](std::span<const graph::ValueId> values) {
    std::vector<CpuProgram::Port> list;
    for (const graph::ValueId value : values) {
      list.push_back({part.graph->values[static_cast<size_t>(value)].name, *(*part.shapes)[static_cast<size_t>(value)]});
    }
    return list;
  };
  return std::unique_ptr<Program>(new CpuProgram(shared_from_this(), session.take(), ports(part.inputs), ports(part.outputs)));
}

}  // namespace

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Options options) {
  return std::make_shared<CpuDevice>(std::move(runtime), std::move(options));
}

}  // namespace plx::device::cpu
