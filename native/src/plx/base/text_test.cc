#include "plx/base/text.h"

#include <gtest/gtest.h>

namespace plx {
namespace {

TEST(Printable, NamesCannotDrawOnTheTerminal) {
  EXPECT_EQ(printable("a\x1B[2Jb\n"), "a\\x1B[2Jb\\x0A");
  EXPECT_EQ(printable(std::string_view("\0\x7F\r", 3)), "\\x00\\x7F\\x0D");
  EXPECT_EQ(printable("\xC2\x9B" "1m"), "\\xC2\\x9B1m") << "the one-character form of ESC [";
  EXPECT_EQ(printable("a\xE2\x80\xAE" "b"), "a\\xE2\\x80\\xAE" "b") << "writes from right to left";
  EXPECT_EQ(printable("a\xE2\x80\xA8" "b"), "a\\xE2\\x80\\xA8" "b") << "ends a line";
}

TEST(Printable, LeavesOrdinaryTextAlone) {
  for (const char* text : {"", "conv1", "a\\b", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC2\xA0", "\xD7\xA9"}) {
    EXPECT_EQ(printable(text), text);
    EXPECT_TRUE(is_utf8(text));
  }
}

TEST(Printable, ShowsTheBytesOfWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xC3"), "\\xC3");
  EXPECT_EQ(printable("\xC0\x80"), "\\xC0\\x80") << "overlong";
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xED\\xA0\\x80") << "half a surrogate pair";
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80") << "beyond Unicode";
  for (const char* text : {"\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xFF"}) EXPECT_FALSE(is_utf8(text));
}

TEST(Printable, CutsInTheMiddle) {
  EXPECT_EQ(printable(std::string(100, 'x')), std::string(38, 'x') + "..." + std::string(38, 'x'));
  EXPECT_EQ(printable(std::string(80, '\n'), 9), "\\x0A\\x0A\\x0A...\\x0A\\x0A\\x0A") << "never inside what stands for one";
}

}  // namespace
}  // namespace plx
