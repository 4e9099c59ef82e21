// plx-single-file: a model with its weights beside it as one file that holds them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "plx/graph/reader.h"
#include "plx/graph/writer.h"

namespace {

constexpr int kImpossible = 2;
constexpr size_t kMostBytes = (size_t{2} << 30) - 1;  // of a protobuf message

plx::Status convert(const std::string& from, const std::string& to) {
  using plx::fail;
  auto file = plx::graph::Mapping::open(from);
  if (!file) return file.error();
  plx::graph::ReadOptions options;
  options.name = from;
  options.base_directory = std::filesystem::absolute(from).parent_path().string();
  auto storage = std::make_shared<plx::graph::Storage>();
  const auto bytes = storage->keep(file.take());
  auto graph = plx::graph::read_model(bytes, std::move(storage), options);
  if (!graph) return graph.error();
  if (std::any_of(graph->nodes.begin(), graph->nodes.end(), [](const auto& node) { return node.has_subgraph; })) {
    return fail(plx::Code::kUnsupported, "'", from, "' has graphs inside nodes, whose weights stay where they are");
  }
  std::vector<plx::graph::NodeId> nodes(graph->nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  const plx::graph::Part part = plx::graph::write_part(*graph, nodes, graph->inputs, graph->outputs, {});
  if (part.bytes.size() > kMostBytes) {
    return fail(plx::Code::kUnsupported, "'", from, "' has ", part.bytes.size(), " bytes with its weights, and one file holds at most ", kMostBytes);
  }
  std::ofstream out(to, std::ios::binary);
  out << part.bytes;
  if (!out.flush()) return fail(plx::Code::kIo, "'", to, "' cannot be written");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  std::string from;
  std::string to;
  CLI::App app{"Writes a model and its weights into one file.", "plx-single-file"};
  app.add_option("MODEL", from, "An ONNX file, its weights beside it")->required();
  app.add_option("FILE", to, "Where the whole goes")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kImpossible;
  }
  if (const plx::Status status = convert(from, to); !status) {
    std::fprintf(stderr, "plx-single-file: %s\n", status.error().message.c_str());
    return kImpossible;
  }
  return 0;
}
