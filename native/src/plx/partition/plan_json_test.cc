#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "plx/base/text.h"
#include "plx/partition/graph_builder.h"
#include "plx/partition/plan.h"

namespace plx::partition {
namespace {

using nlohmann::json;

Built graph() {
  RandomGraph shape;
  shape.nodes = 30;
  return random_graph(5, shape);
}

Plan plan_of(const Built& g) {
  Options options;
  options.units = Units::kBranches;
  options.rule = Rule::kRelaxed;
  options.beta = 1.1;
  options.min_nodes = 2;
  options.device = gpu_profile();
  options.device->min_macs = 1e5;
  options.device->max_bytes_per_mac = 100;
  auto plan = make_plan(g.graph, g.shapes, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *plan : Plan{};
}

std::string error_of(const Built& g, const std::string& text) {
  const auto plan = from_json(g.graph, text);
  if (plan) return "accepted";
  EXPECT_EQ(plan.error().code, Code::kInvalidPlan);
  return plan.error().message;
}

TEST(PlanJson, RoundTripKeepsEverything) {
  const Built g = graph();
  const Plan a = plan_of(g);
  const auto back = from_json(g.graph, to_json(g.graph, a));
  ASSERT_TRUE(back) << back.error().message;
  const Plan& b = *back;
  EXPECT_EQ(a.graph_digest, b.graph_digest);
  EXPECT_EQ(a.options.units, b.options.units);
  EXPECT_EQ(a.options.rule, b.options.rule);
  EXPECT_EQ(a.options.beta, b.options.beta);
  EXPECT_EQ(a.options.min_nodes, b.options.min_nodes);
  ASSERT_TRUE(b.options.device);
  EXPECT_EQ(a.options.device->name, b.options.device->name);
  EXPECT_EQ(a.options.device->operators, b.options.device->operators);
  EXPECT_EQ(a.options.device->min_macs, b.options.device->min_macs);
  EXPECT_EQ(a.options.device->r_acc, b.options.device->r_acc);
  EXPECT_EQ(a.classes, b.classes);
  EXPECT_EQ(a.unknown_sizes, b.unknown_sizes);
  EXPECT_EQ(a.cut.most_branches, b.cut.most_branches);
  ASSERT_EQ(a.regions.size(), b.regions.size());
  ASSERT_FALSE(a.regions.empty());
  for (size_t i = 0; i < a.regions.size(); ++i) {
    EXPECT_EQ(a.regions[i].nodes, b.regions[i].nodes);
    EXPECT_EQ(a.regions[i].macs, b.regions[i].macs);
    EXPECT_EQ(a.regions[i].border_bytes, b.regions[i].border_bytes);
    EXPECT_EQ(a.regions[i].device_s, b.regions[i].device_s);
    EXPECT_EQ(a.regions[i].cpu_s, b.regions[i].cpu_s);
    EXPECT_EQ(a.regions[i].accepted, b.regions[i].accepted);
    EXPECT_EQ(a.regions[i].reason, b.regions[i].reason);
  }
  ASSERT_EQ(a.branches.size(), b.branches.size());
  for (size_t i = 0; i < a.branches.size(); ++i) {
    EXPECT_EQ(a.branches[i].nodes, b.branches[i].nodes);
    EXPECT_EQ(a.branches[i].layer, b.branches[i].layer);
    EXPECT_EQ(a.branches[i].predecessors, b.branches[i].predecessors);
    EXPECT_EQ(a.branches[i].region, b.branches[i].region);
    EXPECT_EQ(a.branches[i].flops, b.branches[i].flops);
    EXPECT_EQ(a.branches[i].border_bytes, b.branches[i].border_bytes);
  }
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].branches, b.layers[i].branches);
    EXPECT_EQ(a.layers[i].groups, b.layers[i].groups);
    EXPECT_EQ(a.layers[i].reason, b.layers[i].reason);
  }
  ASSERT_EQ(a.units.size(), b.units.size());
  for (size_t i = 0; i < a.units.size(); ++i) {
    EXPECT_EQ(a.units[i].nodes, b.units[i].nodes);
    EXPECT_EQ(a.units[i].inputs, b.units[i].inputs);
    EXPECT_EQ(a.units[i].outputs, b.units[i].outputs);
    EXPECT_EQ(a.units[i].predecessors, b.units[i].predecessors);
    EXPECT_EQ(a.units[i].branch, b.units[i].branch);
    EXPECT_EQ(a.units[i].layer, b.units[i].layer);
    EXPECT_EQ(a.units[i].region, b.units[i].region);
    EXPECT_EQ(a.units[i].flops, b.units[i].flops);
  }
  ASSERT_EQ(a.aliases.size(), b.aliases.size());
  ASSERT_FALSE(a.aliases.empty());
  for (size_t i = 0; i < a.aliases.size(); ++i) EXPECT_EQ(a.aliases[i].node, b.aliases[i].node);
}

