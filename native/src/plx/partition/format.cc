#include "plx/partition/format.h"

#include <cmath>
#include <cstdio>

namespace plx::partition {

namespace {

std::string significant(double value) {
  char text[40];
  if (value != 0 && (std::abs(value) < 1e-4 || std::abs(value) >= 1e6)) {
    std::snprintf(text, sizeof text, "%.2e", value);
    return text;
  }
  const int digits = value == 0 ? 0 : static_cast<int>(std::floor(std::log10(std::abs(value))));
  std::snprintf(text, sizeof text, "%.*f", std::max(0, 2 - digits), value);
  std::string out = text;
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

std::string scaled(double value, const char* const* units, int count) {
  int unit = 0;
  while (unit + 1 < count && value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  const std::string suffix = units[unit];
  return suffix.empty() ? significant(value) : significant(value) + " " + suffix;
}

}  // namespace

std::string format_count(double count) {
  static const char* const units[] = {"", "k", "M", "G", "T", "P"};
  return scaled(count, units, 6);
}

std::string format_bytes(uint64_t bytes) {
  static const char* const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  return scaled(static_cast<double>(bytes), units, 6);
}

std::string format_seconds(double seconds) {
  static const char* const units[] = {"us", "ms", "s"};
  return scaled(seconds * 1e6, units, 3);
}

std::string format_ratio(double ratio) { return significant(ratio); }

std::string describe_node(const Graph& graph, NodeId node) {
  const graph::Node& n = graph.nodes[node];
  const std::string name = n.name.empty() ? "" : " '" + printable(n.name) + "'";
  return "node " + std::to_string(node) + name + " (" + printable(n.op_type) + ")";
}

std::string describe_value(const Graph& graph, ValueId value) {
  return "value " + std::to_string(value) + " '" + printable(graph.values[value].name) + "'";
}

}  // namespace plx::partition
