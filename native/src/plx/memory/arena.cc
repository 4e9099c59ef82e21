#include "plx/memory/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory_resource>
#include <mutex>
#include <new>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "plx/memory/planner.h"

#if defined(__SANITIZE_ADDRESS__)
#define PLX_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLX_ARENA_ASAN 1
#endif
#endif
#ifdef PLX_ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace plx::memory {
namespace {

constexpr size_t kSmallestGrowth = size_t{256} << 10;
constexpr size_t kLargestSpareGrowth = size_t{32} << 20;
// Regions from this size on ask for huge pages. Measured by turns on an AMD EPYC, runs with and without for all from 4 MB on:
// whisper-tiny-encoder (120 MB) 0.90 of the time, yolov8n and swinv2-tiny (16 to 24 MB) 0.98 to 1.04.
constexpr size_t kHugeBytes = size_t{32} << 20;
// No system serves more, and what is computed from less cannot overflow.
constexpr size_t kLargestRequest = static_cast<size_t>(std::numeric_limits<ptrdiff_t>::max()) / 2;

size_t round_up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

void forbid([[maybe_unused]] const std::byte* at, [[maybe_unused]] size_t bytes) {
#ifdef PLX_ARENA_ASAN
  __asan_poison_memory_region(at, bytes);
#endif
}

void permit([[maybe_unused]] const std::byte* at, [[maybe_unused]] size_t bytes) {
#ifdef PLX_ARENA_ASAN
  __asan_unpoison_memory_region(at, bytes);
#endif
}

// Nodes for maps and sets, one free list per size. What comes back stays here until the end. (The pools of the standard
// library would do, but GCC's crash on the first use after a std::bad_alloc.)
class NodePool final : public std::pmr::memory_resource {
 public:
  NodePool() = default;
  ~NodePool() override {
    while (chunks_ != nullptr) ::operator delete(std::exchange(chunks_, chunks_->next));
  }
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;

 private:
  static constexpr size_t kUnit = alignof(std::max_align_t);
  static constexpr size_t kNodesPerChunk = 16;

  struct Node {
    Node* next;
  };
  struct alignas(kUnit) Chunk {
    Chunk* next;
  };

  void* do_allocate(size_t bytes, size_t alignment) override {
    if (bytes > kUnit * free_.size() || alignment > kUnit) throw std::bad_alloc();
    Node*& free = list(bytes);
    if (free == nullptr) {
      const size_t node_bytes = round_up(bytes, kUnit);
      auto* const memory = static_cast<std::byte*>(::operator new(sizeof(Chunk) + kNodesPerChunk * node_bytes));
      chunks_ = new (memory) Chunk{chunks_};
      for (size_t i = 0; i < kNodesPerChunk; ++i) free = new (memory + sizeof(Chunk) + i * node_bytes) Node{free};
    }
    return std::exchange(free, free->next);
  }

