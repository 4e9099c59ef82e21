#include "plx/ort/unit_memory.h"

#include <gtest/gtest.h>

#include <new>
#include <thread>
#include <vector>

namespace plx::ort {
namespace {

constexpr uint64_t kHeader = 64;

class UnitMemories : public ::testing::Test {
 protected:
  void SetUp() override { window_.move_to(bytes_); }
  void* allocate(size_t bytes) { return UnitMemory::allocate(bytes, otherwise_); }

  alignas(64) std::byte bytes_[4096];
  memory::Arena window_{"window", memory::Arena::OverWindow{}};
  memory::Arena loose_{"loose"};
  memory::Arena otherwise_{"otherwise"};
  UnitMemory unit_;
};

TEST_F(UnitMemories, ComeFromTheScopeOfTheirThread) {
  void* const before = allocate(100);
  EXPECT_EQ(otherwise_.stats().live_bytes, 128 + kHeader);
  unit_.begin(&window_, &loose_, false);
  void* in_window = nullptr;
  void* in_loose = nullptr;
  {
    const MemoryScope scope(unit_);
    in_window = allocate(1000);
    in_loose = allocate(4000);
    std::thread([&] { UnitMemory::free(allocate(50)); }).join();  // another thread is in no scope
  }
  void* const after = allocate(100);
  EXPECT_EQ(window_.stats().live_bytes, 1024 + kHeader);
  EXPECT_EQ(loose_.stats().live_bytes, 4032 + kHeader);
  EXPECT_EQ(otherwise_.stats().live_bytes, 2 * (128 + kHeader));
  EXPECT_EQ(otherwise_.stats().allocations, 3u);
  for (void* block : {before, in_window, in_loose, after}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    UnitMemory::free(block);  // each where it came from
  }
  UnitMemory::free(nullptr);
  EXPECT_EQ(window_.stats().live_bytes + loose_.stats().live_bytes + otherwise_.stats().live_bytes, 0u);
}

TEST_F(UnitMemories, CountWhatTheyTookAtMost) {
  unit_.begin(&window_, &loose_, false);
  const MemoryScope scope(unit_);
  void* const a = allocate(960);
  void* const b = allocate(960);
  UnitMemory::free(a);
  void* const c = allocate(4032);
  UnitMemory::free(c);
  EXPECT_EQ(unit_.high_water_bytes(), 1024u + 4096u);
  EXPECT_EQ(unit_.loose_high_water_bytes(), 4096u);
  EXPECT_EQ(unit_.live_bytes(), 1024u);
  UnitMemory::free(b);
  EXPECT_EQ(unit_.live_bytes(), 0u);
  EXPECT_EQ(unit_.refused_bytes(), 0u);
}

TEST_F(UnitMemories, DoNotCountWhatAnEarlierScopeLeft) {
  unit_.begin(nullptr, &loose_, false);
  void* output = nullptr;
  {
    const MemoryScope scope(unit_);
    output = allocate(10);
  }
  EXPECT_EQ(unit_.live_bytes(), 128u);
  unit_.begin(nullptr, &loose_, false);
  const MemoryScope scope(unit_);
  UnitMemory::free(output);
  EXPECT_EQ(unit_.live_bytes(), 0u);
  EXPECT_EQ(loose_.stats().live_bytes, 0u);
}

// Outputs are not the unit's own, whenever they are made; the rest needs room at the same time, and in between.
TEST_F(UnitMemories, KnowWhatIsTheirOwn) {
  unit_.begin(nullptr, &loose_, true);
  std::vector<void*> outputs;
  {
    const MemoryScope scope(unit_);
    outputs.push_back(allocate(6400));
    void* const a = allocate(960);
    void* const b = allocate(960);
    outputs.push_back(allocate(3200));
    UnitMemory::free(a);
    void* const c = allocate(1000);  // not in a's place
    UnitMemory::free(b);
    UnitMemory::free(c);
    UnitMemory::free(allocate(64));
  }
  EXPECT_EQ(unit_.own_bytes(), 1024u + 1024u + 1088u);
  EXPECT_EQ(unit_.live_blocks(), 2u);
  for (void* output : outputs) UnitMemory::free(output);

  unit_.begin(nullptr, &loose_, true);
  EXPECT_EQ(unit_.own_bytes(), 0u);
  const MemoryScope scope(unit_);
  for (int i = 0; i < 100'000; ++i) UnitMemory::free(allocate(64));  // a loop's
  EXPECT_EQ(unit_.own_bytes(), 128u) << "of too many to note";
  unit_.begin(nullptr, &loose_, false);
}

TEST_F(UnitMemories, ThrowWhatTheBudgetDoesNotAllow) {
  const auto budget = std::make_shared<memory::Budget>(uint64_t{1} << 20);
  memory::Arena arena("test", budget);
  unit_.begin(nullptr, &arena, false);
  const MemoryScope scope(unit_);
  EXPECT_THROW(allocate(size_t{1} << 20), std::bad_alloc);
  EXPECT_EQ(unit_.refused_bytes(), (uint64_t{1} << 20) + kHeader);
  EXPECT_THROW(allocate(SIZE_MAX), std::bad_alloc);
  UnitMemory::free(allocate((size_t{1} << 20) - kHeader));
}

}  // namespace
}  // namespace plx::ort