TEST(PlanJson, HasSchemaVersionAndNames) {
  const Built g = graph();
  const json j = json::parse(to_json(g.graph, plan_of(g)));
  EXPECT_EQ(j["schema"], "parallax-plan");
  EXPECT_EQ(j["version"], 2);
  ASSERT_EQ(j["nodes"].size(), g.graph.nodes.size());
  EXPECT_EQ(j["nodes"][0]["name"], g.graph.nodes[0].name);
  EXPECT_EQ(j["nodes"][0]["op"], g.graph.nodes[0].op_type);
  const json& unit = j["units"][0];
  ASSERT_EQ(unit["inputs"].size(), unit["input_names"].size());
  for (size_t i = 0; i < unit["inputs"].size(); ++i) {
    EXPECT_EQ(unit["input_names"][i], g.graph.values[unit["inputs"][i].get<size_t>()].name);
  }
}

TEST(PlanJson, TensorsAreThoseOutsideUnitsAndIgnoredOnReading) {
  const Built g = graph();
  const Plan plan = plan_of(g);
  graph::SymbolicShapes shapes(g.graph.values.size());
  for (auto& shape : shapes) shape = {{-1, "2*n"}, {7, ""}, {-1, ""}};
  const json j = json::parse(tensors_json(g.graph, plan, shapes));
  std::set<std::string> expected;
  for (const ValueId id : g.graph.inputs) expected.insert(g.graph.values[id].name);
  for (const ValueId id : g.graph.outputs) expected.insert(g.graph.values[id].name);
  for (const Unit& unit : plan.units) {
    for (const ValueId id : unit.outputs) expected.insert(g.graph.values[id].name);
  }
  for (const Alias& alias : plan.aliases) {
    expected.insert(g.graph.values[g.graph.nodes[alias.node].inputs[0]].name);  // perhaps a constant
    expected.insert(g.graph.values[g.graph.nodes[alias.node].outputs[0]].name);
  }
  std::set<std::string> names;
  for (const auto& [name, tensor] : j.items()) {
    names.insert(name);
    EXPECT_EQ(tensor["shape"], (json{"2*n", 7, "?"}));
  }
  EXPECT_EQ(names, expected);
}

TEST(PlanJson, NamesThatAreNotUtf8DoNotMatter) {
  GraphBuilder b;
  const ValueId x = b.op("Re\xFFlu", {b.input("in\xC3", GraphBuilder::Dims{1, 8})});
  b.output(b.op("Flatten", {x}));
  b.graph().nodes[0].name = "\x80\xFE\n\"";
  b.graph().name = "\xED\xA0\x80";
  const Built g = b.build();
  Options options;
  options.units = Units::kNodes;
  const auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_TRUE(plan) << plan.error().message;
  const std::string text = to_json(g.graph, *plan);
  EXPECT_TRUE(json::accept(text));
  EXPECT_TRUE(from_json(g.graph, text));
  EXPECT_TRUE(is_utf8(to_text(g.graph, *plan)));
}