  void do_deallocate(void* node, size_t bytes, size_t) override {
    Node*& free = list(bytes);
    free = new (node) Node{free};
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  Node*& list(size_t bytes) { return free_[(bytes - 1) / kUnit]; }

  std::array<Node*, 8> free_{};  // nodes of up to 16, 32 ... bytes
  Chunk* chunks_ = nullptr;
};

}  // namespace

class Arena::Impl {
 public:
  Impl(std::string name, std::shared_ptr<Budget> budget, bool over_window)
      : name_(std::move(name)),
        page_bytes_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        over_window_(over_window),
        budget_(std::move(budget)) {}
  ~Impl() {
    if (over_window_) return;
    for (const auto& [at, block] : blocks_) {
      if (block.region_bytes > 0) unmap(at, block.region_bytes);
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Null if the system has no memory. Throws std::bad_alloc if there is none for a node; then no block has changed,
  // though a region may have been added.
  void* allocate(size_t asked_bytes) {
    if (asked_bytes > kLargestRequest) return nullptr;
    const size_t bytes = round_up(std::max<size_t>(asked_bytes, 1), kAlignment);
    const std::lock_guard lock(mutex_);
    auto fit = free_.lower_bound({bytes, nullptr});
    if (fit == free_.end()) {
      fit = grow(bytes);
      if (fit == free_.end() && give_back() > 0) fit = grow(bytes);
      if (fit == free_.end()) return nullptr;
    }
    const auto [fit_bytes, at] = *fit;
    const auto block = blocks_.find(at);
    if (fit_bytes > bytes) {
      add_free(std::next(block), at + bytes, fit_bytes - bytes, 0);
      block->second.bytes = bytes;
    }
    block->second.free_node = free_.extract(fit);
    stats_.live_bytes += bytes;
    stats_.high_water_bytes = std::max(stats_.high_water_bytes, stats_.live_bytes);
    ++stats_.allocations;
    permit(at, asked_bytes);
    return at;
  }

  void free(void* pointer) {
    const std::lock_guard lock(mutex_);
    auto block = blocks_.find(static_cast<std::byte*>(pointer));
    if (block == blocks_.end() || !block->second.live()) {
      std::fprintf(stderr,
                   "parallax: arena '%s': %p was freed, but is no live block of this arena: "
                   "it was freed twice or comes from another allocator\n",
                   name_.c_str(), pointer);
      std::abort();
    }
    stats_.live_bytes -= block->second.bytes;
    forbid(block->first, block->second.bytes);
    // Regions may touch, but are kept apart so that each can be unmapped.
    if (const auto next = std::next(block);
        next != blocks_.end() && next->second.region_bytes == 0 && !next->second.live()) {
      free_.erase({next->second.bytes, next->first});
      block->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (block->second.region_bytes == 0) {  // so there is a block before it
      if (const auto previous = std::prev(block); !previous->second.live()) {
        FreeBlocks::node_type node = free_.extract({previous->second.bytes, previous->first});
        previous->second.bytes += block->second.bytes;
        node.value().first = previous->second.bytes;
        free_.insert(std::move(node));
        blocks_.erase(block);
        return;
      }
    }
    block->second.free_node.value().first = block->second.bytes;
    free_.insert(std::move(block->second.free_node));
  }

  // As allocate(), and throws when it does.
  void* gather(size_t asked_bytes) {
    if (asked_bytes > kLargestRequest || over_window_) return nullptr;
    const size_t bytes = round_up(std::max<size_t>(asked_bytes, 1), page_bytes_);
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<size_t, std::byte*>> regions;  // free ones
    size_t free_bytes = 0;
    size_t free_pieces = 0;
    for (const auto& [at, block] : blocks_) {
      if (!is_free_region(block)) continue;
      regions.emplace_back(block.bytes, at);
      free_bytes += block.bytes;
      free_pieces += std::max<size_t>(block.pieces.size(), 1);
    }
    std::sort(regions.begin(), regions.end(), std::greater<>());
    size_t fresh_bytes = bytes > free_bytes ? bytes - free_bytes : 0;
    std::vector<size_t> pieces;
    pieces.reserve(free_pieces + 1);
    if (budget_ != nullptr && !budget_->take(fresh_bytes)) {
      // There may be free pages in other regions; what was to be moved goes with them.
      if (bytes > budget_->left_bytes() + stats_.capacity_bytes - stats_.live_bytes) return nullptr;
      give_back();
      if (!budget_->take(bytes)) return nullptr;
      regions.clear();
      fresh_bytes = bytes;
    }
    void* const mapped = map_unbudgeted(bytes);
    FreeBlocks::iterator free_block = free_.end();
    if (mapped != MAP_FAILED) {
      auto* const at = static_cast<std::byte*>(mapped);
      try {
        free_block = add_free(blocks_.lower_bound(at), at, bytes, bytes);
      } catch (const std::bad_alloc&) {
        munmap(mapped, bytes);
      }
    }
    if (free_block == free_.end()) {
      if (budget_ != nullptr) budget_->give(fresh_bytes);
      return nullptr;
    }
    auto* const target = static_cast<std::byte*>(mapped);
    size_t filled = 0;
    for (const auto& [region, at] : regions) {
      if (filled == bytes) break;
      filled += move_region(blocks_.find(at), target + filled, bytes - filled, pieces);
    }
    if (filled < bytes) pieces.push_back(bytes - filled);
    stats_.capacity_bytes += fresh_bytes;
    ++stats_.growths;
    Block& block = blocks_.find(target)->second;
    block.pieces = std::move(pieces);
    block.free_node = free_.extract(free_block);
    stats_.live_bytes += bytes;
    stats_.high_water_bytes = std::max(stats_.high_water_bytes, stats_.live_bytes);
    ++stats_.allocations;
    forbid(target, bytes);
    permit(target, asked_bytes);
    return target;
  }

  uint64_t trim() {
    const std::lock_guard lock(mutex_);
    return give_back();
  }

  void move_to(std::span<std::byte> window) {
    const std::lock_guard lock(mutex_);
    if (!over_window_ || stats_.live_bytes != 0) {
      std::fprintf(stderr, "parallax: arena '%s' cannot move: %s\n", name_.c_str(),
                   over_window_ ? "blocks of it are handed out" : "it lies over no window");
      std::abort();
    }
    blocks_.clear();
    free_.clear();
    stats_.capacity_bytes = 0;
    auto* const at = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(window.data()), kAlignment));
    const auto skipped = static_cast<size_t>(at - window.data());
    const size_t bytes = window.size() <= skipped ? 0 : (window.size() - skipped) / kAlignment * kAlignment;
    if (bytes == 0) return;
    add_free(blocks_.begin(), at, bytes, bytes);
    stats_.capacity_bytes = bytes;
  }

  Stats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  const std::string& name() const { return name_; }

 private:
  // Free blocks by size, then by address: best fit takes the lowest of the smallest that are large enough.
  using FreeBlocks = std::pmr::set<std::pair<size_t, std::byte*>>;

  struct Block {
    size_t bytes = 0;
    size_t region_bytes = 0;          // the whole region's, in its first block; 0 in all others
    std::vector<size_t> pieces;       // of a gathered region: the system moves no more at once
    FreeBlocks::node_type free_node;  // a live block keeps its node of free_, so that free() never allocates one

    bool live() const { return !free_node.empty(); }
  };

  // All blocks by address. Those of one region follow each other without a gap, and no two free ones touch.
  using Blocks = std::pmr::map<std::byte*, Block>;

  static bool is_free_region(const Block& block) { return !block.live() && block.region_bytes == block.bytes; }

  // Both nodes or, with std::bad_alloc, none.
  FreeBlocks::iterator add_free(Blocks::iterator hint, std::byte* at, size_t bytes, size_t region_bytes) {
    const auto block = blocks_.try_emplace(hint, at);
    block->second.bytes = bytes;
    block->second.region_bytes = region_bytes;
    try {
      return free_.emplace(bytes, at).first;
    } catch (...) {
      blocks_.erase(block);
      throw;
    }
  }

  // Maps a region with room for a block; the end of free_ if the system has none.
  FreeBlocks::iterator grow(size_t block_bytes) {
    if (over_window_) return free_.end();
    const size_t needed_bytes = round_up(block_bytes, page_bytes_);
    const size_t spare_bytes = std::clamp(stats_.capacity_bytes / 4, kSmallestGrowth, kLargestSpareGrowth);
    size_t region_bytes = std::max(needed_bytes, round_up(spare_bytes, page_bytes_));
    void* mapped = map(region_bytes);
    if (mapped == MAP_FAILED && region_bytes > needed_bytes) {
      region_bytes = needed_bytes;
      mapped = map(region_bytes);
    }
    if (mapped == MAP_FAILED) return free_.end();
    auto* const at = static_cast<std::byte*>(mapped);
    try {
      const auto fit = add_free(blocks_.lower_bound(at), at, region_bytes, region_bytes);
      forbid(at, region_bytes);
      stats_.capacity_bytes += region_bytes;
      ++stats_.growths;
      return fit;
    } catch (...) {
      unmap(at, region_bytes);
      throw;
    }
  }

  // Under the mutex: unmaps all whole pages that are free. As far as there is memory for nodes.
  uint64_t give_back() {
    if (over_window_) return 0;
    uint64_t returned_bytes = 0;
    for (auto block = blocks_.begin(), region = block; block != blocks_.end();) {
      if (block->second.region_bytes != 0) region = block;
      const auto here = block++;
      if (here->second.live()) continue;
      if (is_free_region(here->second)) {
        returned_bytes += here->second.bytes;
        unmap(here->first, here->second.bytes);
        free_.erase({here->second.bytes, here->first});
        blocks_.erase(here);
        continue;
      }
      if (!region->second.pieces.empty()) continue;
      try {
        returned_bytes += cut_out(region, here);
        // What is left behind the pages is a region, and what follows lies in it.
        if (block != blocks_.begin() && std::prev(block)->second.region_bytes != 0) region = std::prev(block);
      } catch (const std::bad_alloc&) {
        break;
      }
    }
    stats_.capacity_bytes -= returned_bytes;
    return returned_bytes;
  }

  // Unmaps a free block's whole pages, so that what lies before and behind it are regions of their own; bytes unmapped.
  uint64_t cut_out(Blocks::iterator region, Blocks::iterator block) {
    std::byte* const begin = block->first;
    const size_t bytes = block->second.bytes;
    const size_t before = round_up(reinterpret_cast<uintptr_t>(begin), page_bytes_) - reinterpret_cast<uintptr_t>(begin);
    if (bytes < before + page_bytes_) return 0;
    const size_t pages = (bytes - before) / page_bytes_ * page_bytes_;
    std::byte* const behind = begin + before + pages;
    const auto region_left = static_cast<size_t>(region->first + region->second.region_bytes - behind);
    if (before + pages < bytes) {
      add_free(std::next(block), behind, bytes - before - pages, region_left);
    } else if (region_left != 0) {
      std::next(block)->second.region_bytes = region_left;
    }
    region->second.region_bytes = static_cast<size_t>(begin + before - region->first);
    FreeBlocks::node_type node = free_.extract({bytes, begin});
    if (before == 0) {
      blocks_.erase(block);
    } else {
      block->second.bytes = before;
      node.value().first = before;
      free_.insert(std::move(node));
    }
    unmap(begin + before, pages);
    return pages;
  }

  void* map(size_t bytes) const {
    if (budget_ != nullptr && !budget_->take(bytes)) return MAP_FAILED;
    void* const mapped = map_unbudgeted(bytes);
    if (mapped == MAP_FAILED && budget_ != nullptr) budget_->give(bytes);
    return mapped;
  }

  static void* map_unbudgeted(size_t bytes) {
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped != MAP_FAILED && bytes >= kHugeBytes) madvise(mapped, bytes, MADV_HUGEPAGE);  // a wish, no more
    return mapped;
  }

