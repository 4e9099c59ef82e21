// The pipeline: a model in, plans and sessions out.
//
//   as given -> optimised (ONNX Runtime's own passes) -> typed and sized -> cut -> compiled -> sessions
//
// A plan with a device is cut from the graph after level EXTENDED, any other from the graph after level ALL: a device must
// not be offered NCHWc tensors, and the CPU is 11 to 23 % faster with them.
//
// Each step happens when first needed and its value is kept: loading reads the file and checks it; the optimised graph
// is made with the first cut plan; units=whole never makes it, because there ONNX Runtime optimises inside the unit.
//
// Threads: all members may be called from any thread. Sessions and plans keep what they need alive.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/reader.h"
#include "plx/graph/symbolic_shapes.h"
#include "plx/ort/session.h"
#include "plx/partition/plan.h"
#include "plx/schedule/session.h"

namespace plx::engine {

// A plan with the graph it is about.
struct PlanHandle {
  std::shared_ptr<const schedule::Subject> subject;
  std::shared_ptr<const partition::Plan> plan;
  // With a device that is there: its regions run on it at these shapes.
  std::shared_ptr<device::Device> device;
  std::shared_ptr<const graph::Shapes> shapes;
};

struct PlanRequest {
  partition::Options options;
  std::string device;     // of a device that is there (devices.h), in place of a profile in the options; empty: none
  bool paper_rates = false;  // judge its regions by the paper's constants and thresholds, and try none
  bool estimate = false;  // for units=whole; cut plans always estimate
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;  // of inputs, by name
};

inline constexpr size_t kPlansKept = 8;  // per model

class Model {
 public:
  static Result<std::shared_ptr<Model>> load_file(std::shared_ptr<ort::Runtime> runtime, const std::string& path,
                                                  ort::ModelSettings settings);
  // `bytes` must outlive the model, its plans and sessions.
  static Result<std::shared_ptr<Model>> load_memory(std::shared_ptr<ort::Runtime> runtime, std::string_view bytes,
                                                    const std::string& base_directory, ort::ModelSettings settings);

  std::string info_json() const;
  Result<std::shared_ptr<PlanHandle>> make_plan(const PlanRequest& request);
  Result<std::shared_ptr<PlanHandle>> read_plan(std::string_view json);
  // The handle of a plan of this model, from its parts; kInvalidArgument for one of another model.
  Result<std::shared_ptr<PlanHandle>> own(const std::shared_ptr<const graph::Graph>& graph,
                                          const std::shared_ptr<const partition::Plan>& plan);
  // Shapes of all values of a plan's graph in the symbols of the inputs, inferred when first asked for. The graph as
  // given only has what the model declares: its plans are one unit, of which only inputs and outputs show.
  std::shared_ptr<const graph::SymbolicShapes> shapes_of(const std::shared_ptr<const graph::Graph>& graph);
  Result<std::unique_ptr<schedule::Session>> make_session(
      const std::shared_ptr<PlanHandle>& plan, int threads, std::optional<schedule::Schedule> schedule = {},
      size_t shapes_kept = schedule::kShapesKept, schedule::MemoryLimit limit = {});

 private:
  Model() = default;
  static Result<std::shared_ptr<Model>> finish(schedule::Subject subject, Result<graph::Graph> graph, graph::ReadOptions options,
                                               const graph::Mapping* file = nullptr);
  Result<std::shared_ptr<const schedule::Subject>> optimised(bool for_device, const ort::InputDims& dims, graph::Shapes& shapes);
  Status find_device(PlanHandle& handle);
  Result<partition::Plan> plan_for_device(const PlanRequest& request, const PlanHandle& handle, const partition::DeviceProfile* rates) const;
  Result<ort::InputDims> dims_of(const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes) const;

  std::shared_ptr<const schedule::Subject> given_;
  std::mutex mutex_;
  // After level ALL; and after EXTENDED, for plans with a device: no device knows NCHWc layouts.
  std::shared_ptr<const schedule::Subject> optimised_[2];
  std::map<const graph::Graph*, std::shared_ptr<const graph::SymbolicShapes>> symbolic_shapes_;
  // Plans by what was asked for, the latest first, so that sessions asked for alike share one.
  std::list<std::pair<std::string, std::shared_ptr<PlanHandle>>> plans_;
  std::vector<std::pair<std::weak_ptr<const partition::Plan>, std::weak_ptr<schedule::CompiledPlan>>> compiled_;
};

}  // namespace plx::engine
