// An arena: off-heap memory for tensors, mmap-backed, 64-byte aligned, that can count itself.
//
// Blocks come from regions reserved with mmap; inside, a free list with best fit and coalescing (a new region is one
// free block, cut from its low end: the bump pointer). Freed blocks are kept for the next run, so that a steady state
// allocates nothing from the system; trim() gives whole free regions back. Addresses never move. Zero-size requests get
// a valid, unique address.
//
// A new region is as large as the request, or a quarter of what is mapped already if that is more, but then at least
// 256 KB and at most 32 MB: few regions in a large arena, little unused in a small one. Untouched pages cost address
// space only.
//
// What the arena knows about its blocks lies outside of them, in nodes from a pool of its own: an allocation that fits
// into what is free asks neither mmap nor malloc once the pool has seen as many blocks. allocate and free take
// O(log blocks), trim O(blocks).
//
// Threads: all members may be called from any thread (one mutex; ONNX Runtime allocates a handful of blocks per run).
// Errors: allocate returns null only when the system has no memory left or the request overflows; callers turn that
// into an error (ONNX Runtime's shim must throw: returning null from an allocator kills the process).
// AddressSanitizer sees reads and writes of freed blocks and past a block's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace plx::memory {

class Arena {
 public:
  // Blocks count with their size rounded up to 64 bytes; zero-size blocks take 64.
  struct Stats {
    uint64_t capacity_bytes = 0;     // mapped
    uint64_t live_bytes = 0;         // handed out now
    uint64_t high_water_bytes = 0;   // most ever handed out at once
    uint64_t allocations = 0;        // calls of allocate that returned a block so far
    uint64_t growths = 0;            // regions mapped so far
  };

  explicit Arena(std::string name);
  ~Arena();  // unmaps everything, live or not
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t size_bytes) noexcept;  // content unspecified; lives until free or the arena's end
  void free(void* block) noexcept;  // null is fine; a foreign pointer, or one freed already, aborts with a message
  // A block of at least another size in place of this one, content unspecified; null, and the old one stays, if there is
  // no memory. A block that has a region to itself takes its pages along, which is some thirty times cheaper than to
  // give them back and to touch as many new ones; it then fills whole pages. resize(nullptr, n) is allocate(n).
  void* resize(void* block, size_t size_bytes) noexcept;
  Stats stats() const noexcept;
  uint64_t trim() noexcept;         // bytes given back to the system
  const std::string& name() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plx::memory
