// What a device and the CPU beside it can do, measured (section 3.1's L, R_acc, B_bw and R_cpu, per class of operators).
//
// Small models of one kind of operator each (partition/rates.h) run through the whole engine, on the device and on the CPU
// with all threads and all of ONNX Runtime's passes, once short and once longer: what the longer takes more is the
// operators' own, what is left are latency and border. A class that the device does not take is given the CPU's rate.
//
// Before that, what the device's kernels are to be built for is tried (device/opencl/tune.h). Measured once per device, tuning, driver, processor, number of threads and version of ONNX Runtime, in seconds, and kept in the
// cache folder; a file there that cannot be read is measured anew. Devices without a driver's name are kept in memory only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plx/base/result.h"
#include "plx/device/tuning.h"
#include "plx/ort/runtime.h"
#include "plx/partition/plan.h"

namespace plx::engine {

struct Calibration {
  partition::DeviceProfile profile;  // latency_s, b_bw and measured are set
  std::string file;                  // that keeps it; empty if none does
  double took_s = 0;                 // 0 if it was known
  std::optional<device::TriedTuning> tuning;  // that the device's kernels were built for, if they are ours
};

// device: a name that open_device knows. again: measure even if it is known. kNotFound for a device that is not there;
// kRunFailed if it does not run the small models.
Result<Calibration> calibrate(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device, bool again = false);

// What is known already.
std::optional<Calibration> known_calibration(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device);

// For people and programs.
std::string to_json(const Calibration& calibration);

}  // namespace plx::engine
