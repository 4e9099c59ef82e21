#include "plx/graph/storage.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

namespace plx::graph {

Result<std::shared_ptr<Mapping>> Mapping::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return fail(Code::kNotFound, "no file at '", path, "'");
    return fail(Code::kIo, "cannot open '", path, "': ", std::strerror(error));
  }
  auto mapping = of_descriptor(descriptor, path);
  ::close(descriptor);
  return mapping;
}

Result<std::shared_ptr<Mapping>> Mapping::of_descriptor(int descriptor, const std::string& name) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return fail(Code::kIo, "cannot stat '", name, "': ", std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return fail(Code::kInvalidArgument, "'", name, "' is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return fail(Code::kInvalidArgument, "'", name, "' is not a regular file");
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::shared_ptr<Mapping>(new Mapping(nullptr, 0));
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    return fail(Code::kIo, "cannot map the ", size, " bytes of '", name, "': ", std::strerror(errno));
  }
  return std::shared_ptr<Mapping>(new Mapping(static_cast<const std::byte*>(data), size));
}

Mapping::~Mapping() {
  if (size_ != 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::span<const std::byte> Storage::keep(std::shared_ptr<Mapping> mapping) {
  mappings_.push_back(std::move(mapping));
  return mappings_.back()->bytes();
}

std::span<std::byte> Storage::allocate(size_t size_bytes) {
  constexpr size_t kAlign = 64;
  const size_t rounded = (size_bytes + kAlign - 1) / kAlign * kAlign;
  if (rounded < size_bytes) throw std::bad_alloc();
  auto* block = static_cast<std::byte*>(std::aligned_alloc(kAlign, rounded == 0 ? kAlign : rounded));
  if (block == nullptr) throw std::bad_alloc();
  buffers_.emplace_back(block);
  return {block, size_bytes};
}

void Storage::AlignedDelete::operator()(std::byte* bytes) const { std::free(bytes); }

std::string_view Storage::keep_text(std::string text) {
  texts_.push_back(std::make_unique<std::string>(std::move(text)));
  return *texts_.back();
}

Result<std::span<const std::byte>> Storage::external_file(const std::string& path) {
  auto& entry = external_[path];
  if (entry == nullptr) {
    auto mapping = Mapping::open(path);
    if (!mapping) {
      external_.erase(path);
      return mapping.error();
    }
    entry = mapping.take();
  }
  return entry->bytes();
}

}  // namespace plx::graph
