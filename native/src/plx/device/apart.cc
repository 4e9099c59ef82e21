#include "plx/device/apart.h"

#include <cstring>
#include <utility>
#include <vector>

namespace plx::device {

class ApartMemory::Apart final : public CopiedLent {
 public:
  Apart(std::shared_ptr<ApartMemory> memory, uint64_t bytes, Use use) : CopiedLent(bytes, use), there(bytes), memory_(std::move(memory)) {
    memory_->lent_.add(data(), this);
  }
  ~Apart() override { memory_->lent_.remove(this); }

  HostBytes there;  // the device's copy

 private:
  Status write() override { return memory_->copy(there.get(), host_.get(), bytes_); }
  Status read() override { return memory_->copy(host_.get(), there.get(), bytes_); }
  Status finish() override { return {}; }
  const std::shared_ptr<ApartMemory> memory_;
};

std::unique_ptr<Lent> ApartMemory::lend(uint64_t bytes, Use use) { return std::make_unique<Apart>(shared_from_this(), bytes, use); }

Status ApartMemory::copy(std::byte* to, const std::byte* from, uint64_t bytes) const {
  if (copying_) {
    if (auto s = copying_(); !s) return s;
  }
  std::memcpy(to, from, bytes);
  return {};
}

Status ApartMemory::run(PartSession& part, std::span<const std::byte* const> from, std::span<std::byte* const> to, uint64_t& copied) {
  std::vector<std::unique_ptr<HostBytes>> own;  // for memory of the caller's
  std::vector<const std::byte*> read;
  std::vector<std::byte*> made;
  const auto own_for = [&](uint64_t bytes) { return own.emplace_back(std::make_unique<HostBytes>(bytes))->get(); };
  for (size_t i = 0; i < from.size(); ++i) {
    if (Apart* lent = lent_.at(from[i])) {
      auto bytes = lent->to_device();
      if (!bytes) return bytes.error();
      copied += *bytes;
      read.push_back(lent->there.get());
      continue;
    }
    const uint64_t bytes = part.inputs()[i].bytes;
    std::byte* const there = own_for(bytes);
    if (auto s = copy(there, from[i], bytes); !s) return s;
    copied += bytes;
    read.push_back(there);
  }
  for (size_t i = 0; i < to.size(); ++i) {
    Apart* lent = lent_.at(to[i]);
    made.push_back(lent != nullptr ? lent->there.get() : own_for(part.outputs()[i].bytes));
  }
  if (auto s = part.run(read, made); !s) return s;
  for (size_t i = 0; i < to.size(); ++i) {
    if (Apart* lent = lent_.at(to[i])) {
      auto bytes = lent->made();
      if (!bytes) return bytes.error();
      copied += *bytes;
      continue;
    }
    const uint64_t bytes = part.outputs()[i].bytes;
    if (auto s = copy(to[i], made[i], bytes); !s) return s;
    copied += bytes;
  }
  return {};
}

}  // namespace plx::device
