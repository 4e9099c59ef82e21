// Memory that a device has for itself, in the CPU's: for devices that compute with ONNX Runtime's kernels as if they had memory
// of their own. What comes and goes is copied, and what is resident is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "plx/device/lent.h"
#include "plx/device/part_session.h"

namespace plx::device {

class ApartMemory : public std::enable_shared_from_this<ApartMemory> {
 public:
  // copying: asked before each copy; an error is that of the copy. May be null.
  explicit ApartMemory(std::function<Status()> copying = {}) : copying_(std::move(copying)) {}

  std::unique_ptr<Lent> lend(uint64_t bytes, Use use);
  // The part there, from and to memory that was lent or is the caller's. Adds what is copied.
  Status run(PartSession& part, std::span<const std::byte* const> from, std::span<std::byte* const> to, uint64_t& copied);

 private:
  class Apart;
  Status copy(std::byte* to, const std::byte* from, uint64_t bytes) const;

  const std::function<Status()> copying_;
  LentList<Apart> lent_;
};

}  // namespace plx::device