TEST(PlanJson, ErrorsNameThePlace) {
  const Built g = graph();
  const json good = json::parse(to_json(g.graph, plan_of(g)));
  const auto broken = [&](auto change) {
    json j = good;
    change(j);
    return error_of(g, j.dump());
  };
  EXPECT_NE(error_of(g, "").find("plan is not JSON"), std::string::npos);
  EXPECT_NE(error_of(g, "{\"schema\":").find("plan is not JSON"), std::string::npos);
  EXPECT_EQ(error_of(g, "[]"), "plan: top level: expected an object, found array");
  EXPECT_EQ(error_of(g, "{}"), "plan: top level: 'schema' is missing");
  EXPECT_EQ(broken([](json& j) { j["schema"] = "x"; }), "plan: schema: expected 'parallax-plan'");
  EXPECT_EQ(broken([](json& j) { j["version"] = 3; }), "plan: version: this version of Parallax reads 2, not 3");
  EXPECT_EQ(broken([](json& j) { j.erase("units"); }), "plan: top level: 'units' is missing");
  EXPECT_EQ(broken([](json& j) { j["units"] = 3; }), "plan: units: expected an array, found 3");
  EXPECT_EQ(broken([](json& j) { j["units"][1]["nodes"][0] = "a"; }),
            "plan: units[1].nodes[0]: expected a whole number, found \"a\"");
  EXPECT_EQ(broken([](json& j) { j["units"][1]["nodes"][0] = 1.5; }),
            "plan: units[1].nodes[0]: expected a whole number, found 1.5");
  EXPECT_EQ(broken([](json& j) { j["units"][0]["layer"] = int64_t{1} << 40; }),
            "plan: units[0].layer: expected a whole number from -2147483648 to 2147483647, found "
            "1099511627776");
  EXPECT_EQ(broken([](json& j) { j["units"][0]["layer"] = UINT64_MAX; }),
            "plan: units[0].layer: expected a whole number, found 18446744073709551615");
  EXPECT_EQ(broken([](json& j) { j["branches"][0]["border_bytes"] = -1; }),
            "plan: branches[0].border_bytes: expected a whole number that is not negative, found -1");
  EXPECT_EQ(broken([](json& j) { j["branches"][0]["flops"] = nullptr; }),
            "plan: branches[0].flops: expected a number, found null");
  EXPECT_EQ(broken([](json& j) { j["regions"][0]["accepted"] = 1; }),
            "plan: regions[0].accepted: expected true or false, found 1");
  EXPECT_EQ(broken([](json& j) { j["options"]["units"] = "all"; }),
            "plan: options.units: expected one of 'whole', 'layers', 'branches', 'nodes', 'mixed', found \"all\"");
  EXPECT_EQ(broken([](json& j) { j["options"]["device"]["speed"] = 1; }).substr(0, 43),
            "plan: options.device: unknown key 'speed'; ");
  EXPECT_NE(broken([](json& j) { j["graph_digest"] = "ff"; }).find("made for another graph"), std::string::npos);
  EXPECT_NE(broken([](json& j) { j["units"][0]["nodes"] = json::array(); }).find("unit 0: has no nodes"),
            std::string::npos);
  EXPECT_NE(broken([](json& j) { j["aliases"][0]["node"] = -4; }).find("node -4 does not exist"), std::string::npos);
  EXPECT_EQ(broken([](json& j) { j["nodes"][0]["name"] = 7; }), "accepted") << "names are for people";
  EXPECT_EQ(broken([](json& j) { j["comment"] = "x"; }), "accepted");
}

TEST(PlanJson, DeepNestingIsAnErrorLikeAnyOther) {
  const Built g = graph();
  const std::string open(200000, '[');
  EXPECT_EQ(error_of(g, open), "plan: is nested more than 16 deep");
  EXPECT_EQ(error_of(g, open + std::string(200000, ']')), "plan: is nested more than 16 deep");
}

// Every prefix, and thousands of random edits, some of whole numbers: an error or a valid plan, never anything else.
TEST(PlanJson, GarbageIsRefusedOrValid) {
  GraphBuilder b;
  const ValueId s = b.chain(b.input("x", GraphBuilder::Dims{1, 8}), 1);
  const ValueId f = b.op("Flatten", {b.chain(s, 3)});
  b.output(b.op("Add", {f, b.chain(s, 3)}));
  const Built g = b.build();
  Options options;
  options.units = Units::kBranches;
  options.device = gpu_profile();
  options.device->operators = {"Relu"};
  const auto plan = make_plan(g.graph, g.shapes, options);
  ASSERT_TRUE(plan);
  const std::string good = to_json(g.graph, *plan);
  for (size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(from_json(g.graph, good.substr(0, length)));

  std::mt19937 random(1);
  size_t refused = 0;
  const auto check = [&](const std::string& text) {
    const auto read = from_json(g.graph, text);
    if (!read) {
      EXPECT_EQ(read.error().code, Code::kInvalidPlan);
      EXPECT_FALSE(read.error().message.empty());
      ++refused;
    } else {
      EXPECT_TRUE(validate(g.graph, *read));
    }
  };
  for (int i = 0; i < 1500; ++i) {
    std::string text = good;
    for (uint32_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 20); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 40)); break;
        default: text[at] = "0123456789-[]{},:\"."[random() % 19]; break;
      }
      if (text.empty()) text = " ";
    }
    check(text);
  }
  static const char* const numbers[] = {"-1",          "99999", "2147483647",           "0",
                                        "-2147483648", "1e308", "18446744073709551615"};
  const auto digit = [&](size_t at) { return at < good.size() && good[at] >= '0' && good[at] <= '9'; };
  for (size_t at = 0; at < good.size(); ++at) {
    if (!digit(at) || (at > 0 && digit(at - 1))) continue;
    size_t end = at;
    while (digit(end)) ++end;
    for (const char* number : numbers) check(good.substr(0, at) + number + good.substr(end));
  }
  EXPECT_GT(refused, 2000u);
}

}  // namespace
}  // namespace plx::partition
