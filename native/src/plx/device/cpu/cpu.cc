#include "plx/device/cpu/cpu.h"

#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

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
  CpuProgram(std::shared_ptr<CpuDevice> device, PartSession session) : device_(std::move(device)), session_(std::move(session)) {}

  uint64_t device_bytes() const override { return 0; }

  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, Completion& completion) override {
    device_->worker.enqueue([this, from = std::vector(in.begin(), in.end()), to = std::vector(out.begin(), out.end()), &completion] {
      Outcome outcome;
      const auto start = std::chrono::steady_clock::now();
      const auto& around = device_->options.around;
      const auto work = [&] { return device_->options.shares_memory ? session_.run(from, to) : run_apart(from, to, outcome.copied_bytes); };
      outcome.status = around ? around(work, to) : work();
      outcome.device_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  // In the device's memory.
  Status run_apart(const std::vector<const std::byte*>& from, const std::vector<std::byte*>& to, uint64_t& copied) {
    std::vector<std::unique_ptr<HostBytes>> own;  // for memory of the caller's
    std::vector<const std::byte*> read;
    std::vector<std::byte*> made;
    const auto own_for = [&](uint64_t bytes) { return own.emplace_back(std::make_unique<HostBytes>(bytes))->get(); };
    for (size_t i = 0; i < from.size(); ++i) {
      if (Apart* lent = device_->lent.at(from[i])) {
        auto bytes = lent->to_device();
        if (!bytes) return bytes.error();
        copied += *bytes;
        read.push_back(lent->there.get());
        continue;
      }
      const uint64_t bytes = session_.inputs()[i].bytes;
      std::byte* const there = own_for(bytes);
      if (auto s = device_->copy(there, from[i], bytes); !s) return s;
      copied += bytes;
      read.push_back(there);
    }
    for (size_t i = 0; i < to.size(); ++i) {
      Apart* lent = device_->lent.at(to[i]);
      made.push_back(lent != nullptr ? lent->there.get() : own_for(session_.outputs()[i].bytes));
    }
    if (auto s = session_.run(read, made); !s) return s;
    for (size_t i = 0; i < to.size(); ++i) {
      if (Apart* lent = device_->lent.at(to[i])) {
        auto bytes = lent->made();
        if (!bytes) return bytes.error();
        copied += *bytes;
        continue;
      }
      const uint64_t bytes = session_.outputs()[i].bytes;
      if (auto s = device_->copy(to[i], made[i], bytes); !s) return s;
      copied += bytes;
    }
    return {};
  }

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
