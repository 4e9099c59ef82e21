// ONNX Runtime, opened at run time.
//
// The library is opened with dlopen: its only symbol is versioned, so a binary linked against one release refuses all
// others. It has one environment and one thread pool per process and per loaded copy, so a Runtime is shared by all
// engines that name the same file; the pool's size is fixed as long as one of them lives. All memory of ONNX Runtime's
// sessions comes through an allocator registered on the environment: while a unit runs from the unit's own
// (ort/unit_memory.h), else, as their packed weights do, from `arena()`.
//
// Threads: everything may be called from any thread.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plx/base/result.h"
#include "plx/memory/arena.h"
#include "plx/ort/crew.h"

namespace plx::ort {

class Runtime {
 public:
  // threads: size of the pool, 0 = one per core the process may use. kNotFound, or kLibrary for a file that is not ONNX
  // Runtime, is older than the header this was built with, or is in use with another pool size.
  static Result<std::shared_ptr<Runtime>> acquire(const std::string& library_path, int threads, int verbosity);
  // One that somebody holds; null if nobody holds any.
  static std::shared_ptr<Runtime> in_use();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const OrtApi& api() const { return *api_; }
  OrtEnv* env() const { return env_; }
  const OrtMemoryInfo* cpu() const { return cpu_; }
  OrtAllocator* allocator() { return &allocator_; }
  memory::Arena& arena() { return arena_; }
  int threads() const { return threads_; }
  // The pool's threads as workers; null where the pool is the calling thread alone. Made when first asked for.
  Result<Crew*> crew();
  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }
  // An arena of which ONNX Runtime still holds blocks though its session has done with it: kept to the end.
  void keep(std::unique_ptr<memory::Arena> arena);
  // A folder of this process with one empty file, kStandIn: where models say their data is when it is handed over in memory.
  // ONNX Runtime wants external data to exist even when it never reads it. Made when first asked for, removed at the end.
  Result<std::string> stand_in_folder();
  static constexpr const char* kStandIn = "handed-over";

  // Releases the status; nothing for null. The code is ONNX Runtime's, as near as ours come; text is its message, put
  // after `context`.
  Status check(OrtStatus* status, const std::string& context) const;

 private:
  struct Allocator : OrtAllocator {
    Runtime* runtime;
  };
  Runtime() : arena_("onnxruntime") {}
  Status open(int threads, int verbosity);

  std::string path_;
  std::string version_;
  const OrtApi* api_ = nullptr;
  OrtEnv* env_ = nullptr;
  OrtMemoryInfo* cpu_ = nullptr;
  int threads_ = 0;
  memory::Arena arena_;
  Allocator allocator_{};
  std::mutex crew_mutex_;
  std::unique_ptr<Crew> crew_;
  std::mutex kept_mutex_;
  std::vector<std::unique_ptr<memory::Arena>> kept_;
  std::mutex folder_mutex_;
  std::string folder_;
};

// Calls the matching ReleaseX of the runtime's API; keeps the runtime alive.
template <class T>
class Handle {
 public:
  using Release = void(ORT_API_CALL*)(T*);
  Handle() = default;
  Handle(std::shared_ptr<Runtime> runtime, T* object, Release release)
      : runtime_(std::move(runtime)), object_(object), release_(release) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept { *this = std::move(other); }
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      runtime_ = std::move(other.runtime_);
      object_ = std::exchange(other.object_, nullptr);
      release_ = other.release_;
    }
    return *this;
  }
  T* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  void reset() {
    if (object_ != nullptr) release_(std::exchange(object_, nullptr));
  }

 private:
  std::shared_ptr<Runtime> runtime_;
  T* object_ = nullptr;
  Release release_ = nullptr;
};

using Value = Handle<OrtValue>;
using Session = Handle<OrtSession>;

}  // namespace plx::ort
