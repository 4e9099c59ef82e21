// The C interface as its callers see it: results, lifetimes, texts, schedules.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "plx/capi/capi_testing.h"

namespace plx::capi {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;

TEST(Versions, AreThere) {
  EXPECT_EQ(plx_abi_version(), static_cast<uint32_t>(PLX_ABI_VERSION));
  EXPECT_STREQ(plx_version(), PLX_VERSION);
}

TEST(Engine, DescribesItself) {
  Handles h;
  const auto info = nlohmann::json::parse(text_of([&](plx_text** out) { return plx_engine_info_json(h.engine, out); }));
  EXPECT_EQ(info["abi"], PLX_ABI_VERSION);
  EXPECT_EQ(info["parallax"], PLX_VERSION);
  EXPECT_EQ(info["threads"], 2);
  EXPECT_EQ(info["ort_api"], 21);
  EXPECT_EQ(info["onnxruntime"].get<std::string>().substr(0, 2), "1.");
  EXPECT_EQ(info["ort_library"], std::filesystem::canonical(ort::testing::library()).string());
  EXPECT_FALSE(info["compiler"].get<std::string>().empty());
}

TEST(Engine, ASecondOneHasToAgreeOnThreads) {
  Handles h;
  const std::string library = ort::testing::library();
  plx_engine_options options{
      .struct_size = sizeof options, .ort_library_path = library.c_str(), .threads = 3, .verbosity = 0};
  plx_engine* second = nullptr;
  expect_error(plx_engine_create(&options, &second), PLX_LIBRARY, "2 threads");
  EXPECT_EQ(second, nullptr);
  for (const int threads : {0, 1, 2}) {
    options.threads = threads;
    ok(plx_engine_create(&options, &second));
    plx_engine_release(second);
    second = nullptr;
  }
}

// One thread means one, whatever pool another engine has made.
TEST(Engine, OfOneThreadBesideAPoolRunsOnTheCaller) {
  Handles pool;
  const std::string library = ort::testing::library();
  plx_engine_options options{
      .struct_size = sizeof options, .ort_library_path = library.c_str(), .threads = 1, .verbosity = 0};
  plx_engine* narrow = nullptr;
  ok(plx_engine_create(&options, &narrow));
  EXPECT_EQ(nlohmann::json::parse(text_of([&](plx_text** out) { return plx_engine_info_json(narrow, out); }))["threads"], 1);
  EXPECT_EQ(nlohmann::json::parse(text_of([&](plx_text** out) { return plx_engine_info_json(pool.engine, out); }))["threads"], 2);
  const ort::testing::Tensor x = noise({3, 64}, 1);
  const plx_tensor input = tensor_over(x);
  const auto threads_of_units = [&](plx_engine* engine, int units) {
    const std::string bytes = model_bytes();
    plx_model* model = nullptr;
    plx_plan* plan = nullptr;
    plx_session* session = nullptr;
    ok(plx_model_load_memory(engine, bytes.data(), bytes.size(), nullptr, &model));
    plx_plan_options cut{};
    cut.struct_size = sizeof cut;
    cut.units = units;
    ok(plx_plan_make(model, &cut, &plan));
    ok(plx_session_create(model, plan, nullptr, &session));
    ok(plx_session_bind_input(session, 0, &input));
    ok(plx_session_run(session, nullptr));
    std::set<int> found;
    const auto report =
        nlohmann::json::parse(text_of([&](plx_text** out) { return plx_session_report_json(session, out); }));
    for (const auto& unit : report["units"]) found.insert(unit["threads"].get<int>());
    plx_session_release(session);
    plx_plan_release(plan);
    plx_model_release(model);
    return found;
  };
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) {
    EXPECT_EQ(threads_of_units(narrow, units), std::set{1});
    EXPECT_EQ(threads_of_units(pool.engine, units), std::set{2});
  }
  EXPECT_EQ(threads_of_units(narrow, PLX_UNITS_MIXED), std::set{1});
  plx_engine_release(narrow);
}

class EveryCut : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Units, EveryCut, ::testing::Range(0, 4));

