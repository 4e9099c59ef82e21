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

void* counted_or_null(size_t bytes, size_t alignment) noexcept {
  try {
    return counted(bytes, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace
}  // namespace plx::memory

// The array forms come down to these by default. So do the nothrow forms, but AddressSanitizer has its own of those, which
// the delete below would not fit.
void* operator new(size_t bytes) { return plx::memory::counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return plx::memory::counted(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return plx::memory::counted_or_null(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return plx::memory::counted_or_null(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
