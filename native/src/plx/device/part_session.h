// A part as one session of ONNX Runtime: for devices that compute with its kernels, the CPU as a device and benchmarks' emulated ones.
//
// Threads: run() by one at a time; the kernels run on the calling thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"
#include "plx/ort/runtime.h"

namespace plx::device {

class PartSession {
 public:
  struct Port {
    std::string name;
    graph::Shape shape;
    uint64_t bytes = 0;
  };

  // name: of the session, for error texts. level: the graph has been through EXTENDED; ALL gives convolutions NCHWc layouts.
  // kUnsupported for a tensor of no fixed size.
  static Result<PartSession> make(const std::shared_ptr<ort::Runtime>& runtime, const Part& part, GraphOptimizationLevel level,
                                  const std::string& name);

  // In the part's order.
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  Status run(std::span<const std::byte* const> from, std::span<std::byte* const> to);

 private:
  PartSession() = default;

  std::shared_ptr<ort::Runtime> runtime_;
  std::string name_;
  ort::Session session_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

}  // namespace plx::device
