// Hostile models through the whole core, ONNX Runtime included: nothing outside the model's folder is read, nothing is
// computed beyond the limits, errors cannot drive a terminal, and the engine stays usable.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "plx/capi/capi_testing.h"

namespace plx::capi {
namespace {

using namespace testing;
using namespace graph::testing;
using E = graph::ElementType;
constexpr int64_t kMega = int64_t{1} << 20;

class Hostile : public ::testing::Test {
 protected:
  // Whatever was asked for before, the engine works.
  void TearDown() override {
    h_.load(model_bytes());
    for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_BRANCHES}) {
      h_.make_plan(units);
      h_.make_session();
      plx_session_release(std::exchange(h_.session, nullptr));
      plx_plan_release(std::exchange(h_.plan, nullptr));
    }
  }

  // Loads, cuts and compiles; the first error.
  plx_status* prepare(const std::string& bytes, int units, plx_model_options options = {}) {
    options.struct_size = sizeof options;
    plx_model* model = nullptr;
    if (plx_status* s = plx_model_load_memory(h_.engine, bytes.data(), bytes.size(), &options, &model)) return s;
    plx_status* status = compile(model, units);
    plx_model_release(model);
    return status;
  }
  static plx_status* compile(plx_model* model, int units) {
    plx_plan_options cut{};
    cut.struct_size = sizeof cut;
    cut.units = units;
    plx_plan* plan = nullptr;
    plx_session* session = nullptr;
    plx_status* status = plx_plan_make(model, &cut, &plan);
    if (status == nullptr) status = plx_session_create(model, plan, nullptr, &session);
    plx_session_release(session);
    plx_plan_release(plan);
    return status;
  }
  void refused(const Model& m, int code, const std::string& part, plx_model_options options = {}) {
    const std::string bytes = m.bytes();
    const std::clock_t start = std::clock();
    for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) expect_error(prepare(bytes, units, options), code, part);
    EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 20);
  }

  Handles h_;
};

// ---- constants that are computed

Model computing(const std::function<void(Body&)>& nodes) {
  Model m;
  m.input("x", kFloat, {1}).node("Relu", {"x"}, {"y"}).output("y");
  nodes(m);
  return m;
}

TensorBytes longs(const Dims& values) { return tensor<int64_t>({static_cast<int64_t>(values.size())}, values); }

TEST_F(Hostile, TerabytesThatWouldBeComputedAreRefused) {
  refused(computing([](Body& m) {
            m.initializer("s", longs({kMega, kMega})).node("ConstantOfShape", {"s"}, {"c"}, {}, "bomb").output("c");
          }), PLX_INVALID_MODEL, "node 'bomb' (ConstantOfShape)");
  refused(computing([](Body& m) {  // a size that is itself computed
            m.initializer("k", longs({kMega})).node("Mul", {"k", "k"}, {"s"}).node("ConstantOfShape", {"s"}, {"c"}).output("c");
          }), PLX_INVALID_MODEL, "max_constant_bytes");
  refused(computing([](Body& m) {
            m.initializer("one", tensor<float>({1}, {1})).initializer("s", longs({kMega, kMega}));
            m.node("Expand", {"one", "s"}, {"c"}).output("c");
          }), PLX_INVALID_MODEL, "(Expand)");
  refused(computing([](Body& m) {
            m.initializer("one", tensor<float>({1}, {1})).initializer("s", longs({kMega * kMega}));
            m.node("Tile", {"one", "s"}, {"c"}).output("c");
          }), PLX_INVALID_MODEL, "(Tile)");
  refused(computing([](Body& m) {
            m.initializer("a", tensor<int64_t>({}, {0})).initializer("b", tensor<int64_t>({}, {kMega * kMega}));
            m.initializer("c", tensor<int64_t>({}, {1})).node("Range", {"a", "b", "c"}, {"r"}).output("r");
          }), PLX_INVALID_MODEL, "(Range)");
}

