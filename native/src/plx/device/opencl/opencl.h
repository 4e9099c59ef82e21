// The OpenCL device: OpenCL 1.2, no extension required.
//
// One context and one queue in order per device, and one thread of ours that waits for it. Programs of a part hold their
// constants and temporaries; launches have their arguments set once. Built kernels are kept in a folder, if one is given,
// under the driver's name and version, and so are the parameters that tune() finds (tune.h); what cannot be read back is built again. Not so with PoCL: it keeps each kernel for the
// sizes that it ran with, where asking it for a binary builds all of them once more, for any size, and slower ones at that.
// Lent memory is mapped for the CPU where the driver says that both share memory; where they do not, or once a driver has not
// kept to an address, it is a buffer and a copy of it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plx/device/device.h"

namespace plx::device::opencl {

struct Api;  // api.h

struct Options {
  std::string library = "libOpenCL.so.1";
  std::string cache_folder;  // for built kernels and what was found to be fast; empty: none
  // Whether built kernels are kept; by default with every driver that does not do so itself.
  std::optional<bool> caches;
  // A submission that takes longer counts as lost, and the device with it.
  std::chrono::milliseconds timeout{10'000};
  // Smaller than what the driver says, for tests; 0: as it says.
  uint64_t most_work_group = 0;
  uint64_t most_local_bytes = 0;
  // By default what was found and kept; or else what follows from the device's limits: vectors as the driver prefers, products
  // and convolutions by work groups on what is no CPU and has local memory of its own.
  std::optional<TriedTuning> tuning;
  bool only_products = false;  // builds the kernels of matrix products and convolutions alone
  bool shares_memory = true;  // false: as if it did not, whatever the driver says
  const Api* calls = nullptr;  // in place of the library's
  // For tests: called before each step of a submission ("write", "launch", "read", "wait") and of preparing ("build",
  // "allocate"); an error is as if the driver had failed so.
  std::function<Status(const char* step)> fault;
};

// What to do where there is no device, for errors and reports.
inline constexpr const char* kWhatToInstall =
    "install the GPU's driver, or pocl-opencl-icd; Mesa's rusticl (mesa-opencl-icd) shows a GPU only where it is named, such as by "
    "RUSTICL_ENABLE=v3d on a Raspberry Pi 5";

// All devices of all drivers, as the loader has them; an empty list if there is a loader and no device. kNotFound without
// a loader.
Result<std::vector<Info>> list(const std::string& library = "libOpenCL.so.1");

// Device `index` of that list.
Result<std::shared_ptr<Device>> open(size_t index, const Options& options);

}  // namespace plx::device::opencl
