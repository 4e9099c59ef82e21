#include "plx/ort/runtime.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <new>

#include "plx/ort/division.h"
#include "plx/ort/unit_memory.h"

namespace plx::ort {

namespace {

// The one piece of global state beside the log: ONNX Runtime's environment is global too, so engines must meet here.
struct Registry {
  struct Entry {
    std::weak_ptr<Runtime> runtime;
    bool open = false;  // until its destructor has ended
  };
  std::mutex mutex;
  std::condition_variable closed;
  std::map<std::string, Entry> runtimes;  // by canonical path
};
Registry& registry() {
  static Registry* instance = new Registry;  // never destroyed: engines may outlive static destructors
  return *instance;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<int>(online) : 1;
}

// Takes "/some/build/folder/file.cc:123 " out of a message: places in ONNX Runtime's own sources help nobody here.
void strip_source_places(std::string& text) {
  for (const char* ending : {".cc:", ".h:"}) {
    for (size_t at = text.find(ending); at != std::string::npos; at = text.find(ending)) {
      const size_t space = text.rfind(' ', at);
      const size_t begin = space == std::string::npos ? 0 : space + 1;
      size_t end = at + std::strlen(ending);
      const size_t digits = end;
      while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
      if (end == digits) return;  // no place after all
      while (end < text.size() && text[end] == ' ') ++end;
      text.erase(begin, end - begin);
    }
  }
}

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::acquire(const std::string& library_path, int threads, int verbosity) {
  if (library_path.empty()) return fail(Code::kLibrary, "no path to the ONNX Runtime library was given");
  if (threads < 0) return fail(Code::kInvalidArgument, "the number of threads is ", threads, "; it must be 0 (one per core) or more");
  std::error_code error;
  const std::string path = std::filesystem::canonical(library_path, error).string();
  if (error) {
    return fail(Code::kNotFound, "no ONNX Runtime library at '", library_path, "': ", error.message(),
                "; give the path of a libonnxruntime.so");
  }
  const int wanted = threads == 0 ? usable_cores() : threads;
  std::shared_ptr<Runtime> runtime;  // goes after the lock: its destructor takes it
  std::unique_lock lock(registry().mutex);
  Registry::Entry& entry = registry().runtimes[path];
  // While the last owner closes it, ONNX Runtime would still hand out the environment that is about to go.
  registry().closed.wait(lock, [&] {
    runtime = entry.runtime.lock();
    return runtime != nullptr || !entry.open;
  });
  if (runtime != nullptr) {
    if (threads > 1 && threads != runtime->threads_) {
      return fail(Code::kLibrary, "ONNX Runtime has one thread pool per process, and it has ", runtime->threads_,
                  " threads while another engine lives: ask for that number, for 1, or for 0 (whatever there is), not for ", threads,
                  "; or close the other engine first");
    }
    return runtime;
  }
  runtime.reset(new Runtime);
  runtime->path_ = path;
  entry = {runtime, true};
  if (auto opened = runtime->open(wanted, verbosity); !opened) {
    entry.runtime.reset();
    return opened.error();
  }
  return runtime;
}

std::shared_ptr<Runtime> Runtime::in_use() {
  const std::lock_guard lock(registry().mutex);
  for (const auto& [path, entry] : registry().runtimes) {
    if (auto runtime = entry.runtime.lock()) return runtime;
  }
  return nullptr;
}

Status Runtime::open(int threads, int verbosity) {
  // ONNX Runtime's own releases for Linux start an uploader thread with their first environment, before
  // DisableTelemetryEvents can be called; this variable is the one way to have none. Whoever has set it decides.
  ::setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  // Never closed again: ONNX Runtime leaves thread-local destructors behind.
  void* library = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(Code::kLibrary, "cannot load ONNX Runtime: ", ::dlerror());
  finish_overflowing_divisions(library);
  using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();
  const auto get_base = reinterpret_cast<GetApiBase>(::dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) return fail(Code::kLibrary, "'", path_, "' is not ONNX Runtime: it has no symbol OrtGetApiBase");
  const OrtApiBase* base = get_base();
  version_ = base->GetVersionString();
  api_ = base->GetApi(ORT_API_VERSION);
  if (api_ == nullptr) {
    return fail(Code::kLibrary, "ONNX Runtime ", version_, " at '", path_, "' is too old: release 1.", ORT_API_VERSION, " or newer is needed");
  }
  threads_ = threads;
  const OrtLoggingLevel level = verbosity <= 0   ? ORT_LOGGING_LEVEL_FATAL
                                : verbosity == 1 ? ORT_LOGGING_LEVEL_WARNING
                                                 : ORT_LOGGING_LEVEL_VERBOSE;
  OrtThreadingOptions* pools = nullptr;
  if (auto s = check(api_->CreateThreadingOptions(&pools), "cannot describe the thread pool"); !s) return s;
  const Handle<OrtThreadingOptions> pools_owner(nullptr, pools, api_->ReleaseThreadingOptions);
  if (auto s = check(api_->SetGlobalIntraOpNumThreads(pools, threads), "cannot size the thread pool"); !s) return s;
  if (auto s = check(api_->SetGlobalInterOpNumThreads(pools, 1), "cannot size the thread pool"); !s) return s;
  if (auto s = check(api_->CreateEnvWithGlobalThreadPools(level, "parallax", pools, &env_), "cannot start ONNX Runtime"); !s) return s;
  // Whatever else the process does with ONNX Runtime is its own affair: no telemetry on our behalf.
  if (auto s = check(api_->DisableTelemetryEvents(env_), "cannot start ONNX Runtime"); !s) return s;
  if (auto s = check(api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &cpu_), "cannot describe memory"); !s) return s;

