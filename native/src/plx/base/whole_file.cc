#include "plx/base/whole_file.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace plx {

bool write_whole(const std::string& path, std::string_view bytes) {
  static std::atomic<unsigned> written{0};
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string part = path + "." + std::to_string(::getpid()) + "-" + std::to_string(written++);
  std::ofstream out(part, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out) std::filesystem::rename(part, path, error);
  if (out && !error) return true;
  std::filesystem::remove(part, error);
  return false;
}

std::string read_whole(const std::string& path) {
  const std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return in && bytes ? std::move(bytes).str() : "";
}

}  // namespace plx
