#include "plx/memory/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <memory_resource>
#include <mutex>
#include <new>
#include <set>
#include <utility>

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
  explicit Impl(std::string name)
      : name_(std::move(name)), page_bytes_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {}
  ~Impl() {
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

  void* resize(void* pointer, size_t asked_bytes) {
    if (pointer != nullptr) {
      if (void* const moved = remap(static_cast<std::byte*>(pointer), asked_bytes)) return moved;
    }
    void* const fresh = allocate(asked_bytes);
    if (fresh != nullptr && pointer != nullptr) free(pointer);
    return fresh;
  }

  uint64_t trim() {
    const std::lock_guard lock(mutex_);
    uint64_t returned_bytes = 0;
    for (auto block = blocks_.begin(); block != blocks_.end();) {
      const size_t bytes = block->second.bytes;
      if (block->second.live() || block->second.region_bytes != bytes) {
        ++block;
        continue;
      }
      unmap(block->first, bytes);
      free_.erase({bytes, block->first});
      block = blocks_.erase(block);
      returned_bytes += bytes;
    }
    stats_.capacity_bytes -= returned_bytes;
    return returned_bytes;
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
    FreeBlocks::node_type free_node;  // a live block keeps its node of free_, so that free() never allocates one

    bool live() const { return !free_node.empty(); }
  };

  // All blocks by address. Those of one region follow each other without a gap, and no two free ones touch.
  using Blocks = std::pmr::map<std::byte*, Block>;

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

  // Null unless the block has a region to itself, which it then fills, and the system moves that.
  void* remap(std::byte* at, size_t asked_bytes) {
    if (asked_bytes > kLargestRequest) return nullptr;
    const std::lock_guard lock(mutex_);
    const auto block = blocks_.find(at);
    if (block == blocks_.end() || !block->second.live() || block->second.region_bytes == 0) return nullptr;
    const size_t old_bytes = block->second.region_bytes;
    const auto rest = std::next(block);
    const bool alone = block->second.bytes == old_bytes ||
                       (!rest->second.live() && block->second.bytes + rest->second.bytes == old_bytes);
    if (!alone) return nullptr;
    const size_t bytes = std::max(old_bytes, round_up(asked_bytes, page_bytes_));
    std::byte* moved = at;
    if (bytes != old_bytes) {
      void* const mapped = mremap(at, old_bytes, bytes, MREMAP_MAYMOVE);
      if (mapped == MAP_FAILED) return nullptr;
      moved = static_cast<std::byte*>(mapped);
    }
    if (block->second.bytes != old_bytes) {
      free_.erase({rest->second.bytes, rest->first});
      blocks_.erase(rest);
    }
    permit(at, old_bytes);  // whatever is mapped there next starts clean
    stats_.live_bytes += bytes - block->second.bytes;
    stats_.high_water_bytes = std::max(stats_.high_water_bytes, stats_.live_bytes);
    stats_.capacity_bytes += bytes - old_bytes;
    ++stats_.allocations;
    Blocks::node_type node = blocks_.extract(block);
    node.key() = moved;
    node.mapped().bytes = bytes;
    node.mapped().region_bytes = bytes;
    node.mapped().free_node.value() = {bytes, moved};
    blocks_.insert(std::move(node));
    forbid(moved, bytes);
    permit(moved, asked_bytes);
    return moved;
  }

  // Maps a region with room for a block; the end of free_ if the system has none.
  FreeBlocks::iterator grow(size_t block_bytes) {
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

  static void* map(size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }

  static void unmap(std::byte* at, size_t bytes) {
    permit(at, bytes);  // whatever is mapped there next starts clean
    munmap(at, bytes);
  }

  const std::string name_;
  const size_t page_bytes_;
  mutable std::mutex mutex_;
  Stats stats_;
  NodePool nodes_;  // outlives the containers below
  FreeBlocks free_{&nodes_};
  Blocks blocks_{&nodes_};
};

Arena::Arena(std::string name) : impl_(std::make_unique<Impl>(std::move(name))) {}

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

void* Arena::resize(void* block, size_t size_bytes) noexcept {
  try {
    return impl_->resize(block, size_bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Arena::Stats Arena::stats() const noexcept { return impl_->stats(); }

uint64_t Arena::trim() noexcept { return impl_->trim(); }

const std::string& Arena::name() const noexcept { return impl_->name(); }

}  // namespace plx::memory
