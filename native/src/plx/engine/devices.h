// The devices of this machine, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"

namespace plx::engine {

// "opencl" or "opencl:1": of the loader's list. Opened when first asked for, and kept as long as anybody uses it.
// kNotFound, with what there is, for a device that is not there; kInvalidArgument for a name that is none.
Result<std::shared_ptr<device::Device>> open_device(const std::string& name);

// Tries what the device's kernels are to be built for (device/opencl/tune.h), and keeps it: who asks for the device from now on
// gets it so, whoever holds it goes on with it as it is. Seconds. Nothing happens to a device that has nothing to choose.
Status tune_device(const std::string& name);

// A device that the program brings itself, such as benchmarks' emulated ones and tests' scripted ones, is found by this
// name as long as it is held by anybody; null takes it away.
void register_device(const std::string& name, const std::shared_ptr<device::Device>& device);

// As JSON, for people: each device, or why a kind has none.
std::string devices_json();

// Where what was made for a machine's devices is kept; empty for nowhere.
std::string cache_folder();

// Whether a name is one of a device that has to be there, and no profile's.
bool is_device_name(const std::string& name);

}  // namespace plx::engine
