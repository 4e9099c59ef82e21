// The replacements stand in a file of their own: where they can be inlined, the compiler warns of new without delete.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "plx/memory/counting_new.h"

extern "C" const char __executable_start;
extern "C" const char etext;

namespace plx::memory {

thread_local uint64_t news = 0;
thread_local uint64_t news_left = kAllNews;
thread_local uint64_t own_news = 0;
thread_local uint64_t own_news_until_failure = kAllNews;

namespace {

// Whether an address is in the program itself. The linker knows where that lies.
bool is_own(const void* address) {
  const auto* const at = static_cast<const char*>(address);
  return &__executable_start <= at && at < &etext;
}

void* counted(size_t bytes, size_t alignment, const void* caller) {
  ++news;
  if (is_own(caller)) {
    ++own_news;
    if (own_news_until_failure != kAllNews && own_news_until_failure-- == 0) throw std::bad_alloc();
  }
  if (news_left == 0) throw std::bad_alloc();
  if (news_left != kAllNews) --news_left;
  void* block = nullptr;
  if (posix_memalign(&block, std::max(alignment, sizeof(void*)), std::max<size_t>(bytes, 1)) != 0) {
    throw std::bad_alloc();
  }
  return block;
}

void* counted_or_null(size_t bytes, size_t alignment, const void* caller) noexcept {
  try {
    return counted(bytes, alignment, caller);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace
}  // namespace plx::memory

// The array forms come down to these by default. So do the nothrow forms, but AddressSanitizer has its own of those, which
// the delete below would not fit.
void* operator new(size_t bytes) { return plx::memory::counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__, __builtin_return_address(0)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return plx::memory::counted(bytes, static_cast<size_t>(alignment), __builtin_return_address(0));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return plx::memory::counted_or_null(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__, __builtin_return_address(0));
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return plx::memory::counted_or_null(bytes, static_cast<size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