TEST_F(Hostile, ManyConstantsEachWithinTheLimitAreRefusedTogether) {
  const auto fours = [](Body& m, const std::string& shape) {
    for (int i = 0; i < 64; ++i) m.node("ConstantOfShape", {shape}, {"c" + std::to_string(i)});
    for (int i = 0; i < 64; ++i) m.output("c" + std::to_string(i));
  };
  refused(computing([&](Body& m) { fours(m.initializer("s", longs({64 * kMega})), "s"); }), PLX_INVALID_MODEL, "max_constant_bytes");
  refused(computing([](Body& m) {  // 40 doublings
            m.initializer("c0", tensor<float>({1}, {1}));
            for (int i = 0; i < 40; ++i) {
              const std::string from = "c" + std::to_string(i);
              m.node("Concat", {from, from}, {"c" + std::to_string(i + 1)}, {attr("axis", 0)});
            }
            m.output("c40");
          }), PLX_INVALID_MODEL, "(Concat)");
  Model of_an_input;  // its shape is a constant too
  of_an_input.input("x", kFloat, {64 * kMega}).node("Shape", {"x"}, {"s"});
  fours(of_an_input, "s");
  refused(of_an_input, PLX_INVALID_MODEL, "max_constant_bytes");
}

TEST_F(Hostile, BodiesAndFunctionsComputeConstantsToo) {
  Body body("body");
  body.initializer("s", longs({kMega, kMega})).node("ConstantOfShape", {"s"}, {"c"}, {}, "bomb");
  body.node("ReduceSum", {"c"}, {"t"}).output("t", kFloat, {1, 1});
  Model in_body;
  in_body.input("b", E::kBool, {}).output("y", kFloat, {1, 1});
  in_body.node("If", {"b"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)});
  refused(in_body, PLX_INVALID_MODEL, "node 'bomb'");
  Body reads_outer("body");
  reads_outer.node("ConstantOfShape", {"outer"}, {"c"}, {}, "bomb").node("ReduceSum", {"c"}, {"t"}).output("t", kFloat, {1, 1});
  Model of_outer;
  of_outer.input("b", E::kBool, {}).initializer("outer", longs({kMega, kMega})).output("y", kFloat, {1, 1});
  of_outer.node("If", {"b"}, {"y"}, {attr("then_branch", reads_outer), attr("else_branch", reads_outer)});
  refused(of_outer, PLX_INVALID_MODEL, "node 'bomb'");
  Model in_function;  // 64 MiB, a hundred times
  in_function.imports("local", 1).function(function_bytes(
      "local", "F", {"a"}, {"r"},
      {node_bytes("Constant", {}, {"s"}, {attr("value", longs({16 * kMega}))}),
       node_bytes("ConstantOfShape", {"s"}, {"c"}, {}, "bomb"), node_bytes("ReduceSum", {"c"}, {"t"}),
       node_bytes("Add", {"a", "t"}, {"r"})}, 17));
  in_function.input("v0", kFloat, {1});
  for (int i = 0; i < 100; ++i) in_function.node("local:F", {"v" + std::to_string(i)}, {"v" + std::to_string(i + 1)});
  in_function.output("v100", kFloat, {1});
  refused(in_function, PLX_INVALID_MODEL, "node 'bomb'");
}

TEST_F(Hostile, ConstantsWithinTheLimitAreComputedAsEver) {
  const Model m = computing([](Body& m) {
    m.initializer("s", longs({2, 3})).node("ConstantOfShape", {"s"}, {"c"}, {attr("value", tensor<float>({1}, {7}))});
    m.node("Add", {"x", "c"}, {"z"}).output("z", kFloat, {2, 3});
  });
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) ok(prepare(m.bytes(), units));
  plx_model_options strict{};
  strict.max_constant_bytes = 23;
  // Eight times the weights are free: 16 bytes of them, 128 of constants.
  ok(prepare(m.bytes(), PLX_UNITS_NODES, strict));
  const Model more = computing([](Body& m) {
    m.initializer("s", longs({20, 3})).node("ConstantOfShape", {"s"}, {"c"}).output("c");
  });
  refused(more, PLX_INVALID_MODEL, "(max_constant_bytes)", strict);
}

// ---- options

