#include "plx/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace plx {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0)
    return fail(Code::kInvalidArgument, number, " is odd; give an even number, such as ", number + 1);
  return number / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  const auto good = half(8);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 4);
  const auto bad = half(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalidArgument);
  EXPECT_EQ(bad.error().message, "7 is odd; give an even number, such as 8");
  EXPECT_EQ(bad.error().requested_bytes, 0u);
  EXPECT_EQ(bad.error().available_bytes, 0u);
}

TEST(Result, TakeMovesOut) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(3));
  ASSERT_TRUE(result);
  const std::unique_ptr<int> taken = result.take();
  EXPECT_EQ(*taken, 3);
  EXPECT_EQ(*result, nullptr);
}

TEST(Result, ArrowReachesTheValue) {
  Result<std::string> result(std::string("abc"));
  EXPECT_EQ(result->size(), 3u);
  result->push_back('d');
  EXPECT_EQ(*result, "abcd");
}

TEST(Status, IsGoodUnlessItHoldsAnError) {
  EXPECT_TRUE(Status());
  Status status = fail(Code::kMemoryBudget, "too much");
  ASSERT_FALSE(status);
  status.error().requested_bytes = 10;
  EXPECT_EQ(status.error().code, Code::kMemoryBudget);
  EXPECT_EQ(status.error().requested_bytes, 10u);
}

TEST(Status, AnErrorWithoutTextIsStillAnError) { EXPECT_FALSE(Status(fail(Code::kIo, ""))); }

}  // namespace
}  // namespace plx
