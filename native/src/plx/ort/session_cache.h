// A folder where sessions lie ready: their models, and the weights as ONNX Runtime has packed them, in files that are
// mapped when a session is made.
//
// Packing makes a second copy of most weights, in memory that no file backs: two thirds to nine tenths of what a model
// takes. From such a file it takes none, processes share it, the system may drop it and read it again, and there is
// nothing to pack: distilbert's process goes from 184 to some 20 MB of such memory. The price is the folder's: the
// weights as they were and packed, in files, and a first load that writes them.
//
//   FOLDER/<the model's path>/<its files as they are now>/<what the session is of>/{unit.onnx, unit.onnx.weights, about.json}
//
// So does the graph that units are cut from, as ONNX Runtime's passes leave it: without it each process would have ONNX
// Runtime read the whole model and write it again, weights inside the model's file and those of convolutions included. Its
// entry holds graph.onnx, graph.onnx.weights and about.json.
//
// (digests, each of them). Packed weights are bound to the CPU and to ONNX Runtime's version, so both are in the last
// one, and about.json says all of it for people. An entry is written beside its place, flushed, tried, and moved there;
// whoever finds it half written or cut short writes it anew. Writing one removes those of the same model with other
// files. What lies there is run as it is: a folder that others may write to is refused.
//
// A cache that cannot be written is no error of the session, which is made without; stats() says what was wrong.
//
// Threads: all members may be called from any thread, and any number of processes may use one folder.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "plx/base/result.h"
#include "plx/ort/runtime.h"
#include "plx/ort/session.h"

namespace plx::ort {

class SessionCache {
 public:
  // Fewer bytes of weights are not worth a file: it would take hundreds of them where every node is a unit.
  static constexpr uint64_t kWorthBytes = 256 << 10;

  struct Stats {
    uint64_t loaded = 0;   // sessions whose file was there
    uint64_t stored = 0;   // sessions whose file was written
    uint64_t bytes = 0;    // of these files
    std::string problem;   // why the last one that could not be stored was not; empty if there was none
  };

  // Of one model: where it lies, and what changes when its files do (graph::Mapping::identity). Makes the folder if there
  // is none. kIo if that cannot be, kInvalidArgument if it is no folder or not this user's alone.
  static Result<std::shared_ptr<SessionCache>> open(const std::string& folder, const std::string& model_path,
                                                    const std::string& identity);

  // The optimised graph (ort::optimise), from its files. Not for graphs with subgraphs, whose bodies name their files by
  // numbers of this process.
  Result<graph::Graph> optimised(const std::shared_ptr<Runtime>& runtime, const ModelSource& source, const ModelSettings& settings,
                                 GraphOptimizationLevel level, Weights weights);
  // The session that `spec` describes, from its file. what: all that it depends on, beside the model's files.
  Result<Session> session(const std::shared_ptr<Runtime>& runtime, const std::string& what, const SessionSpec& spec);
  Stats stats() const;

 private:
  SessionCache(std::string folder, std::string model_path, std::string identity)
      : folder_(std::move(folder)), model_path_(std::move(model_path)), identity_(std::move(identity)) {}
  // What an entry is of, and its place.
  struct Entry {
    std::string about;
    std::string folder;
    std::string model;  // file name; its weights have kWeightsSuffix behind it
  };
  Entry entry_of(const Runtime& runtime, const std::string& what, const char* model) const;
  static Result<Session> load(const std::shared_ptr<Runtime>& runtime, const Entry& entry, const std::string& folder,
                              const SessionSpec& spec);
  static Result<graph::Graph> load_graph(const Entry& entry, const std::string& folder, const ModelSource& source);
  // Makes the entry anew: save writes its files into a folder, more is noted about them, and try_it reads them from there.
  template <class Save, class Try>
  auto store(const Entry& entry, const nlohmann::json& more, Save&& save, Try&& try_it) -> decltype(try_it(std::string()));
  void remove_others() const;

  const std::string folder_;  // of this model, with these files
  const std::string model_path_;
  const std::string identity_;
  mutable std::mutex mutex_;
  Stats stats_;
};

// What decides, beside the model, which session ONNX Runtime makes of it: settings, and the state of their libraries.
std::string describe(const ModelSettings& settings);

}  // namespace plx::ort
