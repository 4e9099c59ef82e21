// The replacements stand in a file of their own: where they can be inlined, the compiler warns of new without delete.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "plx/memory/counting_new.h"

namespace plx::memory {

thread_local uint64_t news = 0;
thread_local uint64_t news_left = kAllNews;

namespace {

void* counted(size_t bytes, size_t alignment) {
  ++news;
  if (news_left == 0) throw std::bad_alloc();
  if (news_left != kAllNews) --news_left;
  void* block = nullptr;
  if (posix_memalign(&block, std::max(alignment, sizeof(void*)), std::max<size_t>(bytes, 1)) != 0) {
    throw std::bad_alloc();
  }
  return block;
}

}  // namespace
}  // namespace plx::memory

// The array and nothrow forms come down to these by default.
void* operator new(size_t bytes) { return plx::memory::counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return plx::memory::counted(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
