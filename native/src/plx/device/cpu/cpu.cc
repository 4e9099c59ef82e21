#include "plx/device/cpu/cpu.h"

#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "plx/device/lent.h"
#include "plx/device/worker.h"
#include "plx/graph/writer.h"
#include "plx/ort/session.h"
#include "plx/ort/tensor.h"

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

class Apart;

class CpuDevice final : public Device, public std::enable_shared_from_this<CpuDevice> {
 public:
  CpuDevice(std::shared_ptr<ort::Runtime> used, Options wanted) : runtime(std::move(used)), options(std::move(wanted)) {
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
  LentList<Apart> lent;  // where memory is not shared
  Worker worker;

  Status copy(std::byte* to, const std::byte* from, uint64_t bytes) const {
    if (options.copying) {
      if (auto s = options.copying(); !s) return s;
    }
    std::memcpy(to, from, bytes);
    return {};
  }

 private:
  Info info_;
};

class Apart final : public CopiedLent {
 public:
  Apart(std::shared_ptr<CpuDevice> device, uint64_t bytes, Use use) : CopiedLent(bytes, use), there(bytes), device_(std::move(device)) { device_->lent.add(data(), this); }
  ~Apart() override { device_->lent.remove(this); }

  HostBytes there;  // the device's copy

 private:
  Status write() override { return device_->copy(there.get(), host_.get(), bytes_); }
  Status read() override { return device_->copy(host_.get(), there.get(), bytes_); }
  Status finish() override { return {}; }
  const std::shared_ptr<CpuDevice> device_;
};

Result<std::unique_ptr<Lent>> CpuDevice::lend(uint64_t size_bytes, Use use) {
  if (options.shares_memory) return std::unique_ptr<Lent>(new Shared(size_bytes));
  return std::unique_ptr<Lent>(new Apart(shared_from_this(), size_bytes, use));
}

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
      const auto work = [&] { return device_->options.shares_memory ? run(from, to) : run_apart(from, to, outcome.copied_bytes); };
      outcome.status = around ? around(work, to) : work();
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

  // In the device's memory.
  Status run_apart(const std::vector<const std::byte*>& from, const std::vector<std::byte*>& to, uint64_t& copied) {
    std::vector<std::unique_ptr<HostBytes>> own;  // for memory of the caller's
    std::vector<const std::byte*> read;
    std::vector<std::byte*> made;
    const auto own_for = [&](const Port& port) {
      const uint64_t bytes = graph::tensor_bytes(port.shape.element, port.shape.dims).value_or(0);
      return std::pair(own.emplace_back(std::make_unique<HostBytes>(bytes))->get(), bytes);
    };
    for (size_t i = 0; i < from.size(); ++i) {
      if (Apart* lent = device_->lent.at(from[i])) {
        auto bytes = lent->to_device();
        if (!bytes) return bytes.error();
        copied += *bytes;
        read.push_back(lent->there.get());
        continue;
      }
      const auto [there, bytes] = own_for(inputs_[i]);
      if (auto s = device_->copy(there, from[i], bytes); !s) return s;
      copied += bytes;
      read.push_back(there);
    }
    for (size_t i = 0; i < to.size(); ++i) {
      Apart* lent = device_->lent.at(to[i]);
      made.push_back(lent != nullptr ? lent->there.get() : own_for(outputs_[i]).first);
    }
    if (auto s = run(read, made); !s) return s;
    for (size_t i = 0; i < to.size(); ++i) {
      if (Apart* lent = device_->lent.at(to[i])) {
        auto bytes = lent->made();
        if (!bytes) return bytes.error();
        copied += *bytes;
        continue;
      }
      const uint64_t bytes = graph::tensor_bytes(outputs_[i].shape.element, outputs_[i].shape.dims).value_or(0);
      if (auto s = device_->copy(to[i], made[i], bytes); !s) return s;
      copied += bytes;
    }
    return {};
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
