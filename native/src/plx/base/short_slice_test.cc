#include "plx/base/short_slice.h"

#include <gtest/gtest.h>

#include <thread>

namespace plx {
namespace {

TEST(ShortSlice, IsTheThreadsWhileItLivesAndNobodyElses) {
  const uint64_t before = ShortSlice::now_ns();
  const bool known = before > ShortSlice::kNs;  // from Linux 6.12 on
  {
    const ShortSlice slice;
    EXPECT_EQ(ShortSlice::now_ns(), known ? ShortSlice::kNs : before);
    {
      const ShortSlice again;
      EXPECT_EQ(ShortSlice::now_ns(), known ? ShortSlice::kNs : before);
    }
    EXPECT_EQ(ShortSlice::now_ns(), known ? ShortSlice::kNs : before) << "the inner one has changed nothing";
  }
  EXPECT_EQ(ShortSlice::now_ns(), before);
  { const ShortSlice none(false); EXPECT_EQ(ShortSlice::now_ns(), before); }
  std::thread other([&] {
    const uint64_t own = ShortSlice::now_ns();
    { const ShortSlice slice; }
    EXPECT_EQ(ShortSlice::now_ns(), own);
  });
  other.join();
  EXPECT_EQ(ShortSlice::now_ns(), before);
}

}  // namespace
}  // namespace plx