TEST_F(Hostile, LimitsAreOptions) {
  plx_model_options options{};
  options.max_model_bytes = 10;
  refused(computing([](Body&) {}), PLX_INVALID_MODEL, "max_model_bytes", options);
  options = {};
  options.max_nodes = 1;
  refused(computing([](Body& m) { m.node("Relu", {"y"}, {"z"}).output("z"); }), PLX_INVALID_MODEL, "max_nodes", options);
  ok(prepare(computing([](Body&) {}).bytes(), PLX_UNITS_WHOLE, options));
  options = {};
  options.max_weight_bytes = 7;
  refused(computing([](Body& m) { m.initializer("w", longs({1})); }), PLX_INVALID_MODEL, "max_weight_bytes", options);
  options = {};
  options.max_depth = -1;
  refused(computing([](Body&) {}), PLX_INVALID_ARGUMENT, "max_depth", options);
  options = {};
  options.data_folder_count = 1;
  refused(computing([](Body&) {}), PLX_INVALID_ARGUMENT, "data_folders is NULL", options);
}

// ---- texts

TEST_F(Hostile, ErrorsCannotDriveATerminal) {
  const std::string name = "\x1B]0;owned\x07\x1B[2J\r\n\xC2\x9B" "31m\xE2\x80\xAE";
  const std::string safe = "\\x1B]0;owned\\x07\\x1B[2J\\x0D\\x0A\\xC2\\x9B31m\\xE2\\x80\\xAE";
  Model reads;
  reads.node("Relu", {name}, {"y"}, {}, name).output("y");
  refused(reads, PLX_INVALID_MODEL, safe);
  Model operation;  // what ONNX Runtime says
  operation.input("x", kFloat, {1}).node(name, {"x"}, {"y"}).output("y", kFloat, {1});
  const std::string bytes = operation.bytes();
  plx_status* status = prepare(bytes, PLX_UNITS_WHOLE);
  ASSERT_NE(status, nullptr);
  const std::string message = plx_status_message(status);
  for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << message;
  plx_status_release(status);
  Model endless;
  endless.node("Relu", {std::string(60'000, 'n')}, {"y"}).output("y");
  const std::string long_name = endless.bytes();
  status = prepare(long_name, PLX_UNITS_WHOLE);
  ASSERT_NE(status, nullptr);
  EXPECT_LT(std::string(plx_status_message(status)).size(), 3000u);
  plx_status_release(status);
}

TEST_F(Hostile, PlansAndTheirTextsCarryNamesSafely) {
  const std::string name = "\x1B[2J";
  Model m;
  m.input(name, kFloat, {1}).node("Relu", {name}, {"a"}, {}, name).node("Abs", {"a"}, {"y"}).output("y", kFloat, {1});
  h_.load(m.bytes());
  h_.make_plan(PLX_UNITS_NODES);
  for (const auto call : {plx_plan_to_json, plx_plan_tensors_json, plx_plan_to_text}) {
    EXPECT_EQ(text_of([&](plx_text** out) { return call(h_.plan, out); }).find('\x1B'), std::string::npos);
  }
  EXPECT_EQ(text_of([&](plx_text** out) { return plx_model_info_json(h_.model, out); }).find('\x1B'), std::string::npos);
  plx_plan_release(std::exchange(h_.plan, nullptr));
  plx_model_release(std::exchange(h_.model, nullptr));
}

// ---- what ONNX Runtime would take for something else

TEST_F(Hostile, BytesThatLookLikeAnotherFormatAreStillThisModel) {
  // A producer's name at the place of ONNX Runtime's own format's mark.
  const std::string marked = field(graph::onnx::Model::kProducerName, "..ORTM..");
  const std::string bytes = marked + computing([](Body&) {}).bytes();
  ASSERT_EQ(bytes.substr(4, 4), "ORTM");
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) ok(prepare(bytes, units));
}

TEST_F(Hostile, DuplicateNodeNamesAndEmptyGraphsAreErrorsOrModels) {
  Model twice;
  twice.input("x", kFloat, {1}).node("Relu", {"x"}, {"a"}, {}, "n").node("Abs", {"a"}, {"y"}, {}, "n");
  twice.output("y", kFloat, {1});
  refused(twice, PLX_INVALID_MODEL, "same node name");
  expect_error(prepare(Model().bytes_without_graph(), PLX_UNITS_WHOLE), PLX_INVALID_MODEL, "no graph");
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) {
    plx_status_release(prepare(Model().bytes(), units));  // no nodes, no outputs: whatever ONNX Runtime says to it
  }
}

// ---- plans

TEST_F(Hostile, PlansThatAreNotJsonOfThisSchemaAreRefused) {
  h_.load(model_bytes());
  h_.make_plan(PLX_UNITS_BRANCHES);
  const std::string good = text_of([&](plx_text** out) { return plx_plan_to_json(h_.plan, out); });
  const auto refuse = [&](const std::string& json, const std::string& part) {
    plx_plan* plan = nullptr;
    expect_error(plx_plan_from_json(h_.model, json.data(), json.size(), &plan), PLX_INVALID_PLAN, part);
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string json = good;
    const size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? json : json.replace(at, from.size(), to);
  };
  refuse(std::string(1'000'000, '['), "nested more than");
  refuse("{\"schema\":" + std::string(1'000'000, '{'), "nested more than");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  refuse(deep, "nested more than");
  refuse("[\"" + std::string(1000, '['), "JSON");
  refuse(std::string(20'000'000, ' '), "bytes, and no more than");
  std::string zeros = "[0";
  for (int i = 0; i < 100'000; ++i) zeros += ",0";
  refuse(with("\"units\":[", "\"units\":[" + zeros + "],"), "units");
  refuse(with("\"beta\":1.5", "\"beta\":1e999"), "JSON");
  refuse(with("\"min_nodes\":3", "\"min_nodes\":99999999999999999999999"), "min_nodes");
  refuse(with("\"min_nodes\":3", "\"min_nodes\":[3]"), "min_nodes");
  refuse(with("\"version\":2", "\"version\":\"\x1B[2J\""), "JSON");
  plx_plan_release(std::exchange(h_.plan, nullptr));
  plx_model_release(std::exchange(h_.model, nullptr));
}

// ---- files

class HostileFiles : public Hostile {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(top_);
    std::filesystem::create_directories(top_ + "/model");
    std::filesystem::create_directories(top_ + "/blobs");
    write(top_ + "/secret.bin", floats({666, 666}));
    write(top_ + "/blobs/abc", floats({3, 4}));
    ASSERT_EQ(::mkfifo((top_ + "/pipe").c_str(), 0600), 0);
  }
  void TearDown() override {
    std::filesystem::remove_all(top_);
    Hostile::TearDown();
  }
  static void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  static std::string floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  void link(const std::string& target, const std::string& name) {
    std::filesystem::remove(top_ + "/model/" + name);
    std::filesystem::create_symlink(target, top_ + "/model/" + name);
  }
  // y = x + w, z = x + v, where v lies in bodies and stands for itself in an attribute.
  static Model adding() {
    const auto weights = TensorBytes(kFloat, {2}).external({{"location", "w.bin"}});
    Body body("body");
    body.initializer("v", weights).node("Add", {"x", "v"}, {"t"}).output("t", kFloat, {2});
    Model m;
    m.input("x", kFloat, {2}).input("b", E::kBool, {}).initializer("w", weights);
    m.node("Constant", {}, {"k"}, {attr("value", weights)}).node("Add", {"x", "w"}, {"p"});
    m.node("Add", {"p", "k"}, {"y"}).node("If", {"b"}, {"z"}, {attr("then_branch", body), attr("else_branch", body)});
    m.output("y", kFloat, {2}).output("z", kFloat, {2});
    return m;
  }
  plx_status* load(const plx_model_options* options = nullptr) {
    write(path(), adding().bytes());
    return plx_model_load_file(h_.engine, path().c_str(), options, &h_.model);
  }
  std::string path() const { return top_ + "/model/model.onnx"; }
  // What the loaded model gives for x = 0: y, then z.
  std::vector<float> run(int units) {
    h_.make_plan(units);
    h_.make_session();
    float x[] = {0, 0};
    bool b = true;
    const int64_t two = 2;
    const plx_tensor inputs[] = {{x, sizeof x, &two, 1, PLX_FLOAT32, 0}, {&b, 1, nullptr, 0, PLX_BOOL, 0}};
    for (size_t i = 0; i < 2; ++i) ok(plx_session_bind_input(h_.session, i, &inputs[i]));
    ok(plx_session_run(h_.session, nullptr));
    std::vector<float> all;
    for (size_t i = 0; i < 2; ++i) {
      plx_tensor out{};
      ok(plx_session_output(h_.session, i, &out));
      const auto* values = static_cast<const float*>(out.data);
      all.insert(all.end(), values, values + out.size_bytes / sizeof(float));
    }
    plx_session_release(std::exchange(h_.session, nullptr));
    plx_plan_release(std::exchange(h_.plan, nullptr));
    return all;
  }
  void forget() { plx_model_release(std::exchange(h_.model, nullptr)); }

  const std::string top_ = ::testing::TempDir() + "plx_hostile_files";
};

TEST_F(HostileFiles, LinksLeadToDataFoldersOnly) {
  for (const char* target : {"../secret.bin", "../blobs/abc", "/etc/passwd", "../pipe", "/dev/zero"}) {
    link(target, "w.bin");
    expect_error(load(), PLX_INVALID_MODEL, "leads outside the model's folder");
  }
  plx_model_options options{};
  options.struct_size = sizeof options;
  const std::string blobs = top_ + "/blobs";
  const char* folders[] = {blobs.c_str()};
  options.data_folders = folders;
  options.data_folder_count = 1;
  expect_error(load(&options), PLX_INVALID_MODEL, "leads outside the model's folder");
  link("../blobs/abc", "w.bin");
  ok(load(&options));
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_BRANCHES, PLX_UNITS_NODES}) {
    EXPECT_EQ(run(units), (std::vector<float>{6, 8, 3, 4}));
  }
  forget();
}

