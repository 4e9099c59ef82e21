#include "plx/device/opencl/api.h"

#include <dlfcn.h>
#include <stdlib.h>  // setenv

#include <map>
#include <mutex>

namespace plx::device::opencl {

Result<const Api*> load(const std::string& library) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Api>> loaded;
  const std::lock_guard lock(mutex);
  if (const auto found = loaded.find(library); found != loaded.end()) return found->second.get();
  // PoCL takes SIGFPE for itself when it starts, and skips whatever divided: the JVM would miss Java's divisions by zero, and
  // ONNX Runtime's of the smallest integer by -1 would give what happens to be there (ort/division.h). Our kernels divide no
  // numbers of a user's as integers. Whoever sets the variable has his way.
  ::setenv("POCL_SIGFPE_HANDLER", "0", 0);
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return fail(Code::kNotFound, "there is no OpenCL on this machine (", why == nullptr ? library : why,
                "): install a driver and the loader, such as ocl-icd-libopencl1 with the GPU's own or pocl-opencl-icd");
  }
  auto api = std::make_unique<Api>();
  const char* missing = nullptr;
#define PLX_OPENCL_LOOK_UP(name)                                             \
  api->name = reinterpret_cast<decltype(api->name)>(::dlsym(handle, #name)); \
  if (api->name == nullptr) missing = #name;
  PLX_OPENCL_CALLS(PLX_OPENCL_LOOK_UP)
#undef PLX_OPENCL_LOOK_UP
  if (missing != nullptr) return fail(Code::kLibrary, library, " has no ", missing, ": it is no OpenCL 1.2");
  return loaded.emplace(library, std::move(api)).first->second.get();
}

std::string error_name(cl_int error) {
  const auto name = [error]() -> const char* {
    switch (error) {
      case CL_DEVICE_NOT_FOUND: return "CL_DEVICE_NOT_FOUND";
      case CL_DEVICE_NOT_AVAILABLE: return "CL_DEVICE_NOT_AVAILABLE";
      case CL_COMPILER_NOT_AVAILABLE: return "CL_COMPILER_NOT_AVAILABLE";
      case CL_MEM_OBJECT_ALLOCATION_FAILURE: return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
      case CL_OUT_OF_RESOURCES: return "CL_OUT_OF_RESOURCES";
      case CL_OUT_OF_HOST_MEMORY: return "CL_OUT_OF_HOST_MEMORY";
      case CL_BUILD_PROGRAM_FAILURE: return "CL_BUILD_PROGRAM_FAILURE";
      case CL_MAP_FAILURE: return "CL_MAP_FAILURE";
      case CL_INVALID_VALUE: return "CL_INVALID_VALUE";
      case CL_INVALID_BINARY: return "CL_INVALID_BINARY";
      case CL_INVALID_KERNEL_NAME: return "CL_INVALID_KERNEL_NAME";
      case CL_INVALID_KERNEL_ARGS: return "CL_INVALID_KERNEL_ARGS";
      case CL_INVALID_WORK_GROUP_SIZE: return "CL_INVALID_WORK_GROUP_SIZE";
      case CL_INVALID_BUFFER_SIZE: return "CL_INVALID_BUFFER_SIZE";
      default: return "an error";
    }
  };
  return std::string(name()) + " (" + std::to_string(error) + ")";
}

}  // namespace plx::device::opencl
