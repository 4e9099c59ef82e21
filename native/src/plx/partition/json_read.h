// Reading JSON that may be hostile: every access says what it expects and complains with the place.
//
// A JsonAt is a value together with its place, kept as a chain to its parents (which therefore must outlive it: they
// are locals of the callers), so that a path is put together only when something is wrong. Complaints are thrown as
// JsonError and, like the library's own exceptions, caught by the function that began reading.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "plx/partition/format.h"

namespace plx::partition {

struct JsonError {
  std::string message;
};

class JsonAt {
 public:
  explicit JsonAt(const nlohmann::json& value) : value_(value) {}
  JsonAt(const nlohmann::json& value, const JsonAt& parent, std::string_view key)
      : value_(value), parent_(&parent), key_(key) {}
  JsonAt(const nlohmann::json& value, const JsonAt& parent, size_t index)
      : value_(value), parent_(&parent), index_(index) {}

  [[noreturn]] void complain(const std::string& what) const { throw JsonError{place() + ": " + what}; }

  // ---- objects
  void expect_object() const {
    if (!value_.is_object()) expected("an object");
  }
  bool has(std::string_view key) const {
    expect_object();
    return value_.find(key) != value_.end();
  }
  JsonAt at(std::string_view key) const {
    expect_object();
    const auto found = value_.find(key);
    if (found == value_.end()) complain("'" + std::string(key) + "' is missing");
    return JsonAt(*found, *this, key);
  }
  std::vector<std::string> keys() const {
    expect_object();
    std::vector<std::string> list;
    for (auto item = value_.begin(); item != value_.end(); ++item) list.push_back(item.key());
    return list;
  }
  void only(std::initializer_list<std::string_view> keys) const {
    expect_object();
    for (auto item = value_.begin(); item != value_.end(); ++item) {
      if (std::find(keys.begin(), keys.end(), item.key()) != keys.end()) continue;
      std::string known;
      for (const std::string_view key : keys) known += (known.empty() ? "" : ", ") + std::string(key);
      complain("unknown key '" + printable(item.key()) + "'; known are " + known);
    }
  }

  // ---- arrays
  size_t size() const {
    if (!value_.is_array()) expected("an array");
    return value_.size();
  }
  JsonAt at(size_t index) const { return JsonAt(value_[index], *this, index); }
  std::vector<int32_t> int32s() const {
    std::vector<int32_t> list(size());
    for (size_t i = 0; i < list.size(); ++i) list[i] = at(i).int32();
    return list;
  }
  std::vector<int64_t> int64s() const {
    std::vector<int64_t> list(size());
    for (size_t i = 0; i < list.size(); ++i) list[i] = at(i).integer();
    return list;
  }

  // ---- scalars
  bool is_null() const { return value_.is_null(); }
  int64_t integer(int64_t low = INT64_MIN, int64_t high = INT64_MAX) const {
    // Unsigned numbers are their own kind in the library, used for all that are not negative.
    const bool fits = value_.is_number_unsigned() ? value_.get<uint64_t>() <= INT64_MAX : value_.is_number_integer();
    if (!fits) expected("a whole number");
    const int64_t number = value_.get<int64_t>();
    if (number < low || number > high) {
      expected("a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return number;
  }
  int32_t int32() const { return static_cast<int32_t>(integer(INT32_MIN, INT32_MAX)); }
  uint64_t uint64() const {
    if (!value_.is_number_unsigned()) expected("a whole number that is not negative");
    return value_.get<uint64_t>();
  }
  double number() const {
    if (!value_.is_number()) expected("a number");
    return value_.get<double>();
  }
  bool boolean() const {
    if (!value_.is_boolean()) expected("true or false");
    return value_.get<bool>();
  }
  const std::string& text() const {
    if (!value_.is_string()) expected("a string");
    return value_.get_ref<const std::string&>();
  }
  // The index of the text among the names.
  size_t choice(std::initializer_list<std::string_view> names) const {
    size_t index = 0;
    std::string all;
    for (const std::string_view name : names) {
      if (text() == name) return index;
      all += (index++ == 0 ? "'" : ", '") + std::string(name) + "'";
    }
    expected("one of " + all);
  }

 private:
  [[noreturn]] void expected(const std::string& what) const {
    const bool nested = value_.is_structured();
    using Handler = nlohmann::json::error_handler_t;
    const std::string found = nested ? std::string(value_.type_name()) : value_.dump(-1, ' ', false, Handler::replace);
    complain("expected " + what + ", found " + printable(found));
  }
  std::string place() const {
    if (parent_ == nullptr) return "top level";
    const std::string own = key_.empty() ? "[" + std::to_string(index_) + "]" : std::string(key_);
    if (parent_->parent_ == nullptr) return own;
    return parent_->place() + (key_.empty() ? "" : ".") + own;
  }

  const nlohmann::json& value_;
  const JsonAt* parent_ = nullptr;
  std::string_view key_;
  size_t index_ = 0;
};

// The text as JSON. The library takes any size and depth and some ten times as much memory: what is far beyond anything that
// Parallax writes is refused before.
inline nlohmann::json parse_json(std::string_view text, size_t most_bytes) {
  constexpr int kDeepest = 16;
  if (text.size() > most_bytes) {
    throw JsonError{"has " + std::to_string(text.size()) + " bytes, and no more than " + std::to_string(most_bytes) +
                    " can be meant"};
  }
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      else if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) throw JsonError{"is nested more than " + std::to_string(kDeepest) + " deep"};
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return nlohmann::json::parse(text);
}

// A profile as JSON: the text a user writes, and the part of a plan that repeats it. Reading checks types only.
DeviceProfile read_profile(const JsonAt& json);
nlohmann::ordered_json write_profile(const DeviceProfile& profile);

}  // namespace plx::partition
