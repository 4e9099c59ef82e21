#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "mutations.h"
#include "onnx_tree.h"
#include "plx/graph/reader.h"
#include "plx/graph/shape_flow.h"
#include "plx/graph/symbolic_shapes.h"
#include "plx/graph/writer.h"
#include "plx/partition/plan.h"
#include "targets.h"

namespace plx::fuzz {

namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw Finding(what);
}

// One clear error: a code that blames the input, and one line.
void require_clear(const Error& error, const std::string& context) {
  require(!error.message.empty(), context + ": an error without a text");
  require(error.code != Code::kOk && error.code != Code::kInternal, context + ": blames Parallax: " + error.message);
}

Result<graph::Graph> read(std::string_view bytes, bool load_data) {
  graph::ReadOptions options;
  options.load_data = load_data;
  return graph::read_model(std::as_bytes(std::span(bytes.data(), bytes.size())), std::make_shared<graph::Storage>(),
                           options);
}

// Sizes as far as the model declares them, with 1 for what is open.
graph::Shapes declared_shapes(const graph::Graph& graph) {
  graph::Shapes shapes(graph.values.size());
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const graph::Type& type = graph.values[id].type;
    if (type.kind != graph::Kind::kTensor || !type.shape) continue;
    graph::Shape& shape = shapes[id].emplace();
    shape.element = type.element;
    for (const graph::Dim& dim : *type.shape) shape.dims.push_back(dim.known() ? dim.size : 1);
  }
  return shapes;
}

void walk(const graph::Graph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const graph::Node& node = graph.nodes[i];
    const auto id = static_cast<graph::NodeId>(i);
    for (const char* name : {"axis", "perm", "then_branch", "equation", ""}) {
      graph::int_attribute(node, name);
      graph::float_attribute(node, name);
      graph::string_attribute(node, name);
      graph::ints_attribute(node, name);
    }
    for (const auto before : predecessors(graph, id)) require(before < id, "nodes are not sorted");
    for (const auto after : successors(graph, id)) require(after > id, "consumers are not later");
  }
  for (const graph::Initializer& init : graph.initializers) {
    // Every byte it says it has is there.
    unsigned sum = 0;
    for (uint64_t i = 0; init.data != nullptr && i < init.size_bytes; i += 64)
      sum += static_cast<unsigned>(init.data[i]);
    if (init.data != nullptr && init.size_bytes != 0) sum += static_cast<unsigned>(init.data[init.size_bytes - 1]);
    volatile unsigned read = sum;
    static_cast<void>(read);
  }
  require(settled_shapes(graph).size() == graph.values.size(), "shapes of too few values");
  require(symbolic_shapes(graph, {}, {}).size() == graph.values.size(), "symbolic shapes of too few values");
}

void write_and_read(const graph::Graph& graph, std::span<const graph::NodeId> nodes,
                    std::span<const graph::ValueId> inputs, std::span<const graph::ValueId> outputs, const char* what) {
  const graph::Part part = graph::write_part(graph, nodes, inputs, outputs, {});
  const auto again = read(part.bytes, true);
  require(static_cast<bool>(again),
          std::string(what) + " is written and cannot be read back: " + (again ? "" : again.error().message));
  require(again->nodes.size() == nodes.size(), std::string(what) + " has another number of nodes when read back");
}

void cut(const graph::Graph& graph, const graph::Shapes& shapes, const partition::Options& options) {
  const std::string context = std::string("units ") + partition::units_name(options.units);
  const auto plan = partition::make_plan(graph, shapes, options);
  if (!plan) return require_clear(plan.error(), context);
  const std::string json = partition::to_json(graph, *plan);
  const auto again = partition::from_json(graph, json);
  require(static_cast<bool>(again), context + ": a plan cannot be read back: " + (again ? "" : again.error().message));
  require(partition::to_json(graph, *again) == json, context + ": a plan is another when read back");
  require(!partition::to_text(graph, *plan).empty(), context + ": a plan without a text");
  partition::tensors_json(graph, *plan, {});
  if (options.units == partition::Units::kWhole) return;
  for (const partition::Unit& unit : plan->units)
    write_and_read(graph, unit.nodes, unit.inputs, unit.outputs, "a unit");
}

