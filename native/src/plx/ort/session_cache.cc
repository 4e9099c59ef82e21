#include "plx/ort/session_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "plx/base/hasher.h"
#include "plx/graph/storage.h"

namespace plx::ort {

namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;
constexpr const char* kUnit = "unit.onnx";
constexpr const char* kGraph = "graph.onnx";
constexpr const char* kAbout = "about.json";
constexpr const char* kFiles = "files";  // in about.json of a graph: what its locations meant where it was made
constexpr const char* kNew = ".new-";  // how the names of entries begin that are being written
constexpr auto kAbandoned = std::chrono::hours(1);

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

SessionCache::Entry SessionCache::entry_of(const Runtime& runtime, const std::string& what, const char* model) const {
  const nlohmann::json facts = {{"format", kFormat}, {"model", model_path_}, {"files", identity_}, {"session", what},
                                {"onnxruntime", runtime.version()}, {"cpu", cpu()}};
  std::string about = facts.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string folder = folder_ + "/" + digest_of(about);
  return {std::move(about), std::move(folder), model};
}

Result<Session> SessionCache::session(const std::shared_ptr<Runtime>& runtime, const std::string& what,
                                      const SessionSpec& spec) {
  const Entry entry = entry_of(*runtime, what, kUnit);
  auto session = load(runtime, entry, entry.folder, spec);
  const bool found = static_cast<bool>(session);
  std::string problem;
  if (!found) {
    const auto save = [&](const std::string& path) {
      SessionSpec saving = spec;
      saving.save_path = path;
      saving.save_packed = true;
      auto made = make_session(runtime, saving);
      return made ? Status{} : Status(made.error());
    };
    // ONNX Runtime does not read back all that it saves.
    session = store(entry, nullptr, save, [&](const std::string& folder) { return load(runtime, entry, folder, spec); });
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
  stats_.bytes += size_of(entry.folder + "/" + kUnit) + size_of(entry.folder + "/" + kUnit + kWeightsSuffix);
  return session;
}

Result<graph::Graph> SessionCache::optimised(const std::shared_ptr<Runtime>& runtime, const ModelSource& source,
                                             const ModelSettings& settings, GraphOptimizationLevel level, Weights weights) {
  const bool apart = weights == Weights::kApart;
  const Entry entry = entry_of(*runtime, "the graph after level " + std::to_string(level) + (apart ? ", weights apart, " : ", ") +
                                             describe(settings), kGraph);
  auto graph = load_graph(entry, entry.folder, source);
  if (graph) return graph;
  nlohmann::json files = nlohmann::json::object();
  for (const auto& [location, mapping] : source.files) files[location] = mapping->identity();
  const auto save = [&](const std::string& path) {
    return save_optimised(runtime, source, settings, level, path, apart ? std::string(kGraph) + kWeightsSuffix : std::string());
  };
  graph = store(entry, files, save, [&](const std::string& folder) { return load_graph(entry, folder, source); });
  if (graph) return graph;
  {
    const std::lock_guard lock(mutex_);
    stats_.problem = graph.error().message;
  }
  return optimise(runtime, source, settings, level, weights);
}

SessionCache::Stats SessionCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

namespace {

// What about.json says if the entry is whole; nothing if it is not.
std::optional<nlohmann::json> whole(const std::string& about, const std::string& folder, const std::string& model) {
  std::ifstream file(folder + "/" + kAbout);
  nlohmann::json kept = nlohmann::json::parse(file, nullptr, false);
  if (kept.is_discarded() || !kept.is_object()) return std::nullopt;
  const nlohmann::json expected = {{"about", nlohmann::json::parse(about)},
                                   {"model_bytes", size_of(folder + "/" + model)},
                                   {"weights_bytes", size_of(folder + "/" + model + kWeightsSuffix)}};
  for (const auto& [key, value] : expected.items()) {
    if (!kept.contains(key) || kept[key] != value) return std::nullopt;
  }
  return kept;
}

}  // namespace

Result<Session> SessionCache::load(const std::shared_ptr<Runtime>& runtime, const Entry& entry, const std::string& folder,
                                   const SessionSpec& spec) {
  if (!whole(entry.about, folder, entry.model)) return fail(Code::kNotFound, "no such entry");
  SessionSpec ready;
  ready.source.name = spec.source.name;
  ready.source.path = folder + "/" + entry.model;
  ready.settings = spec.settings;
  ready.level = ORT_DISABLE_ALL;  // every pass has run
  ready.pool = spec.pool;
  return make_session(runtime, ready);
}

Result<graph::Graph> SessionCache::load_graph(const Entry& entry, const std::string& folder, const ModelSource& source) {
  const auto kept = whole(entry.about, folder, entry.model);
  if (!kept || !kept->contains(kFiles)) return fail(Code::kNotFound, "no such entry");
  graph::Files files;
  for (const auto& [location, identity] : (*kept)[kFiles].items()) {
    const auto same = std::find_if(source.files.begin(), source.files.end(),
                                   [&](const auto& one) { return identity == one.second->identity(); });
    if (same == source.files.end()) return fail(Code::kNotFound, "the entry is of other files");
    files.emplace(location, same->second);
  }
  auto model = graph::Mapping::open(folder + "/" + entry.model);
  if (!model) return model.error();
  if (const std::string weights = folder + "/" + entry.model + kWeightsSuffix; size_of(weights) != 0) {
    auto mapping = graph::Mapping::open(weights);
    if (!mapping) return mapping.error();
    files.emplace(entry.model + kWeightsSuffix, mapping.take());
  }
  return read_optimised(model.take(), source, std::move(files));
}

template <class Save, class Try>
auto SessionCache::store(const Entry& entry, const nlohmann::json& files, Save&& save, Try&& try_it) -> decltype(try_it(std::string())) {
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
  const std::string model = fresh + "/" + entry.model;
  if (auto s = save(model); !s) return s.error();
  const bool has_weights = fs::exists(model + kWeightsSuffix, error);
  {
    nlohmann::json kept = {{"about", nlohmann::json::parse(entry.about)},
                           {"model_bytes", size_of(model)},
                           {"weights_bytes", size_of(model + kWeightsSuffix)}};
    if (!files.is_null()) kept[kFiles] = files;
    std::ofstream file(fresh + "/" + kAbout);
    file << kept.dump(2) << "\n";
    if (!file.flush()) return fail(Code::kIo, "cannot write '", fresh, "/", kAbout, "'");
  }
  std::vector<std::string> written = {model, fresh + "/" + kAbout, fresh};
  if (has_weights) written.push_back(model + kWeightsSuffix);
  for (const std::string& path : written) {
    if (auto s = flush(path); !s) return s.error();
  }
  auto made = try_it(fresh);
  if (!made) return made;
  if (::rename(fresh.c_str(), entry.folder.c_str()) != 0) {
    // The one that is there is damaged, or another was faster; and faster again, if it is there once more after that.
    // Whoever has mapped it keeps it.
    fs::remove_all(entry.folder, error);
    const bool placed = ::rename(fresh.c_str(), entry.folder.c_str()) == 0;
    if (!placed && errno != EEXIST && errno != ENOTEMPTY) return failed("write", entry.folder).error();
  }
  remove_others();
  if (auto s = flush(folder_); !s) return s.error();
  return made;
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
