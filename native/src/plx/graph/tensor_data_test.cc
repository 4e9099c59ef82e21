// Constants: typed data fields, raw data, and data in other files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plx/graph/onnx_builder_testing.h"
#include "plx/graph/reader.h"

namespace plx::graph {
namespace {

using namespace testing;
using E = ElementType;

Result<Graph> read_constant(const TensorBytes& tensor, const ReadOptions& options = {}) {
  Model m;
  m.initializer("w", tensor).node("Identity", {"w"}, {"y"}).output("y");
  const std::string bytes = m.bytes();
  auto storage = std::make_shared<Storage>();
  const auto copy = storage->allocate(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return read_model(copy, std::move(storage), options);
}

// The dense bytes of a constant, or the error's text.
std::string data_of(const TensorBytes& tensor, const ReadOptions& options = {}) {
  auto graph = read_constant(tensor, options);
  if (!graph) return graph.error().message;
  const Initializer& init = graph->initializers[0];
  EXPECT_EQ(reinterpret_cast<uintptr_t>(init.data) % 64, 0u);
  return {reinterpret_cast<const char*>(init.data), init.size_bytes};
}

Code code_of(const TensorBytes& tensor, const ReadOptions& options = {}) {
  auto graph = read_constant(tensor, options);
  return graph ? Code::kOk : graph.error().code;
}

template <class T>
std::string memory_of(const std::vector<T>& values) {
  std::string out;
  for (const T value : values) out.append(reinterpret_cast<const char*>(&value), sizeof value);
  return out;
}

TEST(TypedData, OfEveryElementTypeBecomesDense) {
  for (const bool packed : {true, false}) {
    SCOPED_TRACE(packed ? "packed" : "one by one");
    EXPECT_EQ(data_of(TensorBytes(E::kFloat32, {3}).floats({1.5f, -2.f, 0.f}, packed)),
              memory_of<float>({1.5f, -2.f, 0.f}));
    EXPECT_EQ(data_of(TensorBytes(E::kFloat64, {2}).doubles({1e300, -0.5}, packed)), memory_of<double>({1e300, -0.5}));
    EXPECT_EQ(data_of(TensorBytes(E::kComplex64, {1}).floats({1, 2}, packed)), memory_of<float>({1, 2}));
    EXPECT_EQ(data_of(TensorBytes(E::kComplex128, {1}).doubles({1, 2}, packed)), memory_of<double>({1, 2}));
    EXPECT_EQ(data_of(TensorBytes(E::kInt64, {2}).int64s({INT64_MIN, 7}, packed)), memory_of<int64_t>({INT64_MIN, 7}));
    EXPECT_EQ(data_of(TensorBytes(E::kInt32, {2}).int32s({-5, INT32_MAX}, packed)),
              memory_of<int32_t>({-5, INT32_MAX}));
    EXPECT_EQ(data_of(TensorBytes(E::kInt16, {2}).int32s({-2, 300}, packed)), memory_of<int16_t>({-2, 300}));
    EXPECT_EQ(data_of(TensorBytes(E::kInt8, {2}).int32s({-128, 127}, packed)), memory_of<int8_t>({-128, 127}));
    EXPECT_EQ(data_of(TensorBytes(E::kUint8, {2}).int32s({255, 0}, packed)), memory_of<uint8_t>({255, 0}));
    EXPECT_EQ(data_of(TensorBytes(E::kUint16, {2}).int32s({65535, 1}, packed)), memory_of<uint16_t>({65535, 1}));
    EXPECT_EQ(data_of(TensorBytes(E::kUint32, {2}).uint64s({0xffffffff, 1}, packed)),
              memory_of<uint32_t>({0xffffffff, 1}));
    EXPECT_EQ(data_of(TensorBytes(E::kUint64, {1}).uint64s({-1}, packed)), memory_of<uint64_t>({UINT64_MAX}));
    EXPECT_EQ(data_of(TensorBytes(E::kBool, {3}).int32s({1, 0, 1}, packed)), std::string("\1\0\1", 3));
    EXPECT_EQ(data_of(TensorBytes(E::kFloat16, {2}).int32s({0x3c00, 0xc000}, packed)),
              memory_of<uint16_t>({0x3c00, 0xc000}));
    EXPECT_EQ(data_of(TensorBytes(E::kBfloat16, {1}).int32s({0x3f80}, packed)), memory_of<uint16_t>({0x3f80}));
    for (const E type : {E::kFloat8E4M3FN, E::kFloat8E4M3FNUZ, E::kFloat8E5M2, E::kFloat8E5M2FNUZ}) {
      EXPECT_EQ(data_of(TensorBytes(type, {2}).int32s({0x38, 0xff}, packed)), "\x38\xff");
    }
    // Two to a byte, the first in the low half; each number of int32_data is such a byte.
    EXPECT_EQ(data_of(TensorBytes(E::kInt4, {3}).int32s({0x7f, 0x08}, packed)), "\x7f\x08");
    EXPECT_EQ(data_of(TensorBytes(E::kUint4, {4}).int32s({0xf0, 0x21}, packed)), "\xf0\x21");
  }
}

TEST(TypedData, ScalarsAndEmptyTensors) {
  EXPECT_EQ(data_of(TensorBytes(E::kFloat32, {}).floats({2.f})), memory_of<float>({2.f}));
  EXPECT_EQ(data_of(TensorBytes(E::kFloat32, {0, 3})), "");
  EXPECT_EQ(data_of(TensorBytes(E::kFloat32, {0}).raw("")), "");
}

TEST(TypedData, OfTheWrongCountIsRefused) {
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {3}).floats({1, 2})), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {1}).floats({1, 2})), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kInt64, {2}).int64s({1})), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kInt4, {3}).int32s({1, 2, 3})), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {2})), Code::kInvalidModel);
  EXPECT_NE(data_of(TensorBytes(E::kFloat32, {3}).floats({1, 2})).find("'w'"), std::string::npos);
}

