#include "plx/device/null/null.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "plx/device/worker.h"
#include "plx/graph/writer.h"
#include "plx/ort/session.h"

namespace plx::device::null {

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

class NullDevice final : public Device, public std::enable_shared_from_this<NullDevice> {
 public:
  NullDevice(std::shared_ptr<ort::Runtime> used, Script told) : runtime(std::move(used)), script(std::move(told)) {
    info_.kind = "null";
    info_.name = "no device at all";
    info_.shares_memory = true;
  }
  const Info& info() const override { return info_; }
  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    const graph::Node& n = graph.nodes[static_cast<size_t>(node)];
    if (n.has_subgraph) return "has a graph of its own";
    if (std::find(script.refused.begin(), script.refused.end(), n.op_type) != script.refused.end()) return "it was told to refuse " + n.op_type;
    for (const graph::ValueId value : n.outputs) {
      if (value == graph::kNone) continue;
      const auto& shape = shapes[static_cast<size_t>(value)];
      if (!shape || !graph::tensor_bytes(shape->element, shape->dims)) return "it makes something of no fixed size";
    }
    return "";
  }
  Result<std::unique_ptr<Program>> prepare(const Part& part) override;
  Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes) override { return std::unique_ptr<Lent>(new OwnMemory(size_bytes)); }
  bool lost() const override { return is_lost; }

  const std::shared_ptr<ort::Runtime> runtime;
  const Script script;
  std::atomic<bool> is_lost{false};
  std::atomic<uint64_t> submissions{0};
  Worker worker;

 private:
  Info info_;
};

class NullProgram final : public Program {
 public:
  NullProgram(std::shared_ptr<NullDevice> device, ort::Session session) : device_(std::move(device)), session_(std::move(session)) {}

  struct Port {
    std::string name;
    graph::Shape shape;
  };
  std::vector<Port> inputs, outputs;

  uint64_t device_bytes() const override { return 0; }

  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, Completion& completion) override {
    device_->worker.enqueue([this, from = std::vector(in.begin(), in.end()), to = std::vector(out.begin(), out.end()), &completion] {
      Outcome outcome;
      const auto start = std::chrono::steady_clock::now();
      outcome.status = run(from, to);
      outcome.device_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  Status run(const std::vector<const std::byte*>& from, const std::vector<std::byte*>& to) {
    const Fault fault = device_->script.fault ? device_->script.fault(device_->submissions++) : Fault::kNone;
    if (device_->script.delay.count() != 0) std::this_thread::sleep_for(device_->script.delay);
    if (fault == Fault::kLost) device_->is_lost = true;
    if (device_->is_lost) return fail(Code::kRunFailed, "the null device is lost, as it was told");
    if (fault == Fault::kFails) return fail(Code::kRunFailed, "the null device fails, as it was told");
    const OrtApi& api = device_->runtime->api();
    std::vector<ort::Value> owners;
    std::vector<const OrtValue*> values;
    std::vector<OrtValue*> made;
    std::vector<const char*> names[2];
    const auto describe = [&](const Port& port, std::byte* data, bool input) -> Status {
      OrtValue* value = nullptr;
      const uint64_t bytes = graph::tensor_bytes(port.shape.element, port.shape.dims).value_or(0);
      if (auto s = device_->runtime->check(
              api.CreateTensorWithDataAsOrtValue(device_->runtime->cpu(), data, bytes, port.shape.dims.data(), port.shape.dims.size(),
                                                 static_cast<ONNXTensorElementDataType>(port.shape.element), &value),
              "cannot describe a tensor"); !s) return s;
      owners.emplace_back(device_->runtime, value, api.ReleaseValue);
      if (input) values.push_back(value);
      else made.push_back(value);
      names[input ? 0 : 1].push_back(port.name.c_str());
      return {};
    };
    for (size_t i = 0; i < from.size(); ++i) {
      if (auto s = describe(inputs[i], const_cast<std::byte*>(from[i]), true); !s) return s;
    }
    for (size_t i = 0; i < to.size(); ++i) {
      if (auto s = describe(outputs[i], to[i], false); !s) return s;
    }
    Status status = device_->runtime->check(api.Run(session_.get(), nullptr, names[0].data(), values.data(), values.size(), names[1].data(),
                                                    made.size(), made.data()), "the null device");
    if (status && fault == Fault::kLies && !to.empty()) to[0][0] ^= std::byte{0x40};
    return status;
  }

  std::shared_ptr<NullDevice> device_;
  ort::Session session_;
};

Result<std::unique_ptr<Program>> NullDevice::prepare(const Part& part) {
  if (is_lost) return fail(Code::kRunFailed, "the null device is lost");
  if (script.on_prepare) {
    if (auto s = script.on_prepare(); !s) return s.error();
  }
  const graph::Part written = graph::write_part(*part.graph, part.nodes, part.inputs, part.outputs, {});
  const ort::ModelSettings settings;
  ort::SessionSpec spec;
  spec.settings = &settings;
  spec.pool = false;
  spec.source.name = "a part on the null device";
  spec.source.bytes = written.bytes;
  auto session = ort::make_session(runtime, spec);
  if (!session) return session.error();
  auto program = std::make_unique<NullProgram>(shared_from_this(), session.take());
  const auto port = [&](graph::ValueId value) {
    return NullProgram::Port{part.graph->values[static_cast<size_t>(value)].name, *(*part.shapes)[static_cast<size_t>(value)]};
  };
  for (const graph::ValueId value : part.inputs) program->inputs.push_back(port(value));
  for (const graph::ValueId value : part.outputs) program->outputs.push_back(port(value));
  return std::unique_ptr<Program>(std::move(program));
}

}  // namespace

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Script script) {
  return std::make_shared<NullDevice>(std::move(runtime), std::move(script));
}

}  // namespace plx::device::null
