// Emulated devices make what ONNX Runtime makes, one submission after the other, not before the time they are said to take.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <fstream>

#include "cts/cts.h"
#include "emulation.h"
#include "plx/engine/device_testing.h"
#include "plx/engine/devices.h"
#include "plx/graph/reader.h"
#include "plx/ort/session.h"
#include "plx/schedule/models_testing.h"

extern "C" const char* plx_emulate(const char* name);

namespace plx::emulation {
namespace {

using namespace schedule::testing;
using engine::testing::expect_close;
using engine::testing::on;
using engine::testing::units_on;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using Clock = std::chrono::steady_clock;

constexpr const char* kProfiles = PLX_PROFILES;

Speeds slow() {
  Speeds speeds;
  speeds.name = "a slow one";
  speeds.dispatch_ns = 20e6;
  speeds.border_bytes_per_second = speeds.bytes_per_second = 1e12;
  speeds.convolution = speeds.product = speeds.elementwise = 1e12;
  speeds.shares_memory = true;
  return speeds;
}

// A model as one part.
struct Whole {
  explicit Whole(std::string model)
      : bytes(std::move(model)),
        graph(must(graph::read_model(std::as_bytes(std::span(bytes.data(), bytes.size())), std::make_shared<graph::Storage>(), {}))),
        shapes(must(ort::infer(held, graph, settings, {}, "")).shapes) {
    for (size_t i = 0; i < graph.nodes.size(); ++i) nodes.push_back(static_cast<graph::NodeId>(i));
  }
  device::Part part() const { return {&graph, &shapes, nodes, graph.inputs, graph.outputs}; }

  const std::string bytes;  // which the graph refers to
  const std::shared_ptr<ort::Runtime> held = runtime();  // which devices find in use
  const ort::ModelSettings settings;
  graph::Graph graph;
  graph::Shapes shapes;
  std::vector<graph::NodeId> nodes;
};

// Waits for so many ends.
struct Ends final : device::Completion {
  explicit Ends(int count) : left(count) {}
  void done(device::Outcome outcome) noexcept override {
    const std::lock_guard lock(mutex);
    outcomes.push_back(std::move(outcome));
    if (at_end) at_end();
    --left;
    came.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return left == 0; });
  }
  std::mutex mutex;
  std::condition_variable came;
  int left;
  std::vector<device::Outcome> outcomes;
  std::function<void()> at_end;
};

std::string relu() {
  Model m;
  m.input("x", kFloat, {1, 64}).output("y", kFloat, {1, 64}).node("Relu", {"x"}, {"y"});
  return m.bytes();
}

// ---- the suite that every device passes ----

TEST(Emulation, ReplayMakesWhatOnnxRuntimeMakes) {
  const auto device = make_replay(slow(), 1000);
  for (const auto* cases : {&cts::operators(), &cts::parts()}) {
    for (const cts::Case& drawn : *cases) {
      for (const uint32_t seed : {1u, 2u}) EXPECT_EQ(cts::check(*device, drawn, seed), "") << drawn.name << ", seed " << seed;
    }
  }
}

TEST(Emulation, EmulatedMakesWhatOnnxRuntimeMakes) {
  const auto device = make_emulated();
  size_t taken = 0;
  for (const auto* cases : {&cts::operators(), &cts::parts()}) {
    for (const cts::Case& drawn : *cases) {
      const std::string failure = cts::check(*device, drawn, 1);
      if (failure.find(" is refused: ") != std::string::npos) continue;
      EXPECT_EQ(failure, "") << drawn.name;
      ++taken;
    }
  }
  EXPECT_GE(taken, 15u);
}