TEST_P(EveryCut, RunsAModelInMemory) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(GetParam());
  h.make_session();
  const ort::testing::Tensor x = noise({3, 64}, 1);
  const ort::testing::Tensor expected = Plain(ort::testing::runtime(), model_bytes()).run({x})[0];
  const plx_tensor input = tensor_over(x);
  ok(plx_session_bind_input(h.session, 0, &input));
  plx_run_info info{.struct_size = sizeof info, .outputs_generation = 0, .stop = 0, .reserved = 0};
  for (int repeat = 0; repeat < 3; ++repeat) {
    ok(plx_session_run(h.session, &info));
    EXPECT_GT(info.outputs_generation, 0u);
    plx_tensor output{};
    ok(plx_session_output(h.session, 0, &output));
    EXPECT_EQ(output.element_type, PLX_FLOAT32);
    ASSERT_EQ(output.rank, 2u);
    EXPECT_EQ(output.dims[0], 3);
    EXPECT_EQ(output.dims[1], 64);
    EXPECT_EQ(std::string(static_cast<char*>(output.data), output.size_bytes), expected.bytes);
  }
  ok(plx_session_run(h.session, nullptr));

  ort::testing::Tensor y = noise({3, 64}, 9);
  const plx_tensor bound = tensor_over(y);
  ok(plx_session_bind_output(h.session, 0, &bound));
  ok(plx_session_run(h.session, &info));
  EXPECT_EQ(y.bytes, expected.bytes);
  ok(plx_session_bind_output(h.session, 0, nullptr));
  ok(plx_session_run(h.session, &info));
  const auto report =
      nlohmann::json::parse(text_of([&](plx_text** out) { return plx_session_report_json(h.session, out); }));
  EXPECT_EQ(report["runs"], 6);
  EXPECT_EQ(report["units"].size(), plx_plan_unit_count(h.plan));
}

TEST(Lifetime, ParentsMayBeReleasedFirst) {
  Handles h;
  const std::string bytes = model_bytes();
  h.load(bytes);
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  plx_text* text = nullptr;
  ok(plx_plan_to_text(h.plan, &text));
  const std::string copy(plx_text_data(text), plx_text_size(text));
  plx_engine_release(std::exchange(h.engine, nullptr));
  plx_model_release(std::exchange(h.model, nullptr));
  plx_plan_release(std::exchange(h.plan, nullptr));
  const ort::testing::Tensor x = noise({2, 64}, 1);
  const plx_tensor input = tensor_over(x);
  ok(plx_session_bind_input(h.session, 0, &input));
  ok(plx_session_run(h.session, nullptr));
  plx_session_release(std::exchange(h.session, nullptr));
  EXPECT_EQ(std::string(plx_text_data(text)), copy);  // a text depends on nothing
  plx_text_release(text);
}

TEST(Lifetime, StringsPassedInAreCopied) {
  Handles h;
  std::string key = "session.set_denormal_as_zero";
  std::string value = "1";
  std::string symbol = "n";
  const char* keys[] = {key.c_str()};
  const char* values[] = {value.c_str()};
  const char* symbols[] = {symbol.c_str()};
  const int64_t sizes[] = {5};
  plx_model_options options{};
  options.struct_size = sizeof options;
  options.config_keys = keys;
  options.config_values = values;
  options.config_count = 1;
  options.dimension_names = symbols;
  options.dimension_values = sizes;
  options.dimension_count = 1;
  h.load(model_bytes(), &options);
  for (std::string* text : {&key, &value, &symbol}) std::fill(text->begin(), text->end(), '?');
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  const ort::testing::Tensor x = noise({5, 64}, 1);
  const ort::testing::Tensor other = noise({4, 64}, 1);
  const plx_tensor right = tensor_over(x);
  const plx_tensor wrong = tensor_over(other);
  ok(plx_session_bind_input(h.session, 0, &right));
  expect_error(plx_session_bind_input(h.session, 0, &wrong), PLX_INVALID_ARGUMENT, "[5,64]");
}

TEST(Model, LoadsFromAFile) {
  Handles h;
  const std::string path = ::testing::TempDir() + "plx_capi_model.onnx";
  std::ofstream(path, std::ios::binary) << model_bytes();
  ok(plx_model_load_file(h.engine, path.c_str(), nullptr, &h.model));
  const auto info = nlohmann::json::parse(text_of([&](plx_text** out) { return plx_model_info_json(h.model, out); }));
  EXPECT_EQ(info["inputs"][0]["name"], "x");
  std::filesystem::remove(path);
  plx_model* none = nullptr;
  expect_error(plx_model_load_file(h.engine, path.c_str(), nullptr, &none), PLX_NOT_FOUND, path);
  EXPECT_EQ(none, nullptr);
}

