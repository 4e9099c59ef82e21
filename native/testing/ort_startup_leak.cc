// Linked into every test program of the asan preset. ONNX Runtime's CPU detection loses 14 bytes, once per process,
// when the first environment is made. A suppression could only name the whole library and would hide sessions we
// forget to release, so instead that first environment is made here, before main, with leak detection off.
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <sanitizer/lsan_interface.h>

#include <cstdio>
#include <cstdlib>

namespace {

void fail(const char* what) {
  std::fprintf(stderr, "ort_startup_leak: %s\n", what);
  std::abort();
}

[[maybe_unused]] const bool done = [] {
  const char* path = std::getenv("PLX_ORT_LIBRARY");
  if (path == nullptr) fail("PLX_ORT_LIBRARY is not set: run the tests with ctest --preset asan");
  __lsan::ScopedDisabler no_leak_detection;
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // as the core does: its uploader thread loses memory too
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(dlerror());
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
  const OrtApi* api = base()->GetApi(ORT_API_VERSION);
  OrtEnv* env = nullptr;
  if (api == nullptr || api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "startup", &env) != nullptr) fail("no environment");
  api->ReleaseEnv(env);
  return true;
}();

}  // namespace