TEST(Emulation, DenseDevicesTakeConvolutionsProductsAndElementWiseOperatorsOnly) {
  const Whole model(attention());
  for (const auto& device : {make_emulated(), make_replay(slow(), 1, true)}) {
    std::set<std::string> taken;
    std::set<std::string> refused;
    for (const graph::NodeId node : model.nodes) {
      const bool takes = device->refuses(model.graph, model.shapes, node).empty();
      (takes ? taken : refused).insert(model.graph.nodes[static_cast<size_t>(node)].op_type);
    }
    EXPECT_EQ(taken, (std::set<std::string>{"Add", "MatMul", "Mul"}));
    EXPECT_EQ(refused, (std::set<std::string>{"Concat", "Reshape", "Shape", "Slice", "Softmax", "Transpose"}));
  }
  EXPECT_EQ(make_replay(slow(), 1)->refuses(model.graph, model.shapes, model.nodes.back()), "");
}

// ---- time ----

TEST(Emulation, PredictsTheLongerOfComputingAndMovingAndTheWayThere) {
  Model m;
  m.input("x", kFloat, {1, 2, 8, 8}).output("y", kFloat, {1, 128});
  m.initializer("w", weights({2, 2, 1, 1}, 1)).initializer("flat", tensor<int64_t>({2}, {1, 128}));
  m.node("Conv", {"x", "w"}, {"c"}).node("Relu", {"c"}, {"r"}).node("Reshape", {"r", "flat"}, {"y"});
  const Whole model(m.bytes());
  Speeds speeds;
  speeds.dispatch_ns = 1000;
  speeds.border_bytes_per_second = 1e9;
  speeds.bytes_per_second = 1e9;
  speeds.convolution = 1e8;
  speeds.product = 1;  // there is none
  speeds.elementwise = 1e12;
  // Border: 512 bytes in and out. Conv: 2 * 2 * 128 operations at 0.1 a ns, longer than its 1040 bytes. Relu: 1024 bytes.
  EXPECT_EQ(predicted(speeds, model.part()).count(), 1000 + 1024 + 5120 + 1024);
}

TEST(Emulation, ReplayIsOneQueueThatTakesItsTime) {
  const Whole model(relu());
  const auto device = make_replay(slow(), 0.5);  // 40 ms each
  const auto program = must(device->prepare(model.part()));
  const auto input = must(device->lend(256, device::Use::kInTurn));
  const auto output = must(device->lend(256, device::Use::kInTurn));
  std::memset(input->data(), 0, 256);
  const std::byte* in[] = {input->data()};
  std::byte* out[] = {output->data()};
  Ends ends(3);
  const auto start = Clock::now();
  for (int i = 0; i < 3; ++i) program->submit(in, out, ends);
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(120)) << "submitting does not wait";
  ends.wait();
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(120));
  for (const device::Outcome& outcome : ends.outcomes) {
    EXPECT_TRUE(outcome.status);
    EXPECT_NEAR(static_cast<double>(outcome.device_ns), 40e6, 1e6);
    EXPECT_EQ(outcome.copied_bytes, 0u);
  }
}

TEST(Emulation, ReplayDeliversWhatItRecorded) {
  const Whole model(relu());
  const auto device = make_replay(slow(), 1000);
  const auto program = must(device->prepare(model.part()));
  const Tensor first = noise({1, 64}, 1);
  const Tensor second = noise({1, 64}, 2);
  const Tensors expected = Plain(runtime(), relu()).run({first});
  for (const Tensor* given : {&first, &second}) {
    std::string made(256, '?');
    const std::byte* in[] = {reinterpret_cast<const std::byte*>(given->bytes.data())};
    std::byte* out[] = {reinterpret_cast<std::byte*>(made.data())};
    Ends ends(1);
    program->submit(in, out, ends);
    ends.wait();
    EXPECT_EQ(made, expected[0].bytes);
    EXPECT_EQ(ends.outcomes[0].copied_bytes, 512u);
  }
}

TEST(Emulation, WhoIsToldOfTheEndMayBeTheLastToHoldTheDevice) {
  const Whole model(relu());
  for (const bool replay : {false, true}) {
    auto device = replay ? make_replay(slow(), 1) : make_emulated();
    auto program = must(device->prepare(model.part()));
    std::string input(256, '\0');
    std::string output(256, '\0');
    const std::byte* in[] = {reinterpret_cast<const std::byte*>(input.data())};
    std::byte* out[] = {reinterpret_cast<std::byte*>(output.data())};
    Ends ends(1);
    ends.at_end = [&] { program.reset(); };
    program->submit(in, out, ends);
    device.reset();
    ends.wait();
    EXPECT_TRUE(ends.outcomes[0].status);
  }
}

