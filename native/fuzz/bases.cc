#include "bases.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "onnx_tree.h"
#include "plx/graph/onnx_fields.h"
#include "plx/graph/reader.h"
#include "plx/graph/writer.h"
#include "plx/ort/plain_testing.h"
#include "plx/ort/session.h"
#include "seeds.h"

namespace plx::fuzz {

namespace {

namespace fs = std::filesystem;
using graph::kNone;
using graph::NodeId;
using graph::ValueId;

constexpr uint64_t kLargest = uint64_t{4} << 20;  // bytes of a tensor in a piece, which is to run in milliseconds

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The external files that a model names, and how long they have to be.
void collect_files(const Field& message, std::map<std::string, uint64_t>& files) {
  std::map<std::string, std::string> entries;
  for (const Field& field : message.fields) {
    if (message.kind == Kind::kTensor && field.kind == Kind::kEntry) {
      entries[text_of(field, graph::onnx::StringEntry::kKey)] = text_of(field, graph::onnx::StringEntry::kValue);
    }
    collect_files(field, files);
  }
  if (!entries.contains("location")) return;
  const auto number = [&](const char* key) { return entries.contains(key) ? std::stoull(entries[key]) : 0; };
  uint64_t& size = files[entries["location"]];
  size = std::max<uint64_t>(size, number("offset") + number("length"));
}

// Small floats, the same everywhere; what lies beyond is zeros, which take no room.
void write_weights(const fs::path& path, uint64_t size) {
  constexpr uint64_t kNoise = uint64_t{32} << 20;
  std::mt19937 random(1);
  std::vector<float> block(1 << 18);
  for (float& value : block) value = static_cast<float>(random() % 2001) / 8000.f - 0.125f;
  const uint64_t block_bytes = block.size() * sizeof(float);
  std::ofstream file(path, std::ios::binary);
  for (uint64_t at = 0; at < std::min(size, kNoise); at += block_bytes) {
    file.write(reinterpret_cast<const char*>(block.data()),
               static_cast<std::streamsize>(std::min(block_bytes, size - at)));
  }
  file.close();
  fs::resize_file(path, size);
}

void cut_piece(const graph::Graph& graph, const graph::Shapes& shapes, size_t first, size_t length,
               const fs::path& path) {
  std::set<NodeId> nodes;
  for (size_t i = first; i < std::min(first + length, graph.nodes.size()); ++i) nodes.insert(static_cast<NodeId>(i));
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  const std::vector<NodeId> window(nodes.begin(), nodes.end());
  for (const NodeId id : window) {
    const graph::Node& node = graph.nodes[static_cast<size_t>(id)];
    for (const auto* list : {&node.inputs, &node.captures}) {
      for (const ValueId value : *list) {
        if (value == kNone) continue;
        const graph::Value& v = graph.values[static_cast<size_t>(value)];
        if (v.initializer != kNone || nodes.contains(v.producer)) continue;
        const bool constant = v.producer != kNone && graph.nodes[static_cast<size_t>(v.producer)].op_type == "Constant";
        if (constant)
          nodes.insert(v.producer);
        else if (std::find(inputs.begin(), inputs.end(), value) == inputs.end())
          inputs.push_back(value);
      }
    }
  }
  for (const NodeId id : window) {
    for (const ValueId value : graph.nodes[static_cast<size_t>(id)].outputs) {
      if (value == kNone) continue;
      const graph::Value& v = graph.values[static_cast<size_t>(value)];
      const bool leaves = v.is_output || std::any_of(v.consumers.begin(), v.consumers.end(),
                                                     [&](NodeId r) { return !nodes.contains(r); });
      if (leaves && graph.nodes[static_cast<size_t>(id)].op_type != "Constant") outputs.push_back(value);
    }
  }
  if (outputs.empty()) return;
  for (const NodeId id : nodes) {
    for (const ValueId value : graph.nodes[static_cast<size_t>(id)].outputs) {
      if (value == kNone || !shapes[static_cast<size_t>(value)]) continue;
      const auto& shape = *shapes[static_cast<size_t>(value)];
      if (graph::tensor_bytes(shape.element, shape.dims).value_or(0) > kLargest) return;
    }
  }
  graph::WriteOptions options;
  options.input_shapes = &shapes;
  const std::vector<NodeId> sorted(nodes.begin(), nodes.end());
  std::ofstream(path, std::ios::binary) << graph::write_part(graph, sorted, inputs, outputs, options).bytes;
}

}  // namespace

std::vector<Base> small_bases() {
  std::vector<Base> bases;
  for (Seed& seed : import_seeds()) bases.push_back({seed.name, std::move(seed.bytes), false});
  return bases;
}

std::vector<std::string> unpack_real_models(const std::string& folder, bool all) {
  std::vector<std::string> names = {"yolov8n", "distilbert"};
  if (all)
    names.insert(names.end(), {"swinv2-tiny", "whisper-tiny-encoder", "clip-text", "whisper-tiny-decoder-past",
                               "whisper-tiny-greedy"});
  for (const std::string& name : names) {
    const fs::path from = fs::path(PLX_ZOO_GRAPHS) / (name + ".onnx");
    const auto model = parse(Kind::kModel, content(from));
    if (!model || model->fields.empty()) throw std::runtime_error("no model at " + from.string());
    std::map<std::string, uint64_t> files;
    collect_files(*model, files);
    for (const auto& [file, size] : files) write_weights(fs::path(folder) / file, size);
    fs::copy_file(from, fs::path(folder) / (name + ".onnx"));
  }
  return names;
}

void cut_pieces(const std::string& folder, const std::vector<std::string>& names, size_t count) {
  for (const std::string& name : names) {
    graph::ReadOptions options;
    options.load_data = false;
    auto read = graph::read_model_file(folder + "/" + name + ".onnx", options);
    if (!read) throw std::runtime_error(read.error().message);
    graph::Graph graph = read.take();
    const auto inferred = ort::infer(ort::testing::runtime(), graph, {}, {}, folder);
    if (!inferred) throw std::runtime_error(inferred.error().message);
    for (size_t id = 0; id < graph.values.size(); ++id) graph.values[id].type = inferred->types[id];
    std::mt19937 random(static_cast<uint32_t>(graph.nodes.size()));
    for (size_t i = 0; i < count; ++i) {
      const size_t length = std::min<size_t>(5 + random() % 30, graph.nodes.size());
      const size_t first = random() % (graph.nodes.size() - length + 1);
      cut_piece(graph, inferred->shapes, first, length, folder + "/" + name + "-" + std::to_string(i) + ".onnx");
    }
  }
}

std::vector<Base> real_bases(const std::string& folder, const std::vector<std::string>& names) {
  std::vector<Base> bases;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    const std::string name = entry.path().stem();
    bases.push_back({name, content(entry.path()), std::find(names.begin(), names.end(), name) != names.end()});
  }
  std::sort(bases.begin(), bases.end(), [](const Base& a, const Base& b) { return a.name < b.name; });
  return bases;
}

}  // namespace plx::fuzz
