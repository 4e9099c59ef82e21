#include "inputs.h"

#include <gtest/gtest.h>
#include <plx/plx.h>

#include <cmath>
#include <cstring>

namespace plx::run {
namespace {

template <class Call>
std::string failure_of(Call&& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "no failure";
}

template <class T>
std::vector<T> values(const Input& input) {
  std::vector<T> out(input.bytes.size() / sizeof(T));
  std::memcpy(out.data(), input.bytes.data(), input.bytes.size());
  return out;
}

TEST(ShapeOption, IsANameAndSizes) {
  Shapes shapes;
  add_shape(shapes, "ids=1x16");
  add_shape(shapes, "a=b=3");
  add_shape(shapes, "scalar=");
  EXPECT_EQ(shapes, (Shapes{{"ids", {1, 16}}, {"a=b", {3}}, {"scalar", {}}}));
}

TEST(ShapeOption, IsRefusedIfItIsAnythingElse) {
  for (const char* wrong : {"ids", "=1", "ids=1x", "ids=x1", "ids=1,2", "ids=-1", "ids=1.5", "ids= 1", "ids=99999999999999999999"}) {
    Shapes shapes;
    EXPECT_NE(failure_of([&] { add_shape(shapes, wrong); }).find("NAME=SIZExSIZE"), std::string::npos) << wrong;
  }
  Shapes shapes{{"ids", {1}}};
  EXPECT_NE(failure_of([&] { add_shape(shapes, "ids=2"); }).find("already"), std::string::npos);
}

TEST(MadeUpInputs, AreTheSameForTheSameSeed) {
  const std::vector<Declared> declared = {{"x", PLX_FLOAT32, {2, 500}}};
  const auto once = make_up(declared, {}, 1);
  EXPECT_EQ(make_up(declared, {}, 1)[0].bytes, once[0].bytes);
  EXPECT_NE(make_up(declared, {}, 2)[0].bytes, once[0].bytes);
}

TEST(MadeUpInputs, AreNormalNumbersInEveryWidth) {
  const auto made = make_up({{"x", PLX_FLOAT32, {10000}}, {"d", PLX_FLOAT64, {10000}}, {"h", PLX_FLOAT16, {10000}}}, {}, 7);
  double sum = 0, squares = 0;
  for (const float value : values<float>(made[0])) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 10000, 0, 0.05);
  EXPECT_NEAR(squares / 10000, 1, 0.05);
  double of_doubles = 0;
  for (const double value : values<double>(made[1])) of_doubles += value * value;
  EXPECT_NEAR(of_doubles / 10000, 1, 0.05);
  for (const uint16_t half : values<uint16_t>(made[2])) EXPECT_LT(half & 0x7c00, 0x4c00) << "16 or more, or no number";
}

TEST(MadeUpInputs, TakeOpenSizesFromTheirPlace) {
  const std::vector<Declared> declared = {{"ids", PLX_INT64, {-1, -1, 3}}, {"attention_mask", PLX_INT64, {-1, 4}}};
  const auto made = make_up(declared, {{"attention_mask", {2, 4}}}, 1);
  EXPECT_EQ(made[0].dims, (std::vector<int64_t>{1, 16, 3}));
  for (const int64_t id : values<int64_t>(made[0])) {
    EXPECT_GE(id, 0);
    EXPECT_LT(id, 100);
  }
  EXPECT_EQ(made[1].dims, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(values<int64_t>(made[1]), std::vector<int64_t>(8, 1));
}

TEST(MadeUpInputs, OfTypesAreZero) {
  EXPECT_EQ(values<int64_t>(make_up({{"token_type_ids", PLX_INT64, {1, 3}}}, {}, 1)[0]), std::vector<int64_t>(3, 0));
}

TEST(MadeUpInputs, AreRefusedWhereNothingFits) {
  const std::vector<Declared> declared = {{"x", PLX_FLOAT32, {-1, 4}}};
  EXPECT_NE(failure_of([&] { make_up(declared, {{"y", {1}}}, 1); }).find("no input of that name"), std::string::npos);
  EXPECT_NE(failure_of([&] { make_up(declared, {{"x", {1, 5}}}, 1); }).find("x=1x5 does not fit the input, which is declared as ?x4"),
            std::string::npos);
  EXPECT_NE(failure_of([&] { make_up(declared, {{"x", {1}}}, 1); }).find("does not fit"), std::string::npos);
  EXPECT_NE(failure_of([&] { make_up({{"s", PLX_STRING, {1}}}, {}, 1); }).find("'s'"), std::string::npos);
  EXPECT_NE(failure_of([&] { make_up(declared, {{"x", {int64_t{1} << 62, 4}}}, 1); }).find("cannot have the shape"), std::string::npos);
}

}  // namespace
}  // namespace plx::run