// ---- profiles and names ----

TEST(Emulation, ReadsTheProfilesThatThereAre) {
  const auto names = must(read_profiles(kProfiles));
  EXPECT_EQ(names, (std::vector<std::string>{"jetson", "pi5", "rk3588"}));
  for (const std::string& name : names) {
    const Speeds speeds = must(read_speeds(kProfiles, name));
    EXPECT_GT(speeds.convolution, 1e9) << name;
    EXPECT_GT(speeds.dispatch_ns, 1e3) << name;
  }
}

TEST(Emulation, SaysWhatIsWrongWithProfilesAndNames) {
  const std::string file = ::testing::TempDir() + "plx-profiles.json";
  const auto problem = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary) << content;
    const auto speeds = read_speeds(file, "p");
    return speeds ? std::string() : speeds.error().message;
  };
  const std::string good = R"({"profiles":{"p":{"device":{"name":"n","dispatch_ns":1,"border_bytes_per_second":1,"shares_memory":true,
    "gflops":{"convolution":1,"product":1,"elementwise":1},"bytes_per_second":1}}}})";
  EXPECT_EQ(problem(good), "");
  EXPECT_NE(problem(good.substr(0, 40)).find(file), std::string::npos) << "cut short";
  EXPECT_NE(problem("").find(file), std::string::npos);
  std::string none = good;
  none.replace(none.find("\"product\":1"), 11, "\"product\":0");
  EXPECT_NE(problem(none).find("product: expected a rate above 0"), std::string::npos) << problem(none);
  std::string other = good;
  other.replace(other.find("\"p\""), 3, "\"q\"");
  EXPECT_NE(problem(other).find("'p' is missing"), std::string::npos) << problem(other);
  std::remove(file.c_str());
  const auto missing = read_speeds("/nowhere/profiles.json", "p");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kIo);
  EXPECT_NE(missing.error().message.find("/nowhere/profiles.json"), std::string::npos);
  for (const char* name : {"abacus", "replay:", "replay:abacus", "replay:pi5@", "replay:pi5@0", "replay:pi5@-1", "replay:pi5@inf", "replay:pi5@1x", "replay:pi5@2/dense", "replay:/dense"}) {
    EXPECT_FALSE(make(name, kProfiles)) << name;
  }
}

TEST(Emulation, DevicesAreThereByNameAndPartsOfModelsRunOnThem) {
  EXPECT_EQ(plx_emulate("replay:rk3588@1000"), nullptr);
  EXPECT_EQ(plx_emulate("replay:rk3588/dense@0.5"), nullptr);
  EXPECT_NE(std::string(plx_emulate("replay:abacus")).find("abacus"), std::string::npos);
  for (const std::string name : {"emulated", "replay:pi5", "replay:rk3588", "replay:jetson", "replay:pi5/dense", "replay:rk3588@1000"}) {
    Loaded loaded(convolutions());
    const Tensors inputs = {noise({1, 8, 16, 16}, 1)};
    const Tensors expected = Plain(runtime(), loaded.bytes()).run(inputs);
    for (const int threads : {0, 1}) {
      const auto session = must(loaded->make_session(must(loaded->make_plan(on(name))), threads));
      bind_all(*session, inputs);
      for (int i = 0; i < 4; ++i) {
        must(session->run());
        expect_close(outputs(*session, 1), expected);
      }
      EXPECT_GT(units_on(*session, name == "emulated" ? "emulated" : "replay"), 0u) << name;
      EXPECT_EQ(report(*session)["device"]["fallbacks"], 0) << name;
    }
  }
}

}  // namespace
}  // namespace plx::emulation
