#include "plx/graph/storage.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <new>

namespace plx::graph {

namespace {

// A file as a mere name (O_PATH): that neither reads nor waits nor wakes a device, and allows to ask what it is and where.
Result<Descriptor> look_up(const std::string& path) {
  Descriptor name(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (name.get() >= 0) return name;
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) return fail(Code::kNotFound, "no file at '", path, "'");
  return fail(Code::kIo, "cannot open '", path, "': ", std::strerror(error));
}

std::string as_file(const Descriptor& descriptor) { return std::string(kDescriptors) + "/" + std::to_string(descriptor.get()); }

// Where the name leads, free of links; nothing if the system does not say.
std::string real_path(const Descriptor& name) {
  char path[PATH_MAX];
  const ssize_t length = ::readlink(as_file(name).c_str(), path, sizeof path);
  if (length <= 0 || length == sizeof path || path[0] != '/') return {};
  return {path, static_cast<size_t>(length)};
}

bool lies_in(std::span<const std::byte> part, std::span<const std::byte> all) {
  const std::less_equal<const std::byte*> before;
  return before(all.data(), part.data()) && before(part.data() + part.size(), all.data() + all.size());
}

bool lies_in(const std::string& path, const std::string& folder) {
  auto name = look_up(folder);
  if (!name) return false;
  std::string real = real_path(*name);
  if (real.empty()) return false;
  if (real.back() != '/') real += '/';
  return path.starts_with(real);
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

Result<std::shared_ptr<Mapping>> Mapping::open(const std::string& path) {
  auto name = look_up(path);
  if (!name) return name.error();
  return of_name(*name, path);
}

Result<std::shared_ptr<Mapping>> Mapping::open_inside(const std::string& folder, const std::string& path,
                                                      std::span<const std::string> further_folders) {
  const std::string full = (std::filesystem::path(folder) / path).string();
  auto name = look_up(full);
  if (!name) return name.error();
  const std::string real = real_path(*name);
  if (real.empty()) return fail(Code::kIo, "cannot tell where '", full, "' lies: ", kDescriptors, " cannot be read");
  const auto inside = [&](const std::string& allowed) { return lies_in(real, allowed); };
  if (!inside(folder) && std::none_of(further_folders.begin(), further_folders.end(), inside)) {
    return fail(Code::kInvalidModel, "'", full, "' leads outside the model's folder, to '", real,
                "': if that is meant, allow the folder it leads to as a data folder (--data-folder, "
                "ModelOptions.dataFolder, plx_model_options.data_folders)");
  }
  return of_name(*name, full);
}

Result<std::shared_ptr<Mapping>> Mapping::of_name(const Descriptor& name, const std::string& path) {
  struct stat info {};
  if (::fstat(name.get(), &info) != 0) return fail(Code::kIo, "cannot stat '", path, "': ", std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return fail(Code::kInvalidArgument, "'", path, "' is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return fail(Code::kInvalidArgument, "'", path, "' is not a regular file");
  Descriptor descriptor(::open(as_file(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) return fail(Code::kIo, "cannot open '", path, "': ", std::strerror(errno));
  auto mapping = of_descriptor(descriptor.get(), path);
  if (mapping) (*mapping)->descriptor_ = std::move(descriptor);
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

void Mapping::give_back(std::span<const std::byte> part) const {
  if (!lies_in(part, bytes())) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(part.data()) + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string Mapping::identity() const {
  struct stat info {};
  if (descriptor_.get() < 0 || ::fstat(descriptor_.get(), &info) != 0) return {};
  const auto text = [](const timespec& time) { return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec); };
  return "inode " + std::to_string(info.st_ino) + ", " + std::to_string(info.st_size) + " bytes, written " + text(info.st_mtim) +
         ", changed " + text(info.st_ctim);
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

void Storage::give_back(std::span<const std::byte> bytes) const {
  for (const auto& mapping : mappings_) mapping->give_back(bytes);
}

std::string_view Storage::keep_text(std::string text) {
  texts_.push_back(std::make_unique<std::string>(std::move(text)));
  return *texts_.back();
}

}  // namespace plx::graph
