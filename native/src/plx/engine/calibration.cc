#include "plx/engine/calibration.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "plx/base/hasher.h"
#include "plx/base/whole_file.h"
#include "plx/engine/calibration_models.h"
#include "plx/engine/devices.h"
#include "plx/engine/made_up.h"
#include "plx/engine/model.h"
#include "plx/partition/rates.h"

namespace plx::engine {

namespace {

using partition::kOperatorClasses;
using partition::OperatorClass;
using partition::Workload;

constexpr int kRuns = 5;
constexpr double kMostSeconds = 1;  // for them; fewer tell enough of what takes so long
constexpr int kShort = 1;  // blocks in a model
constexpr int kLong = 3;
constexpr int kLaunches = 17;
// What is less than this part of a run drowns in it.
constexpr double kNoise = 0.05;
constexpr uint64_t kVersion = 1;  // of what is measured, and how

// What tells this machine's processor from others that share a home folder with it.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    for (const char* key : {"model name", "CPU implementer", "CPU part", "CPU revision"}) {
      if (line.starts_with(key)) lines.insert(line);
    }
  }
  std::string all;
  for (const std::string& line : lines) all += line + '\n';
  return all;
}

std::string key_of(const ort::Runtime& runtime, const device::Info& info) {
  Hasher hasher;
  hasher.add(kVersion);
  for (const std::string& text : {info.kind, info.name, info.driver, info.kernels, processor(), runtime.version()}) hasher.add(text);
  if (info.tuning) hasher.add(device::to_text(info.tuning->tuning));
  hasher.add(info.compute_units);  // of PoCL, as many as it was told to use
  hasher.add(static_cast<uint64_t>(runtime.threads()));
  return hasher.text();
}

// Where it is kept; empty for nowhere.
std::string file_of(const device::Info& info, const std::string& key) {
  const std::string folder = cache_folder();
  return folder.empty() || info.driver.empty() ? "" : folder + "/rates-" + key + ".json";
}

// What no file keeps.
struct Known {
  std::mutex mutex;
  std::map<std::string, partition::DeviceProfile> by_key;
};
Known& known() {
  static Known all;
  return all;
}

std::optional<Calibration> find(const ort::Runtime& runtime, const device::Info& info) {
  const std::string key = key_of(runtime, info);
  const std::string file = file_of(info, key);
  if (!file.empty()) {
    auto profile = partition::device_profile_from_json(read_whole(file));
    if (profile && profile->measured) return Calibration{profile.take(), file, 0, info.tuning};
  }
  const std::lock_guard lock(known().mutex);
  const auto found = known().by_key.find(key);
  if (found == known().by_key.end()) return std::nullopt;
  return Calibration{found->second, "", 0, info.tuning};
}

struct Timed {
  double device_s = 0;
  double cpu_s = 0;
  bool taken = false;  // by the device; or else device_s is not
  Workload work;
  double border_bytes = 0;
};

Result<double> time_of(Model& model, const std::shared_ptr<PlanHandle>& plan, const graph::Shape& input) {
  auto session = model.make_session(plan, 0);
  if (!session) return session.error();
  auto inputs = MadeUpInputs::make(*plan->subject->graph, {input}, "this is a defect in Parallax");
  if (!inputs) return inputs.error();
  if (auto s = inputs->bind(**session); !s) return s.error();
  auto times = shortest_times(**session, plan->plan->units.size(), kRuns, kMostSeconds);
  if (!times) return times.error();
  for (const std::string& why : times->fell_back) {
    if (!why.empty()) return fail(Code::kRunFailed, why);
  }
  double sum = 0;
  for (const double unit : times->units_ns) sum += unit;
  return sum * 1e-9;
}

Result<Timed> time_model(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device, const std::string& bytes) {
  auto model = Model::load_memory(runtime, bytes, "", {});
  if (!model) return model.error();
  Timed timed;
  PlanRequest request;
  auto whole = (*model)->make_plan(request);
  if (!whole) return whole.error();
  request.device = device;
  request.options.units = partition::Units::kBranches;
  request.options.offload_all = true;
  auto there = (*model)->make_plan(request);
  if (!there) return there.error();
  const graph::Shapes& shapes = *(*there)->shapes;
  const graph::Graph& graph = *(*there)->subject->graph;
  const graph::Shape& input = *shapes[graph.inputs.front()];
  for (size_t node = 0; node < graph.nodes.size(); ++node) {
    const auto id = static_cast<graph::NodeId>(node);
    timed.work += partition::workload(graph, shapes, id, partition::estimate(graph, shapes, id).value_or(partition::Work{}));
  }
  auto cpu = time_of(**model, *whole, input);
  if (!cpu) return cpu.error();
  timed.cpu_s = *cpu;
  const partition::Plan& plan = *(*there)->plan;
  timed.taken = plan.units.size() == 1 && plan.regions.size() == 1;
  if (!timed.taken) return timed;
  timed.border_bytes = static_cast<double>(plan.regions.front().border_bytes);
  auto on_device = time_of(**model, *there, input);
  if (!on_device) return on_device.error();
  timed.device_s = *on_device;
  return timed;
}

