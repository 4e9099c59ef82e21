#include "plx/engine/devices.h"

#include <charconv>
#include <cstdlib>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "plx/device/opencl/opencl.h"
#include "plx/device/opencl/tune.h"

namespace plx::engine {

namespace {

constexpr std::string_view kOpenCl = "opencl";

struct Registered {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<device::Device>> by_name;

  std::shared_ptr<device::Device> find(const std::string& name) {
    const std::lock_guard lock(mutex);
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second.lock();
  }
};
Registered& registered() {
  static Registered all;
  return all;
}

struct Opened {
  std::mutex mutex;
  std::map<size_t, std::weak_ptr<device::Device>> by_index;
  std::map<size_t, device::TriedTuning> tunings;  // that no file keeps
};
Opened& opened() {
  static Opened all;
  return all;
}

// Of the loader's list.
Result<size_t> opencl_index(const std::string& name) {
  if (!is_device_name(name)) {
    return fail(Code::kInvalidArgument, "'", name, "' is no device: 'opencl' is, or 'opencl:1' for the second one");
  }
  size_t index = 0;
  if (name.size() > kOpenCl.size()) {
    const char* begin = name.data() + kOpenCl.size() + 1;
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(begin, end, index);
    if (error != std::errc() || rest != end) {
      return fail(Code::kInvalidArgument, "'", name, "' is no device: after 'opencl:' comes a number");
    }
  }
  return index;
}

device::opencl::Options opencl_options() {
  device::opencl::Options options;
  options.cache_folder = cache_folder();
  return options;
}

}  // namespace

std::string cache_folder() {
  for (const auto& [variable, below] : {std::pair{"XDG_CACHE_HOME", "/parallax"}, {"HOME", "/.cache/parallax"}}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] == '/') return std::string(value) + below;
  }
  return "";
}

void register_device(const std::string& name, const std::shared_ptr<device::Device>& device) {
  const std::lock_guard lock(registered().mutex);
  if (device == nullptr) registered().by_name.erase(name);
  else registered().by_name[name] = device;
}

bool is_device_name(const std::string& name) {
  return name == kOpenCl || name.starts_with("opencl:") || registered().find(name) != nullptr;
}

Result<std::shared_ptr<device::Device>> open_device(const std::string& name) {
  if (auto own = registered().find(name)) return own;
  auto index = opencl_index(name);
  if (!index) return index.error();
  const std::lock_guard lock(opened().mutex);
  auto device = opened().by_index[*index].lock();
  if (device != nullptr && !device->lost()) return device;
  device::opencl::Options options = opencl_options();
  if (const auto found = opened().tunings.find(*index); found != opened().tunings.end()) options.tuning = found->second;
  auto made = device::opencl::open(*index, options);
  if (!made) return made.error();
  opened().by_index[*index] = *made;
  return made.take();
}

Status tune_device(const std::string& name) {
  if (registered().find(name) != nullptr) return {};
  auto index = opencl_index(name);
  if (!index) return index.error();
  auto tuned = device::opencl::tune(*index, opencl_options());
  if (!tuned) return tuned.error();
  const std::lock_guard lock(opened().mutex);
  if (tuned->file.empty()) opened().tunings[*index] = tuned->best;
  else opened().tunings.erase(*index);
  opened().by_index.erase(*index);
  return {};
}

std::string devices_json() {
  nlohmann::json all = nlohmann::json::array();
  std::string problem;
  auto found = device::opencl::list();
  if (!found) problem = found.error().message;
  else if (found->empty()) problem = std::string("the OpenCL loader knows no device: ") + device::opencl::kWhatToInstall;
  for (size_t i = 0; found && i < found->size(); ++i) {
    const device::Info& info = (*found)[i];
    all.push_back({{"device", i == 0 ? std::string(kOpenCl) : std::string(kOpenCl) + ":" + std::to_string(i)},
                   {"name", info.name},
                   {"driver", info.driver},
                   {"shares_memory", info.shares_memory},
                   {"work_group", info.work_group},
                   {"local_bytes", info.local_bytes},
                   {"memory_bytes", info.memory_bytes}});
  }
  return nlohmann::json{{"devices", std::move(all)}, {"problem", problem}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace plx::engine
