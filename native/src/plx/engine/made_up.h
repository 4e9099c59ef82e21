// Runs on made-up inputs, for their times alone.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/shapes.h"
#include "plx/schedule/compiled_plan.h"
#include "plx/schedule/session.h"

namespace plx::engine {

// Values of all inputs of a graph: floats between -1 and 1, true, and whole numbers 1 (scalars 8, which are counts).
class MadeUpInputs {
 public:
  // shapes: of each input. kUnsupported for inputs whose shape is not known, that are strings or very large; `instead`
  // ends the message: what to do.
  static Result<MadeUpInputs> make(const graph::Graph& graph, std::vector<std::optional<graph::Shape>> shapes, std::string_view instead);
  // This has to outlive what is bound.
  Status bind(schedule::Session& session);

 private:
  struct Input {
    graph::Shape shape;
    std::vector<std::byte> bytes;
  };
  std::vector<Input> inputs_;
};

// Of a graph's inputs, of all values' shapes.
std::vector<std::optional<graph::Shape>> input_shapes(const graph::Graph& graph, const graph::Shapes& shapes);

struct Times {
  std::vector<double> units_ns;          // of each unit, the shortest
  std::vector<std::string> fell_back;    // of each, why the CPU ran it in place of the device, if it did
  double run_ns = 0;                     // the shortest, from the first start to the last end
};

// Of so many runs, after two that allocate and plan; no other is begun after so many seconds. The machine may be busy: hence the
// shortest.
Result<Times> shortest_times(schedule::Session& session, size_t units, int runs, double most_s = std::numeric_limits<double>::infinity());

}  // namespace plx::engine
