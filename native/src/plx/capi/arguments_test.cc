// What callers can get wrong: NULL, struct sizes, options out of range. Everything is refused with a text, nothing
// crashes.
#include <gtest/gtest.h>

#include <limits>

#include "plx/capi/capi_testing.h"

namespace plx::capi {
namespace {

using namespace testing;
using ort::testing::noise;

class Arguments : public ::testing::Test {
 protected:
  void SetUp() override {
    h_.load(model_bytes());
    h_.make_plan(PLX_UNITS_NODES);
    h_.make_session();
  }
  void refused(plx_status* status, const std::string& part) { expect_error(status, PLX_INVALID_ARGUMENT, part); }

  Handles h_;
  plx_text* text_ = nullptr;
};

TEST_F(Arguments, NullIsRefusedByName) {
  plx_engine_options engine_options{};
  engine_options.struct_size = sizeof engine_options;
  refused(plx_engine_create(&engine_options, nullptr), "out_engine");
  refused(plx_engine_info_json(nullptr, &text_), "engine");
  refused(plx_engine_info_json(h_.engine, nullptr), "out_text");
  plx_model* model = nullptr;
  refused(plx_model_load_file(nullptr, "x", nullptr, &model), "engine");
  refused(plx_model_load_file(h_.engine, nullptr, nullptr, &model), "path");
  refused(plx_model_load_file(h_.engine, "x", nullptr, nullptr), "out_model");
  refused(plx_model_load_memory(nullptr, "x", 1, nullptr, &model), "engine");
  refused(plx_model_load_memory(h_.engine, nullptr, 1, nullptr, &model), "data");
  refused(plx_model_load_memory(h_.engine, "x", 1, nullptr, nullptr), "out_model");
  refused(plx_model_info_json(nullptr, &text_), "model");
  refused(plx_model_info_json(h_.model, nullptr), "out_text");
  plx_plan* plan = nullptr;
  refused(plx_plan_make(nullptr, nullptr, &plan), "model");
  refused(plx_plan_make(h_.model, nullptr, nullptr), "out_plan");
  refused(plx_plan_from_json(nullptr, "{}", 2, &plan), "model");
  refused(plx_plan_from_json(h_.model, nullptr, 2, &plan), "json");
  refused(plx_plan_from_json(h_.model, "{}", 2, nullptr), "out_plan");
  refused(plx_plan_to_json(nullptr, &text_), "plan");
  refused(plx_plan_to_json(h_.plan, nullptr), "out_text");
  refused(plx_plan_to_text(nullptr, &text_), "plan");
  refused(plx_plan_to_text(h_.plan, nullptr), "out_text");
  plx_session* session = nullptr;
  refused(plx_session_create(nullptr, h_.plan, nullptr, &session), "model");
  refused(plx_session_create(h_.model, nullptr, nullptr, &session), "plan");
  refused(plx_session_create(h_.model, h_.plan, nullptr, nullptr), "out_session");
  refused(plx_session_create_beside(nullptr, 0, &session), "session");
  refused(plx_session_create_beside(h_.session, 0, nullptr), "out_session");
  refused(plx_session_set_schedule(nullptr, "x", 1), "session");
  refused(plx_session_set_schedule(h_.session, nullptr, 1), "block");
  plx_tensor tensor{};
  refused(plx_session_bind_input(nullptr, 0, &tensor), "session");
  refused(plx_session_bind_input(h_.session, 0, nullptr), "tensor");
  refused(plx_session_bind_output(nullptr, 0, nullptr), "session");
  const int64_t dims[] = {1};
  const size_t offsets[] = {0};
  refused(plx_session_bind_input_strings(nullptr, 0, dims, 1, "a", 1, offsets), "session");
  refused(plx_session_bind_input_strings(h_.session, 0, nullptr, 1, "a", 1, offsets), "dims");
  refused(plx_session_bind_input_strings(h_.session, 0, dims, 1, nullptr, 1, offsets), "bytes");
  refused(plx_session_run(nullptr, nullptr), "session");
  refused(plx_session_output(nullptr, 0, &tensor), "session");
  refused(plx_session_output(h_.session, 0, nullptr), "out_tensor");
  refused(plx_session_output_strings(nullptr, 0, &text_), "session");
  refused(plx_session_output_strings(h_.session, 0, nullptr), "out_text");
  plx_value* value = nullptr;
  plx_value* none = nullptr;
  ok(plx_value_make_none(&none));
  refused(plx_value_make_none(nullptr), "out_value");
  refused(plx_value_make_tensor(nullptr, &value), "tensor");
  refused(plx_value_make_tensor(&tensor, nullptr), "out_value");
  refused(plx_value_make_strings(nullptr, 1, "a", 1, offsets, &value), "dims");
  refused(plx_value_make_strings(dims, 1, nullptr, 1, offsets, &value), "bytes");
  refused(plx_value_make_strings(dims, 1, "a", 1, nullptr, &value), "offsets");
  refused(plx_value_make_strings(dims, 1, "a", 1, offsets, nullptr), "out_value");
  refused(plx_value_make_sequence(nullptr, 1, &value), "elements");
  refused(plx_value_make_sequence(&value, 1, &value), "an element");
  refused(plx_value_make_sequence(&none, 1, nullptr), "out_value");
  refused(plx_value_make_map(nullptr, none, &value), "keys");
  refused(plx_value_make_map(none, nullptr, &value), "values");
  refused(plx_value_make_map(none, none, nullptr), "out_value");
  refused(plx_value_part(nullptr, 0, &value), "value");
  refused(plx_value_part(none, 0, nullptr), "out_part");
  refused(plx_value_tensor(nullptr, &tensor), "value");
  refused(plx_value_tensor(none, nullptr), "out_tensor");
  refused(plx_value_strings(nullptr, &text_), "value");
  refused(plx_value_strings(none, nullptr), "out_text");
  refused(plx_session_bind_input_value(nullptr, 0, none), "session");
  refused(plx_session_bind_input_value(h_.session, 0, nullptr), "value");
  refused(plx_session_output_value(nullptr, 0, &value), "session");
  refused(plx_session_output_value(h_.session, 0, nullptr), "out_value");
  EXPECT_EQ(value, nullptr);
  plx_value_release(none);
  refused(plx_session_report_json(nullptr, &text_), "session");
  refused(plx_session_report_json(h_.session, nullptr), "out_text");
  refused(plx_session_memory_json(nullptr, &text_), "session");
  refused(plx_session_memory_json(h_.session, nullptr), "out_text");
  refused(plx_session_memory_problem(nullptr, &text_), "session");
  refused(plx_session_memory_problem(h_.session, nullptr), "out_text");
  EXPECT_EQ(text_, nullptr);
}

TEST_F(Arguments, ReleasingAndAskingNullIsHarmless) {
  plx_status_release(nullptr);
  plx_text_release(nullptr);
  plx_value_release(nullptr);
  plx_engine_release(nullptr);
  plx_model_release(nullptr);
  plx_plan_release(nullptr);
  plx_session_release(nullptr);
  plx_session_cancel(nullptr);
  EXPECT_EQ(plx_status_code(nullptr), PLX_OK);
  EXPECT_STREQ(plx_status_message(nullptr), "");
  EXPECT_EQ(plx_status_requested_bytes(nullptr), 0u);
  EXPECT_EQ(plx_status_available_bytes(nullptr), 0u);
  EXPECT_STREQ(plx_text_data(nullptr), "");
  EXPECT_EQ(plx_text_size(nullptr), 0u);
  EXPECT_EQ(plx_plan_unit_count(nullptr), 0u);
}

TEST_F(Arguments, AnEngineNeedsALibrary) {
  plx_engine* engine = nullptr;
  expect_error(plx_engine_create(nullptr, &engine), PLX_LIBRARY, "no path");
  plx_engine_options options{
      .struct_size = sizeof options, .ort_library_path = "/nowhere/libonnxruntime.so", .threads = 2, .verbosity = 0};
  expect_error(plx_engine_create(&options, &engine), PLX_NOT_FOUND, "/nowhere/libonnxruntime.so");
  const std::string library = ort::testing::library();
  options.ort_library_path = library.c_str();
  options.threads = -2;
  refused(plx_engine_create(&options, &engine), "-2");
  EXPECT_EQ(engine, nullptr);
}

TEST_F(Arguments, StructSizesAreCheckedAndShorterOnesAccepted) {
  plx_plan_options options{};
  plx_plan* plan = nullptr;
  for (const size_t size : {size_t{0}, size_t{4}, size_t{4097}, std::numeric_limits<size_t>::max()}) {
    options.struct_size = size;
    refused(plx_plan_make(h_.model, &options, &plan), "plx_plan_options.struct_size");
  }
  // A caller that knows the first two fields only: what lies behind them is not read.
  options.struct_size = offsetof(plx_plan_options, rule);
  options.units = PLX_UNITS_LAYERS;
  options.rule = 99;
  options.device = reinterpret_cast<const char*>(1);
  ok(plx_plan_make(h_.model, &options, &plan));
  plx_plan_release(plan);
  plan = nullptr;
  // A newer caller: what we do not know is not read either.
  struct {
    plx_plan_options known;
    char more[64];
  } newer{};
  newer.known.struct_size = sizeof newer;
  newer.known.units = PLX_UNITS_BRANCHES;
  ok(plx_plan_make(h_.model, &newer.known, &plan));
  plx_plan_release(plan);

  plx_run_info info{};
  refused(plx_session_run(h_.session, &info), "plx_run_info.struct_size");
  plx_session_options session_options{};
  plx_session* session = nullptr;
  refused(plx_session_create(h_.model, h_.plan, &session_options, &session), "plx_session_options.struct_size");
  plx_model_options model_options{};
  plx_model* model = nullptr;
  refused(plx_model_load_memory(h_.engine, "x", 1, &model_options, &model), "plx_model_options.struct_size");
  plx_engine_options engine_options{};
  plx_engine* engine = nullptr;
  refused(plx_engine_create(&engine_options, &engine), "plx_engine_options.struct_size");
}

TEST_F(Arguments, ABudgetIsOneOrTheOther) {
  const auto session_error = [&](auto change, const std::string& part) {
    plx_session_options options{};
    options.struct_size = sizeof options;
    change(options);
    plx_session* session = nullptr;
    refused(plx_session_create(h_.model, h_.plan, &options, &session), part);
    EXPECT_EQ(session, nullptr);
  };
  session_error([](auto& o) { o.memory_margin = 1; }, "margin of 1");
  session_error([](auto& o) { o.memory_margin = -0.5; }, "margin of -0.5");
  session_error([](auto& o) { o.memory_margin = 0.4, o.memory_budget_bytes = 7; }, "the one or the other");
}

TEST_F(Arguments, PlanOptionsHaveRanges) {
  const auto plan_error = [&](auto change, const std::string& part) {
    plx_plan_options options{};
    options.struct_size = sizeof options;
    change(options);
    plx_plan* plan = nullptr;
    refused(plx_plan_make(h_.model, &options, &plan), part);
    EXPECT_EQ(plan, nullptr);
  };
  plan_error([](auto& o) { o.units = 5; }, "units is 5");
  plan_error([](auto& o) { o.units = -1; }, "units is -1");
  plan_error([](auto& o) { o.rule = 2; }, "rule is 2");
  plan_error([](auto& o) { o.beta = 0.5; }, "beta is 0.5");
  plan_error([](auto& o) { o.beta = -1; }, "beta is -1");
  plan_error([](auto& o) { o.beta = std::numeric_limits<double>::quiet_NaN(); }, "beta is");
  plan_error([](auto& o) { o.min_nodes = -1; }, "min_nodes is -1");
  plan_error([](auto& o) { o.device = "{not json"; }, "");
  static const char* const names[] = {"x", nullptr};
  static const size_t ranks[] = {2, 2};
  static const int64_t dims[] = {1, 64, 1, 64};
  plan_error([](auto& o) { o.shape_count = 1; }, "shape_names");
  plan_error([](auto& o) { o.shape_count = 1, o.shape_names = names; }, "shape_ranks");
  plan_error([](auto& o) { o.shape_count = 1, o.shape_names = names, o.shape_ranks = ranks; }, "shape_dims");
  plan_error([](auto& o) { o.shape_count = 2, o.shape_names = names, o.shape_ranks = ranks, o.shape_dims = dims; },
             "name of a shape");
}

TEST_F(Arguments, ModelOptionsHoldTogether) {
  const std::string bytes = model_bytes();
  const auto model_error = [&](auto change, const std::string& part) {
    plx_model_options options{};
    options.struct_size = sizeof options;
    change(options);
    plx_model* model = nullptr;
    refused(plx_model_load_memory(h_.engine, bytes.data(), bytes.size(), &options, &model), part);
    EXPECT_EQ(model, nullptr);
  };
  static const char* const one[] = {"n"};
  static const char* const none[] = {nullptr};
  static const int64_t negative[] = {-1};
  model_error([](auto& o) { o.prepack = 3; }, "prepack is 3");
  model_error([](auto& o) { o.prepack = -1; }, "prepack is -1");
  model_error([](auto& o) { o.custom_op_library_count = 1; }, "custom_op_libraries");
  model_error([](auto& o) { o.custom_op_library_count = 1, o.custom_op_libraries = none; }, "custom-operator library");
  model_error([](auto& o) { o.config_count = 1; }, "config_keys");
  model_error([](auto& o) { o.config_count = 1, o.config_keys = one; }, "config_values");
  model_error([](auto& o) { o.config_count = 1, o.config_keys = one, o.config_values = none; }, "config entry");
  model_error([](auto& o) { o.dimension_count = 1; }, "dimension_names");
  model_error([](auto& o) { o.dimension_count = 1, o.dimension_names = one; }, "dimension_values");
  model_error([](auto& o) { o.dimension_count = 1, o.dimension_names = none, o.dimension_values = negative; },
              "dimension's name");
  model_error([](auto& o) { o.dimension_count = 1, o.dimension_names = one, o.dimension_values = negative; },
              "fixed to -1");
}

TEST_F(Arguments, SessionsTakeOneThreadOrAll) {
  plx_session_options options{};
  options.struct_size = sizeof options;
  options.threads = 2;
  plx_session* session = nullptr;
  refused(plx_session_create(h_.model, h_.plan, &options, &session), "not on 2");
  options.threads = 1;
  ok(plx_session_create(h_.model, h_.plan, &options, &session));
  plx_session_release(session);
}

TEST_F(Arguments, TensorsAreChecked) {
  const ort::testing::Tensor x = noise({2, 64}, 1);
  plx_tensor tensor = tensor_over(x);
  refused(plx_session_bind_input(h_.session, 1, &tensor), "no input 1");
  refused(plx_session_bind_output(h_.session, 1, &tensor), "no output 1");
  tensor.dims = nullptr;
  refused(plx_session_bind_input(h_.session, 0, &tensor), "without dims");
  refused(plx_session_bind_output(h_.session, 0, &tensor), "without dims");
  tensor = tensor_over(x);
  tensor.rank = uint64_t{1} << 40;
  refused(plx_session_bind_input(h_.session, 0, &tensor), "rank");
  tensor = tensor_over(x);
  tensor.element_type = 1234;
  refused(plx_session_bind_input(h_.session, 0, &tensor), "'x'");
  tensor.element_type = -5;
  refused(plx_session_bind_output(h_.session, 0, &tensor), "'y'");
  tensor = tensor_over(x);
  tensor.size_bytes = 511;
  refused(plx_session_bind_input(h_.session, 0, &tensor), "needs 512 bytes");
  refused(plx_session_run(h_.session, nullptr), "not bound");
  plx_tensor out{};
  refused(plx_session_output(h_.session, 0, &out), "run the session");
  refused(plx_session_output(h_.session, 7, &out), "no output 7");
  refused(plx_session_output_strings(h_.session, 0, &text_), "run the session");
}

TEST_F(Arguments, PlansBelongToTheirModel) {
  plx_model* other = nullptr;
  const std::string bytes = model_bytes();
  ok(plx_model_load_memory(h_.engine, bytes.data(), bytes.size(), nullptr, &other));
  plx_session* session = nullptr;
  refused(plx_session_create(other, h_.plan, nullptr, &session), "another model");
  plx_model_release(other);
}

}  // namespace
}  // namespace plx::capi
