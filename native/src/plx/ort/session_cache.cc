#include "plx/ort/session_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "plx/base/hasher.h"
#include "plx/graph/storage.h"

namespace plx::ort {

namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;
constexpr const char* kModel = "unit.onnx";
constexpr const char* kAbout = "about.json";
constexpr const char* kNew = ".new-";  // how the names of entries begin that are being written
constexpr auto kAbandoned = std::chrono::hours(1);

std::string weights_file(const std::string& entry) { return entry + "/" + kModel + kWeightsSuffix; }

std::string digest_of(const std::string& text) {
  Hasher hasher;
  hasher.add(text);
  return hasher.text();
}

// The kinds of cores, as far as kernels are chosen by them: not how many there are, nor how fast.
std::string cpu() {
  static const std::set<std::string> telling = {"vendor_id", "cpu family", "model", "model name", "flags", "Features",
                                                "CPU implementer", "CPU architecture", "CPU variant", "CPU part"};
  std::set<std::string> lines;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::string key = line.substr(0, line.find_first_of("\t:"));
    if (telling.contains(key)) lines.insert(line);
  }
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

Status failed(const std::string& what, const std::string& path) {
  return fail(Code::kIo, "cannot ", what, " '", path, "': ", std::strerror(errno));
}

// To the disk, so that no entry is in its place with less in it than was written.
Status flush(const std::string& path) {
  const graph::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) return failed("flush", path);
  return {};
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

std::string describe(const ModelSettings& settings) {
  nlohmann::json all = {{"config", settings.config},
                        {"dimensions", settings.dimensions},
                        {"constant_bytes", settings.limits.constant_bytes},
                        {"libraries", nlohmann::json::array()}};
  for (const std::string& library : settings.custom_op_libraries) {
    const auto file = graph::Mapping::open(library);
    all["libraries"].push_back(library + ": " + (file ? (*file)->identity() : "not there"));
  }
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::shared_ptr<SessionCache>> SessionCache::open(const std::string& folder, const std::string& model_path,
                                                         const std::string& identity) {
  std::error_code error;
  if (!fs::exists(folder, error)) {
    if (const fs::path parent = fs::path(folder).parent_path(); !parent.empty()) fs::create_directories(parent, error);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return failed("make the cache folder", folder).error();
  }
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return failed("look at the cache folder", folder).error();
  if (!S_ISDIR(info.st_mode)) return fail(Code::kInvalidArgument, "the cache folder '", folder, "' is not a folder");
  if (info.st_uid != ::geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Code::kInvalidArgument, "the cache folder '", folder, "' ",
                info.st_uid != ::geteuid() ? "belongs to another user" : "may be written by others",
                ", and what lies there is run as it is: take one that is yours alone (chmod go-w)");
  }
  const std::string place = fs::absolute(folder, error).string() + "/" + digest_of(model_path) + "/" + digest_of(identity);
  return std::shared_ptr<SessionCache>(new SessionCache(place, model_path, identity));
}

Result<Session> SessionCache::session(const std::shared_ptr<Runtime>& runtime, const std::string& what,
                                      const SessionSpec& spec) {
  const nlohmann::json facts = {{"format", kFormat}, {"model", model_path_}, {"files", identity_}, {"session", what},
                                {"onnxruntime", runtime->version()}, {"cpu", cpu()}};
  const std::string about = facts.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string entry = folder_ + "/" + digest_of(about);
  auto session = load(runtime, entry, about, spec);
  const bool found = static_cast<bool>(session);
  std::string problem;
  if (!found) {
    session = store(runtime, entry, about, spec);
    if (!session) {
      problem = session.error().message;
      session = make_session(runtime, spec);
      if (!session) return session;  // then it was not the cache's fault
    }
  }
  const std::lock_guard lock(mutex_);
  if (!problem.empty()) {
    stats_.problem = problem;
    return session;
  }
  ++(found ? stats_.loaded : stats_.stored);
  stats_.bytes += size_of(entry + "/" + kModel) + size_of(weights_file(entry));
  return session;
}

SessionCache::Stats SessionCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

Result<Session> SessionCache::load(const std::shared_ptr<Runtime>& runtime, const std::string& entry,
                                   const std::string& about, const SessionSpec& spec) {
  std::ifstream file(entry + "/" + kAbout);
  const nlohmann::json kept = nlohmann::json::parse(file, nullptr, false);
  const uint64_t model_bytes = size_of(entry + "/" + kModel);
  const uint64_t weights_bytes = size_of(weights_file(entry));
  const nlohmann::json expected = {{"about", nlohmann::json::parse(about)}, {"model_bytes", model_bytes}, {"weights_bytes", weights_bytes}};
  if (kept.is_discarded() || kept != expected) return fail(Code::kNotFound, "no such entry");
  SessionSpec ready;
  ready.source.name = spec.source.name;
  ready.source.path = entry + "/" + kModel;
  ready.settings = spec.settings;
  ready.level = ORT_DISABLE_ALL;  // every pass has run
  ready.pool = spec.pool;
  return make_session(runtime, ready);
}

Result<Session> SessionCache::store(const std::shared_ptr<Runtime>& runtime, const std::string& entry, const std::string& about,
                                    const SessionSpec& spec) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail(Code::kIo, "cannot make '", folder_, "': ", error.message());
  std::string fresh = folder_ + "/" + kNew + "XXXXXX";
  if (::mkdtemp(fresh.data()) == nullptr) return failed("make a folder in", folder_).error();
  struct Remover {
    const std::string& path;
    ~Remover() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } const remover{fresh};
  SessionSpec saving = spec;
  saving.save_path = fresh + "/" + kModel;
  saving.save_packed = true;
  if (auto made = make_session(runtime, saving); !made) return made.error();
  {
    const nlohmann::json kept = {{"about", nlohmann::json::parse(about)},
                                 {"model_bytes", size_of(saving.save_path)},
                                 {"weights_bytes", size_of(weights_file(fresh))}};
    std::ofstream file(fresh + "/" + kAbout);
    file << kept.dump(2) << "\n";
    if (!file.flush()) return fail(Code::kIo, "cannot write '", fresh, "/", kAbout, "'");
  }
  for (const std::string& path : {saving.save_path, weights_file(fresh), fresh + "/" + kAbout, fresh}) {
    if (auto s = flush(path); !s) return s.error();
  }
  auto session = load(runtime, fresh, about, spec);  // ONNX Runtime does not read back all that it saves
  if (!session) return session;
  if (::rename(fresh.c_str(), entry.c_str()) != 0) {
    // The one that is there is damaged, or another was faster; and faster again, if it is there once more after that.
    // Whoever has mapped it keeps it.
    fs::remove_all(entry, error);
    const bool placed = ::rename(fresh.c_str(), entry.c_str()) == 0;
    if (!placed && errno != EEXIST && errno != ENOTEMPTY) return failed("write", entry).error();
  }
  remove_others();
  if (auto s = flush(folder_); !s) return s.error();
  return session;
}

// Entries of the model as it was, which nobody loads again, and what was never finished. Files that are mapped stay until
// they are not any more.
void SessionCache::remove_others() const {
  std::error_code error;
  const fs::path mine(folder_);
  for (const auto& other : fs::directory_iterator(mine.parent_path(), error)) {
    if (other.path().filename() != mine.filename()) fs::remove_all(other.path(), error);
  }
  for (const auto& entry : fs::directory_iterator(mine, error)) {
    if (!entry.path().filename().string().starts_with(kNew)) continue;
    const auto written = fs::last_write_time(entry.path(), error);
    if (!error && fs::file_time_type::clock::now() - written > kAbandoned) fs::remove_all(entry.path(), error);
  }
}

}  // namespace plx::ort
