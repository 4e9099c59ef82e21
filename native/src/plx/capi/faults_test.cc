// Memory that runs out in our own code: every call of operator new fails in turn, and nothing is lost.
//
// Left out are reports as JSON: the library's values ask for memory in their destructors, which may not fail.
#include <gtest/gtest.h>
#include <plx/plx.h>

#include <cstdlib>
#include <functional>

#include "plx/capi/capi_testing.h"
#include "plx/memory/counting_new.h"

namespace plx::capi {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Tensor;

// One in so many; PLX_ALL_FAULTS=1 fails each.
uint64_t stride(uint64_t calls) { return std::getenv("PLX_ALL_FAULTS") != nullptr ? 1 : std::max<uint64_t>(1, calls / 120); }

class Faults : public ::testing::Test {
 protected:
  Faults() : bytes_(model_bytes()), x_(noise({8, 64}, 5)) {}

  plx_status* load(plx_model** model) const {
    return plx_model_load_memory(h_.engine, bytes_.data(), bytes_.size(), nullptr, model);
  }
  static plx_status* cut(plx_model* model, plx_plan** plan) {
    plx_plan_options options{};
    options.struct_size = sizeof options;
    options.units = PLX_UNITS_NODES;
    return plx_plan_make(model, &options, plan);
  }
  plx_status* bind(plx_session* session) const {
    const plx_tensor tensor = tensor_over(x_);
    return plx_session_bind_input(session, 0, &tensor);
  }
  static std::string output(plx_session* session) {
    plx_tensor tensor{};
    ok(plx_session_output(session, 0, &tensor));
    return {static_cast<const char*>(tensor.data), tensor.size_bytes};
  }

  // Runs `step` again and again, each time with another allocation of ours failing, until none does. What it makes, it
  // releases. A failure is an error that says so; `sound` sees whether all still works.
  void fail_in_turn(const std::function<plx_status*()>& step, const std::function<void()>& sound) {
    ok(step());
    const uint64_t before = memory::own_news;
    ok(step());
    const uint64_t calls = memory::own_news - before;
    ASSERT_GT(calls, 0u);
    uint64_t failures = 0;
    for (uint64_t call = 0; call < calls; call += stride(calls)) {
      SCOPED_TRACE("allocation " + std::to_string(call) + " of " + std::to_string(calls));
      memory::own_news_until_failure = call;
      plx_status* const status = step();
      memory::own_news_until_failure = memory::kAllNews;
      if (status != nullptr) {
        ++failures;
        EXPECT_EQ(plx_status_code(status), PLX_MEMORY_BUDGET) << plx_status_message(status);
        EXPECT_NE(std::string(plx_status_message(status)).find("memory"), std::string::npos) << plx_status_message(status);
        plx_status_release(status);
      }
      sound();
    }
    EXPECT_GT(failures, 0u) << "of " << calls << " allocations";
  }

  Handles h_;
  const std::string bytes_;
  const Tensor x_;
};

TEST_F(Faults, WhileAModelIsLoadedAndCut) {
  const auto step = [&]() -> plx_status* {
    plx_model* model = nullptr;
    plx_plan* plan = nullptr;
    plx_status* status = load(&model);
    if (status == nullptr) status = cut(model, &plan);
    plx_plan_release(plan);
    plx_model_release(model);
    return status;
  };
  fail_in_turn(step, [] {});
  ok(step());
}

TEST_F(Faults, WhileASessionIsMade) {
  plx_model* model = nullptr;
  plx_plan* plan = nullptr;
  ok(load(&model));
  ok(cut(model, &plan));
  const auto step = [&]() -> plx_status* {
    plx_session* session = nullptr;
    plx_status* const status = plx_session_create(model, plan, nullptr, &session);
    plx_session_release(session);
    return status;
  };
  fail_in_turn(step, [] {});
  plx_plan_release(plan);
  plx_model_release(model);
}

TEST_F(Faults, WhileASessionRunsAndTellsAboutIt) {
  plx_model* model = nullptr;
  plx_plan* plan = nullptr;
  plx_session* session = nullptr;
  ok(load(&model));
  ok(cut(model, &plan));
  ok(plx_session_create(model, plan, nullptr, &session));
  ok(bind(session));
  ok(plx_session_run(session, nullptr));
  const std::string expected = output(session);

  // A run at shapes that the session does not know: sizes, layout, presets; another input at the second run.
  const Tensor other = noise({5, 64}, 6);
  const auto step = [&]() -> plx_status* {
    uint64_t trimmed = 0;
    plx_status* status = plx_session_trim(session, &trimmed);
    const plx_tensor tensor = tensor_over(other);
    if (status == nullptr) status = plx_session_bind_input(session, 0, &tensor);
    for (int i = 0; i < 3 && status == nullptr; ++i) status = plx_session_run(session, nullptr);
    if (status == nullptr) status = bind(session);
    for (int i = 0; i < 2 && status == nullptr; ++i) status = plx_session_run(session, nullptr);
    plx_text* text = nullptr;
    if (status == nullptr) status = plx_session_memory_problem(session, &text);
    plx_text_release(text);
    return status;
  };
  fail_in_turn(step, [&] {
    ok(bind(session));
    ok(plx_session_run(session, nullptr));
    EXPECT_EQ(output(session), expected);
  });
  plx_session_release(session);
  plx_plan_release(plan);
  plx_model_release(model);
}

}  // namespace
}  // namespace plx::capi
