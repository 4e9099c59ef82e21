// One operator on float32 tensors, ready on a device: to try its kernels with, and to time them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "plx/device/device.h"

namespace plx::device {

class OneOperator final : Completion {
 public:
  struct Operand {
    std::vector<int64_t> dims;
    std::vector<float> values;  // as many as dims say
    bool constant = false;      // of the graph; what is not lies in memory that the device lends
  };
  // op: of ai.onnx, opset 17, without attributes; output: its dims. kUnsupported if the device refuses it, kRunFailed for what its
  // driver fails at.
  static Result<std::unique_ptr<OneOperator>> make(Device& device, const char* op, std::vector<Operand> operands, std::vector<int64_t> output);

  // In place of an operand's values, which is no constant.
  void set(size_t operand, std::span<const float> values);
  // Runs it, and waits. The seconds that the device says it worked.
  Result<double> run();
  // Of the last run; dense and row-major.
  std::span<const float> output() const;

 private:
  OneOperator() = default;
  void done(Outcome outcome) noexcept override;

  graph::Graph graph_;
  graph::Shapes shapes_;
  std::vector<Operand> operands_;
  std::vector<std::unique_ptr<Lent>> memory_;  // by operand, and last the output; null for constants
  std::vector<const std::byte*> inputs_;
  size_t outputs_ = 0;
  std::unique_ptr<Program> program_;
  std::mutex mutex_;
  std::condition_variable came_;
  bool there_ = false;
  Outcome outcome_;
};

}  // namespace plx::device
