#include "plx/ort/unit_memory.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "plx/memory/planner.h"

namespace plx::ort {

namespace {
thread_local UnitMemory* current = nullptr;
}  // namespace

thread_local uint64_t UnitMemory::allocations_left = kAll;

// In front of every block.
struct alignas(memory::kAlignment) UnitMemory::Header {
  memory::Arena* arena;
  uint64_t scope;  // 0 outside of any
  uint64_t bytes;  // with the header, as the arena counts
  uint32_t note;
};

void UnitMemory::begin(memory::Arena* window, memory::Arena* loose, bool closely) {
  static std::atomic<uint64_t> scopes{0};
  *this = {};
  scope_ = ++scopes;
  closely_ = closely;
  window_ = window;
  loose_ = loose;
}

void* UnitMemory::allocate(size_t size_bytes, memory::Arena& otherwise) {
  size_t bytes = 0;
  if (__builtin_add_overflow(size_bytes, sizeof(Header) + memory::kAlignment - 1, &bytes)) throw std::bad_alloc();
  bytes = bytes / memory::kAlignment * memory::kAlignment;
  UnitMemory* const unit = current;
  memory::Arena* arena = unit != nullptr ? unit->window_ : nullptr;
  const bool refuse = unit != nullptr && allocations_left != kAll && allocations_left-- == 0;
  if (refuse) allocations_left = 0;
  void* block = arena != nullptr && !refuse ? arena->allocate(bytes) : nullptr;
  if (block == nullptr && !refuse) {
    arena = unit != nullptr && unit->loose_ != nullptr ? unit->loose_ : &otherwise;
    block = arena->allocate(bytes);
  }
  if (block == nullptr) {
    if (unit != nullptr) unit->refused_bytes_ = bytes;
    throw std::bad_alloc();
  }
  if (unit != nullptr) {
    unit->live_bytes_ += bytes;
    ++unit->live_blocks_;
    unit->high_water_bytes_ = std::max(unit->high_water_bytes_, unit->live_bytes_);
    if (arena != unit->window_) {
      unit->loose_live_bytes_ += bytes;
      unit->loose_high_water_bytes_ = std::max(unit->loose_high_water_bytes_, unit->loose_live_bytes_);
    }
  }
  uint32_t note = 0;
  if (unit != nullptr && unit->closely_ && unit->notes_.size() < kMostNotes) {
    note = static_cast<uint32_t>(unit->notes_.size());
    try {
      if (unit->notes_.capacity() < 2 * unit->notes_.size() + 2) unit->notes_.reserve(4 * unit->notes_.size() + 16);
      unit->notes_.push_back({bytes, kTaken});
    } catch (...) {
      arena->free(block);
      throw;
    }
  }
  return new (block) Header{arena, unit != nullptr ? unit->scope_ : 0, bytes, note} + 1;
}

void UnitMemory::free(void* block) noexcept {
  if (block == nullptr) return;
  Header* const header = static_cast<Header*>(block) - 1;
  if (UnitMemory* const unit = current; unit != nullptr && header->scope == unit->scope_) {
    unit->live_bytes_ -= header->bytes;
    --unit->live_blocks_;
    unit->took_ = true;
    if (header->arena != unit->window_) unit->loose_live_bytes_ -= header->bytes;
    // There is room: a block has two notes at most, and only the first may need memory.
    if (unit->closely_ && unit->notes_.size() < kMostNotes) unit->notes_.push_back({header->bytes, header->note});
  }
  header->arena->free(header);
}

uint64_t UnitMemory::own_bytes() const {
  if (!closely_ || notes_.size() >= kMostNotes) return high_water_bytes_;
  std::vector<bool> stays(notes_.size(), true);
  for (const Note& note : notes_) {
    if (note.freed != kTaken) stays[note.freed] = false;
  }
  // As the window will hand them out: the lowest of the smallest gaps that are large enough.
  struct Room {
    uint64_t begin;
    uint64_t end;
    uint32_t note;
  };
  std::vector<Room> rooms;  // lowest first
  uint64_t most = 0;
  for (uint32_t i = 0; i < notes_.size(); ++i) {
    const Note& note = notes_[i];
    if (note.freed != kTaken) {
      std::erase_if(rooms, [&](const Room& room) { return room.note == note.freed; });
      continue;
    }
    if (stays[i]) continue;
    auto place = rooms.end();
    uint64_t begin = rooms.empty() ? 0 : rooms.back().end;
    uint64_t best = UINT64_MAX;
    uint64_t end = 0;  // of what lies below
    for (auto room = rooms.begin(); room != rooms.end(); end = (room++)->end) {
      const uint64_t gap = room->begin - end;
      if (gap < note.bytes || gap >= best) continue;
      best = gap;
      place = room;
      begin = end;
    }
    rooms.insert(place, {begin, begin + note.bytes, i});
    most = std::max(most, begin + note.bytes);
  }
  return most;
}

MemoryScope::MemoryScope(UnitMemory& memory) : outer_(current) { current = &memory; }
MemoryScope::~MemoryScope() { current = outer_; }

}  // namespace plx::ort
