// Tests only: every operator new of the program is counted, per thread, and can be made to fail.
#pragma once

#include <cstdint>
#include <limits>

namespace plx::memory {

inline constexpr uint64_t kAllNews = std::numeric_limits<uint64_t>::max();

extern thread_local uint64_t news;       // calls so far
extern thread_local uint64_t news_left;  // after that many more, all throw std::bad_alloc; kAllNews = never

}  // namespace plx::memory
