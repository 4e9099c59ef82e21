// What emulated devices have in common: memory that knows whether it is theirs, and a thread of their own.
#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <new>

#include "plx/device/device.h"
#include "plx/device/worker.h"
#include "plx/ort/runtime.h"

namespace plx::emulation {

class Base : public device::Device, public std::enable_shared_from_this<Base> {
 public:
  Base(const char* kind, std::string name, bool shares_memory) {
    info_.kind = kind;
    info_.name = std::move(name);
    info_.shares_memory = shares_memory;
  }
  const device::Info& info() const override { return info_; }
  bool lost() const override { return false; }
  Result<std::unique_ptr<device::Lent>> lend(uint64_t size_bytes, device::Use) override {
    return std::unique_ptr<device::Lent>(new Memory(shared_from_this(), size_bytes));
  }

  // Of this device, that is shared with the CPU.
  bool lent(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    const auto after = lent_.upper_bound(data);
    return after != lent_.begin() && data < std::prev(after)->first + std::prev(after)->second;
  }

  // Started when it is first asked for: a device that nobody uses costs nothing.
  device::Worker& worker() {
    const std::lock_guard lock(mutex_);
    if (worker_ == nullptr) {
      worker_ = std::make_unique<device::Worker>();
      worker_->enqueue([this] {
        ::prctl(PR_SET_TIMERSLACK, 1);  // or each wait is 50 us longer
        settle();
      });
    }
    return *worker_;
  }

 protected:
  // On the thread, before anything else.
  virtual void settle() {}

  Result<std::shared_ptr<ort::Runtime>> runtime() const {
    auto open = ort::Runtime::in_use();
    if (open == nullptr) return fail(Code::kRunFailed, "no engine has opened ONNX Runtime, whose kernels compute for ", info_.kind);
    return open;
  }

 private:
  class Memory final : public device::Lent {
   public:
    Memory(std::shared_ptr<Base> owner, uint64_t bytes)
        : owner_(std::move(owner)), bytes_(bytes),
          data_(static_cast<std::byte*>(::operator new(std::max<uint64_t>(bytes, 1), std::align_val_t{64}))) {
      const std::lock_guard lock(owner_->mutex_);
      owner_->lent_[data_] = std::max<uint64_t>(bytes_, 1);
    }
    ~Memory() override {
      {
        const std::lock_guard lock(owner_->mutex_);
        owner_->lent_.erase(data_);
      }
      ::operator delete(data_, std::align_val_t{64});
    }
    std::byte* data() override { return data_; }
    uint64_t taken_bytes() const override { return bytes_; }

   private:
    std::shared_ptr<Base> owner_;
    uint64_t bytes_;
    std::byte* data_;
  };

  device::Info info_;
  std::mutex mutex_;
  std::map<const std::byte*, uint64_t> lent_;
  std::unique_ptr<device::Worker> worker_;
};

}  // namespace plx::emulation
