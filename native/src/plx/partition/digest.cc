// A graph's digest: 128 bits over its structure, so that a plan is used with no other graph than its own.
//
// Plans speak of nodes and values by index, so the digest covers the tables in their order. It guards against mistakes,
// not against an attacker: whoever forges one still has to get past validate(). Contents of initializers are left out,
// so that retrained weights keep their plans.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "plx/partition/plan.h"

namespace plx::partition {

namespace {

class Hasher {
 public:
  void add(std::string_view bytes) {
    mix(bytes.size());
    for (size_t at = 0; at < bytes.size(); at += 8) {
      uint64_t word = 0;  // little-endian, as everything Parallax runs on
      std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
      mix(word);
    }
  }
  void add(uint64_t number) { mix(number); }
  void add(const std::vector<int32_t>& list) {
    mix(list.size());
    for (const int32_t item : list) mix(static_cast<uint64_t>(item));
  }
  void add(const std::vector<std::string_view>& list) {
    mix(list.size());
    for (const std::string_view item : list) add(item);
  }
  std::string text() const {
    char out[33];
    std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(first_),
                  static_cast<unsigned long long>(second_));
    return out;
  }

 private:
  // FNV-1a on words instead of bytes, twice with different constants. Multiplication carries upwards only, so each lane
  // brings its high bits back down.
  void mix(uint64_t word) {
    first_ = (first_ ^ word) * 0x9e3779b97f4a7c15u;
    first_ ^= first_ >> 32;
    second_ = (second_ ^ word) * 0xc2b2ae3d27d4eb4fu;
    second_ = second_ << 29 | second_ >> 35;
  }
  uint64_t first_ = 0xcbf29ce484222325u;
  uint64_t second_ = 0x6c62272e07bb0142u;
};

}  // namespace

std::string digest(const Graph& graph) {
  Hasher hasher;
  hasher.add(std::string_view("parallax graph 1"));
  hasher.add(static_cast<uint64_t>(graph.opsets.size()));
  for (const auto& [domain, version] : graph.opsets) {
    hasher.add(domain);
    hasher.add(static_cast<uint64_t>(version));
  }
  hasher.add(graph.functions);
  hasher.add(static_cast<uint64_t>(graph.values.size()));
  for (const graph::Value& value : graph.values) {
    hasher.add(value.name);
    hasher.add(static_cast<uint64_t>(value.producer));
    const bool constant_value = value.initializer != graph::kNone;
    hasher.add(static_cast<uint64_t>((value.is_input ? 1 : 0) + (value.is_output ? 2 : 0) + (constant_value ? 4 : 0)));
    if (!constant_value) continue;
    const graph::Initializer& constant = graph.initializers[value.initializer];
    hasher.add(static_cast<uint64_t>(constant.element));
    hasher.add(static_cast<uint64_t>(constant.dims.size()));
    for (const int64_t dim : constant.dims) hasher.add(static_cast<uint64_t>(dim));
  }
  hasher.add(static_cast<uint64_t>(graph.nodes.size()));
  for (const graph::Node& node : graph.nodes) {
    hasher.add(node.name);
    hasher.add(node.op_type);
    hasher.add(node.domain);
    hasher.add(node.overload);
    hasher.add(node.inputs);
    hasher.add(node.outputs);
    hasher.add(node.captures);
    hasher.add(node.attributes);
  }
  hasher.add(graph.inputs);
  hasher.add(graph.outputs);
  return hasher.text();
}

}  // namespace plx::partition
