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

// Length of the well-formed UTF-8 sequence at `at`, 0 if there is none.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if (first == 0xE0 && second < 0xA0) return 0;  // overlong
  if (first == 0xED && second > 0x9F) return 0;  // surrogates
  if (first == 0xF0 && second < 0x90) return 0;  // overlong
  if (first == 0xF4 && second > 0x8F) return 0;  // beyond U+10FFFF
  return length;
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

std::string printable(std::string_view name, size_t longest) {
  std::string out;
  std::vector<size_t> starts;  // of characters in `out`, so that a cut never lands inside one
  for (size_t at = 0; at < name.size();) {
    const size_t length = utf8_length(name, at);
    const unsigned char first = static_cast<unsigned char>(name[at]);
    // C0 and C1 control characters would let a name draw on the terminal.
    const bool control = length == 1 ? first < 0x20 || first == 0x7F
                                     : length == 2 && first == 0xC2 && static_cast<unsigned char>(name[at + 1]) < 0xA0;
    starts.push_back(out.size());
    if (length == 0 || control) out += '?';
    else out += name.substr(at, length);
    at += length == 0 ? 1 : length;
  }
  if (starts.size() > longest) {
    const size_t half = (longest - 3) / 2;
    out = out.substr(0, starts[half]) + "..." + out.substr(starts[starts.size() - half]);
  }
  return out;
}

std::string describe_node(const Graph& graph, NodeId node) {
  const graph::Node& n = graph.nodes[node];
  const std::string name = n.name.empty() ? "" : " '" + printable(n.name) + "'";
  return "node " + std::to_string(node) + name + " (" + printable(n.op_type) + ")";
}

std::string describe_value(const Graph& graph, ValueId value) {
  return "value " + std::to_string(value) + " '" + printable(graph.values[value].name) + "'";
}

}  // namespace plx::partition
