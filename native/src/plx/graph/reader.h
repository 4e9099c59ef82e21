// Reading ONNX models.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "plx/base/result.h"
#include "plx/graph/graph.h"
#include "plx/graph/limits.h"
#include "plx/graph/storage.h"

namespace plx::graph {

struct ReadOptions {
  // What error texts call the model: its path, or "model in memory".
  std::string name = "model in memory";
  // Folder of external data; empty = external data is an error. Data lies in it or below, wherever links lead, or else in
  // one of the `data_folders`, to which links may lead.
  std::string base_directory;
  std::vector<std::string> data_folders{};
  Files files{};  // known beforehand, by location
  // Decode weights and map external data now. Without it Initializer::data stays null for all but constants that are
  // graph outputs; that external files exist and are long enough is checked all the same.
  bool load_data = true;
  Limits limits{};
};

// Reads a ModelProto. `bytes` must stay valid as long as the graph: hand its owner to `storage` (Storage::keep) or see to it
// yourself. kInvalidModel for anything that is not a well-formed model: truncated or foreign bytes, a value read but
// never made, a value made twice, a cycle, more than the limits allow. kNotFound for external data that is not there.
Result<Graph> read_model(std::span<const std::byte> bytes, std::shared_ptr<Storage> storage, const ReadOptions& options);

// Maps the file and reads it; base_directory and name are taken from the path.
Result<Graph> read_model_file(const std::string& path, ReadOptions options);

// The graph read again from a copy of its model (messages.h, `pin`) that names external files by this process's
// descriptors, relative to kPinnedFolder: whoever opens these locations gets the very files that were checked, and never
// follows a name that the model gave. They hold as long as the graph lives. The graph itself if it has no external data.
inline constexpr const char* kPinnedFolder = "/";
Result<Graph> pin_files(Graph graph, ReadOptions options);

}  // namespace plx::graph
