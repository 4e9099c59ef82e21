#include "plx/device/null/null.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "plx/device/cpu/cpu.h"

namespace plx::device::null {

namespace {

// What is told, and what has become of it. Programs hold the CPU device, which holds this: they may outlive the null device.
struct Told {
  explicit Told(Script told) : script(std::move(told)) {}

  Status play(const std::function<Status()>& work, std::span<std::byte* const> outputs) {
    const Fault fault = script.fault ? script.fault(submissions++) : Fault::kNone;
    if (script.delay.count() != 0) std::this_thread::sleep_for(script.delay);
    if (fault == Fault::kLost) lost = true;
    if (lost) return fail(Code::kRunFailed, "the null device is lost, as it was told");
    if (fault == Fault::kFails) return fail(Code::kRunFailed, "the null device fails, as it was told");
    Status status = work();
    if (status && fault == Fault::kLies && !outputs.empty()) outputs[0][0] ^= std::byte{0x40};
    return status;
  }

  const Script script;
  std::atomic<bool> lost{false};
  uint64_t submissions = 0;  // the device's thread alone
};

class NullDevice final : public Device {
 public:
  NullDevice(std::shared_ptr<ort::Runtime> runtime, Script script) : told_(std::make_shared<Told>(std::move(script))) {
    cpu::Options options;
    options.shares_memory = told_->script.shares_memory;
    options.copying = [told = told_] {
      return told->lost ? Status(fail(Code::kRunFailed, "the null device is lost, and what it held")) : Status{};
    };
    options.around = [told = told_](const std::function<Status()>& work, std::span<std::byte* const> outputs) {
      return told->play(work, outputs);
    };
    cpu_ = cpu::make(std::move(runtime), std::move(options));
    info_ = cpu_->info();
    info_.kind = "null";
    info_.name = "no device at all";
    info_.is_cpu = false;
  }
  const Info& info() const override { return info_; }
  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    const std::string& op = graph.nodes[static_cast<size_t>(node)].op_type;
    const auto& refused = told_->script.refused;
    if (std::find(refused.begin(), refused.end(), op) != refused.end()) return "it was told to refuse " + op;
    return cpu_->refuses(graph, shapes, node);
  }
  Result<std::unique_ptr<Program>> prepare(const Part& part) override {
    if (told_->lost) return fail(Code::kRunFailed, "the null device is lost");
    if (told_->script.on_prepare) {
      if (auto s = told_->script.on_prepare(); !s) return s.error();
    }
    return cpu_->prepare(part);
  }
  Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes, Use use) override { return cpu_->lend(size_bytes, use); }
  bool lost() const override { return told_->lost; }

 private:
  const std::shared_ptr<Told> told_;
  std::shared_ptr<Device> cpu_;
  Info info_;
};

}  // namespace

std::shared_ptr<Device> make(std::shared_ptr<ort::Runtime> runtime, Script script) {
  return std::make_shared<NullDevice>(std::move(runtime), std::move(script));
}

}  // namespace plx::device::null