  allocator_.version = ORT_API_VERSION;
  allocator_.runtime = this;
  allocator_.Alloc = [](OrtAllocator* self, size_t size) -> void* {
    return UnitMemory::allocate(size, static_cast<Allocator*>(self)->runtime->arena_);
  };
  allocator_.Reserve = allocator_.Alloc;
  allocator_.Free = [](OrtAllocator*, void* block) { UnitMemory::free(block); };
  allocator_.Info = [](const OrtAllocator* self) -> const OrtMemoryInfo* {
    return static_cast<const Allocator*>(self)->runtime->cpu_;
  };
  return check(api_->RegisterAllocator(env_, &allocator_), "cannot register the allocator");
}

Result<Crew*> Runtime::crew() {
  if (threads_ < 2) return static_cast<Crew*>(nullptr);
  const std::lock_guard lock(crew_mutex_);
  if (crew_ == nullptr) {
    auto made = Crew::make(*this);
    if (!made) return made.error();
    crew_ = made.take();
  }
  return crew_.get();
}

void Runtime::keep(std::unique_ptr<memory::Arena> arena) {
  const std::lock_guard lock(kept_mutex_);
  kept_.push_back(std::move(arena));
}

Result<std::string> Runtime::stand_in_folder() {
  const std::lock_guard lock(folder_mutex_);
  if (!folder_.empty()) return folder_;
  std::error_code error;
  std::string folder = (std::filesystem::temp_directory_path(error) / "parallax-XXXXXX").string();
  if (error || ::mkdtemp(folder.data()) == nullptr) {
    return fail(Code::kIo, "cannot make a folder in '", std::filesystem::path(folder).parent_path().string(), "': ",
                error ? error.message() : std::strerror(errno), "; set TMPDIR to a folder that can be written");
  }
  if (!std::ofstream(folder + "/" + kStandIn)) {
    std::filesystem::remove_all(folder, error);
    return fail(Code::kIo, "cannot write to '", folder, "'");
  }
  return folder_ = folder;
}

Runtime::~Runtime() {
  crew_.reset();
  if (!folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  if (cpu_ != nullptr) {
    if (OrtStatus* status = api_->UnregisterAllocator(env_, cpu_)) api_->ReleaseStatus(status);
    api_->ReleaseMemoryInfo(cpu_);
  }
  if (env_ != nullptr) api_->ReleaseEnv(env_);
  const std::lock_guard lock(registry().mutex);
  registry().runtimes[path_].open = false;
  registry().closed.notify_all();
}

Status Runtime::check(OrtStatus* status, const std::string& context) const {
  if (status == nullptr) return {};
  const OrtErrorCode code = api_->GetErrorCode(status);
  std::string text = api_->GetErrorMessage(status);
  api_->ReleaseStatus(status);
  // One line: what ONNX Runtime puts below its first line are stack traces and file names of its own build.
  if (const size_t end = text.find('\n'); end != std::string::npos) text.resize(end);
  strip_source_places(text);
  Code ours = Code::kRunFailed;
  if (text.find("is not a registered function/op") != std::string::npos || text.find("No Op registered for") != std::string::npos ||
      code == ORT_NOT_IMPLEMENTED) ours = Code::kUnsupported;
  else if (text.find("opset") != std::string::npos && text.find("support") != std::string::npos) ours = Code::kUnsupported;
  else if (code == ORT_NO_SUCHFILE) ours = Code::kNotFound;
  else if (code == ORT_INVALID_PROTOBUF || code == ORT_INVALID_GRAPH || code == ORT_NO_MODEL) ours = Code::kInvalidModel;
  else if (code == ORT_INVALID_ARGUMENT) ours = Code::kInvalidArgument;
  return fail(ours, context, ": ", text);
}

}  // namespace plx::ort
