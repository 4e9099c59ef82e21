// Files that are there as a whole or not at all.
#pragma once

#include <string>
#include <string_view>

namespace plx {

// Puts a file in the place of what is there, and makes its folder if there is none. False if it cannot be: what was there stays.
bool write_whole(const std::string& path, std::string_view bytes);

// What is in it; empty if it cannot be read.
std::string read_whole(const std::string& path);

}  // namespace plx
