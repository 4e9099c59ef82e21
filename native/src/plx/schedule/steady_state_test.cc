// A run at known shapes allocates nothing of ours. ONNX Runtime's own allocations go through the same operator new, so
// a session's run is measured against the same OrtApi::Run calls, on the same ONNX Runtime sessions, made by hand.
#include <gtest/gtest.h>

#include <map>

#include "plx/memory/counting_new.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;

uint64_t least(const std::vector<uint64_t>& counts) { return *std::min_element(counts.begin(), counts.end()); }

// The calls that a run consists of, with every output preset.
class ByHand {
 public:
  ByHand(std::shared_ptr<ort::Runtime> runtime, std::shared_ptr<CompiledPlan> plan, const Tensor& input)
      : runtime_(std::move(runtime)), plan_(std::move(plan)), values_(plan_->slots().size()) {
    OrtValue* value = nullptr;
    check(api().CreateTensorWithDataAsOrtValue(runtime_->cpu(), const_cast<char*>(input.bytes.data()),
                                               input.bytes.size(), input.dims.data(), input.dims.size(),
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    own(plan_->inputs()[0], value);
    OrtRunOptions* options = nullptr;
    check(api().CreateRunOptions(&options));
    options_ = ort::Handle<OrtRunOptions>(runtime_, options, api().ReleaseRunOptions);
    run();  // ONNX Runtime makes the values that later runs write to
  }

  void run() {
    for (size_t i = 0; i < plan_->units().size(); ++i) {
      const auto& unit = plan_->units()[i];
      const OrtValue* in[8] = {};
      OrtValue* out[8] = {};
      for (size_t j = 0; j < unit.inputs.size(); ++j) in[j] = values_[unit.inputs[j]].get();
      for (size_t j = 0; j < unit.outputs.size(); ++j) out[j] = values_[unit.outputs[j]].get();
      check(api().Run(plan_->session(static_cast<int>(i), Width::kNarrow), options_.get(), unit.input_names.data(), in,
                      unit.inputs.size(), unit.output_names.data(), unit.outputs.size(), out));
      for (size_t j = 0; j < unit.outputs.size(); ++j) {
        if (out[j] != values_[unit.outputs[j]].get()) own(unit.outputs[j], out[j]);
      }
    }
  }

 private:
  const OrtApi& api() const { return runtime_->api(); }
  void check(OrtStatus* status) const { must(runtime_->check(status, "by hand")); }
  void own(int slot, OrtValue* value) {
    values_[static_cast<size_t>(slot)] = ort::Value(runtime_, value, api().ReleaseValue);
  }

  std::shared_ptr<ort::Runtime> runtime_;
  std::shared_ptr<CompiledPlan> plan_;
  std::vector<ort::Value> values_;
  ort::Handle<OrtRunOptions> options_;
};

class SteadyState : public ::testing::TestWithParam<Units> {};
INSTANTIATE_TEST_SUITE_P(Units, SteadyState, ::testing::ValuesIn(kAllUnits),
                         [](const auto& info) { return std::string(partition::units_name(info.param)); });

TEST_P(SteadyState, ARunAllocatesNothingOfOurs) {
  Loaded loaded(convolutions());
  const auto plan = loaded.plan(GetParam());
  auto compiled = must(CompiledPlan::make(plan->subject, plan->plan));
  const auto session = must(Session::create(compiled, 1));
  const Tensor x = noise({1, 8, 16, 16}, 1);
  must(bind(*session, 0, x));
  ByHand by_hand(plan->subject->runtime, compiled, x);
  for (int i = 0; i < 5; ++i) {
    must(session->run());
    by_hand.run();
  }
  std::vector<uint64_t> ours;
  std::vector<uint64_t> theirs;
  for (int i = 0; i < 10; ++i) {
    uint64_t before = memory::news;
    const Status status = session->run();
    ours.push_back(memory::news - before);
    EXPECT_TRUE(status);
    before = memory::news;
    by_hand.run();
    theirs.push_back(memory::news - before);
  }
  EXPECT_EQ(least(ours), least(theirs)) << "of " << plan->plan->units.size() << " units";
  EXPECT_EQ(ours, std::vector<uint64_t>(10, ours[0]));
}

TEST_P(SteadyState, ViewsOfPlannedTensorsAllocateNothingEither) {
  Loaded loaded(attention());
  const auto session = loaded.session(GetParam(), 1);
  const Tensor x = noise({2, 6, 32}, 1);
  must(bind(*session, 0, x));
  for (int i = 0; i < 5; ++i) must(session->run());
  std::vector<uint64_t> counts;
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = memory::news;
    must(session->run());
    counts.push_back(memory::news - before);
  }
  EXPECT_EQ(counts, std::vector<uint64_t>(5, counts[0]));
}

TEST_P(SteadyState, TheArenasDoNotGrow) {
  Loaded loaded(attention());
  const auto session = loaded.session(GetParam());
  const Tensor x = noise({2, 6, 32}, 1);
  const Tensor y = noise({1, 3, 32}, 1);
  must(bind(*session, 0, x));
  for (int i = 0; i < 5; ++i) must(session->run());
  must(bind(*session, 0, y));
  for (int i = 0; i < 5; ++i) must(session->run());
  memory::Arena& arena = ort::testing::runtime()->arena();
  const auto before = arena.stats();
  const auto report_before = report(*session);
  for (int i = 0; i < 20; ++i) {
    must(bind(*session, 0, i % 2 == 0 ? x : y));
    must(session->run());
  }
  const auto after = arena.stats();
  const auto report_after = report(*session);
  EXPECT_EQ(after.growths, before.growths);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_EQ(report_after["arena_bytes"], report_before["arena_bytes"]);
  EXPECT_EQ(report_after["planned_bytes"], report_before["planned_bytes"]);
}

TEST(SteadyStateCount, SeesAnAllocation) {
  const uint64_t before = memory::news;
  const auto kept = std::make_unique<int>(1);
  EXPECT_EQ(memory::news - before, 1u);
}

}  // namespace
}  // namespace plx::schedule
