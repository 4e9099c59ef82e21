// Making ONNX Runtime sessions, and what they are asked before anything runs: the optimised graph, types and shapes.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/base/result.h"
#include "plx/graph/graph.h"
#include "plx/graph/limits.h"
#include "plx/graph/shapes.h"
#include "plx/ort/runtime.h"

namespace plx::ort {

// Which weights ONNX Runtime packs: those of all units, of units with kHeavyBytes or more, of none.
enum class Prepack { kAll = 0, kHeavy = 1, kNone = 2 };
inline constexpr uint64_t kHeavyBytes = 1 << 20;
inline bool packs(Prepack prepack, uint64_t weight_bytes) {
  return prepack == Prepack::kAll || (prepack == Prepack::kHeavy && weight_bytes >= kHeavyBytes);
}

// What the caller of a model asks of every session made for it.
struct ModelSettings {
  int threads = 0;  // 1 = on the calling thread alone, whatever the pool's size; 0 = the pool
  std::vector<std::string> custom_op_libraries;
  std::vector<std::pair<std::string, std::string>> config;
  std::vector<std::pair<std::string, int64_t>> dimensions;  // symbolic dimensions fixed before optimisation
  std::vector<std::string> data_folders{};  // to which links may lead from the model's folder
  std::string cache_folder{};               // of session_cache.h; none if empty
  graph::Limits limits{};
  Prepack prepack = Prepack::kAll;
};

// A model as a session is made from it.
struct ModelSource {
  std::string name;            // for error texts
  std::string path;            // read from here, unless empty
  std::string_view bytes;      // else from here
  std::string base_directory;  // of external data, for bytes
  graph::Files files{};        // external data, by location, where the model was pinned (graph/reader.h)
};

struct SessionSpec {
  ModelSource source;
  const ModelSettings* settings = nullptr;
  GraphOptimizationLevel level = ORT_DISABLE_ALL;
  bool prepack = true;
  bool pool = true;             // false: on the calling thread alone
  bool fix_dimensions = false;  // apply ModelSettings::dimensions
  std::string save_path;        // write the optimised graph here, unless empty
  // And its weights, with what packing made of them, to the same with this at the end. Initializers are copied then.
  bool save_packed = false;
  std::vector<std::pair<const char*, const OrtValue*>> initializers;  // handed over, not copied
};

inline constexpr const char* kWeightsSuffix = ".weights";

Result<Session> make_session(const std::shared_ptr<Runtime>& runtime, const SessionSpec& spec);

// Asks for the sizes of all that ONNX Runtime would compute while it loads the graph as given (graph/computed_constants.h).
// The answer is how large the largest of them may be, for settings.limits.constant_bytes; kInvalidModel if all of them
// together are too large for the settings. A few ms where there are any
// whose size is not plain.
Result<uint64_t> constants_within(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph,
                                  const ModelSettings& settings, const std::string& name);

// Where the weights of an optimised graph come to lie.
enum class Weights {
  kInPlace,  // unchanged ones stay in the model's external file; all others go into the graph's own memory file
  kApart,    // all go into a second memory file, aligned, so that nothing is encoded, decoded or copied again
};

// The graph after ONNX Runtime's passes, through `level`. Level ALL is bound to the CPU it was made on (NCHWc layouts);
// EXTENDED is portable, and what devices are offered. kApart costs a copy of every weight and saves two of each one that
// had to be written anyway; it cannot be had for a graph with subgraphs, whose bodies name their files themselves.
Result<graph::Graph> optimise(const std::shared_ptr<Runtime>& runtime, const ModelSource& source, const ModelSettings& settings,
                              GraphOptimizationLevel level = ORT_ENABLE_ALL, Weights weights = Weights::kInPlace);
// Its two halves, for a graph that is kept in files. The graph goes to `path`, weights of kApart to a file of that name in
// the same folder; without a name they stay in place.
Status save_optimised(const std::shared_ptr<Runtime>& runtime, const ModelSource& source, const ModelSettings& settings,
                      GraphOptimizationLevel level, const std::string& path, const std::string& weights_name);
// files: external data by the locations that the graph gives, the weights' included.
Result<graph::Graph> read_optimised(std::shared_ptr<graph::Mapping> file, const ModelSource& source, graph::Files files);

// Sizes of the graph's inputs: all dims of an input, by value.
using InputDims = std::map<graph::ValueId, std::vector<int64_t>>;

struct Inferred {
  std::vector<graph::Type> types;  // one per value; protos of other kinds than tensor are kept in the graph's storage
  graph::Shapes shapes;
  graph::PartialShapes partial;  // what `shapes` leaves out is here as far as it is known
};
// Types and sizes of all values with the inputs at these sizes (inputs not named: as declared, 1 for open dims). A
// throw-away session without weights: 2 to 15 ms on an optimised graph.
//
// ONNX Runtime reports a value of unknown rank as a scalar. Those of the `doubtful` that are not known to be scalars
// get no shape; others that look like scalars pass for scalars.
//
// At the sizes of `dims` ONNX Runtime also looks into branches of an If that are never taken at these sizes, and refuses
// the model for what it finds there. With `as_declared` only the graph's inputs themselves get these sizes: whatever
// depends on open dims stays open, and the model loads if it loads at all.
Result<Inferred> infer(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph, const ModelSettings& settings,
                       const InputDims& dims, const std::string& base_directory,
                       std::span<const graph::ValueId> doubtful = {}, bool as_declared = false);

}  // namespace plx::ort
