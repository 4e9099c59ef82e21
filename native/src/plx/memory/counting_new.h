// Tests only: every operator new of the program is counted, per thread, and can be made to fail.
#pragma once

#include <cstdint>
#include <limits>

namespace plx::memory {

inline constexpr uint64_t kAllNews = std::numeric_limits<uint64_t>::max();

extern thread_local uint64_t news;       // calls so far
extern thread_local uint64_t news_left;  // after that many more, all throw std::bad_alloc; kAllNews = never
// Of those that the program's own code calls, and no shared library (ONNX Runtime's, which come this way too, are not ours):
// calls so far, and the one that throws after that many more; kAllNews = none.
extern thread_local uint64_t own_news;
extern thread_local uint64_t own_news_until_failure;

}  // namespace plx::memory