// ---- mutating ----

void collect(Field& message, std::vector<Field*>& messages, std::vector<Field*>& leaves) {
  for (Field& field : message.fields) {
    if (field.kind == Kind::kLeaf) {
      leaves.push_back(&field);
      continue;
    }
    messages.push_back(&field);
    collect(field, messages, leaves);
  }
}

}  // namespace

bool fuzz_import(std::string_view bytes) {
  const auto mapped = read(bytes, false);
  const auto graph = read(bytes, true);
  if (!mapped) require_clear(mapped.error(), "reading");
  if (!graph) {
    require_clear(graph.error(), "reading with weights");
    return false;
  }
  require(static_cast<bool>(mapped), "a model is refused without its weights and accepted with them");
  walk(*mapped);
  walk(*graph);
  std::vector<graph::NodeId> nodes(graph->nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  write_and_read(*graph, nodes, graph->inputs, graph->outputs, "the model");

  const graph::Shapes shapes = declared_shapes(*graph);
  using partition::Units;
  for (const Units units : {Units::kWhole, Units::kLayers, Units::kBranches, Units::kNodes}) {
    partition::Options options;
    options.units = units;
    cut(*graph, shapes, options);
  }
  partition::Options options;
  options.units = Units::kBranches;
  options.rule = partition::Rule::kRelaxed;
  options.min_nodes = 1;
  options.device = partition::gpu_profile();
  options.device->min_nodes = 1;
  options.device->min_macs = 0;
  options.device->max_bytes_per_mac = 1e9;
  cut(*graph, shapes, options);
  return true;
}

std::string mutate_import(std::string_view bytes, uint32_t seed, const MutateBytes& mutate_bytes) {
  std::mt19937 random(seed);
  const auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  if (below(3) == 0) return mutate(bytes, random()).bytes;
  auto model = parse(Kind::kModel, bytes);
  if (!model) return std::string(bytes);
  for (size_t changes = 1 + below(3); changes > 0; --changes) {
    std::vector<Field*> messages = {&*model};
    std::vector<Field*> leaves;
    collect(*model, messages, leaves);
    Field& message = *messages[below(messages.size())];
    Field* leaf = leaves.empty() ? nullptr : leaves[below(leaves.size())];
    const size_t at = below(message.fields.size());
    switch (below(8)) {
      case 0:
        if (!message.fields.empty()) message.fields.erase(message.fields.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        if (!message.fields.empty()) message.fields.push_back(Field(message.fields[at]));
        break;
      case 2:
        if (!message.fields.empty()) std::swap(message.fields[at], message.fields[below(message.fields.size())]);
        break;
      case 3: {
        // A field from elsewhere, as it is or under another number.
        const Field& from = *messages[below(messages.size())];
        if (from.fields.empty()) break;
        Field copy = from.fields[below(from.fields.size())];
        if (below(3) == 0) copy.tag = static_cast<uint32_t>(1 + below(26));
        message.fields.push_back(std::move(copy));
        break;
      }
      case 4:
        if (leaf != nullptr && leaf->wire == protozero::pbf_wire_type::length_delimited) {
          const Field& other = *leaves[below(leaves.size())];
          if (other.wire == leaf->wire && &other != leaf) leaf->bytes = other.bytes;
        }
        break;
      case 5:
        if (leaf != nullptr) leaf->number = below(2) == 0 ? below(30) : uint64_t{1} << below(64);
        break;
      default:
        if (leaf != nullptr && leaf->wire == protozero::pbf_wire_type::length_delimited) {
          mutate_bytes(leaf->bytes, leaf->bytes.size() + 16);
        } else if (leaf != nullptr) {
          leaf->number ^= uint64_t{1} << below(64);
        }
    }
  }
  return to_bytes(*model);
}

}  // namespace plx::fuzz
