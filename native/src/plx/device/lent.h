// What devices have in common about the memory that they lend.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "plx/device/device.h"

namespace plx::device {

// Lent memory by its address, for submissions that are given it. Any thread.
template <class T>
class LentList {
 public:
  void add(const std::byte* address, T* lent) {
    const std::lock_guard lock(mutex_);
    all_.emplace_back(address, lent);
  }
  void remove(T* lent) {
    const std::lock_guard lock(mutex_);
    std::erase_if(all_, [&](const auto& one) { return one.second == lent; });
  }
  // Null for memory of the caller's.
  T* at(const std::byte* address) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const auto& one) { return one.first == address; });
    return found == all_.end() ? nullptr : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<const std::byte*, T*>> all_;
};

// Bytes of the CPU's.
class HostBytes {
 public:
  explicit HostBytes(uint64_t size) : data_(static_cast<std::byte*>(::operator new(std::max<uint64_t>(size, 1), kAligned))) {}
  HostBytes(const HostBytes&) = delete;
  ~HostBytes() { ::operator delete(data_, kAligned); }
  std::byte* get() const { return data_; }
  // Never let go: a device that hangs may still use them.
  void leak() { data_ = nullptr; }

 private:
  static constexpr std::align_val_t kAligned{64};
  std::byte* data_;
};

// Lent memory of a device that does not share the CPU's: each side has a copy, and this knows which are current.
class CopiedLent : public Lent {
 public:
  CopiedLent(uint64_t bytes, Use use) : bytes_(bytes), host_(bytes), resident_(use == Use::kResident) {}
  std::byte* data() override { return host_.get(); }
  uint64_t taken_bytes() const override { return 2 * bytes_; }
  Result<uint64_t> recall(bool to_read) override {
    const std::lock_guard lock(mutex_);
    uint64_t copied = 0;
    if (to_read && !on_cpu_) {
      if (auto s = read(); !s) return s.error();
      if (auto s = finish(); !s) return s.error();
      copied = bytes_;
    }
    on_cpu_ = true;
    there_ = false;
    return copied;
  }

  // On the device's thread, around a submission: before it reads this, and after it has made it. The bytes copied.
  Result<uint64_t> to_device() {
    const std::lock_guard lock(mutex_);
    if (there_) return uint64_t{0};
    if (auto s = write(); !s) return s.error();
    there_ = resident_;  // else the CPU writes to it as it likes
    return bytes_;
  }
  Result<uint64_t> made() {
    const std::lock_guard lock(mutex_);
    there_ = true;
    on_cpu_ = !resident_;
    if (resident_) return uint64_t{0};
    if (auto s = read(); !s) return s.error();
    return bytes_;
  }

 protected:
  // Copies to and from the device's copy: begun when they return, and done when finish() does.
  virtual Status write() = 0;
  virtual Status read() = 0;
  virtual Status finish() = 0;

  const uint64_t bytes_;
  HostBytes host_;

 private:
  std::mutex mutex_;
  const bool resident_;
  bool on_cpu_ = true;  // the CPU's copy is current
  bool there_ = false;  // the device's is
};

}  // namespace plx::device