TEST(Plan, GoesThroughJson) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_BRANCHES);
  const auto json_of = [](plx_plan* plan) {
    return text_of([&](plx_text** out) { return plx_plan_to_json(plan, out); });
  };
  const std::string json = json_of(h.plan);
  plx_plan* read = nullptr;
  ok(plx_plan_from_json(h.model, json.data(), json.size(), &read));
  EXPECT_EQ(json_of(read), json);
  EXPECT_EQ(plx_plan_unit_count(read), plx_plan_unit_count(h.plan));
  plx_plan_release(read);
  read = nullptr;
  expect_error(plx_plan_from_json(h.model, json.data(), json.size() / 2, &read), PLX_INVALID_PLAN, "");
  EXPECT_EQ(read, nullptr);
}

TEST(Plan, WrittenAfterItsModelWasReleasedTellsDeclaredShapes) {
  const auto tensors_of = [](plx_plan* plan) {
    return nlohmann::json::parse(text_of([&](plx_text** out) { return plx_plan_tensors_json(plan, out); }));
  };
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_NODES);
  const auto before = tensors_of(h.plan);
  plx_model_release(std::exchange(h.model, nullptr));
  const auto after = tensors_of(h.plan);
  ASSERT_EQ(after.size(), before.size());
  EXPECT_EQ(after["x"], before["x"]);
  size_t inner = 0;
  for (const auto& [name, tensor] : before.items()) {
    EXPECT_TRUE(tensor["shape"].is_array()) << name;
    EXPECT_EQ(after[name]["type"], tensor["type"]) << name;
    inner += after[name]["shape"].is_null();
  }
  EXPECT_GT(inner, 0u);
}

TEST(Plan, TakesShapesAndADevice) {
  Handles h;
  h.load(model_bytes());
  const char* names[] = {"x"};
  const size_t ranks[] = {2};
  const int64_t dims[] = {8, 64};
  plx_plan_options options{};
  options.struct_size = sizeof options;
  options.units = PLX_UNITS_BRANCHES;
  options.rule = PLX_RULE_RELAXED;
  options.beta = 2;
  options.min_nodes = 1;
  options.device = R"({"name":"d","operators":["MatMul"],"min_nodes":1,"min_macs":1})";
  options.shape_names = names;
  options.shape_ranks = ranks;
  options.shape_dims = dims;
  options.shape_count = 1;
  ok(plx_plan_make(h.model, &options, &h.plan));
  const auto json = nlohmann::json::parse(text_of([&](plx_text** out) { return plx_plan_to_json(h.plan, out); }));
  EXPECT_TRUE(json.dump().find("MatMul") != std::string::npos);
  h.make_session();
}

TEST(Schedule, IsOneFlatBlock) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  const ort::testing::Tensor x = noise({2, 64}, 1);
  const plx_tensor input = tensor_over(x);
  ok(plx_session_bind_input(h.session, 0, &input));
  ok(plx_session_run(h.session, nullptr));

  const auto units = static_cast<uint32_t>(plx_plan_unit_count(h.plan));
  ASSERT_GT(units, 1u);
  std::vector<plx_schedule_entry> entries;
  for (uint32_t i = 0; i < units; ++i) entries.push_back({i, 0, i % 2, 0});
  const auto block = [&](plx_schedule_header header) {
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
    return bytes.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof entries[0]);
  };
  const plx_schedule_header good{PLX_SCHEDULE_MAGIC, 1, units, 0, 0};
  const auto set = [&](const std::string& bytes) {
    return plx_session_set_schedule(h.session, bytes.data(), bytes.size());
  };
  ok(set(block(good)));
  ok(plx_session_run(h.session, nullptr));
  const std::string whole = block(good);
  for (size_t length = 0; length < whole.size(); ++length)
    expect_error(set(whole.substr(0, length)), PLX_INVALID_PLAN, "");
  expect_error(set(whole + "12345678"), PLX_INVALID_PLAN, "bytes");
  expect_error(set(block({0, 1, units, 0, 0})), PLX_INVALID_PLAN, "version 1");
  expect_error(set(block({PLX_SCHEDULE_MAGIC, 2, units, 0, 0})), PLX_INVALID_PLAN, "version 1");
  expect_error(set(block({PLX_SCHEDULE_MAGIC, 1, UINT32_MAX, 0, 0})), PLX_INVALID_PLAN, "4294967295");
  std::swap(entries.front(), entries.back());
  expect_error(set(block(good)), PLX_INVALID_PLAN, "before unit");
  ok(plx_session_run(h.session, nullptr));  // the last good one still holds
}

