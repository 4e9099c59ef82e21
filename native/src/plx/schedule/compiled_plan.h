// A plan made ready to run: one ONNX Runtime session per unit, over shared weights.
//
// Shared by all sessions of a plan (an ONNX Runtime session may run on several threads at once), so that a further
// session costs its tensors only. A unit exists in up to two widths, narrow (the calling thread) and wide (the pool),
// each made when first asked for: ONNX Runtime settles a session's threads when it is made.
//
// A *slot* is a value as the executor sees it: a graph input, an output of a unit or of an alias, or a constant that is
// read outside units.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"
#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"
#include "plx/ort/session.h"
#include "plx/ort/session_cache.h"
#include "plx/partition/plan.h"

namespace plx::schedule {

enum class Width { kNarrow = 0, kWide = 1 };

// What a plan was made for; immutable, shared by plans and sessions.
struct Subject {
  std::shared_ptr<ort::Runtime> runtime;
  std::shared_ptr<const graph::Graph> graph;
  std::shared_ptr<const ort::ModelSettings> settings;
  ort::ModelSource source;     // the model as given; its bytes outlive the subject
  // Where unit models look for external data, and a file there that is no more than a name: see graph::WriteOptions.
  std::string unit_directory;
  std::string stand_in;
  bool as_given = false;       // the graph is the model's own, not yet optimised: units let ONNX Runtime optimise

  std::shared_ptr<ort::SessionCache> cache;  // may be null

  graph::Shapes fixed_shapes;  // of all values, as inferred, if no input leaves a size open; empty if one does

  // Threads that sessions may use, the calling one included.
  int threads() const { return settings->threads == 1 ? 1 : runtime->threads(); }
};

class CompiledPlan {
 public:
  struct Unit {
    std::vector<const char*> input_names;
    std::vector<const char*> output_names;
    std::vector<int> inputs;   // slots
    std::vector<int> outputs;  // slots
  };
  struct Alias {
    graph::NodeId node;
    int input;   // slot
    int output;  // slot
  };
  struct Slot {
    graph::ValueId value = graph::kNone;
    int root = 0;        // the slot whose bytes these are; itself unless made by an alias
    int unit = -1;       // the unit that makes it
    bool settled = false;  // see graph/shape_flow.h
    bool is_output = false;  // of the graph
  };

  // A region as the plan's device runs it.
  struct Region {
    std::unique_ptr<device::Program> program;
    std::string problem;  // why the CPU runs it, always; empty if the device does
    bool by_itself = false;  // its inputs' shapes decide those of all it makes, whatever other sizes the graph runs at
  };

  // device: that of the plan's regions, at the shapes that the plan was made for; null: they run on the CPU.
  static Result<std::shared_ptr<CompiledPlan>> make(std::shared_ptr<const Subject> subject,
                                                    std::shared_ptr<const partition::Plan> plan,
                                                    std::shared_ptr<device::Device> device = nullptr,
                                                    std::shared_ptr<const graph::Shapes> shapes = nullptr);

  // Makes the sessions of these units in that width, several at a time, unless they exist.
  Status compile(const std::vector<std::pair<int, Width>>& wanted);
  // Prepares a region's unit for the device, once. What comes back says why it cannot run there, if it cannot.
  const Region& region(int unit);
  const std::shared_ptr<device::Device>& device() const { return device_; }
  // At the shapes that the plan was made for, with a device only; nothing if it is not known.
  const std::optional<graph::Shape>& planned_shape(int slot) const {
    return (*shapes_)[static_cast<size_t>(slots_[static_cast<size_t>(slot)].value)];
  }
  OrtSession* session(int unit, Width width) const { return sessions_[static_cast<size_t>(width)][unit].get(); }

  const Subject& subject() const { return *subject_; }
  const partition::Plan& plan() const { return *plan_; }
  const std::vector<Unit>& units() const { return units_; }
  const std::vector<Alias>& aliases() const { return aliases_; }
  const std::vector<Slot>& slots() const { return slots_; }
  // Slots of the graph's inputs and outputs, in the graph's order.
  const std::vector<int>& inputs() const { return inputs_; }
  const std::vector<int>& outputs() const { return outputs_; }
  // The constant of a slot, or null.
  const OrtValue* constant(int slot) const { return constants_[slot].get(); }
  // What the process grew by, as the system counts what no file backs, while the units' sessions were made: packed weights
  // for the most part. Other threads' growth at that time is in it.
  uint64_t sessions_bytes() const { return sessions_bytes_; }
  // What people call a unit: "unit 3 (Conv 'stem', 4 nodes)".
  std::string describe(int unit) const;

 private:
  CompiledPlan() = default;
  int slot_of(graph::ValueId value);
  Result<ort::Session> make_unit(int unit, Width width);
  Result<ort::Session> without_exceptions(int unit, Width width) noexcept;
  Result<ort::Session> make_session(const ort::SessionSpec& spec, int unit, uint64_t weight_bytes) const;
  Result<const OrtValue*> weight(graph::ValueId value);

  std::shared_ptr<const Subject> subject_;
  std::shared_ptr<const partition::Plan> plan_;
  std::vector<Unit> units_;
  std::vector<Alias> aliases_;
  std::vector<Slot> slots_;
  std::vector<int> slot_of_value_;
  std::vector<int> inputs_;
  std::vector<int> outputs_;
  std::vector<ort::Value> constants_;  // per slot
  std::mutex weights_mutex_;
  std::vector<ort::Value> weights_;    // per initializer, made when first needed
  std::mutex compile_mutex_;
  std::shared_ptr<device::Device> device_;
  std::shared_ptr<const graph::Shapes> shapes_;  // null without a device
  std::mutex regions_mutex_;
  std::vector<std::unique_ptr<Region>> regions_;  // per unit, made when first asked for
  std::atomic<uint64_t> sessions_bytes_{0};
  std::vector<ort::Session> sessions_[2];
};

}  // namespace plx::schedule