TEST(TypedData, AShapeFarBeyondTheFileAllocatesNothing) {
  const TensorBytes tensor = TensorBytes(E::kFloat32, {int64_t{1} << 44}).floats({1});
  EXPECT_EQ(code_of(tensor), Code::kInvalidModel) << data_of(tensor);
}

TEST(RawData, IsAlignedAndHasToFit) {
  EXPECT_EQ(data_of(tensor<int32_t>({2}, {1, -1})), memory_of<int32_t>({1, -1}));
  EXPECT_EQ(data_of(TensorBytes(E::kInt4, {3}).raw("\x21\x03")), "\x21\x03");
  EXPECT_EQ(code_of(TensorBytes(E::kInt32, {2}).raw("1234567")), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kInt32, {2}).raw("123456789")), Code::kInvalidModel);
}

TEST(Constants, OfImpossibleSizeOrTypeAreRefused) {
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {-1}).raw("")), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {INT64_MAX, 4}).raw("")), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(static_cast<E>(77), {1}).raw("x")), Code::kInvalidModel);
  EXPECT_EQ(code_of(TensorBytes(E::kFloat32, {1}).raw("abcd").add(field(onnx::TensorProto::kSegment, ""))),
            Code::kUnsupported);
}

TEST(Constants, StringsHaveNoDenseData) {
  auto graph = read_constant(TensorBytes(E::kString, {2}).strings({"a", "b"}));
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->initializers[0].data, nullptr);
  EXPECT_EQ(graph->initializers[0].element, E::kString);
  EXPECT_EQ(graph->initializers[0].size_bytes, 0u);
}

TEST(Constants, AreNotDecodedUnlessAskedFor) {
  ReadOptions options;
  options.load_data = false;
  auto graph = read_constant(TensorBytes(E::kFloat32, {2}).floats({1, 2}), options);
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->initializers[0].data, nullptr);
  EXPECT_EQ(graph->initializers[0].size_bytes, 8u);
}

TEST(Constants, ThatAreOutputsAreDecodedAllTheSame) {
  Model m;
  m.initializer("w", TensorBytes(E::kInt32, {2}).int32s({7, 8}))
      .initializer("v", tensor<float>({1}, {1}))
      .node("Neg", {"v"}, {"y"})
      .output("y")
      .output("w");
  const std::string bytes = m.bytes();
  ReadOptions options;
  options.load_data = false;
  auto graph = read_model(bytes_of(bytes), std::make_shared<Storage>(), options);
  ASSERT_TRUE(graph);
  ASSERT_NE(graph->initializers[0].data, nullptr);
  EXPECT_EQ(std::memcmp(graph->initializers[0].data, memory_of<int32_t>({7, 8}).data(), 8), 0);
  EXPECT_EQ(graph->initializers[1].data, nullptr);
}

class ExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ + "/sub");
    for (const char* name : {"/weights.bin", "/sub/weights.bin"}) {
      std::ofstream file(folder_ + name, std::ios::binary);
      for (int i = 0; i < 100; ++i) file.put(static_cast<char>(i));
    }
    std::ofstream(folder_ + "/empty.bin").flush();
    options_.base_directory = folder_;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static TensorBytes external(const std::vector<std::pair<std::string, std::string>>& entries) {
    return TensorBytes(E::kUint8, {8}).external(entries);
  }
  // The content, or the error with its code in front.
  std::string content(const TensorBytes& tensor) {
    auto graph = read_constant(tensor, options_);
    if (!graph) return std::to_string(static_cast<int>(graph.error().code)) + " " + graph.error().message;
    const Initializer& init = graph->initializers[0];
    EXPECT_TRUE(init.external);
    EXPECT_EQ(init.data == nullptr, !options_.load_data);
    return init.data == nullptr ? "" : std::string(reinterpret_cast<const char*>(init.data), init.size_bytes);
  }
  void expect_refused(const TensorBytes& tensor, Code code, const std::string& part) {
    for (const bool load : {true, false}) {
      options_.load_data = load;
      const std::string text = content(tensor);
      EXPECT_EQ(text.substr(0, text.find(' ')), std::to_string(static_cast<int>(code))) << text;
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    options_.load_data = true;
  }

  const std::string folder_ = ::testing::TempDir() + "plx_external_data";
  ReadOptions options_;
};