TEST(Strings, GoInAndOut) {
  graph::testing::Model m;
  m.input("s", graph::ElementType::kString, {"n"})
      .node("Identity", {"s"}, {"y"})
      .output("y", graph::ElementType::kString, {"n"});
  Handles h;
  h.load(m.bytes());
  h.make_plan(PLX_UNITS_WHOLE);
  h.make_session();
  const int64_t dims[] = {3};
  const std::string bytes =
      "oneGr\xc3\xbc\xc3\x9f"
      "e\xff";
  const size_t offsets[] = {0, 3, bytes.size() - 1};
  ok(plx_session_bind_input_strings(h.session, 0, dims, 1, bytes.data(), bytes.size(), offsets));
  ok(plx_session_run(h.session, nullptr));
  const auto strings = nlohmann::json::parse(
      text_of([&](plx_text** out) { return plx_session_output_strings(h.session, 0, out); }))["strings"];
  ASSERT_EQ(strings.size(), 3u);
  EXPECT_EQ(strings[0], "one");
  EXPECT_EQ(strings[1],
            "Gr\xc3\xbc\xc3\x9f"
            "e");
  EXPECT_EQ(strings[2], "\xef\xbf\xbd");  // JSON is UTF-8
  plx_tensor tensor{};
  ok(plx_session_output(h.session, 0, &tensor));
  EXPECT_EQ(tensor.element_type, PLX_STRING);
  EXPECT_EQ(tensor.data, nullptr);
}

// What a caller sees of a value, with its parts: "[float32 1:4 bytes, none]".
std::string shown(const plx_value* value) {
  if (plx_value_kind(value) == PLX_KIND_NONE) return "none";
  if (plx_value_kind(value) == PLX_KIND_TENSOR) {
    plx_tensor tensor{};
    ok(plx_value_tensor(value, &tensor));
    std::string text = "type " + std::to_string(tensor.element_type) + ":";
    for (uint64_t i = 0; i < tensor.rank; ++i) text += " " + std::to_string(tensor.dims[i]);
    if (tensor.element_type == PLX_STRING) return text + text_of([&](plx_text** out) { return plx_value_strings(value, out); });
    for (uint64_t i = 0; i < tensor.size_bytes / 4; ++i) text += " " + std::to_string(static_cast<const int*>(tensor.data)[i]);
    return text;
  }
  std::string text = plx_value_kind(value) == PLX_KIND_MAP ? "{" : "[";
  for (size_t i = 0; i < plx_value_count(value); ++i) {
    plx_value* part = nullptr;
    ok(plx_value_part(value, i, &part));
    text += (i == 0 ? "" : ", ") + shown(part);
    plx_value_release(part);
  }
  return text + (plx_value_kind(value) == PLX_KIND_MAP ? "}" : "]");
}

TEST(Values, DependOnNothing) {
  int32_t numbers[] = {1, 2};
  int64_t dims[] = {2};
  const plx_tensor tensor{numbers, sizeof numbers, dims, 1, PLX_INT32, 0};
  const size_t offsets[] = {0, 1};
  plx_value* values[4] = {};
  ok(plx_value_make_tensor(&tensor, &values[0]));
  ok(plx_value_make_strings(dims, 1, "ab", 2, offsets, &values[1]));
  ok(plx_value_make_map(values[1], values[0], &values[2]));
  ok(plx_value_make_none(&values[3]));
  plx_value* all = nullptr;
  ok(plx_value_make_sequence(values, 4, &all));
  std::fill(numbers, numbers + 2, 9);
  dims[0] = 9;
  for (plx_value* value : values) plx_value_release(value);
  EXPECT_EQ(shown(all), R"([type 6: 2 1 2, type 8: 2{"strings":["a","b"]}, {type 8: 2{"strings":["a","b"]}, type 6: 2 1 2}, none])");
  plx_value* part = nullptr;
  expect_error(plx_value_part(all, 4, &part), PLX_INVALID_ARGUMENT, "no part 4");
  plx_tensor out{};
  expect_error(plx_value_tensor(all, &out), PLX_INVALID_ARGUMENT, "a sequence of 4");
  plx_text* text = nullptr;
  expect_error(plx_value_strings(all, &text), PLX_INVALID_ARGUMENT, "not a tensor of strings");
  ok(plx_value_part(all, 0, &part));
  plx_value_release(all);
  EXPECT_EQ(shown(part), "type 6: 2 1 2");
  plx_value* map = nullptr;
  expect_error(plx_value_make_map(part, nullptr, &map), PLX_INVALID_ARGUMENT, "values");
  plx_value_release(part);
}

