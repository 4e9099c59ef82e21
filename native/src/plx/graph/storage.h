// What the views of a Graph point into: mapped files and decoded buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/base/result.h"

namespace plx::graph {

// A file descriptor, closed by the destructor.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  int get() const { return value_; }

 private:
  int value_;
};

// Where this process finds its descriptors as files.
inline constexpr const char* kDescriptors = "/proc/self/fd";

// A regular file mapped read-only; unmapped by the destructor. What is no regular file is refused unopened: opening a
// pipe would wait for its writer, and opening a device may set it going.
class Mapping {
 public:
  static Result<std::shared_ptr<Mapping>> open(const std::string& path);
  // The file of that relative path in the folder. Wherever links lead, the file must lie in the folder itself or in one
  // of the further folders; kInvalidModel otherwise. What is checked is what is opened, whoever moves links meanwhile.
  static Result<std::shared_ptr<Mapping>> open_inside(const std::string& folder, const std::string& path,
                                                      std::span<const std::string> further_folders);
  // Maps what the descriptor refers to, whole; the descriptor may be closed afterwards. `name` is for error texts.
  static Result<std::shared_ptr<Mapping>> of_descriptor(int descriptor, const std::string& name);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Unmaps the pages that lie wholly in the part, if the part lies in bytes(): whoever reads there again has them back,
  // from the page cache if the system still has them there.
  void give_back(std::span<const std::byte> part) const;
  // A path that means this very file as long as the mapping lives, whatever becomes of the name it was opened by; not of
  // a mapping of_descriptor.
  std::string path() const { return std::string(kDescriptors) + "/" + std::to_string(descriptor_.get()); }
  // What changes whenever somebody writes to the file or puts another in its place: its number, size and times. Empty of
  // a mapping of_descriptor.
  std::string identity() const;

 private:
  Mapping(const std::byte* data, size_t size) : data_(data), size_(size) {}
  static Result<std::shared_ptr<Mapping>> of_name(const Descriptor& name, const std::string& path);
  const std::byte* data_;
  size_t size_;
  Descriptor descriptor_;
};

// External data by the locations that a model gives.
using Files = std::map<std::string, std::shared_ptr<Mapping>>;

class Storage {
 public:
  // Keeps a mapping alive and returns its bytes.
  std::span<const std::byte> keep(std::shared_ptr<Mapping> mapping);
  // Bytes that start on a 64-byte boundary and live as long as the storage.
  std::span<std::byte> allocate(size_t size_bytes);
  std::string_view keep_text(std::string text);
  // Mapping::give_back of each mapping that is kept here.
  void give_back(std::span<const std::byte> bytes) const;

 private:
  struct AlignedDelete {
    void operator()(std::byte* bytes) const;
  };
  std::vector<std::shared_ptr<Mapping>> mappings_;
  std::vector<std::unique_ptr<std::byte, AlignedDelete>> buffers_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

}  // namespace plx::graph
