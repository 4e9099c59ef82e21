// Plans as JSON, schema "parallax-plan", version 2.
//
// What is read back are indices and numbers; the names beside them (node names, operators, value names) and the shapes
// of tensors are for people and tools, and ignored on reading. Unknown keys are ignored too, so that a later version
// may add some; a later version that changes a meaning raises the number.
#include "plx/partition/json_read.h"
#include "plx/partition/plan.h"
#include "plx/partition/rates.h"

namespace plx::partition {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "parallax-plan";
constexpr int kVersion = 2;

// ---- writing

Json value_names(const Graph& graph, const std::vector<ValueId>& values) {
  Json names = Json::array();
  for (const ValueId value : values) names.push_back(graph.values[value].name);
  return names;
}

Json write_options(const Options& options) {
  Json json{{"units", units_name(options.units)},
            {"rule", rule_name(options.rule)},
            {"beta", options.beta},
            {"min_nodes", options.min_nodes}};
  json["device"] = options.device ? write_profile(*options.device) : Json(nullptr);
  if (options.offload_all) json["offload"] = "all";
  for (const Placement& placement : options.placements) json["placements"].push_back(placement_name(placement));
  if (!options.present) return json;
  json["present"] = true;
  json["shapes"] = Json::array();
  for (const auto& [input, sizes] : options.shapes) json["shapes"].push_back({{"input", input}, {"sizes", sizes}});
  return json;
}

Json write_workload(const Workload& work) {
  Json json{{"launches", work.launches}};
  for (size_t c = 0; c < kOperatorClasses; ++c) json[std::string(kOperatorClassNames[c])] = work.amount[c];
  return json;
}

Json write_region(const Region& region) {
  Json json{{"nodes", region.nodes},       {"macs", region.macs},   {"border_bytes", region.border_bytes},
          {"device_s", region.device_s}, {"cpu_s", region.cpu_s}, {"accepted", region.accepted},
          {"reason", region.reason},     {"work", write_workload(region.work)}};
  if (region.trial) json["trial"] = {{"device_s", region.trial->device_s}, {"cpu_s", region.trial->cpu_s}, {"problem", region.trial->problem}};
  return json;
}

Json write_branch(const Branch& branch) {
  return {{"nodes", branch.nodes},   {"layer", branch.layer}, {"predecessors", branch.predecessors},
          {"region", branch.region}, {"flops", branch.flops}, {"border_bytes", branch.border_bytes}};
}

Json write_unit(const Graph& graph, const Unit& unit) {
  return {{"nodes", unit.nodes},
          {"inputs", unit.inputs},
          {"input_names", value_names(graph, unit.inputs)},
          {"outputs", unit.outputs},
          {"output_names", value_names(graph, unit.outputs)},
          {"predecessors", unit.predecessors},
          {"branch", unit.branch},
          {"layer", unit.layer},
          {"region", unit.region},
          {"flops", unit.flops},
          {"peak_bytes", unit.peak_bytes},
          {"wide", unit.wide},
          {"stretch", unit.stretch},
          {"narrow_ns", unit.narrow_ns},
          {"wide_ns", unit.wide_ns}};
}

Json write_alias(const Graph& graph, const Alias& alias) {
  const graph::Node& node = graph.nodes[alias.node];
  return {{"node", alias.node},
          {"name", node.name},
          {"input_name", graph.values[node.inputs[0]].name},
          {"output_name", graph.values[node.outputs[0]].name}};
}

// Every value that a unit or an alias takes or gives, and the graph's own inputs and outputs: inputs first, then as
// they are made.
std::vector<ValueId> values_outside(const Graph& graph, const Plan& plan) {
  std::vector<bool> outside(graph.values.size());
  const auto mark = [&](const std::vector<ValueId>& values) {
    for (const ValueId id : values) outside[id] = true;
  };
  mark(graph.outputs);
  for (const Unit& unit : plan.units) {
    mark(unit.inputs);
    mark(unit.outputs);
  }
  for (const Alias& alias : plan.aliases) {
    outside[graph.nodes[alias.node].inputs[0]] = true;
    outside[graph.nodes[alias.node].outputs[0]] = true;
  }
  std::vector<ValueId> values;
  const auto take = [&](ValueId id) {
    values.push_back(id);
    outside[id] = false;
  };
  for (const ValueId id : graph.inputs) take(id);
  for (const graph::Node& node : graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (id != graph::kNone && outside[id]) take(id);
    }
  }
  for (size_t id = 0; id < outside.size(); ++id) {
    if (outside[id]) take(static_cast<ValueId>(id));  // constants
  }
  return values;
}

