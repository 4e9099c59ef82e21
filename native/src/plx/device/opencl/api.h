// The OpenCL calls that the device makes, looked up in the ICD loader's library at run time: a machine without it runs
// everything else.
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <memory>
#include <string>

#include "plx/base/result.h"

namespace plx::device::opencl {

#define PLX_OPENCL_CALLS(CALL)                                                                                         \
  CALL(clGetPlatformIDs) CALL(clGetPlatformInfo) CALL(clGetDeviceIDs) CALL(clGetDeviceInfo) CALL(clCreateContext)      \
  CALL(clReleaseContext) CALL(clCreateCommandQueue) CALL(clReleaseCommandQueue) CALL(clCreateProgramWithSource)        \
  CALL(clCreateProgramWithBinary) CALL(clBuildProgram) CALL(clGetProgramBuildInfo) CALL(clGetProgramInfo)              \
  CALL(clReleaseProgram) CALL(clCreateKernel) CALL(clReleaseKernel) CALL(clSetKernelArg) CALL(clCreateBuffer)          \
  CALL(clCreateSubBuffer) CALL(clReleaseMemObject) CALL(clEnqueueNDRangeKernel) CALL(clEnqueueWriteBuffer)             \
  CALL(clEnqueueReadBuffer) CALL(clEnqueueMapBuffer) CALL(clEnqueueUnmapMemObject) CALL(clFlush) CALL(clFinish)        \
  CALL(clSetEventCallback) CALL(clReleaseEvent)

struct Api {
#define PLX_OPENCL_MEMBER(name) decltype(&::name) name = nullptr;
  PLX_OPENCL_CALLS(PLX_OPENCL_MEMBER)
#undef PLX_OPENCL_MEMBER
};

// The library's calls; it stays loaded for ever, as drivers do not take well to being unloaded. library: a name or path,
// by default the ICD loader's. kNotFound if it is not there.
Result<const Api*> load(const std::string& library = "libOpenCL.so.1");

// "CL_OUT_OF_RESOURCES (-5)"
std::string error_name(cl_int error);

}  // namespace plx::device::opencl
