// The file format of planning problems.
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plx/memory/planner.h"

namespace plx::memory {
namespace {

constexpr std::string_view kFields = "name<TAB>size_bytes<TAB>first<TAB>last";

// A piece of the input as it may stand in a message: short, and printable.
std::string shown(std::string_view text) {
  constexpr size_t kMost = 40;
  std::string out(text.substr(0, kMost));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  if (text.size() > kMost) out += "...";
  return out;
}

std::optional<std::string> unescaped(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\') {
      out += name[i];
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    switch (name[i]) {
      case 't': out += '\t'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case '\\': out += '\\'; break;
      case '#': out += '#'; break;
      default: return std::nullopt;
    }
  }
  return out;
}

template <class Number>
Status read_number(size_t line, std::string_view field, std::string_view text, Number& out) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  if (error == std::errc() && stop == end) return {};
  return fail(Code::kInvalidArgument, "line ", line, ": ", field, " '", shown(text),
              "' is not a whole number from ", std::numeric_limits<Number>::min(), " to ",
              std::numeric_limits<Number>::max());
}

struct Pair {
  uint32_t a = 0;
  uint32_t b = 0;
  size_t line = 0;
};

// A line of two fields is a pair, one of four a buffer.
Status read_line(size_t number, std::string_view line, Problem& problem, std::vector<Pair>& pairs) {
  std::array<std::string_view, 4> fields;
  size_t count = 0;
  for (std::string_view rest = line;;) {
    const size_t tab = rest.find('\t');
    if (count < fields.size()) fields[count] = rest.substr(0, tab);
    ++count;
    if (tab == std::string_view::npos) break;
    rest.remove_prefix(tab + 1);
  }
  if (count == 2) {
    Pair& pair = pairs.emplace_back();
    pair.line = number;
    if (Status status = read_number(number, "index", fields[0], pair.a); !status) return status;
    return read_number(number, "index", fields[1], pair.b);
  }
  if (count != fields.size()) {
    return fail(Code::kInvalidArgument, "line ", number, ": ", count, " fields instead of 4, write ", kFields);
  }
  std::optional<std::string> name = unescaped(fields[0]);
  if (!name) {
    return fail(Code::kInvalidArgument, "line ", number, ": name '", shown(fields[0]),
                "' has a backslash that is not part of \\t, \\n, \\r, \\\\ or \\#");
  }
  Buffer& buffer = problem.buffers.emplace_back();
  buffer.name = *std::move(name);
  if (Status status = read_number(number, "size_bytes", fields[1], buffer.size_bytes); !status) return status;
  if (Status status = read_number(number, "first", fields[2], buffer.first); !status) return status;
  if (Status status = read_number(number, "last", fields[3], buffer.last); !status) return status;
  if (buffer.last < buffer.first) {
    return fail(Code::kInvalidArgument, "line ", number, ": buffer '", shown(buffer.name), "' ends at step ",
                buffer.last, ", before it begins at step ", buffer.first);
  }
  return {};
}

}  // namespace

std::string to_text(const Problem& problem) {
  std::string out("# ");
  out += kFields;
  out += '\n';
  for (const Buffer& buffer : problem.buffers) {
    for (size_t i = 0; i < buffer.name.size(); ++i) {
      switch (const char c = buffer.name[i]; c) {
        case '\t': out += "\\t"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\\': out += "\\\\"; break;
        case '#': out += i == 0 ? "\\#" : "#"; break;
        default: out += c;
      }
    }
    out += '\t' + std::to_string(buffer.size_bytes) + '\t' + std::to_string(buffer.first) + '\t' +
           std::to_string(buffer.last) + '\n';
  }
  for (size_t a = 0; problem.conflicts != nullptr && a < problem.buffers.size(); ++a) {
    for (size_t b = a + 1; b < problem.buffers.size(); ++b) {
      const Buffer& x = problem.buffers[a];
      const Buffer& y = problem.buffers[b];
      const bool meet = x.first <= y.last && y.first <= x.last;
      if (!meet && problem.conflicts->has(a, b)) out += std::to_string(a) + '\t' + std::to_string(b) + '\n';
    }
  }
  return out;
}

Result<Problem> from_text(std::string_view text) {
  Problem problem;
  std::vector<Pair> pairs;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);  // written by an editor on Windows
    if (line.empty() || line.front() == '#') continue;
    if (Status status = read_line(number, line, problem, pairs); !status) return std::move(status.error());
  }
  if (pairs.empty()) return problem;
  auto conflicts = std::make_shared<Conflicts>(problem.buffers);
  for (const Pair& pair : pairs) {
    if (pair.a >= problem.buffers.size() || pair.b >= problem.buffers.size() || pair.a == pair.b) {
      return fail(Code::kInvalidArgument, "line ", pair.line, ": buffers ", pair.a, " and ", pair.b,
                  " are said to live together; there are ", problem.buffers.size());
    }
    conflicts->add(pair.a, pair.b);
  }
  problem.conflicts = std::move(conflicts);
  return problem;
}

}  // namespace plx::memory