Json write_tensor(const Graph& graph, ValueId id, const std::optional<std::vector<graph::Dim>>& shape) {
  const graph::Value& value = graph.values[id];
  const bool constant = value.initializer != graph::kNone;
  const auto element = constant ? graph.initializers[value.initializer].element : value.type.element;
  const bool tensor = constant || value.type.kind == graph::Kind::kTensor;
  Json json;
  json["type"] = tensor ? graph::element_type_name(element) : graph::kind_name(value.type.kind);
  json["shape"] = nullptr;
  if (!shape) return json;
  json["shape"] = Json::array();
  for (const graph::Dim& dim : *shape) {
    if (dim.known()) json["shape"].push_back(dim.size);
    else json["shape"].push_back(dim.symbol.empty() ? "?" : dim.symbol);
  }
  return json;
}

Json write_node(const graph::Node& node, NodeClass node_class) {
  const std::string op = node.domain.empty() ? node.op_type : node.domain + ":" + node.op_type;
  return {{"name", node.name}, {"op", op}, {"class", node_class_name(node_class)}};
}

// ---- reading

Options read_options(const JsonAt& json) {
  Options options;
  options.units = static_cast<Units>(json.at("units").choice({"whole", "layers", "branches", "nodes", "mixed"}));
  options.rule = static_cast<Rule>(json.at("rule").choice({"paper", "relaxed"}));
  options.beta = json.at("beta").number();
  options.min_nodes = json.at("min_nodes").int32();
  const JsonAt device = json.at("device");
  if (!device.is_null()) options.device = read_profile(device);
  if (json.has("offload")) options.offload_all = json.at("offload").choice({"auto", "all"}) == 1;
  if (json.has("placements")) {
    const JsonAt placements = json.at("placements");
    for (size_t i = 0; i < placements.size(); ++i) {
      auto one = placements_from_text(placements.at(i).text());
      if (!one || one->size() != 1) placements.at(i).complain("is no placement");
      options.placements.push_back(one->front());
    }
  }
  if (!json.has("present") || !json.at("present").boolean()) return options;
  options.present = true;
  const JsonAt shapes = json.at("shapes");
  for (size_t i = 0; i < shapes.size(); ++i) {
    options.shapes.emplace_back(shapes.at(i).at("input").text(), shapes.at(i).at("sizes").int64s());
  }
  return options;
}

Region read_region(const JsonAt& json) {
  Region region;
  region.nodes = json.at("nodes").int32s();
  region.macs = json.at("macs").number();
  region.border_bytes = json.at("border_bytes").uint64();
  region.device_s = json.at("device_s").number();
  region.cpu_s = json.at("cpu_s").number();
  region.accepted = json.at("accepted").boolean();
  region.reason = json.at("reason").text();
  if (json.has("work")) {
    const JsonAt work = json.at("work");
    region.work.launches = work.at("launches").integer();
    for (size_t c = 0; c < kOperatorClasses; ++c) region.work.amount[c] = work.at(kOperatorClassNames[c]).number();
  }
  if (json.has("trial")) {
    const JsonAt trial = json.at("trial");
    region.trial = Trial{trial.at("device_s").number(), trial.at("cpu_s").number(), trial.at("problem").text()};
  }
  return region;
}

Branch read_branch(const JsonAt& json) {
  Branch branch;
  branch.nodes = json.at("nodes").int32s();
  branch.layer = json.at("layer").int32();
  branch.predecessors = json.at("predecessors").int32s();
  branch.region = json.at("region").int32();
  branch.flops = json.at("flops").number();
  branch.border_bytes = json.at("border_bytes").uint64();
  return branch;
}

Layer read_layer(const JsonAt& json) {
  Layer layer;
  layer.branches = json.at("branches").int32s();
  const JsonAt groups = json.at("groups");
  for (size_t i = 0; i < groups.size(); ++i) layer.groups.push_back(groups.at(i).int32s());
  layer.reason = json.at("reason").text();
  return layer;
}

Unit read_unit(const JsonAt& json) {
  Unit unit;
  unit.nodes = json.at("nodes").int32s();
  unit.inputs = json.at("inputs").int32s();
  unit.outputs = json.at("outputs").int32s();
  unit.predecessors = json.at("predecessors").int32s();
  unit.branch = json.at("branch").int32();
  unit.layer = json.at("layer").int32();
  unit.region = json.at("region").int32();
  unit.flops = json.at("flops").number();
  unit.peak_bytes = json.at("peak_bytes").uint64();
  unit.wide = json.at("wide").boolean();
  unit.stretch = json.at("stretch").int32();
  unit.narrow_ns = json.at("narrow_ns").number();
  unit.wide_ns = json.at("wide_ns").number();
  return unit;
}

