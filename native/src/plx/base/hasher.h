// 128 bits over numbers and texts, to tell things apart by. Guards against mistakes, not against an attacker.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace plx {

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
  // Numbers and texts, one after the other.
  template <class List>
  void add_each(const List& list) {
    mix(list.size());
    for (const auto& item : list) {
      if constexpr (std::is_integral_v<std::decay_t<decltype(item)>>) add(static_cast<uint64_t>(item));
      else add(std::string_view(item));
    }
  }
  // 32 hexadecimal digits.
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

}  // namespace plx