Result<partition::DeviceProfile> measure(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device) {
  partition::DeviceProfile profile;
  profile.name = device;
  partition::MeasuredRates rates;

  auto one = time_model(runtime, device, launches_model(1));
  if (!one) return one.error();
  auto many = time_model(runtime, device, launches_model(kLaunches));
  if (!many) return many.error();
  if (!one->taken || !many->taken) {
    return fail(Code::kUnsupported, "device '", device, "' takes neither Sigmoid nor Tanh: there is nothing to calibrate it by");
  }
  rates.device.launch_s = std::max(0., many->device_s - one->device_s) / (kLaunches - 1);
  rates.cpu.launch_s = std::max(0., many->cpu_s - one->cpu_s) / (kLaunches - 1);
  profile.latency_s = std::max(0., one->device_s - rates.device.launch_s);

  Timed border;  // of which the bytes that cross tell
  for (size_t c = 0; c < kOperatorClasses; ++c) {
    const auto op = static_cast<OperatorClass>(c);
    auto shorter = time_model(runtime, device, calibration_model(op, kShort));
    if (!shorter) return shorter.error();
    auto longer = time_model(runtime, device, calibration_model(op, kLong));
    if (!longer) return longer.error();
    const double amount = longer->work.amount[c] - shorter->work.amount[c];
    const double launches = static_cast<double>(longer->work.launches - shorter->work.launches);
    const auto rate = [&](double short_s, double long_s, double launch_s) {
      return amount / std::max(long_s - short_s - launches * launch_s, kNoise * long_s);
    };
    rates.cpu.per_s[c] = rate(shorter->cpu_s, longer->cpu_s, rates.cpu.launch_s);
    rates.device.per_s[c] = !longer->taken ? rates.cpu.per_s[c] : rate(shorter->device_s, longer->device_s, rates.device.launch_s);
    if (op == OperatorClass::kElementWise && longer->taken) border = *shorter;
  }
  if (border.taken) {
    const double own = profile.latency_s + partition::seconds(rates.device, border.work);
    profile.b_bw = border.border_bytes / std::max(border.device_s - own, kNoise * border.device_s);
  }
  profile.measured = rates;
  return profile;
}

}  // namespace

std::optional<Calibration> known_calibration(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device) {
  auto opened = open_device(device);
  return opened ? find(*runtime, (*opened)->info()) : std::nullopt;
}

Result<Calibration> calibrate(const std::shared_ptr<ort::Runtime>& runtime, const std::string& device, bool again) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  auto opened = open_device(device);
  if (!opened) return opened.error();
  const auto& now = (*opened)->info().tuning;
  const bool tunes = now && (again || now->ratio == 0);
  if (!again && !tunes) {
    if (auto found = find(*runtime, (*opened)->info())) return std::move(*found);
  }
  const auto failed = [&](Error error) {
    error.message = "device '" + device + "' cannot be calibrated: " + error.message;
    return error;
  };
  const auto begin = std::chrono::steady_clock::now();
  if (tunes) {
    if (auto s = tune_device(device); !s) return failed(s.error());
    opened = open_device(device);
    if (!opened) return opened.error();
  }
  auto profile = measure(runtime, device);
  if (!profile) return failed(profile.error());
  const device::Info& info = (*opened)->info();
  Calibration made{profile.take(), file_of(info, key_of(*runtime, info)), 0, info.tuning};
  made.took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!made.file.empty() && write_whole(made.file, partition::to_json(made.profile))) return made;
  made.file.clear();
  const std::lock_guard keep(known().mutex);
  known().by_key[key_of(*runtime, info)] = made.profile;
  return made;
}

std::string to_json(const Calibration& calibration) {
  auto json = nlohmann::ordered_json::parse(partition::to_json(calibration.profile));
  const nlohmann::ordered_json measured = json["measured"];
  return nlohmann::ordered_json{{"device", calibration.profile.name},
                                {"latency_s", calibration.profile.latency_s},
                                {"border_bytes_per_s", calibration.profile.b_bw},
                                {"device_rates", measured["device"]},
                                {"cpu_rates", measured["cpu"]},
                                {"kernels", calibration.tuning ? device::to_text(calibration.tuning->tuning) : ""},
                                {"kernels_ratio", calibration.tuning ? calibration.tuning->ratio : 0.},
                                {"file", calibration.file},
                                {"took_s", calibration.took_s}}
      .dump();
}

}  // namespace plx::engine
