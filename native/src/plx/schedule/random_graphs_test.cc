// Generated models, cut every way and run under schedules drawn at random, against plain ONNX Runtime bit for bit.
//
// PLX_RANDOM_GRAPHS says how many models (default 40), PLX_RANDOM_RUNS how many runs of the long-running ones (default
// 100): ./plx test --long sets 200 and 1,000.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using ort::testing::tensor_of;

int setting(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoi(text);
}

// A model of `nodes` nodes over [n,16] tensors, n open: chains, forks, joins, concatenations and splits; now and then an If that reads values from
// outside, a NonZero whose size depends on the data, or a view. Outputs are all values that nobody reads.
std::string random_model(uint32_t seed, int nodes) {
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  Model m;
  m.input("x", kFloat, {"n", 16}).input("c", kBool, {});
  std::vector<float> weights(16 * 16);
  for (float& weight : weights) weight = (static_cast<float>(below(2001)) - 1000) / 4000;
  m.initializer("w", tensor<float>({16, 16}, weights)).initializer("flat", tensor<int64_t>({1}, {-1}));
  m.initializer("back", tensor<int64_t>({2}, {-1, 16}));
  std::vector<std::string> values = {"x"};
  std::vector<bool> read = {true};
  // Series-parallel graphs read mostly the latest values, others any.
  const bool local = random() % 2 == 0;
  const auto pick = [&] {
    const size_t window = local ? std::min<size_t>(values.size(), 6) : values.size();
    const size_t at = values.size() - 1 - below(window);
    read[at] = true;
    return values[at];
  };
  for (int i = 0; i < nodes; ++i) {
    const std::string out = "v" + std::to_string(i);
    const size_t kind = below(27);
    if (kind < 8) {
      const char* ops[] = {"Relu", "Tanh", "Sigmoid", "Abs", "Neg", "Softplus", "Elu", "Erf"};
      m.node(ops[kind], {pick()}, {out});
    } else if (kind < 14) {
      m.node("MatMul", {pick(), "w"}, {out});
    } else if (kind < 20) {
      const char* ops[] = {"Add", "Sub", "Mul", "Max", "Min", "Add"};
      m.node(ops[kind - 14], {pick(), pick()}, {out});
    } else if (kind == 20) {
      m.node("Reshape", {pick(), "flat"}, {out + "_flat"}).node("Reshape", {out + "_flat", "back"}, {out});
    } else if (kind == 21) {
      Body yes("yes" + out);
      yes.node("Neg", {pick()}, {out + "_t"}).output(out + "_t", kFloat, {"n", 16});
      Body no("no" + out);
      no.node("Add", {pick(), pick()}, {out + "_e"}).output(out + "_e", kFloat, {"n", 16});
      m.node("If", {"c"}, {out}, {attr("then_branch", yes), attr("else_branch", no)});
    } else if (kind == 22) {
      // As many as there are non-zeros; their mean comes back to every element.
      m.node("NonZero", {pick()}, {out + "_at"})
          .node("Cast", {out + "_at"}, {out + "_f"}, {attr("to", 1)})
          .node("ReduceMean", {out + "_f"}, {out + "_m"}, {attr("keepdims", 0)})
          .node("Add", {pick(), out + "_m"}, {out});
    } else if (kind == 23) {
      m.node("Softmax", {pick()}, {out}, {attr("axis", -1)});
    } else {
      // Joined and taken apart again along the outermost axis.
      const std::string parts[] = {out + "_a", out + "_b"};
      m.node("Concat", {pick(), pick()}, {out + "_c"}, {attr("axis", 0)});
      if (below(2) == 0) m.node("Softplus", {out + "_c"}, {out + "_s"});
      else m.node("Identity", {out + "_c"}, {out + "_s"});
      m.node("Split", {out + "_s"}, {parts[0], parts[1]}, {attr("axis", 0)}).node("Sub", {parts[below(2)], parts[below(2)]}, {out});
    }
    values.push_back(out);
    read.push_back(false);
  }
  for (size_t i = 1; i < values.size(); ++i) {
    if (!read[i]) m.output(values[i], kFloat, {"n", 16});
  }
  return m.bytes();
}

// A topological order drawn at random, with widths, barriers and a budget.
Schedule random_schedule(const partition::Plan& plan, std::mt19937& random) {
  const size_t count = plan.units.size();
  std::vector<size_t> missing(count);
  std::vector<std::vector<int>> successors(count);
  std::vector<int> ready;
  for (size_t u = 0; u < count; ++u) {
    missing[u] = plan.units[u].predecessors.size();
    for (const int p : plan.units[u].predecessors) successors[static_cast<size_t>(p)].push_back(static_cast<int>(u));
    if (missing[u] == 0) ready.push_back(static_cast<int>(u));
  }
  const uint32_t wide = 1 + random() % 12;  // one unit in so many
  Schedule schedule;
  schedule.memory_budget_bytes = random() % 3 == 0 ? 1 + random() % 4000 : 0;
  while (!ready.empty()) {
    const size_t at = random() % ready.size();
    const int unit = ready[at];
    ready.erase(ready.begin() + static_cast<ptrdiff_t>(at));
    schedule.entries.push_back({static_cast<uint32_t>(unit), 0, random() % wide == 0 ? 0u : 1u, random() % 10 == 0 ? 1u : 0u});
    for (const int s : successors[static_cast<size_t>(unit)]) {
      if (--missing[static_cast<size_t>(s)] == 0) ready.push_back(s);
    }
  }
  return schedule;
}

