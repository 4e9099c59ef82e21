#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <thread>

#include "base.h"
#include "emulation.h"
#include "plx/device/lowering.h"
#include "plx/device/part_session.h"
#include "plx/partition/plan.h"

namespace plx::emulation {

namespace {

using device::PartSession;
using Clock = std::chrono::steady_clock;

double bytes_of(const graph::Graph& graph, const graph::Shapes& shapes, graph::ValueId value) {
  if (value == graph::kNone) return 0;
  const int32_t constant = graph.values[static_cast<size_t>(value)].initializer;
  if (constant != graph::kNone) return static_cast<double>(graph.initializers[static_cast<size_t>(constant)].size_bytes);
  const auto& shape = shapes[static_cast<size_t>(value)];
  return shape ? static_cast<double>(graph::tensor_bytes(shape->element, shape->dims).value_or(0)) : 0;
}

double operations_per_second(const Speeds& speeds, const graph::Node& node) {
  static const std::set<std::string_view> convolutions = {"Conv", "FusedConv", "ConvTranspose"};
  static const std::set<std::string_view> products = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm"};
  if (convolutions.contains(node.op_type)) return speeds.convolution;
  return products.contains(node.op_type) ? speeds.product : speeds.elementwise;
}

class Replay final : public Base {
 public:
  Replay(Speeds used, double times, bool only_dense)
      : Base("replay", "emulated: replay of " + used.name, used.shares_memory), speeds(std::move(used)), speed(times), dense(only_dense) {}
  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    return dense ? why_not_dense(graph, shapes, node) : device::why_not(graph, shapes, node);
  }
  Result<std::unique_ptr<device::Program>> prepare(const device::Part& part) override;

  const Speeds speeds;
  const double speed;
  const bool dense;
  Clock::time_point busy_until;  // of the worker's thread
};

class ReplayProgram final : public device::Program {
 public:
  ReplayProgram(std::shared_ptr<Replay> device, PartSession session, std::chrono::nanoseconds takes)
      : device_(std::move(device)), session_(std::move(session)), takes_(takes) {
    for (const auto& port : session_->inputs()) input_bytes_.push_back(port.bytes);
    for (const auto& port : session_->outputs()) recorded_.emplace_back(port.bytes);
  }
  uint64_t device_bytes() const override { return 0; }  // of a device that is not there
  void submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, device::Completion& completion) override {
    device_->worker().enqueue([this, asked = Clock::now(), from = std::vector(in.begin(), in.end()),
                               to = std::vector(out.begin(), out.end()), &completion] {
      device::Outcome outcome;
      outcome.status = record(from);
      // From when it was asked, not from now: waking up takes a real thread's time and not the device's.
      device_->busy_until = std::max(device_->busy_until, asked) + takes_;
      std::this_thread::sleep_until(device_->busy_until);
      for (size_t i = 0; outcome.status && i < to.size(); ++i) std::memcpy(to[i], recorded_[i].data(), recorded_[i].size());
      outcome.device_ns = takes_.count();
      outcome.copied_bytes = copied(from, to);
      const auto device = device_;  // whoever is told may let go of the program
      completion.done(std::move(outcome));
    });
  }

 private:
  Status record(const std::vector<const std::byte*>& from) {
    if (!session_) return {};
    std::vector<std::byte*> made;
    for (auto& output : recorded_) made.push_back(output.data());
    if (auto s = session_->run(from, made); !s) return s;
    session_.reset();
    return {};
  }
  // As a device would that has its own memory, or shares what it lends.
  uint64_t copied(const std::vector<const std::byte*>& from, const std::vector<std::byte*>& to) const {
    const auto in_place = [&](const std::byte* data) { return device_->info().shares_memory && device_->lent(data); };
    uint64_t bytes = 0;
    for (size_t i = 0; i < from.size(); ++i) bytes += in_place(from[i]) ? 0 : input_bytes_[i];
    for (size_t i = 0; i < to.size(); ++i) bytes += in_place(to[i]) ? 0 : recorded_[i].size();
    return bytes;
  }

  std::shared_ptr<Replay> device_;
  std::optional<PartSession> session_;  // until the recording is made
  const std::chrono::nanoseconds takes_;
  std::vector<uint64_t> input_bytes_;
  std::vector<std::vector<std::byte>> recorded_;
};

Result<std::unique_ptr<device::Program>> Replay::prepare(const device::Part& part) {
  for (const graph::NodeId node : part.nodes) {
    const std::string why = refuses(*part.graph, *part.shapes, node);
    if (!why.empty()) return fail(Code::kUnsupported, part.graph->nodes[static_cast<size_t>(node)].op_type, ": ", why);
  }
  auto open = runtime();
  if (!open) return open.error();
  auto session = PartSession::make(*open, part, ORT_ENABLE_ALL, "a part on " + info().name);
  if (!session) return session.error();
  const auto takes = std::chrono::duration_cast<std::chrono::nanoseconds>(predicted(speeds, part) / speed);
  return std::unique_ptr<device::Program>(
      std::make_unique<ReplayProgram>(std::static_pointer_cast<Replay>(shared_from_this()), session.take(), takes));
}

}  // namespace

std::chrono::nanoseconds predicted(const Speeds& speeds, const device::Part& part) {
  double seconds = speeds.dispatch_ns / 1e9;
  for (const auto& list : {part.inputs, part.outputs}) {
    for (const graph::ValueId value : list) seconds += bytes_of(*part.graph, *part.shapes, value) / speeds.border_bytes_per_second;
  }
  for (const graph::NodeId id : part.nodes) {
    const graph::Node& node = part.graph->nodes[static_cast<size_t>(id)];
    if (graph::is_view(node)) continue;
    const auto work = partition::estimate(*part.graph, *part.shapes, id);
    const double computing = (work ? work->flops : 0) / operations_per_second(speeds, node);
    double bytes = 0;
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (const graph::ValueId value : *list) bytes += bytes_of(*part.graph, *part.shapes, value);
    }
    seconds += std::max(computing, bytes / speeds.bytes_per_second);
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

std::shared_ptr<device::Device> make_replay(const Speeds& speeds, double speed, bool dense) {
  return std::make_shared<Replay>(speeds, speed, dense);
}

}  // namespace plx::emulation