  // The pages of a free region, as far as there is room for them; the rest of it stays, or nothing. Returns the bytes.
  size_t move_region(Blocks::iterator region, std::byte* target, size_t room, std::vector<size_t>& pieces) {
    const size_t bytes = region->second.bytes;
    std::byte* at = region->first;
    std::vector<size_t>& parts = region->second.pieces;
    size_t moved = 0;
    for (size_t i = 0; moved < std::min(bytes, room);) {
      const size_t left = parts.empty() ? bytes : parts[i];
      const size_t part = std::min(left, room - moved);
      permit(at, part);  // whatever is mapped there next starts clean
      move_pages(at, target + moved, part);
      pieces.push_back(part);
      at += part;
      moved += part;
      if (part == left) ++i;
      else if (!parts.empty()) parts[i] -= part;
      if (moved == std::min(bytes, room) && !parts.empty()) parts.erase(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(i));
    }
    FreeBlocks::node_type free_node = free_.extract({bytes, region->first});
    if (moved == bytes) {
      blocks_.erase(region);
      return moved;
    }
    Blocks::node_type node = blocks_.extract(region);
    node.key() = at;
    node.mapped().bytes = bytes - moved;
    node.mapped().region_bytes = bytes - moved;
    blocks_.insert(std::move(node));
    free_node.value() = {bytes - moved, at};
    free_.insert(std::move(free_node));
    return moved;
  }