// What to_json writes is shorter by far: nodes and values stand in it a few times each, with their names.
size_t longest_json(const Graph& graph) {
  size_t names = 0;
  for (const graph::Value& value : graph.values) names += value.name.size();
  for (const graph::Node& node : graph.nodes) names += node.name.size() + node.op_type.size() + node.domain.size();
  return (size_t{16} << 20) + 4096 * (graph.nodes.size() + graph.values.size()) + 64 * names;
}

template <class T, class Read>
std::vector<T> read_list(const JsonAt& json, Read read) {
  std::vector<T> list;
  for (size_t i = 0; i < json.size(); ++i) list.push_back(read(json.at(i)));
  return list;
}

Plan read_plan(const JsonAt& json) {
  if (json.at("schema").text() != kSchema) json.at("schema").complain("expected '" + std::string(kSchema) + "'");
  if (const int64_t version = json.at("version").integer(); version != kVersion) {
    json.at("version").complain("this version of Parallax reads " + std::to_string(kVersion) + ", not " +
                                std::to_string(version));
  }
  Plan plan;
  plan.graph_digest = json.at("graph_digest").text();
  plan.options = read_options(json.at("options"));
  plan.unknown_sizes = json.at("unknown_sizes").uint64();
  const JsonAt census = json.at("census");
  plan.cut.nodes = census.at("nodes").uint64();
  plan.cut.branches = census.at("branches").uint64();
  plan.cut.layers = census.at("layers").uint64();
  plan.cut.parallel_layers = census.at("parallel_layers").uint64();
  plan.cut.most_branches = census.at("most_branches").uint64();
  plan.classes = read_list<NodeClass>(json.at("nodes"), [](const JsonAt& node) {
    return static_cast<NodeClass>(node.at("class").choice({"sequential", "splitter", "merger", "split-merge"}));
  });
  plan.regions = read_list<Region>(json.at("regions"), read_region);
  plan.branches = read_list<Branch>(json.at("branches"), read_branch);
  plan.layers = read_list<Layer>(json.at("layers"), read_layer);
  plan.units = read_list<Unit>(json.at("units"), read_unit);
  plan.aliases = read_list<Alias>(json.at("aliases"), [](const JsonAt& a) { return Alias{a.at("node").int32()}; });
  return plan;
}

}  // namespace

std::string to_json(const Graph& graph, const Plan& plan) {
  Json json{{"schema", kSchema}, {"version", kVersion}, {"graph", graph.name}, {"graph_digest", plan.graph_digest}};
  json["options"] = write_options(plan.options);
  json["census"] = {{"nodes", plan.cut.nodes},
                    {"branches", plan.cut.branches},
                    {"layers", plan.cut.layers},
                    {"parallel_layers", plan.cut.parallel_layers},
                    {"most_branches", plan.cut.most_branches}};
  json["unknown_sizes"] = plan.unknown_sizes;
  for (const char* list : {"nodes", "regions", "branches", "layers", "units", "aliases"}) json[list] = Json::array();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    json["nodes"].push_back(write_node(graph.nodes[i], plan.classes[i]));
  }
  for (const Region& region : plan.regions) json["regions"].push_back(write_region(region));
  for (const Branch& branch : plan.branches) json["branches"].push_back(write_branch(branch));
  for (const Layer& layer : plan.layers) {
    json["layers"].push_back({{"branches", layer.branches}, {"groups", layer.groups}, {"reason", layer.reason}});
  }
  for (const Unit& unit : plan.units) json["units"].push_back(write_unit(graph, unit));
  for (const Alias& alias : plan.aliases) json["aliases"].push_back(write_alias(graph, alias));
  // Names come from files and need not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string tensors_json(const Graph& graph, const Plan& plan, const graph::SymbolicShapes& shapes) {
  graph::SymbolicShapes declared;
  if (shapes.empty()) declared = graph::symbolic_shapes(graph, {}, {});
  Json::object_t tensors;
  for (const ValueId id : values_outside(graph, plan)) {
    tensors.emplace_back(graph.values[id].name, write_tensor(graph, id, shapes.empty() ? declared[id] : shapes[id]));
  }
  return Json(std::move(tensors)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Plan> from_json(const Graph& graph, std::string_view json) {
  try {
    const nlohmann::json parsed = parse_json(json, longest_json(graph));
    Plan plan = read_plan(JsonAt(parsed));
    if (Status status = validate(graph, plan); !status) return status.error();
    return plan;
  } catch (const JsonError& error) {
    return fail(Code::kInvalidPlan, "plan: ", error.message);
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::kInvalidPlan, "plan is not JSON: ", printable(error.what(), 300));
  }
}

}  // namespace plx::partition