TEST(Values, OfUnequalOrOtherPartsMakeNoMap) {
  const int64_t numbers[] = {1, 2};
  const int64_t dims[] = {2, 1};
  plx_value* two = nullptr;
  plx_value* one = nullptr;
  plx_value* matrix = nullptr;
  plx_value* map = nullptr;
  plx_tensor tensor{const_cast<int64_t*>(numbers), 16, dims, 1, PLX_INT64, 0};
  ok(plx_value_make_tensor(&tensor, &two));
  tensor.rank = 2;
  ok(plx_value_make_tensor(&tensor, &matrix));
  tensor.dims = dims + 1;
  tensor.rank = 1;
  ok(plx_value_make_tensor(&tensor, &one));
  expect_error(plx_value_make_map(two, one, &map), PLX_INVALID_ARGUMENT, "2 keys");
  expect_error(plx_value_make_map(two, matrix, &map), PLX_INVALID_ARGUMENT, "int64[2,1]");
  tensor.size_bytes = 7;
  expect_error(plx_value_make_tensor(&tensor, &map), PLX_INVALID_ARGUMENT, "needs 8 bytes, and 7");
  EXPECT_EQ(map, nullptr);
  for (plx_value* value : {one, two, matrix}) plx_value_release(value);
}

TEST(Values, GoInAndOut) {
  using namespace graph::testing;
  graph::testing::Model m;
  const auto list = sequence_of(tensor_type(graph::ElementType::kInt32));
  m.input("list", list).input("x", graph::ElementType::kInt32, {"n"});
  m.node("SequenceInsert", {"list", "x"}, {"longer"}).output("longer", list).output("x", graph::ElementType::kInt32, {"n"});
  Handles h;
  h.load(m.bytes());
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  int32_t numbers[] = {1, 2};
  const int64_t dims[] = {2};
  const plx_tensor tensor{numbers, sizeof numbers, dims, 1, PLX_INT32, 0};
  plx_value* list_value = nullptr;
  ok(plx_value_make_sequence(nullptr, 0, &list_value));
  ok(plx_session_bind_input_value(h.session, 0, list_value));
  plx_value_release(list_value);
  ok(plx_session_bind_input(h.session, 1, &tensor));
  plx_value* output = nullptr;
  expect_error(plx_session_output_value(h.session, 0, &output), PLX_INVALID_ARGUMENT, "run the session first");
  for (int run = 0; run < 2; ++run) {
    ok(plx_session_run(h.session, nullptr));
    ok(plx_session_output_value(h.session, 0, &output));
    EXPECT_EQ(shown(output), "[type 6: 2 1 2]");
    plx_value_release(std::exchange(output, nullptr));
  }
  plx_tensor none{};
  expect_error(plx_session_output(h.session, 0, &none), PLX_UNSUPPORTED, "plx_session_output_value");
  ok(plx_session_output_value(h.session, 1, &output));
  plx_session_release(std::exchange(h.session, nullptr));
  EXPECT_EQ(shown(output), "type 6: 2 1 2");
  plx_value_release(output);
}

TEST(EmptyTensors, HaveNoAddress) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  const int64_t dims[] = {0, 64};
  const plx_tensor input{nullptr, 0, dims, 2, PLX_FLOAT32, 0};
  ok(plx_session_bind_input(h.session, 0, &input));
  ok(plx_session_run(h.session, nullptr));
  plx_tensor output{};
  ok(plx_session_output(h.session, 0, &output));
  EXPECT_EQ(output.data, nullptr);
  EXPECT_EQ(output.size_bytes, 0u);
  EXPECT_EQ(output.dims[0], 0);
}

TEST(Cancel, OfAnIdleSessionDoesNothing) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  const ort::testing::Tensor x = noise({2, 64}, 1);
  const plx_tensor input = tensor_over(x);
  ok(plx_session_bind_input(h.session, 0, &input));
  plx_session_cancel(h.session);
  ok(plx_session_run(h.session, nullptr));
}

TEST(Cancel, OfARunThatHasNotBegunIsHeardByItsWord) {
  Handles h;
  h.load(model_bytes());
  h.make_plan(PLX_UNITS_NODES);
  h.make_session();
  const ort::testing::Tensor x = noise({2, 64}, 1);
  const plx_tensor input = tensor_over(x);
  ok(plx_session_bind_input(h.session, 0, &input));
  plx_run_info info{.struct_size = sizeof info, .outputs_generation = 0, .stop = 1, .reserved = 0};
  plx_session_cancel(h.session);
  expect_error(plx_session_run(h.session, &info), PLX_RUN_FAILED, "cancelled");
  info.stop = 0;
  ok(plx_session_run(h.session, &info));
  info.stop = 1;  // a caller of before knows no such field
  info.struct_size = offsetof(plx_run_info, stop);
  ok(plx_session_run(h.session, &info));
}

}  // namespace
}  // namespace plx::capi