  // Over fresh ones; both mapped. Where the system does not move them, the fresh ones stay.
  static void move_pages(std::byte* from, std::byte* to, size_t bytes) {
    if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED) return;
    munmap(from, bytes);
    // What lay at the target may be gone by then.
    if (mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) std::abort();
  }

  void unmap(std::byte* at, size_t bytes) const {
    permit(at, bytes);  // whatever is mapped there next starts clean
    munmap(at, bytes);
    if (budget_ != nullptr) budget_->give(bytes);
  }

  // A window's bytes are others' at other times.
  void forbid(const std::byte* at, size_t bytes) const {
    if (!over_window_) memory::forbid(at, bytes);
  }

  const std::string name_;
  const size_t page_bytes_;
  const bool over_window_;
  const std::shared_ptr<Budget> budget_;
  mutable std::mutex mutex_;
  Stats stats_;
  NodePool nodes_;  // outlives the containers below
  FreeBlocks free_{&nodes_};
  Blocks blocks_{&nodes_};
};

Arena::Arena(std::string name, std::shared_ptr<Budget> budget)
    : impl_(std::make_unique<Impl>(std::move(name), std::move(budget), false)) {}
Arena::Arena(std::string name, OverWindow) : impl_(std::make_unique<Impl>(std::move(name), nullptr, true)) {}

Arena::~Arena() = default;

void* Arena::allocate(size_t size_bytes) noexcept {
  try {
    return impl_->allocate(size_bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void Arena::free(void* block) noexcept {
  if (block != nullptr) impl_->free(block);
}

void* Arena::gather(size_t size_bytes) noexcept {
  try {
    return impl_->gather(size_bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Arena::Stats Arena::stats() const noexcept { return impl_->stats(); }

uint64_t Arena::trim() noexcept { return impl_->trim(); }

void Arena::move_to(std::span<std::byte> window) { impl_->move_to(window); }

const std::string& Arena::name() const noexcept { return impl_->name(); }

}  // namespace plx::memory
