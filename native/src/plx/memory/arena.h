// An arena: off-heap memory for tensors, mmap-backed, 64-byte aligned, that can count itself.
//
// Blocks come from regions reserved with mmap; inside, a free list with best fit and coalescing (a new region is one
// free block, cut from its low end: the bump pointer). Freed blocks are kept for the next run, so that a steady state
// allocates nothing from the system; trim() gives whole free pages back. Addresses never move. Zero-size requests get
// a valid, unique address.
//
// A new region is as large as the request, or a quarter of what is mapped already if that is more, but then at least
// 256 KB and at most 32 MB: few regions in a large arena, little unused in a small one. Untouched pages cost address
// space only.
//
// An arena may have a budget, which then bounds what it maps: a region that does not fit is as small as the request, and
// if that does not fit either, whole free pages are given back first. An arena over a *window*, memory of somebody
// else's, never maps anything: what does not fit is refused.
//
// What the arena knows about its blocks lies outside of them, in nodes from a pool of its own: an allocation that fits
// into what is free asks neither mmap nor malloc once the pool has seen as many blocks. allocate and free take
// O(log blocks), trim O(blocks).
//
// Threads: all members may be called from any thread (one mutex; ONNX Runtime allocates a handful of blocks per run).
// Errors: allocate returns null only when the system or the budget has no memory left, a window no room, or the request
// overflows; callers turn that into an error (ONNX Runtime's shim must throw: returning null from an allocator kills the
// process).
// AddressSanitizer sees reads and writes of freed blocks and past a block's end; not in a window, whose bytes are others'
// at other times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "plx/memory/budget.h"

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

  explicit Arena(std::string name, std::shared_ptr<Budget> budget = nullptr);
  // Over a window, empty until move_to().
  struct OverWindow {};
  Arena(std::string name, OverWindow);
  ~Arena();  // unmaps everything, live or not
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t size_bytes) noexcept;  // content unspecified; lives until free or the arena's end
  void free(void* block) noexcept;  // null is fine; a foreign pointer, or one freed already, aborts with a message
  // A block with a region to itself, of whole pages: those of the regions that are free, the largest first, as far as they
  // go, and fresh ones beyond. Moving pages is some thirty times cheaper than giving them back and touching as many new
  // ones; their content is unspecified. What is left of the free regions stays, see trim().
  void* gather(size_t size_bytes) noexcept;
  Stats stats() const noexcept;
  uint64_t trim() noexcept;         // bytes given back to the system
  // Of an arena over a window: from here on over that one. Aborts with a message while any block is handed out.
  void move_to(std::span<std::byte> window);
  const std::string& name() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plx::memory
