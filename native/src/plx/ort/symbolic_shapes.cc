#include "plx/ort/symbolic_shapes.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace plx::ort {

namespace {

// All inputs with each symbol at its size.
InputDims dims_at(const graph::Graph& graph, const std::vector<std::string>& symbols, const graph::Sizes& sizes) {
  InputDims dims;
  for (const graph::ValueId id : graph.inputs) {
    const auto& shape = graph.values[id].type.shape;
    if (!shape) continue;
    std::vector<int64_t>& given = dims[id];
    for (size_t axis = 0; axis < shape->size(); ++axis) {
      const std::string symbol = graph::symbol_of(graph, id, axis);
      const auto at = std::find(symbols.begin(), symbols.end(), symbol) - symbols.begin();
      given.push_back(symbol.empty() ? (*shape)[axis].size : sizes[static_cast<size_t>(at)]);
    }
  }
  return dims;
}

// What is seen at each probe; nothing if the model refuses one.
std::optional<std::vector<graph::PartialShapes>> look(const std::shared_ptr<Runtime>& runtime,
                                                      const graph::Graph& graph, const ModelSettings& settings,
                                                      const std::string& base_directory,
                                                      const std::vector<graph::Sizes>& probes) {
  const std::vector<std::string> symbols = graph::symbols_of(graph);
  std::vector<graph::PartialShapes> seen;
  std::vector<graph::ValueId> doubtful;
  for (const graph::Sizes& sizes : probes) {
    // What the first probe shows as a scalar is made sure of in the last.
    if (seen.size() + 1 == probes.size()) {
      for (size_t id = 0; id < graph.values.size(); ++id) {
        const auto& shape = seen.front()[id];
        if (graph.values[id].producer == graph::kNone || !shape || !shape->empty()) continue;
        doubtful.push_back(static_cast<graph::ValueId>(id));
      }
    }
    auto inferred = infer(runtime, graph, settings, dims_at(graph, symbols, sizes), base_directory, doubtful);
    if (!inferred) return std::nullopt;
    seen.push_back(std::move(inferred->partial));
  }
  return seen;
}

}  // namespace

graph::SymbolicShapes infer_symbolic(const std::shared_ptr<Runtime>& runtime, const graph::Graph& graph,
                                     const ModelSettings& settings, const std::string& base_directory) {
  const size_t symbols = graph::symbols_of(graph).size();
  // Every symbol is told from every other, and every dim is held against every pair.
  constexpr size_t kMostSymbols = 200;
  if (symbols > kMostSymbols) return graph::symbolic_shapes(graph, {}, {});
  for (const graph::Scale scale : {graph::Scale::kUsual, graph::Scale::kSmall}) {
    auto probes = graph::probe_sizes(symbols, scale);
    if (symbols == 0) probes.resize(2);  // all look the same: one, and one to make sure of scalars
    if (const auto seen = look(runtime, graph, settings, base_directory, probes)) {
      return graph::symbolic_shapes(graph, probes, *seen);
    }
  }
  return graph::symbolic_shapes(graph, {}, {});
}

}  // namespace plx::ort
