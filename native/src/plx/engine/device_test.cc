// Plans with a device that is there: regions run on it, beside the CPU, and come back when it fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "plx/device/null/null.h"
#include "plx/engine/device_testing.h"
#include "plx/engine/devices.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"
#include "plx/schedule/steps.h"

namespace plx::engine {
namespace {

using namespace schedule::testing;
using namespace testing;
using device::null::Fault;
using device::null::Script;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using schedule::Session;

// The null device under a name of its own.
class OnNull : public ::testing::Test {
 protected:
  static constexpr const char* kName = "null";
  ~OnNull() override { register_device(kName, nullptr); }
  std::shared_ptr<device::Device> bring(Script script) {
    auto device = device::null::make(runtime(), std::move(script));
    register_device(kName, device);
    return device;
  }
};

TEST_F(OnNull, RegionsRunThereAndTheRestOnTheCpu) {
  for (const Units units : {Units::kLayers, Units::kBranches, Units::kNodes}) {
    Script script;
    script.refused = {"MaxPool", "Sigmoid", "QuickGelu"};
    const auto device = bring(script);
    Loaded loaded(convolutions());
    const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
    const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
    const auto plan = must(loaded->make_plan(on(kName, units)));
    ASSERT_FALSE(plan->plan->regions.empty());
    for (const int threads : {0, 1}) {
      const auto session = must(loaded->make_session(plan, threads));
      bind_all(*session, inputs);
      for (int i = 0; i < 3; ++i) {
        must(session->run());
        expect_close(outputs(*session, 1), expected);
      }
      EXPECT_EQ(units_on(*session, "null"), plan->plan->regions.size());
      EXPECT_GT(units_on(*session, "cpu"), 0u);
      EXPECT_EQ(report(*session)["device"]["fallbacks"], 0);
      const auto all = report(*session);
      for (const auto& unit : all["units"]) {
        EXPECT_EQ(unit.contains("predicted_ns"), unit["device"] == "null");
        if (unit["device"] != "null") continue;
        EXPECT_EQ(unit["worker"], -1);
        EXPECT_GT(unit["device_ns"], 0);
        const int region = plan->plan->units[unit["unit"].get<size_t>()].region;
        const double expected_ns = plan->plan->regions[static_cast<size_t>(region)].device_s * 1e9;
        EXPECT_GT(expected_ns, 1);
        EXPECT_NEAR(unit["predicted_ns"].get<double>(), expected_ns, 1);
      }
    }
  }
}

// A view of what a device makes waits for the device, and whoever comes behind it on the CPU waits, too.
TEST_F(OnNull, ViewsOfItsResultsHoldUpNobodyButThoseWhoReadThem) {
  Script script;
  script.refused = {"Reshape", "Transpose", "Softmax", "Shape", "Slice", "Concat"};
  const auto device = bring(script);
  Loaded loaded(attention());
  PlanRequest request = on(kName);
  request.shapes = {{"x", {2, 24, 32}}};
  const auto plan = must(loaded->make_plan(request));
  const auto compiled = must(schedule::CompiledPlan::make(plan->subject, plan->plan, plan->device, plan->shapes));
  // The device's first of all that can come next, so that its three products stand one behind the other.
  schedule::Schedule order;
  std::vector<bool> placed(plan->plan->units.size(), false);
  while (order.entries.size() < placed.size()) {
    std::optional<size_t> next;
    for (size_t unit = 0; unit < placed.size(); ++unit) {
      const partition::Unit& u = plan->plan->units[unit];
      const bool ready = !placed[unit] && std::all_of(u.predecessors.begin(), u.predecessors.end(),
                                                      [&](int p) { return placed[static_cast<size_t>(p)]; });
      if (ready && (!next || (u.region >= 0 && plan->plan->units[*next].region < 0))) next = unit;
    }
    ASSERT_TRUE(next);
    placed[*next] = true;
    order.entries.push_back({static_cast<uint32_t>(*next), plan->plan->units[*next].region >= 0 ? 1u : 0u, 1, 0});
  }
  const schedule::Steps steps = must(schedule::make_steps(*compiled, order, 1));
  int of_device = 0;
  for (size_t i = 0; i < steps.list.size(); ++i) {
    const std::vector<int>& before = steps.tasks[i].predecessors;
    if (!steps.list[i].alias) continue;
    const bool waits = std::any_of(before.begin(), before.end(), [&](int p) { return steps.tasks[static_cast<size_t>(p)].device; });
    if (!waits) continue;
    ++of_device;
    ASSERT_LT(i + 1, steps.list.size());
    const std::vector<int>& next = steps.tasks[i + 1].predecessors;
    EXPECT_TRUE(std::find(next.begin(), next.end(), static_cast<int>(i)) != next.end()) << "step " << i;
  }
  EXPECT_GE(of_device, 3) << "of what the three products make";
}

TEST_F(OnNull, WhatFailsIsRunByTheCpuWithTheSameResult) {
  std::atomic<int> faults{0};
  Script script;
  script.refused = {"MaxPool"};
  script.fault = [&](uint64_t n) {
    if (n % 3 != 1) return Fault::kNone;
    ++faults;
    return Fault::kFails;
  };
  const auto device = bring(script);
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const auto session = must(loaded->make_session(must(loaded->make_plan(on(kName))), 0));
  bind_all(*session, inputs);
  for (int i = 0; i < 30; ++i) {
    must(session->run());
    expect_close(outputs(*session, 1), expected);
  }
  EXPECT_GT(faults, 5);
  const auto said = report(*session)["device"];
  EXPECT_EQ(said["fallbacks"], faults.load());
  EXPECT_NE(said["problem"].get<std::string>().find("fails, as it was told"), std::string::npos);
}

TEST_F(OnNull, ALostDeviceIsDoneWithoutFromThenOn) {
  Script script;
  script.refused = {"MaxPool"};
  script.fault = [](uint64_t n) { return n == 4 ? Fault::kLost : Fault::kNone; };
  const auto device = bring(script);
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const auto plan = must(loaded->make_plan(on(kName)));
  const auto session = must(loaded->make_session(plan, 0));
  bind_all(*session, inputs);
  for (int i = 0; i < 12; ++i) {
    must(session->run());
    expect_close(outputs(*session, 1), expected);
  }
  EXPECT_TRUE(device->lost());
  EXPECT_EQ(units_on(*session, "null"), 0u);
  EXPECT_NE(report(*session)["device"]["problem"].get<std::string>().find("lost"), std::string::npos);
}

TEST_F(OnNull, WhatCannotBeBuiltRunsOnTheCpuAndSaysWhy) {
  Script script;
  script.on_prepare = [] { return fail(Code::kRunFailed, "no compiler today"); };
  const auto device = bring(script);
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  const auto session = must(loaded->make_session(must(loaded->make_plan(on(kName))), 0));
  bind_all(*session, inputs);
  must(session->run());
  expect_close(outputs(*session, 1), Plain(runtime(), loaded.bytes()).run(inputs));
  EXPECT_EQ(units_on(*session, "null"), 0u);
  EXPECT_EQ(report(*session)["device"]["problem"], "no compiler today");
}

TEST_F(OnNull, AWrongAnswerGoesThrough) {
  // Nothing here could know; the test is that the answers are the device's own.
  Script script;
  script.fault = [](uint64_t) { return Fault::kLies; };
  const auto device = bring(script);
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  const auto session = must(loaded->make_session(must(loaded->make_plan(on(kName))), 0));
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_NE(outputs(*session, 1), Plain(runtime(), loaded.bytes()).run(inputs));
}

// Two arms of which one is the device's: both are on their way at the same time.
TEST_F(OnNull, DeviceAndCpuWorkAtTheSameTime) {
  schedule::testing::Model m;
  m.input("x", kFloat, {64, 64}).output("y", kFloat, {64, 64});
  m.node("Erf", {"x"}, {"a"}).node("Softmax", {"x"}, {"b"}).node("Softmax", {"b"}, {"b2"}).node("Max", {"a", "b2"}, {"y"});
  Script script;
  script.refused = {"Softmax", "Max"};
  script.delay = std::chrono::milliseconds(200);  // so that the CPU begins meanwhile, however busy the machine is
  const auto device = bring(script);
  Loaded loaded(m.bytes());
  const Tensors inputs = {noise({64, 64}, 1)};
  const auto plan = must(loaded->make_plan(on(kName, Units::kNodes)));
  for (const int threads : {0, 1}) {
    const auto session = must(loaded->make_session(plan, threads));
    bind_all(*session, inputs);
    for (int i = 0; i < 3; ++i) must(session->run());
    expect_close(outputs(*session, 1), Plain(runtime(), loaded.bytes()).run(inputs));
    const auto units = session->last_run();
    const auto there = std::find_if(units.begin(), units.end(), [](const auto& unit) { return unit.device == 1; });
    ASSERT_NE(there, units.end());
    // Within the device's time: one after the other they would not meet.
    EXPECT_TRUE(std::any_of(units.begin(), units.end(), [&](const auto& unit) {
      return unit.device == 0 && unit.start_ns < there->end_ns && unit.end_ns > there->start_ns;
    }));
  }
}

struct Interval {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  bool meets(const Interval& other) const { return start_ns < other.end_ns && other.start_ns < end_ns; }
};
// Of the last run, by the system's clock: its units on the CPU, or on the device.
std::vector<Interval> intervals(const Session& session, int device) {
  std::vector<Interval> list;
  const auto started = report(session)["started_ns"].get<int64_t>();
  for (const auto& unit : session.last_run()) {
    if (unit.device == device) list.push_back({started + unit.start_ns, started + unit.end_ns});
  }
  return list;
}
bool meet(const std::vector<Interval>& some, const std::vector<Interval>& others) {
  return std::any_of(some.begin(), some.end(), [&](const Interval& one) {
    return std::any_of(others.begin(), others.end(), [&](const Interval& other) { return one.meets(other); });
  });
}
void at_once(Session& a, Session& b, int times) {
  std::thread other([&] {
    for (int i = 0; i < times; ++i) must(b.run());
  });
  for (int i = 0; i < times; ++i) must(a.run());
  other.join();
}

// Requests in a stream: what waits for the device leaves the CPU to the others.
TEST_F(OnNull, ARunsCpuPartGoesOnWhileTheDeviceWorksForTheOneBeside) {
  schedule::testing::Model m;
  m.input("x", kFloat, {64, 64}).output("y", kFloat, {64, 64});
  m.node("Softmax", {"x"}, {"a"}).node("Erf", {"a"}, {"b"}).node("Softmax", {"b"}, {"y"});
  Script script;
  script.refused = {"Softmax"};
  script.delay = std::chrono::milliseconds(200);
  const auto device = bring(script);
  Loaded loaded(m.bytes());
  const Tensors inputs = {noise({64, 64}, 1)};
  const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
  const auto plan = must(loaded->make_plan(on(kName, Units::kNodes)));
  const auto a = must(loaded->make_session(plan, 1));
  const auto b = must(a->create_beside());
  for (Session* session : {a.get(), b.get()}) bind_all(*session, inputs);
  at_once(*a, *b, 1);
  for (Session* session : {a.get(), b.get()}) expect_close(outputs(*session, 1), expected);
  EXPECT_TRUE(meet(intervals(*a, 0), intervals(*b, 1)) || meet(intervals(*b, 0), intervals(*a, 1)));
}

TEST_F(OnNull, SessionsBesideOneAnotherHaveTheThreadsOfOne) {
  schedule::testing::Model m;
  m.input("x", kFloat, {256, 256}).output("y", kFloat, {256, 256});
  m.node("MatMul", {"x", "x"}, {"a"}).node("Softmax", {"a"}, {"b"}).node("MatMul", {"b", "x"}, {"c"}).node("Softmax", {"c"}, {"y"});
  Loaded loaded(m.bytes());
  const Tensors inputs = {noise({256, 256}, 1)};
  PlanRequest request;
  request.options.units = Units::kNodes;
  const auto plan = must(loaded->make_plan(request));
  const auto meets = [&](Session& a, Session& b, int runs) {
    for (Session* session : {&a, &b}) bind_all(*session, inputs);
    for (int i = 0; i < runs; ++i) {
      at_once(a, b, 1);
      EXPECT_EQ(outputs(a, 1), outputs(b, 1));
      if (meet(intervals(a, 0), intervals(b, 0))) return true;
    }
    return false;
  };
  const auto first = must(loaded->make_session(plan, 1));
  if (std::thread::hardware_concurrency() > 1) {
    const auto apart = must(loaded->make_session(plan, 1));
    EXPECT_TRUE(meets(*first, *apart, 100)) << "the test could not fail";
  }
  const auto beside = must(first->create_beside());
  EXPECT_FALSE(meets(*first, *beside, 40)) << "two units ran at a time on one thread";
}

TEST_F(OnNull, ASessionBesideOutlivesTheFirst) {
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  auto first = must(loaded->make_session(must(loaded->make_plan({})), 0));
  const auto second = must(first->create_beside(64 << 20));
  first.reset();
  bind_all(*second, inputs);
  must(second->run());
  expect_close(outputs(*second, 1), Plain(runtime(), loaded.bytes()).run(inputs));
  EXPECT_EQ(report(*second)["memory_budget_bytes"], 64 << 20);
}

TEST_F(OnNull, OtherShapesThanThePlansAreTheCpus) {
  const auto device = bring({});
  Loaded loaded(attention());
  PlanRequest request = on(kName);
  request.shapes = {{"x", {2, 24, 32}}};
  const auto session = must(loaded->make_session(must(loaded->make_plan(request)), 0));
  Plain plain(runtime(), loaded.bytes());
  for (const auto& [length, there] : {std::pair{int64_t{24}, true}, {int64_t{7}, false}, {int64_t{24}, true}}) {
    const Tensors inputs = {noise({2, length, 32}, 3)};
    bind_all(*session, inputs);
    for (int i = 0; i < 2; ++i) {
      must(session->run());
      expect_close(outputs(*session, 1), plain.run(inputs));
      EXPECT_EQ(units_on(*session, "null") > 0, there) << length;
    }
  }
}

// Of a model whose first input is of any length: one region reads it, another the second input alone.
TEST_F(OnNull, WhatHasItsShapesRunsThereAtOtherSizesToo) {
  schedule::testing::Model m;
  m.input("x", kFloat, {"n", 8}).input("z", kFloat, {8, 8}).output("y", kFloat, {"n", 8});
  m.node("Erf", {"z"}, {"z1"}).node("Neg", {"z1"}, {"z2"}).node("Tanh", {"x"}, {"x1"}).node("Abs", {"x1"}, {"x2"});
  m.node("MatMul", {"x2", "z2"}, {"y"});
  for (const bool shares_memory : {true, false}) {
    std::atomic<int> failed{0};
    Script script;
    script.refused = {"MatMul"};
    script.shares_memory = shares_memory;
    script.fault = [&](uint64_t submission) {
      if (submission % 5 != 4) return Fault::kNone;
      ++failed;
      return Fault::kFails;
    };
    const auto device = bring(script);
    Loaded loaded(m.bytes());
    PlanRequest request = on(kName);
    request.shapes = {{"x", {6, 8}}};
    const auto plan = must(loaded->make_plan(request));
    ASSERT_EQ(plan->plan->regions.size(), 2u);
    const auto session = must(loaded->make_session(plan, 0));
    Plain plain(runtime(), loaded.bytes());
    int others = 0;
    for (int i = 0; i < 30; ++i) {
      const int64_t n = i % 3 == 0 ? 6 : i / 5;
      const Tensors inputs = {noise({n, 8}, static_cast<uint32_t>(i)), noise({8, 8}, 5)};
      bind_all(*session, inputs);
      const int before = failed;
      for (int again = 0; again < 3; ++again) {
        must(session->run());
        ASSERT_NO_FATAL_FAILURE(expect_close(outputs(*session, 1), plain.run(inputs)));
      }
      if (failed != before) continue;
      EXPECT_EQ(units_on(*session, "null"), n == 6 ? 2u : 1u) << n;
      others += n == 6 ? 0 : 1;
    }
    EXPECT_GT(others, 3);
    EXPECT_GT(failed, 3);
  }
}

TEST_F(OnNull, APlanThatIsReadBackRunsThereAgain) {
  const auto device = bring({});
  schedule::testing::Model m;
  m.input("x", kFloat, {"n", 8}).output("y", kFloat, {"n", 8}).node("Erf", {"x"}, {"z"}).node("Neg", {"z"}, {"y"});
  std::string json;
  Loaded loaded(m.bytes());
  {
    PlanRequest request = on(kName);
    request.shapes = {{"x", {6, 8}}};
    const auto plan = must(loaded->make_plan(request));
    json = partition::to_json(*plan->subject->graph, *plan->plan);
  }
  Loaded again(m.bytes());
  const auto plan = must(again->read_plan(json));
  const auto session = must(again->make_session(plan, 0));
  const Tensors inputs = {noise({6, 8}, 1)};
  bind_all(*session, inputs);
  must(session->run());
  EXPECT_EQ(units_on(*session, "null"), 1u);
  ASSERT_NO_FATAL_FAILURE(expect_close(outputs(*session, 1), Plain(runtime(), again.bytes()).run(inputs)));

  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = json;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const auto refused = [&](const std::string& text, Code code, const std::string& part) {
    const auto read = again->read_plan(text);
    ASSERT_FALSE(read) << part;
    EXPECT_EQ(read.error().code, code) << read.error().message;
    EXPECT_NE(read.error().message.find(part), std::string::npos) << read.error().message;
  };
  refused(changed("\"input\":\"x\"", "\"input\":\"w\""), Code::kInvalidPlan, "there is no input 'w'");
  refused(changed("[6,8]", "[6,9]"), Code::kInvalidPlan, "input 'x' cannot have the shape");
  refused(changed("[6,8]", "[6,\"8\"]"), Code::kInvalidPlan, "shapes[0].sizes[1]");
  register_device(kName, nullptr);
  refused(json, Code::kInvalidArgument, "the plan was made for device 'null', and on this machine: ");
}

TEST_F(OnNull, CancellingARunWaitsForTheDevice) {
  Session* to_cancel = nullptr;  // by the next submission
  Script script;
  script.refused = {"MaxPool"};
  script.delay = std::chrono::milliseconds(30);
  script.fault = [&](uint64_t) {
    if (to_cancel != nullptr) to_cancel->cancel();
    return Fault::kNone;
  };
  const auto device = bring(script);
  Loaded loaded(convolutions());
  const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
  const auto session = must(loaded->make_session(must(loaded->make_plan(on(kName))), 0));
  bind_all(*session, inputs);
  must(session->run());
  for (int i = 0; i < 5; ++i) {
    to_cancel = session.get();
    const Status status = session->run();
    to_cancel = nullptr;
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "the run was cancelled");
    must(session->run());
    expect_close(outputs(*session, 1), Plain(runtime(), loaded.bytes()).run(inputs));
  }
}

// Where memory is not shared, what regions alone make and read stays with the device, and comes when it is needed.
class OnNullApart : public OnNull {
 protected:
  // A session that has run, with results as they should be; faults come from then on.
  void start(Script script) {
    script.refused = {"Softmax"};
    script.shares_memory = false;
    script.fault = [this](uint64_t) { return fault_ ? fault_(submission_++) : Fault::kNone; };
    device_ = bring(std::move(script));
    loaded_.emplace(two_regions("Softmax"));
    expected_ = Plain(runtime(), loaded_->bytes()).run(inputs_);
    const auto plan = must((*loaded_)->make_plan(on(kName)));
    ASSERT_EQ(plan->plan->regions.size(), 2u);
    session_ = must((*loaded_)->make_session(plan, 0));
    bind_all(*session_, inputs_);
    ASSERT_NO_FATAL_FAILURE(run());
  }
  void run() {
    submission_ = 0;
    must(session_->run());
    expect_close(outputs(*session_, 1), expected_);
  }
  const Tensors inputs_ = {noise({64, 64}, 1)};
  std::function<Fault(int submission_of_run)> fault_;
  int submission_ = 0;
  std::shared_ptr<device::Device> device_;
  std::optional<Loaded> loaded_;
  Tensors expected_;
  std::unique_ptr<Session> session_;
};

TEST_F(OnNullApart, WhatTheCpuDoesNotNeedIsNotCopied) {
  start({});
  for (int i = 0; i < 3; ++i) {
    run();
    // The input and what the CPU reads; what the CPU made and the output.
    EXPECT_EQ(copied_bytes(*session_), (std::vector<uint64_t>{2 * kTensorBytes, 2 * kTensorBytes}));
  }
}

TEST_F(OnNullApart, WhatIsThereIsFetchedForTheCpuAndGoesBackWhenItMadeIt) {
  start({});
  for (const int failing : {1, 0, 1, 1, 0, 0}) {
    fault_ = [&](int submission) { return submission == failing ? Fault::kFails : Fault::kNone; };
    run();
    // The second region's failing: what the first one kept there is fetched, besides what it was given before it failed.
    // The first one's: what the CPU makes in its place goes there with what the CPU makes anyway.
    const std::vector<uint64_t> expected = failing == 1 ? std::vector{2 * kTensorBytes, kTensorBytes} : std::vector{0ul, 3 * kTensorBytes};
    EXPECT_EQ(copied_bytes(*session_), expected) << failing;
    fault_ = nullptr;
    run();
    EXPECT_EQ(copied_bytes(*session_), (std::vector<uint64_t>{2 * kTensorBytes, 2 * kTensorBytes}));
  }
  EXPECT_EQ(report(*session_)["device"]["fallbacks"], 6);
}

TEST_F(OnNullApart, WhatALostDeviceHeldIsMadeAnewByTheCpu) {
  start({});
  fault_ = [](int submission) { return submission == 1 ? Fault::kLost : Fault::kNone; };
  run();
  const auto said = report(*session_)["device"];
  EXPECT_EQ(said["problem"], "the null device is lost, and what it held");
  EXPECT_EQ(units_on(*session_, "null"), 0u);
  EXPECT_EQ(said["fallbacks"], 2) << "of the run that started over";
  for (int i = 0; i < 3; ++i) run();
  EXPECT_EQ(units_on(*session_, "null"), 0u);
}

TEST_F(OnNullApart, WhatALostDeviceHeldIsNoMatterOnceCancelled) {
  start({});
  fault_ = [this](int submission) {
    if (submission != 1) return Fault::kNone;
    session_->cancel();
    return Fault::kLost;
  };
  ASSERT_FALSE(session_->run());
  for (int i = 0; i < 3; ++i) run();
}

TEST_F(OnNull, AThousandRunsWithFaultsAtRandomAreRight) {
  std::atomic<uint32_t> state{12345};
  Script script;
  script.shares_memory = false;
  script.refused = {"MaxPool", "Softmax", "Add"};
  script.fault = [&](uint64_t) {
    const uint32_t next = state * 1664525u + 1013904223u;
    state = next;
    return (next >> 16) % 4 == 0 ? Fault::kFails : Fault::kNone;
  };
  const auto device = bring(script);
  const std::vector<std::pair<std::string, Tensors>> models = {{convolutions(), {noise({1, 8, 16, 16}, 1)}}, {attention(), {noise({2, 24, 32}, 2)}}};
  for (const auto& [model, inputs] : models) {
    Loaded loaded(model);
    const Tensors expected = Plain(runtime(), model).run(inputs);
    for (const Units units : {Units::kBranches, Units::kNodes}) {
      PlanRequest request = on(kName, units);
      if (inputs[0].dims.size() == 3) request.shapes = {{"x", inputs[0].dims}};
      const auto session = must(loaded->make_session(must(loaded->make_plan(request)), 0));
      bind_all(*session, inputs);
      for (int i = 0; i < 250; ++i) {
        must(session->run());
        ASSERT_NO_FATAL_FAILURE(expect_close(outputs(*session, 1), expected));
      }
      EXPECT_GT(report(*session)["device"]["fallbacks"], 20);
    }
  }
}

}  // namespace
}  // namespace plx::engine
