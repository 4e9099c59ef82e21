// Names and texts that come out of files, as a person may see them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plx {

// What would act on a terminal instead of showing (control characters, marks that turn the direction of writing) and
// what is not UTF-8 is written as the bytes it is, "\x1B"; what is longer than `longest` characters is cut in the
// middle.
std::string printable(std::string_view text, size_t longest = 80);

// Whether all of it is well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace plx
