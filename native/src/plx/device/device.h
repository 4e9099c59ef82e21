// A device: whatever runs parts of a graph beside the CPU's own units, such as a GPU.
//
// A *part* of a graph (a delegate region) is prepared once, for fixed shapes, and then submitted as often as there are
// runs: submit() returns at once, and when the part's outputs are there, or will not be, a completion is called, from
// any thread. Memory that crosses is best lent by the device: then nothing is copied where CPU and device share memory.
//
// Devices are opened at run time (opencl/opencl.h); without a driver there is none, and everything else works.
//
// Threads: devices, programs and lent memory may be used by any; submissions of one program run one after the other.
// Whoever holds a program or lent memory keeps its device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "plx/base/result.h"
#include "plx/device/tuning.h"
#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"

namespace plx::device {

struct Info {
  std::string kind;    // "opencl", "null"
  std::string name;    // as the driver calls it
  std::string driver;  // and its version
  bool shares_memory = false;  // the CPU reaches the device's memory in place
  bool is_cpu = false;         // it is the CPU under another name, as with PoCL
  uint64_t compute_units = 0;  // 0: not told
  uint64_t work_group = 0;     // the most invocations in one group
  uint64_t local_bytes = 0;    // that a group shares
  uint64_t memory_bytes = 0;
  std::string kernels;         // a digest of their source, if they are ours
  std::optional<TriedTuning> tuning;  // what its kernels are built for, if they are ours
};

// Nodes of a graph that run as one piece.
struct Part {
  const graph::Graph* graph = nullptr;
  const graph::Shapes* shapes = nullptr;   // of all values
  std::span<const graph::NodeId> nodes;    // topological
  std::span<const graph::ValueId> inputs;  // made outside, no constants
  std::span<const graph::ValueId> outputs; // read outside
};

// What became of a submission.
struct Outcome {
  Status status;
  // With an error only: what was lent is of no more use to the CPU, neither to read nor to write. Let go of it.
  bool lent_lost = false;
  int64_t device_ns = 0;      // that the device worked, as far as it tells
  uint64_t copied_bytes = 0;  // between the CPU's memory and the device's, both ways
};

class Completion {
 public:
  virtual void done(Outcome outcome) noexcept = 0;

 protected:
  ~Completion() = default;
};

// A part, ready to run.
class Program {
 public:
  virtual ~Program() = default;
  // In the part's order, each of the tensor's size, dense and row-major; they stay as they are until `completion` is
  // called, which happens once. Memory that was lent by the device is used in place.
  virtual void submit(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs, Completion& completion) = 0;
  virtual uint64_t device_bytes() const = 0;  // constants and temporaries
};

// What lent memory is for.
enum class Use {
  kInTurn,    // the CPU's except while a submission that was given it is on its way
  kBeside,    // the CPU may read it even then, if the submission does no more
  kResident,  // what submissions make there stays: the CPU reads it after recall() only. Where memory is shared, as kInTurn
};

// Memory that both sides use. What a submission has made, the CPU writes to after recall() only.
class Lent {
 public:
  virtual ~Lent() = default;
  virtual std::byte* data() = 0;  // aligned to 64 bytes, always the same
  virtual uint64_t taken_bytes() const = 0;  // by both sides
  // Gives it to the CPU until the next submission that makes it: to be read, for which it is copied if the device alone has it;
  // or without what it holds, to be written to. The bytes copied. An error means that what it held is gone.
  virtual Result<uint64_t> recall(bool to_read) {
    static_cast<void>(to_read);
    return uint64_t{0};
  }
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const Info& info() const = 0;
  // Why the device does not take this node at these shapes, for people; empty if it does.
  virtual std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const = 0;
  // kUnsupported, naming the node, for a part with a node that it refuses; kRunFailed if the driver fails.
  virtual Result<std::unique_ptr<Program>> prepare(const Part& part) = 0;
  virtual Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes, Use use) = 0;
  // Nothing that is asked of it will ever work again.
  virtual bool lost() const = 0;
};

}  // namespace plx::device