TEST_F(HostileFiles, WhoeverMovesLinksAfterTheCheckLeadsNobodyAstray) {
  // All reading after loading is ONNX Runtime's, and it opens files anew for every session.
  write(top_ + "/model/w.bin", floats({1, 2}));
  ok(load());
  EXPECT_EQ(run(PLX_UNITS_NODES), (std::vector<float>{2, 4, 1, 2}));
  std::filesystem::rename(top_ + "/model/w.bin", top_ + "/model/elsewhere.bin");
  link("../secret.bin", "w.bin");
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES, PLX_UNITS_BRANCHES}) {
    EXPECT_EQ(run(units), (std::vector<float>{2, 4, 1, 2})) << "what was checked is what is read, " << units;
  }
  // The file itself is gone.
  std::filesystem::remove(top_ + "/model/elsewhere.bin");
  expect_error(compile(h_.model, PLX_UNITS_WHOLE), PLX_IO, "since the model was loaded");
  forget();
  // And the model's own file.
  const std::string relu = computing([](Body&) {}).bytes();
  write(path(), relu);
  ok(plx_model_load_file(h_.engine, path().c_str(), nullptr, &h_.model));
  std::filesystem::rename(path(), path() + ".old");
  write(path(), "no model any more");
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) ok(compile(h_.model, units));
  forget();
}