std::vector<Tensors> random_inputs(uint32_t seed) {
  std::vector<Tensors> sets;
  for (const int64_t n : {int64_t{3}, int64_t{7}}) {
    sets.push_back({noise({n, 16}, seed), tensor_of<bool>({}, {n == 3})});
  }
  return sets;
}

TEST(RandomGraphs, AgreeUnderRandomSchedules) {
  const int models = setting("PLX_RANDOM_GRAPHS", 40);
  for (int n = 0; n < models; ++n) {
    const auto seed = static_cast<uint32_t>(n);
    std::mt19937 random(seed + 1000);
    const std::string bytes = random_model(seed, n % 8 == 7 ? 200 : 10 + static_cast<int>(random() % 50));
    const auto inputs = random_inputs(seed);
    Plain plain(runtime(), bytes);
    std::vector<Tensors> expected;
    for (const Tensors& set : inputs) expected.push_back(plain.run(set));
    Loaded loaded(bytes);
    for (const Units units : {Units::kLayers, Units::kBranches, Units::kNodes}) {
      const auto plan = loaded.plan(units);
      for (const int threads : {0, 1}) {
        SCOPED_TRACE("model " + std::to_string(n) + ", units " + partition::units_name(units) + ", threads " + std::to_string(threads));
        const auto session = must(loaded->make_session(plan, threads, random_schedule(*plan->plan, random)));
        for (int repeat = 0; repeat < 3; ++repeat) {
          for (size_t i = 0; i < inputs.size(); ++i) {
            bind_all(*session, inputs[i]);
            must(session->run());
            ASSERT_EQ(outputs(*session, expected[i].size()), expected[i]) << "inputs " << i << ", run " << repeat;
          }
        }
        must(session->set_schedule(random_schedule(*plan->plan, random)));
        for (size_t i = 0; i < inputs.size(); ++i) {
          for (int repeat = 0; repeat < 2; ++repeat) {
            bind_all(*session, inputs[i]);
            must(session->run());
            ASSERT_EQ(outputs(*session, expected[i].size()), expected[i]) << "another schedule, inputs " << i;
          }
        }
      }
    }
  }
}

TEST(RandomGraphs, AgreeAsMixedPlans) {
  const int models = std::max(1, setting("PLX_RANDOM_GRAPHS", 40) / 8);
  for (int n = 0; n < models; ++n) {
    const auto seed = static_cast<uint32_t>(n + 500);
    const std::string bytes = random_model(seed, 40);
    const auto inputs = random_inputs(seed);
    Plain plain(runtime(), bytes);
    Loaded loaded(bytes);
    engine::PlanRequest request;
    request.options.units = Units::kMixed;
    request.shapes = {{"x", {7, 16}}};
    const auto plan = must(loaded->make_plan(request));
    std::mt19937 random(seed);
    const auto session = must(loaded->make_session(plan, 0, random_schedule(*plan->plan, random)));
    for (const Tensors& set : inputs) {
      const Tensors expected = plain.run(set);
      for (int repeat = 0; repeat < 3; ++repeat) {
        bind_all(*session, set);
        must(session->run());
        ASSERT_EQ(outputs(*session, expected.size()), expected) << "model " << n;
      }
    }
  }
}

// What ThreadSanitizer is to see: many runs of few models, units side by side.
TEST(RandomGraphs, ManyRunsSideBySide) {
  const int runs = setting("PLX_RANDOM_RUNS", 100);
  for (const uint32_t seed : {uint32_t{11}, uint32_t{12}, uint32_t{13}}) {
    const std::string bytes = random_model(seed, 240);  // long enough for the pool to be woken for it
    const auto inputs = random_inputs(seed);
    Plain plain(runtime(), bytes);
    std::vector<Tensors> expected;
    for (const Tensors& set : inputs) expected.push_back(plain.run(set));
    Loaded loaded(bytes);
    const auto plan = loaded.plan(Units::kBranches);
    Schedule narrow;
    for (size_t u = 0; u < plan->plan->units.size(); ++u) narrow.entries.push_back({static_cast<uint32_t>(u), 0, 1, 0});
    const auto session = must(loaded->make_session(plan, 0, narrow));
    bool helped = false;
    for (int i = 0; i < runs; ++i) {
      const size_t set = i % 10 == 9 ? 1 : 0;
      bind_all(*session, inputs[set]);
      must(session->run());
      ASSERT_EQ(outputs(*session, expected[set].size()), expected[set]) << "model " << seed << ", run " << i;
      for (const UnitRun& run : session->last_run()) helped = helped || run.worker != 0;
    }
    EXPECT_TRUE(helped) << "no pool thread ever took a unit";
  }
}

}  // namespace
}  // namespace plx::schedule
