// What ONNX Runtime allocates while it runs a unit, and where that comes from.
//
// A thread that runs a unit puts a MemoryScope around the call: until its end, all that ONNX Runtime asks its allocator
// for on this thread comes from the unit's window, or from the loose arena where there is no window or no room in it.
// Blocks know where they came from, so they may be freed on any thread and outlive the scope, as outputs do. Outside of
// any scope (sessions being made, their packed weights) everything comes from the runtime's own arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plx/memory/arena.h"

namespace plx::ort {

// One thread at a time. Counts are of a scope, in bytes as the arenas count them.
class UnitMemory {
 public:
  // Both may be null: no window; the runtime's own arena. closely: own_bytes() is wanted, which takes a note of
  // every block.
  void begin(memory::Arena* window, memory::Arena* loose, bool closely);
  // Not freed, as far as this thread knows: outputs, and what a kernel keeps.
  uint64_t live_bytes() const { return live_bytes_; }
  uint64_t high_water_bytes() const { return high_water_bytes_; }
  // The window that what was given back by the end needs: what the unit takes beside its outputs. Of very many blocks,
  // high_water_bytes().
  uint64_t own_bytes() const;
  // Whether anything was given back, so that own_bytes() is not 0.
  bool takes() const { return took_; }
  // Blocks not freed.
  uint64_t live_blocks() const { return live_blocks_; }
  // Of what the window had no room for.
  uint64_t loose_high_water_bytes() const { return loose_high_water_bytes_; }
  // Of the last request that was refused; 0 if none was.
  uint64_t refused_bytes() const { return refused_bytes_; }

  // For ONNX Runtime. allocate: memory of the thread's unit, or else of `otherwise`; throws std::bad_alloc, because null
  // would end the process inside ONNX Runtime and an exception becomes an error status of the run.
  static void* allocate(size_t size_bytes, memory::Arena& otherwise);
  static void free(void* block) noexcept;

  // For tests: after that many more allocations of this thread's units, all are refused.
  static constexpr uint64_t kAll = UINT64_MAX;
  static thread_local uint64_t allocations_left;

 private:
  friend class MemoryScope;
  struct Header;
  uint64_t scope_ = 0;  // no two are the same
  memory::Arena* window_ = nullptr;
  memory::Arena* loose_ = nullptr;
  uint64_t live_bytes_ = 0;
  uint64_t live_blocks_ = 0;
  uint64_t high_water_bytes_ = 0;
  uint64_t loose_live_bytes_ = 0;
  uint64_t loose_high_water_bytes_ = 0;
  uint64_t refused_bytes_ = 0;
  struct Note {
    uint64_t bytes;
    uint32_t freed;  // index of the block's first note, or kTaken
  };
  static constexpr uint32_t kTaken = UINT32_MAX;
  static constexpr size_t kMostNotes = 1 << 16;
  bool closely_ = false;
  bool took_ = false;
  std::vector<Note> notes_;
};

class MemoryScope {
 public:
  explicit MemoryScope(UnitMemory& memory);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  UnitMemory* const outer_;
};

}  // namespace plx::ort