TEST_F(HostileFiles, ABaseDirectoryIsAsStrictAsAFolder) {
  const std::string bytes = adding().bytes();
  const std::string base = top_ + "/model";
  plx_model_options options{};
  options.base_directory = base.c_str();
  link("../secret.bin", "w.bin");
  expect_error(prepare(bytes, PLX_UNITS_WHOLE, options), PLX_INVALID_MODEL, "leads outside the model's folder");
  link("../pipe", "w.bin");
  expect_error(prepare(bytes, PLX_UNITS_NODES, options), PLX_INVALID_MODEL, "leads outside the model's folder");
  std::filesystem::remove(base + "/w.bin");
  write(base + "/w.bin", floats({1, 2}));
  for (const int units : {PLX_UNITS_WHOLE, PLX_UNITS_NODES}) ok(prepare(bytes, units, options));
}

TEST_F(HostileFiles, APipeIsNoModel) {
  plx_model* model = nullptr;
  const std::string pipe = top_ + "/pipe";
  expect_error(plx_model_load_file(h_.engine, pipe.c_str(), nullptr, &model), PLX_INVALID_ARGUMENT, "not a regular file");
  expect_error(plx_model_load_file(h_.engine, "/dev/zero", nullptr, &model), PLX_INVALID_ARGUMENT, "not a regular file");
}

}  // namespace
}  // namespace plx::capi
