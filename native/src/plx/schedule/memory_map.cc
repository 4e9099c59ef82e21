#include "plx/schedule/memory_map.h"

#include <nlohmann/json.hpp>

namespace plx::schedule {

std::string to_json(const MemoryMap& map) {
  const auto kind_name = [](MemoryMap::Kind kind) {
    switch (kind) {
      case MemoryMap::Kind::kTensor: return "tensor";
      case MemoryMap::Kind::kOutput: return "output";
      case MemoryMap::Kind::kWindow: return "window";
    }
    return "";
  };
  nlohmann::json buffers = nlohmann::json::array();
  for (const MemoryMap::Buffer& buffer : map.buffers) {
    buffers.push_back({{"kind", kind_name(buffer.kind)},
                       {"name", buffer.name},
                       {"unit", buffer.unit},
                       {"first", buffer.first},
                       {"last", buffer.last},
                       {"offset", buffer.offset},
                       {"bytes", buffer.bytes}});
  }
  const nlohmann::json all = {{"order", map.order},
                              {"buffers", std::move(buffers)},
                              {"planned_bytes", map.planned_bytes},
                              {"one_buffer_per_tensor_bytes", map.one_buffer_per_tensor_bytes},
                              {"lower_bound_bytes", map.lower_bound_bytes},
                              {"block_address", reinterpret_cast<uintptr_t>(map.block)}};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace plx::schedule
