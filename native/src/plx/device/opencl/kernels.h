// kernels.cl as text, put into the library when it is built.
#pragma once

namespace plx::device::opencl {

extern const char* const kKernels;

}  // namespace plx::device::opencl
