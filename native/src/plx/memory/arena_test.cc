#include "plx/memory/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plx/memory/counting_new.h"

namespace plx::memory {
namespace {

constexpr size_t kSmallestGrowth = size_t{256} << 10;

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }
size_t block_bytes(size_t bytes) { return up(std::max<size_t>(bytes, 1), 64); }

bool mapped(void* page) { return msync(page, page_bytes(), MS_ASYNC) == 0 || errno != ENOMEM; }

// The process's address space.
size_t mapped_bytes() {
  unsigned long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%lu", &pages) != 1) std::abort();
  std::fclose(file);
  return pages * page_bytes();
}

bool aligned(const void* block) { return reinterpret_cast<uintptr_t>(block) % 64 == 0; }

// A block filled with a pattern of its own, so that any overlap is seen.
struct Filled {
  unsigned char* at = nullptr;
  size_t bytes = 0;
  unsigned char pattern = 0;

  bool intact() const {
    return std::all_of(at, at + bytes, [this](unsigned char c) { return c == pattern; });
  }
};

Filled fill(Arena& arena, size_t bytes, unsigned char pattern) {
  auto* const at = static_cast<unsigned char*>(arena.allocate(bytes));
  EXPECT_NE(at, nullptr);
  EXPECT_TRUE(aligned(at));
  std::memset(at, pattern, bytes);
  return {at, bytes, pattern};
}

TEST(Arena, StartsEmpty) {
  const Arena arena("units");
  EXPECT_EQ(arena.name(), "units");
  EXPECT_EQ(arena.stats().capacity_bytes, 0U);
  EXPECT_EQ(arena.stats().growths, 0U);
}

// "hg" among a mapping's flags: huge pages are wished for; the kernel knows the word if it has them.
TEST(Arena, AsksForHugePagesWhereThereIsMuch) {
  const auto wished = [](const void* block) {
    std::ifstream maps("/proc/self/smaps");
    const auto at = reinterpret_cast<uintptr_t>(block);
    bool here = false;
    for (std::string line; std::getline(maps, line);) {
      unsigned long long begin = 0, end = 0;
      char dash = 0;
      if (std::sscanf(line.c_str(), "%llx%c%llx ", &begin, &dash, &end) == 3 && dash == '-') here = begin <= at && at < end;
      if (here && line.starts_with("VmFlags:")) return line.find(" hg") != std::string::npos;
    }
    return false;
  };
  Arena arena("pages");
  void* const small = arena.allocate(1 << 20);
  void* const large = arena.allocate(64 << 20);
  EXPECT_FALSE(wished(small));
  // Not every kernel has them, and an emulator shows other flags.
  void* const plain = mmap(nullptr, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(plain, MAP_FAILED);
  madvise(plain, 64 << 20, MADV_HUGEPAGE);
  EXPECT_EQ(wished(large), wished(plain));
  munmap(plain, 64 << 20);
  arena.free(small);
  arena.free(large);
}

TEST(Arena, CountsExactly) {
  Arena arena("test");
  void* const a = arena.allocate(100);
  void* const b = arena.allocate(64);
  Arena::Stats stats = arena.stats();
  EXPECT_EQ(stats.live_bytes, 192U);
  EXPECT_EQ(stats.high_water_bytes, 192U);
  EXPECT_EQ(stats.capacity_bytes, up(kSmallestGrowth, page_bytes()));
  EXPECT_EQ(stats.allocations, 2U);
  EXPECT_EQ(stats.growths, 1U);
  arena.free(a);
  void* const c = arena.allocate(1);
  stats = arena.stats();
  EXPECT_EQ(stats.live_bytes, 128U);
  EXPECT_EQ(stats.high_water_bytes, 192U);
  EXPECT_EQ(stats.allocations, 3U);
  arena.free(b);
  arena.free(c);
  arena.free(nullptr);
  stats = arena.stats();
  EXPECT_EQ(stats.live_bytes, 0U);
  EXPECT_EQ(stats.high_water_bytes, 192U);
  EXPECT_EQ(stats.allocations, 3U);
  EXPECT_EQ(stats.growths, 1U);
}

TEST(Arena, EmptyBlocksAreValidAndUnique) {
  Arena arena("test");
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(arena.allocate(0));
  EXPECT_EQ(arena.stats().live_bytes, 6400U);
  std::sort(blocks.begin(), blocks.end());
  EXPECT_EQ(std::adjacent_find(blocks.begin(), blocks.end()), blocks.end());
  for (void* const block : blocks) {
    EXPECT_NE(block, nullptr);
    EXPECT_TRUE(aligned(block));
    arena.free(block);
  }
}

TEST(Arena, CutsNewRegionsFromTheirLowEnd) {
  Arena arena("test");
  auto* const a = static_cast<std::byte*>(arena.allocate(100));
  auto* const b = static_cast<std::byte*>(arena.allocate(1));
  auto* const c = static_cast<std::byte*>(arena.allocate(200));
  EXPECT_EQ(b, a + 128);
  EXPECT_EQ(c, b + 64);
}

TEST(Arena, TakesTheTightestHole) {
  Arena arena("test");
  void* const wide = arena.allocate(640);
  arena.allocate(64);
  void* const tight = arena.allocate(256);
  arena.allocate(64);
  void* const narrow = arena.allocate(192);
  arena.allocate(64);
  arena.free(wide);
  arena.free(tight);
  arena.free(narrow);
  EXPECT_EQ(arena.allocate(250), tight);
  EXPECT_EQ(arena.allocate(250), wide);
  EXPECT_EQ(arena.allocate(192), narrow);
}

// Frees in every order of four neighbours: each time they become one block again.
TEST(Arena, JoinsFreeNeighbours) {
  Arena arena("test");
  const size_t region = up(kSmallestGrowth, page_bytes());
  std::vector<size_t> order = {0, 1, 2, 3};
  do {
    std::vector<void*> blocks;
    for (int i = 0; i < 4; ++i) blocks.push_back(arena.allocate(region / 4));
    for (const size_t i : order) arena.free(blocks[i]);
    void* const whole = arena.allocate(region);
    EXPECT_EQ(whole, *std::min_element(blocks.begin(), blocks.end()));
    arena.free(whole);
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(arena.stats().growths, 1U);
}

TEST(Arena, GrowsByWhatIsNeeded) {
  Arena arena("test");
  const size_t large = size_t{10} << 20;
  arena.allocate(large + 1);
  EXPECT_EQ(arena.stats().capacity_bytes, up(large + 1, page_bytes()));
  const uint64_t before = arena.stats().capacity_bytes;
  arena.allocate(1 << 20);
  EXPECT_EQ(arena.stats().capacity_bytes - before, up(before / 4, page_bytes()));
  EXPECT_EQ(arena.stats().growths, 2U);
}

TEST(Arena, NeverMapsMuchInAdvance) {
  Arena arena("test");
  arena.allocate(size_t{1} << 30);  // untouched, so it costs nothing
  const uint64_t before = arena.stats().capacity_bytes;
  arena.allocate(1);
  EXPECT_EQ(arena.stats().capacity_bytes - before, uint64_t{32} << 20);
}

TEST(Arena, RefusesWhatCannotBe) {
  Arena arena("test");
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  for (const size_t bytes : {kMost, kMost - 1, kMost - 63, kMost - 64, kMost - page_bytes(), kMost / 2 + 1, kMost / 2,
                             kMost / 4 + 1, kMost / 4, kMost / 16}) {
    EXPECT_EQ(arena.allocate(bytes), nullptr) << bytes;
  }
  const Arena::Stats stats = arena.stats();
  EXPECT_EQ(stats.capacity_bytes, 0U);
  EXPECT_EQ(stats.allocations, 0U);
  EXPECT_NE(arena.allocate(1), nullptr);
}

TEST(Arena, TrimUnmapsFreeRegions) {
  Arena arena("test");
  const size_t bytes = size_t{4} << 20;
  Filled a = fill(arena, bytes, 1);
  const Filled b = fill(arena, bytes, 2);
  Filled c = fill(arena, bytes, 3);
  EXPECT_EQ(arena.stats().capacity_bytes, 3 * bytes);
  EXPECT_EQ(arena.trim(), 0U);
  arena.free(a.at);
  arena.free(c.at);
  EXPECT_EQ(arena.stats().capacity_bytes, 3 * bytes);
  EXPECT_TRUE(mapped(a.at));
  EXPECT_TRUE(mapped(c.at));
  EXPECT_EQ(arena.trim(), 2 * bytes);
  EXPECT_FALSE(mapped(a.at));
  EXPECT_TRUE(mapped(b.at));
  EXPECT_FALSE(mapped(c.at));
  EXPECT_EQ(arena.stats().capacity_bytes, bytes);
  EXPECT_TRUE(b.intact());
  EXPECT_EQ(arena.trim(), 0U);
  arena.free(b.at);
  EXPECT_EQ(arena.trim(), bytes);
  EXPECT_EQ(arena.stats().capacity_bytes, 0U);
  const Filled d = fill(arena, 1000, 4);
  EXPECT_TRUE(d.intact());
  EXPECT_EQ(arena.stats().growths, 4U);
}

TEST(Arena, GatheringTakesThePagesOfFreeRegions) {
  Arena arena("test");
  const size_t bytes = size_t{4} << 20;
  void* const kept = arena.allocate(100);
  std::vector<Filled> freed;
  for (unsigned char i = 1; i <= 3; ++i) freed.push_back(fill(arena, bytes, i));
  for (const Filled& block : freed) arena.free(block.at);
  const uint64_t capacity = arena.stats().capacity_bytes;
  auto* const block = static_cast<unsigned char*>(arena.gather(4 * bytes + 1));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(aligned(block));
  // Nobody may count on it, but here it shows that the pages are the same, and were neither given back nor copied.
  std::vector<int> seen;
  for (size_t i = 0; i < 3; ++i) {
    seen.push_back(block[i * bytes]);
    EXPECT_TRUE((Filled{block + i * bytes, bytes, block[i * bytes]}.intact()));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(block[3 * bytes], 0) << "fresh";
  for (const Filled& old : freed) EXPECT_FALSE(mapped(old.at));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(arena.stats().capacity_bytes, capacity + bytes + page);
  EXPECT_EQ(arena.stats().live_bytes, 4 * bytes + page + 128);
  std::memset(block, 9, 4 * bytes + 1);

  // And again, of pieces: to more, then to less.
  arena.free(block);
  auto* const more = static_cast<unsigned char*>(arena.gather(8 * bytes));
  ASSERT_NE(more, nullptr);
  EXPECT_TRUE((Filled{more, 4 * bytes + 1, 9}.intact()));
  std::memset(more, 7, 8 * bytes);
  arena.free(more);
  auto* const less = static_cast<unsigned char*>(arena.gather(2 * bytes));
  ASSERT_NE(less, nullptr);
  EXPECT_TRUE((Filled{less, 2 * bytes, 7}.intact()));
  EXPECT_EQ(arena.stats().capacity_bytes, 8 * bytes + (size_t{256} << 10)) << "the rest is free and mapped";
  EXPECT_EQ(arena.stats().live_bytes, 2 * bytes + 128);
  EXPECT_EQ(arena.trim(), 6 * bytes + (size_t{256} << 10) - page);
  EXPECT_TRUE((Filled{less, 2 * bytes, 7}.intact()));

  // What is left of a region serves as any other.
  arena.free(less);
  auto* const part = static_cast<unsigned char*>(arena.gather(bytes));
  EXPECT_EQ(part[0], 7);
  const Filled rest = fill(arena, bytes, 3);
  EXPECT_EQ(arena.stats().capacity_bytes, 2 * bytes + page);
  EXPECT_TRUE(rest.intact());
  arena.free(rest.at);
  arena.free(part);
  auto* const both = static_cast<unsigned char*>(arena.gather(2 * bytes));
  EXPECT_EQ(static_cast<int>(both[0]) + both[bytes], 10);
  EXPECT_EQ(arena.stats().capacity_bytes, 2 * bytes + page);
  arena.free(both);
  arena.free(kept);
  EXPECT_EQ(arena.trim(), 2 * bytes + page);
  EXPECT_EQ(arena.stats().capacity_bytes, 0U);
}

TEST(Arena, GatheringKeepsWithinTheBudgetAndFailsCleanly) {
  const size_t bytes = size_t{4} << 20;
  const auto budget = std::make_shared<Budget>(3 * bytes);
  Arena arena("test", budget);
  const Filled live = fill(arena, bytes, 5);
  arena.free(fill(arena, bytes, 6).at);
  EXPECT_EQ(budget->left_bytes(), bytes);
  EXPECT_EQ(arena.gather(2 * bytes + 1), nullptr);
  EXPECT_EQ(arena.gather(size_t{1} << 62), nullptr);
  EXPECT_EQ(arena.gather(std::numeric_limits<size_t>::max()), nullptr);
  EXPECT_EQ(budget->left_bytes(), bytes);
  void* block = arena.gather(2 * bytes);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(budget->left_bytes(), 0U);
  EXPECT_TRUE(live.intact());
  arena.free(block);
  block = arena.gather(1);
  EXPECT_EQ(budget->left_bytes(), 0U);
  arena.trim();
  EXPECT_EQ(budget->left_bytes(), 2 * bytes - static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  arena.free(block);
  arena.free(live.at);
  arena.trim();
  EXPECT_EQ(budget->left_bytes(), 3 * bytes);
  Arena unlimited("test");
  EXPECT_EQ(unlimited.gather(size_t{1} << 62), nullptr);
}

// What a kernel keeps must not hold a whole region.
TEST(Arena, TrimKeepsThePagesInUseAlone) {
  Arena arena("test");
  const size_t bytes = size_t{4} << 20;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  arena.free(arena.allocate(bytes));
  std::vector<Filled> blocks;  // all in one region
  for (unsigned char i = 0; i < 16; ++i) blocks.push_back(fill(arena, bytes / 16, i));
  ASSERT_EQ(arena.stats().growths, 1U);
  for (size_t i = 0; i < 16; ++i) {
    if (i != 3 && i != 4 && i != 9) arena.free(blocks[i].at);
  }
  // A block of less than a page among free ones.
  const Filled small = fill(arena, 100, 99);
  EXPECT_EQ(small.at, blocks[0].at) << "the tightest gap";
  EXPECT_EQ(arena.trim(), 13 * bytes / 16 - page);
  EXPECT_EQ(arena.stats().capacity_bytes, 3 * bytes / 16 + page);
  EXPECT_FALSE(mapped(blocks[1].at));
  EXPECT_FALSE(mapped(blocks[8].at));
  EXPECT_FALSE(mapped(blocks[15].at));
  for (const size_t i : {3, 4, 9}) EXPECT_TRUE(blocks[i].intact());
  EXPECT_TRUE(small.intact());
  EXPECT_EQ(arena.trim(), 0U);
  // The rest of the small one's page serves on.
  const Filled next = fill(arena, 1000, 98);
  EXPECT_EQ(next.at, small.at + 128);
  for (const Filled& block : {blocks[3], blocks[4], blocks[9], small, next}) arena.free(block.at);
  EXPECT_EQ(arena.trim(), 3 * bytes / 16 + page);
  EXPECT_EQ(arena.stats().capacity_bytes, 0U);
}

TEST(Arena, GatheringTakesWhatPagesAreFreeInRegionsInUse) {
  const size_t bytes = size_t{4} << 20;
  const auto budget = std::make_shared<Budget>(2 * bytes);
  Arena arena("test", budget);
  arena.free(arena.allocate(2 * bytes));
  const Filled kept = fill(arena, 100, 1);
  EXPECT_EQ(arena.gather(2 * bytes), nullptr);
  EXPECT_EQ(arena.stats().capacity_bytes, 2 * bytes) << "in vain nothing is given back";
  void* const block = arena.gather(bytes);
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(kept.intact());
  EXPECT_EQ(budget->taken_bytes(), bytes + static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

TEST(Arena, UnmapsEverythingAtItsEnd) {
  void* live = nullptr;
  void* freed = nullptr;
  {
    Arena arena("test");
    live = arena.allocate(1 << 20);
    freed = arena.allocate(1 << 20);
    arena.free(freed);
    EXPECT_TRUE(mapped(live));
    EXPECT_TRUE(mapped(freed));
  }
  EXPECT_FALSE(mapped(live));
  EXPECT_FALSE(mapped(freed));
}

// The kernel often puts regions side by side; a free block must not reach from one into the next.
TEST(Arena, KeepsTouchingRegionsApart) {
  Arena arena("test");
  const size_t bytes = size_t{2} << 20;
  std::vector<void*> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(arena.allocate(bytes));  // a region each
  for (void* const block : blocks) arena.free(block);
  EXPECT_EQ(arena.stats().growths, 5U);
  arena.allocate(2 * bytes);
  EXPECT_EQ(arena.stats().growths, 6U);
  EXPECT_EQ(arena.trim(), 5 * bytes);
}

TEST(ArenaDeathTest, NamesBadFrees) {
  Arena arena("units");
  auto* const block = static_cast<std::byte*>(arena.allocate(256));
  int local = 0;
  EXPECT_DEATH(arena.free(&local), "arena 'units': 0x[0-9a-f]+ was freed, but is no live block of this arena");
  EXPECT_DEATH(arena.free(block + 64), "no live block");
  arena.free(block);
  EXPECT_DEATH(arena.free(block), "freed twice");
  Arena other("other");
  EXPECT_DEATH(other.free(arena.allocate(64)), "arena 'other'");
}

#ifdef __SANITIZE_ADDRESS__
TEST(ArenaDeathTest, AddressSanitizerSeesBlocks) {
  Arena arena("test");
  auto* const block = static_cast<volatile char*>(arena.allocate(100));
  block[99] = 1;
  EXPECT_DEATH(block[100] = 1, "use-after-poison");
  arena.free(const_cast<char*>(block));
  EXPECT_DEATH(block[0] = 1, "use-after-poison");
  auto* const again = static_cast<volatile char*>(arena.allocate(101));
  EXPECT_EQ(again, block);
  again[100] = 1;
}
#endif

// Grows by the request alone when the system refuses more, and by nothing when it refuses that.
TEST(ArenaDeathTest, LivesWithLittleMemory) {
  const auto child = [] {
    Arena arena("test");
    if (arena.allocate(size_t{256} << 20) == nullptr) std::_Exit(1);  // so that growth is 32 MB
    const rlim_t limit = mapped_bytes() + (rlim_t{16} << 20);
    const rlimit limits{limit, limit};
    if (setrlimit(RLIMIT_AS, &limits) != 0) std::_Exit(2);
    if (arena.allocate(size_t{8} << 20) == nullptr) std::_Exit(3);
    if (arena.allocate(size_t{1} << 40) != nullptr) std::_Exit(4);
    if (arena.stats().live_bytes != size_t{264} << 20) std::_Exit(5);
    std::_Exit(0);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

// The same sizes again and again, freed in ever new orders, as runs of a model do: no growth, and no operator new.
TEST(Arena, SteadyStateTakesNothing) {
  Arena arena("test");
  std::mt19937 random(1);
  std::vector<size_t> sizes;
  for (int i = 0; i < 200; ++i) sizes.push_back(random() % 100'000);
  std::vector<void*> blocks(sizes.size());
  std::vector<size_t> order(sizes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto run = [&] {
    for (size_t i = 0; i < sizes.size(); ++i) blocks[i] = arena.allocate(sizes[i]);
    for (const size_t i : order) arena.free(blocks[i]);
  };
  for (int i = 0; i < 50; ++i) {
    run();
    std::shuffle(order.begin(), order.end(), random);
  }
  const Arena::Stats before = arena.stats();
  const uint64_t news_before = news;
  for (int i = 0; i < 200; ++i) {
    run();
    std::shuffle(order.begin(), order.end(), random);
  }
  EXPECT_EQ(news, news_before);
  const Arena::Stats after = arena.stats();
  EXPECT_EQ(after.growths, before.growths);
  EXPECT_EQ(after.capacity_bytes, before.capacity_bytes);
  EXPECT_EQ(after.high_water_bytes, before.high_water_bytes);
  EXPECT_EQ(after.allocations, before.allocations + 200 * sizes.size());
  EXPECT_EQ(after.live_bytes, 0U);
}

TEST(Arena, CountsOperatorNew) {
  const uint64_t before = news;
  Arena arena("test");
  arena.free(arena.allocate(1));
  EXPECT_GT(news, before);
}

// Without memory for its own nodes the arena returns null and gives back what it had mapped.
TEST(Arena, MapsNothingWhenMallocFails) {
  const size_t bytes = size_t{1} << 30;
  int refused = 0;
  for (uint64_t left = 0;; ++left) {
    Arena arena("test");
    const size_t before = mapped_bytes();
    news_left = left;
    void* const block = arena.allocate(bytes);
    news_left = kAllNews;
    if (block != nullptr) break;
    ++refused;
    EXPECT_LT(mapped_bytes(), before + bytes / 2);
    EXPECT_EQ(arena.stats().capacity_bytes, 0U);
    EXPECT_EQ(arena.stats().growths, 0U);
    EXPECT_EQ(arena.stats().live_bytes, 0U);
    EXPECT_NE(arena.allocate(bytes), nullptr);
  }
  EXPECT_GE(refused, 2);  // a node of each kind
}

// Nor does it lose blocks then; and to free them takes no memory.
TEST(Arena, SurvivesFailingMalloc) {
  Arena arena("test");
  constexpr int kBlocks = 5000;
  std::vector<Filled> blocks;
  blocks.reserve(kBlocks);
  int refused = 0;
  for (int i = 0; i < kBlocks; ++i) {
    const auto pattern = static_cast<unsigned char>(i);
    const Arena::Stats before = arena.stats();
    news_left = static_cast<uint64_t>(i % 3);
    auto* const at = static_cast<unsigned char*>(arena.allocate(200));
    news_left = kAllNews;
    if (at == nullptr) {
      ++refused;
      EXPECT_EQ(arena.stats().live_bytes, before.live_bytes);
      EXPECT_EQ(arena.stats().allocations, before.allocations);
      // What follows meets the same place in another way.
      if (!blocks.empty()) {
        arena.free(blocks.back().at);
        blocks.pop_back();
      }
      blocks.push_back(fill(arena, 300 + 64 * static_cast<size_t>(i % 3), pattern));
    } else {
      std::memset(at, pattern, 200);
      blocks.push_back({at, 200, pattern});
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, kBlocks / 2);
  news_left = 0;
  for (const Filled& block : blocks) {
    EXPECT_TRUE(block.intact());
    arena.free(block.at);
  }
  const uint64_t capacity = arena.stats().capacity_bytes;
  const uint64_t trimmed = arena.trim();
  news_left = kAllNews;
  EXPECT_EQ(trimmed, capacity);
  EXPECT_EQ(arena.stats().live_bytes, 0U);
}

// Everything at random against a simple model: patterns intact, no two blocks overlap, every count right.
// Memory of somebody else's that an arena hands out of.
class ArenaOverAWindow : public ::testing::Test {
 protected:
  std::vector<std::byte> memory_ = std::vector<std::byte>(10'000);
  Arena arena_{"window", Arena::OverWindow{}};
  bool inside(const void* block, size_t bytes) const {
    const auto* at = static_cast<const std::byte*>(block);
    return at >= memory_.data() && at + bytes <= memory_.data() + memory_.size();
  }
};

TEST_F(ArenaOverAWindow, HandsOutItsBytesAndNoOthers) {
  EXPECT_EQ(arena_.allocate(1), nullptr) << "there is no window yet";
  arena_.move_to(memory_);
  std::vector<Filled> blocks;
  for (unsigned char i = 0;; ++i) {
    auto* const at = static_cast<unsigned char*>(arena_.allocate(1000));
    if (at == nullptr) break;
    ASSERT_TRUE(inside(at, 1000));
    ASSERT_TRUE(aligned(at));
    std::memset(at, i, 1000);
    blocks.push_back({at, 1000, i});
  }
  EXPECT_EQ(blocks.size(), 9u);  // of 1,024 bytes
  for (const Filled& block : blocks) EXPECT_TRUE(block.intact());
  for (const Filled& block : blocks) arena_.free(block.at);
  EXPECT_EQ(arena_.trim(), 0u);
  EXPECT_TRUE(inside(arena_.allocate(9000), 9000)) << "free neighbours join, the first block too";
  EXPECT_EQ(arena_.stats().growths, 0u);
}

TEST_F(ArenaOverAWindow, MovesWhenNothingIsHandedOut) {
  std::vector<std::byte> other(5000);
  arena_.move_to(memory_);
  arena_.free(arena_.allocate(5000));
  arena_.move_to(other);
  EXPECT_EQ(arena_.allocate(5000), nullptr);
  void* const block = arena_.allocate(4000);
  EXPECT_NE(block, nullptr);
  EXPECT_FALSE(inside(block, 1));
  arena_.free(block);
  arena_.move_to({});
  EXPECT_EQ(arena_.allocate(1), nullptr);
  arena_.move_to(std::span(memory_).first(10));
  EXPECT_EQ(arena_.allocate(1), nullptr);
}

TEST_F(ArenaOverAWindow, AbortsRatherThanPullAwayWhatIsInUse) {
  arena_.move_to(memory_);
  void* const block = arena_.allocate(1);
  EXPECT_DEATH(arena_.move_to({}), "'window' cannot move: blocks of it are handed out");
  arena_.free(block);
  Arena other("other");
  EXPECT_DEATH(other.move_to(memory_), "'other' cannot move: it lies over no window");
}

TEST(Arena, Stress) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    Arena arena("test");
    std::mt19937 random(seed);
    std::vector<Filled> live;
    std::map<unsigned char*, size_t> taken;
    uint64_t live_bytes = 0;
    uint64_t most = 0;
    uint64_t calls = 0;
    for (int step = 0; step < 20000; ++step) {
      const bool filling = (step / 1000) % 2 == 0;
      if (live.empty() || random() % 100 < (filling ? 60 : 40)) {
        const size_t bytes = random() % 50 == 0 ? random() % 500'000 : random() % (1 << random() % 16);
        const Filled block = fill(arena, bytes, static_cast<unsigned char>(random()));
        ++calls;
        live_bytes += block_bytes(bytes);
        most = std::max(most, live_bytes);
        const auto next = taken.lower_bound(block.at);
        ASSERT_TRUE(next == taken.end() || block.at + block_bytes(bytes) <= next->first);
        ASSERT_TRUE(next == taken.begin() || std::prev(next)->first + std::prev(next)->second <= block.at);
        taken.emplace(block.at, block_bytes(bytes));
        live.push_back(block);
      } else {
        std::swap(live[random() % live.size()], live.back());
        ASSERT_TRUE(live.back().intact());
        arena.free(live.back().at);
        live_bytes -= block_bytes(live.back().bytes);
        taken.erase(live.back().at);
        live.pop_back();
      }
      if (random() % 100 == 0) arena.trim();
      const Arena::Stats stats = arena.stats();
      ASSERT_EQ(stats.live_bytes, live_bytes);
      ASSERT_EQ(stats.high_water_bytes, most);
      ASSERT_EQ(stats.allocations, calls);
      ASSERT_GE(stats.capacity_bytes, stats.live_bytes);
    }
    for (const Filled& block : live) {
      ASSERT_TRUE(block.intact());
      arena.free(block.at);
    }
    const uint64_t capacity = arena.stats().capacity_bytes;
    EXPECT_EQ(arena.trim(), capacity);
    EXPECT_EQ(arena.stats().capacity_bytes, 0U);
    EXPECT_EQ(arena.trim(), 0U);
  }
}

// Blocks of all threads in one arena, freed by whichever thread comes by.
TEST(Arena, ThreadsShareIt) {
  Arena arena("test");
  std::mutex mutex;
  std::vector<Filled> shared;
  std::atomic<uint64_t> calls{0};
  std::atomic<int> damaged{0};
  const auto work = [&](uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<Filled> own;
    for (int step = 0; step < 4000; ++step) {
      const uint32_t what = random() % 100;
      if (what < 50) {
        own.push_back(fill(arena, random() % 3000, static_cast<unsigned char>(random())));
        ++calls;
      } else if (what < 75 && !own.empty()) {
        std::swap(own[random() % own.size()], own.back());
        if (!own.back().intact()) ++damaged;
        arena.free(own.back().at);
        own.pop_back();
      } else if (what < 98) {
        Filled block;
        {
          const std::lock_guard lock(mutex);
          if (!own.empty()) {
            shared.push_back(own.back());
            own.pop_back();
          }
          if (shared.empty()) continue;
          std::swap(shared[random() % shared.size()], shared.back());
          block = shared.back();
          shared.pop_back();
        }
        if (!block.intact()) ++damaged;
        arena.free(block.at);
      } else {
        arena.trim();
        if (arena.stats().live_bytes > arena.stats().high_water_bytes) ++damaged;
      }
    }
    for (const Filled& block : own) {
      if (!block.intact()) ++damaged;
      arena.free(block.at);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  for (const Filled& block : shared) {
    EXPECT_TRUE(block.intact());
    arena.free(block.at);
  }
  EXPECT_EQ(damaged, 0);
  const Arena::Stats stats = arena.stats();
  EXPECT_EQ(stats.live_bytes, 0U);
  EXPECT_EQ(stats.allocations, calls);
  EXPECT_EQ(arena.trim(), stats.capacity_bytes);
}

}  // namespace
}  // namespace plx::memory
