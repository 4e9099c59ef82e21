// Devices for benchmarks on machines without one. Every time that they take is emulated, and says nothing about hardware.
//
// "emulated" computes: one thread, pinned to the last core that the process may use, runs ONNX Runtime's kernels, on copies of
// what crosses its border, kDispatch after it was asked. Leave that core alone, and it is a slow device beside the CPU.
//
// "replay:NAME" does not compute, so that it takes no core from the CPU beside it. What a part makes of its inputs is
// computed once, when it is first submitted; from then on that is delivered, after the time that the profile NAME of
// bench/profiles.json predicts. It is for runs on the same inputs, then: other ones get the first ones' outputs. It takes
// what the OpenCL device takes, "replay:NAME/dense" only what "emulated" takes. "replay:NAME@2" and "replay:NAME/dense@2" are
// devices twice as fast in everything.
//
// Both do one submission after the other, in order. They find ONNX Runtime where an engine has opened it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"

namespace plx::emulation {

// From being asked to starting to work.
inline constexpr std::chrono::microseconds kDispatch{200};

// Why a node is no convolution, matrix product or element-wise operator of float32 numbers and fixed sizes; empty if it is.
std::string why_not_dense(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node);

std::shared_ptr<device::Device> make_emulated();

// The device of a profile, in the units of bench/profiles.json but for the rates: operations per second.
struct Speeds {
  std::string name;  // as its driver would call it
  double dispatch_ns = 0;
  double border_bytes_per_second = 0;
  bool shares_memory = false;
  double convolution = 0;
  double product = 0;
  double elementwise = 0;
  double bytes_per_second = 0;
};
// kIo or kInvalidArgument, naming the file.
Result<Speeds> read_speeds(const std::string& file, const std::string& profile);
Result<std::vector<std::string>> read_profiles(const std::string& file);

// Of one run of a part: dispatching it, handing over its inputs and outputs, and for each node that is no view the longer
// of computing and of reading and writing. A multiply-add is two operations.
std::chrono::nanoseconds predicted(const Speeds& speeds, const device::Part& part);

// speed: of the device in multiples of the profile's. dense: it takes nothing else.
std::shared_ptr<device::Device> make_replay(const Speeds& speeds, double speed, bool dense = false);

// By name, as above. kNotFound for a name that is none.
Result<std::shared_ptr<device::Device>> make(const std::string& name, const std::string& profiles_file);

}  // namespace plx::emulation