TEST_F(ExternalData, IsMappedAtItsOffset) {
  EXPECT_EQ(content(external({{"location", "weights.bin"}, {"offset", "64"}, {"length", "8"}})), "@ABCDEFG");
  EXPECT_EQ(content(external({{"location", "weights.bin"}, {"offset", "65"}})), "ABCDEFGH");
  EXPECT_EQ(content(external({{"location", "sub/weights.bin"}, {"offset", "92"}})), "\\]^_`abc");
  EXPECT_EQ(content(external({{"location", "./weights.bin"}, {"offset", "66"}})), "BCDEFGHI");
  auto graph = read_constant(external({{"location", "weights.bin"}}), options_);
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->files.size(), 1u);
  EXPECT_TRUE(graph->files.contains("weights.bin"));
}

TEST_F(ExternalData, IsAlignedToItsElements) {
  const auto tensor = TensorBytes(E::kInt64, {2}).external({{"location", "weights.bin"}, {"offset", "3"}});
  auto graph = read_constant(tensor, options_);
  ASSERT_TRUE(graph);
  const std::byte* data = graph->initializers[0].data;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % alignof(int64_t), 0u);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(data[i], static_cast<std::byte>(i + 3));
}

TEST_F(ExternalData, OfNoBytesMayLieInAnEmptyFile) {
  const auto tensor = TensorBytes(E::kUint8, {0}).external({{"location", "empty.bin"}});
  auto graph = read_constant(tensor, options_);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->initializers[0].size_bytes, 0u);
}

TEST_F(ExternalData, ThatIsNotThereIsNotFound) {
  expect_refused(external({{"location", "absent.bin"}}), Code::kNotFound, "absent.bin");
  expect_refused(external({{"location", "absent/weights.bin"}}), Code::kNotFound, "'w'");
}

TEST_F(ExternalData, BeyondTheFileIsRefused) {
  expect_refused(external({{"location", "weights.bin"}, {"offset", "93"}}), Code::kInvalidModel, "which has 100");
  expect_refused(external({{"location", "weights.bin"}, {"offset", "101"}}), Code::kInvalidModel, "which has 100");
  expect_refused(external({{"location", "empty.bin"}}), Code::kInvalidModel, "which has 0");
  expect_refused(external({{"location", "weights.bin"}, {"offset", "9999999999999999999"}}), Code::kInvalidModel,
                 "which has 100");
}

TEST_F(ExternalData, WithSenselessNumbersIsRefused) {
  for (const char* text : {"", "-1", "1e3", " 8", "8 ", "0x10", "18446744073709551616", "99999999999999999999999"}) {
    expect_refused(external({{"location", "weights.bin"}, {"offset", text}}), Code::kInvalidModel, "not a number");
  }
  expect_refused(external({{"location", "weights.bin"}, {"length", "7"}}), Code::kInvalidModel, "says it has 7");
}

TEST_F(ExternalData, OutsideTheModelsFolderIsRefused) {
  for (const std::string& path : {std::string("../plx_external_data/weights.bin"), std::string("sub/../../x"),
                                  std::string(".."), folder_ + "/weights.bin", std::string("/etc/passwd")}) {
    expect_refused(external({{"location", path}}), Code::kInvalidModel, "outside the model's folder");
  }
}

TEST_F(ExternalData, HasToNameAFile) {
  expect_refused(external({}), Code::kInvalidModel, "names no file");
  expect_refused(external({{"location", ""}}), Code::kInvalidModel, "names no file");
  expect_refused(external({{"location", "sub"}}), Code::kInvalidArgument, "is a folder");
}

// ONNX Runtime refuses them, and would not see them: it is handed locations of ours.
TEST_F(ExternalData, HasNoEntriesThatOnnxRuntimeDoesNotKnow) {
  for (const char* key : {"", "basepath", "Location"}) {
    expect_refused(external({{"location", "weights.bin"}, {key, "1"}}), Code::kInvalidModel, "has an entry");
  }
  for (const char* key : {"checksum", "prepacked_1"}) {
    auto graph = read_constant(external({{"location", "weights.bin"}, {key, "1"}}), options_);
    EXPECT_TRUE(graph) << graph.error().message;
  }
}

TEST_F(ExternalData, WithoutAFolderToLookInIsTheCallersMistake) {
  options_.base_directory.clear();
  expect_refused(external({{"location", "weights.bin"}}), Code::kInvalidArgument, "base directory");
}

TEST_F(ExternalData, OfABodyIsCheckedToo) {
  Body body("body");
  body.initializer("inner", external({{"location", "absent.bin"}})).node("Identity", {"inner"}, {"t"}).output("t");
  Model m;
  m.input("c", E::kBool, {})
      .node("If", {"c"}, {"y"}, {attr("then_branch", body), attr("else_branch", body)})
      .output("y");
  const std::string bytes = m.bytes();
  auto graph = read_model(bytes_of(bytes), std::make_shared<Storage>(), options_);
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, Code::kNotFound);
  EXPECT_NE(graph.error().message.find("'inner'"), std::string::npos);
}

}  // namespace
}  // namespace plx::graph
