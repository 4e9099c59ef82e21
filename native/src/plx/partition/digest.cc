// A graph's digest: 128 bits over its structure, so that a plan is used with no other graph than its own.
//
// Plans speak of nodes and values by index, so the digest covers the tables in their order. It guards against mistakes,
// not against an attacker: whoever forges one still has to get past validate(). Contents of initializers are left out,
// so that retrained weights keep their plans.
#include <cstdio>

#include "plx/partition/plan.h"

namespace plx::partition {

namespace {

class Hasher {
 public:
  void add(std::string_view bytes) {
    add(static_cast<uint64_t>(bytes.size()));
    for (const char c : bytes) mix(static_cast<unsigned char>(c));
  }
  void add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) mix(static_cast<unsigned char>(number >> shift));
  }
  void add(const std::vector<int32_t>& list) {
    add(static_cast<uint64_t>(list.size()));
    for (const int32_t item : list) add(static_cast<uint64_t>(item));
  }
  void add(const std::vector<std::string_view>& list) {
    add(static_cast<uint64_t>(list.size()));
    for (const std::string_view item : list) add(item);
  }
  std::string text() const {
    char out[33];
    std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(first_),
                  static_cast<unsigned long long>(second_));
    return out;
  }

 private:
  // FNV-1a twice, with different constants and, in the second lane, a rotation.
  void mix(unsigned char byte) {
    first_ = (first_ ^ byte) * 0x100000001b3u;
    second_ = (second_ ^ byte) * 0x9e3779b97f4a7c15u;
    second_ = second_ << 23 | second_ >> 41;
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
