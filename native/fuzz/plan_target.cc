#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "plx/graph/reader.h"
#include "plx/partition/plan.h"
#include "seeds.h"
#include "targets.h"

namespace plx::fuzz {

namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw Finding(what);
}

// The graphs that plans are for; read once, from models that live as long.
const std::vector<graph::Graph>& graphs() {
  static const std::vector<Seed> models = plan_models();
  static const std::vector<graph::Graph> list = [] {
    std::vector<graph::Graph> graphs;
    for (const Seed& model : models) {
      auto graph = graph::read_model(std::as_bytes(std::span(model.bytes.data(), model.bytes.size())),
                                     std::make_shared<graph::Storage>(), {});
      require(static_cast<bool>(graph), "a seed is refused");
      graphs.push_back(graph.take());
    }
    return graphs;
  }();
  return list;
}

// Every value of a JSON text, for changing it in place.
void collect(nlohmann::json& value, std::vector<nlohmann::json*>& values) {
  values.push_back(&value);
  if (!value.is_structured()) return;
  for (auto& inner : value) collect(inner, values);
}

}  // namespace

bool fuzz_plan(std::string_view json) {
  bool accepted = false;
  for (const graph::Graph& graph : graphs()) {
    const auto plan = partition::from_json(graph, json);
    if (!plan) {
      require(plan.error().code == Code::kInvalidPlan,
              "a bad plan is blamed on something else: " + plan.error().message);
      require(!plan.error().message.empty(), "an error without a text");
      continue;
    }
    accepted = true;
    const std::string text = partition::to_json(graph, *plan);
    const auto again = partition::from_json(graph, text);
    require(static_cast<bool>(again),
            "a plan is written and cannot be read back: " + (again ? "" : again.error().message));
    require(partition::to_json(graph, *again) == text, "a plan is another when read back");
    require(!partition::to_text(graph, *plan).empty(), "a plan without a text");
    partition::tensors_json(graph, *plan, {});
    // What the validator promises whoever runs the plan: what a unit reads was made before.
    std::vector<bool> made(graph.values.size());
    std::vector<bool> placed(graph.nodes.size());
    for (size_t id = 0; id < graph.values.size(); ++id) made[id] = graph.values[id].producer == graph::kNone;
    const auto alias_all = [&] {
      for (const partition::Alias& alias : plan->aliases) {
        const graph::Node& node = graph.nodes[static_cast<size_t>(alias.node)];
        bool ready = !placed[static_cast<size_t>(alias.node)];
        for (const auto id : node.inputs) ready = ready && (id == graph::kNone || made[static_cast<size_t>(id)]);
        if (!ready) continue;
        placed[static_cast<size_t>(alias.node)] = true;
        made[static_cast<size_t>(node.outputs[0])] = true;
      }
    };
    alias_all();
    for (const partition::Unit& unit : plan->units) {
      for (const auto id : unit.inputs) require(made[static_cast<size_t>(id)], "a unit reads what is not made yet");
      for (const auto node : unit.nodes) placed[static_cast<size_t>(node)] = true;
      for (const auto id : unit.outputs) made[static_cast<size_t>(id)] = true;
      alias_all();
    }
    for (const auto id : graph.outputs) require(made[static_cast<size_t>(id)], "an output is never made");
    for (const bool node : placed) require(node, "a node is in no unit");
  }
  return accepted;
}

std::string mutate_plan(std::string_view text, uint32_t seed, const MutateBytes& mutate_bytes) {
  std::mt19937 random(seed);
  const auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::string(text);
  for (size_t changes = 1 + below(3); changes > 0; --changes) {
    std::vector<nlohmann::json*> values;
    collect(json, values);
    nlohmann::json& value = *values[below(values.size())];
    static const int64_t numbers[] = {-1, 0, 1, 2, 3, 4, 7, 100, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    switch (below(8)) {
      case 0: value = numbers[below(std::size(numbers))]; break;
      case 1: value = nlohmann::json(*values[below(values.size())]); break;
      case 2:
        if (value.is_array() && !value.empty())
          value.erase(below(value.size()));
        else if (value.is_object() && !value.empty())
          value.erase(std::next(value.begin(), static_cast<std::ptrdiff_t>(below(value.size()))));
        break;
      case 3:
        if (value.is_array() && !value.empty()) value.push_back(nlohmann::json(value[below(value.size())]));
        break;
      case 4:
        if (value.is_array() && value.size() > 1) std::swap(value[below(value.size())], value[below(value.size())]);
        break;
      case 5:
        if (value.is_number_integer())
          value = value.get<int64_t>() ^ (int64_t{1} << below(6));
        else if (value.is_boolean())
          value = !value.get<bool>();
        else if (value.is_number())
          value = below(2) == 0 ? 1e308 : 0.5;
        break;
      case 6:
        if (value.is_string()) {
          std::string bytes = value.get<std::string>();
          mutate_bytes(bytes, bytes.size() + 8);
          value = bytes;
        }
        break;
      default: value = below(2) == 0 ? nlohmann::json(nullptr) : nlohmann::json::array();
    }
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace plx::fuzz
