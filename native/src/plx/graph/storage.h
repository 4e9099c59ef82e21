// What the views of a Graph point into: mapped files and decoded buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plx/base/result.h"

namespace plx::graph {

// A file mapped read-only; unmapped by the destructor.
class Mapping {
 public:
  static Result<std::shared_ptr<Mapping>> open(const std::string& path);
  // Maps what the descriptor refers to, whole; the descriptor may be closed afterwards. `name` is for error texts.
  static Result<std::shared_ptr<Mapping>> of_descriptor(int descriptor, const std::string& name);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Mapping(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

class Storage {
 public:
  // Keeps a mapping alive and returns its bytes.
  std::span<const std::byte> keep(std::shared_ptr<Mapping> mapping);
  // Bytes that start on a 64-byte boundary and live as long as the storage.
  std::span<std::byte> allocate(size_t size_bytes);
  std::string_view keep_text(std::string text);
  // The file of that path, mapped once.
  Result<std::span<const std::byte>> external_file(const std::string& path);

 private:
  struct AlignedDelete {
    void operator()(std::byte* bytes) const;
  };
  std::vector<std::shared_ptr<Mapping>> mappings_;
  std::map<std::string, std::shared_ptr<Mapping>> external_;
  std::vector<std::unique_ptr<std::byte, AlignedDelete>> buffers_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

}  // namespace plx::graph
